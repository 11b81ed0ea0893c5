"""The table of known models, how a name finds its row, and the page made from it."""

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

from perstack.providers import models
from perstack.providers.anthropic_limits import bounds_of, token_limits
from perstack.providers.models import (
    ModelInfo,
    context_window,
    known_models,
    model_info,
    names_of,
    vendor_of,
)
from perstack.schema.settings import DEFAULT_MODEL, DEFAULT_PROVIDER, PROVIDER_NAMES

ROOT = Path(__file__).parents[2]
TABLE = Path(models.__file__).with_name("model_table.txt").read_text(encoding="utf-8")
LINES = [line for line in TABLE.splitlines() if not line.startswith("#")]
VENDORS = sorted({line.split()[0] for line in LINES})
ROWS = [(vendor, model, info) for vendor in VENDORS for model, info in known_models(vendor).items()]
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """`scripts/models` as a module."""
    loader = SourceFileLoader("models_script", str(ROOT / "scripts/models"))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_the_table_is_sorted_and_names_each_model_once():
    names = [tuple(line.split()[:2]) for line in LINES]
    assert names == sorted(set(names))


def test_every_row_can_be_read_and_found_by_its_own_name():
    assert len(ROWS) == len(LINES) > 200
    for vendor, model, info in ROWS:
        assert model_info(vendor, model) == info


@pytest.mark.parametrize(("vendor", "model", "info"), ROWS, ids=lambda value: str(value)[:40])
def test_what_a_row_says_is_possible(vendor: str, model: str, info: ModelInfo):
    assert 0 < info.max_output_tokens <= info.context_window
    assert list(info.efforts) == sorted(set(info.efforts), key=EFFORTS.index)
    assert info.is_reasoning or not info.efforts


def test_no_row_says_what_a_shorter_name_leads_to_anyway():
    for vendor, model, info in ROWS:
        _, *shorter = names_of(model)
        rows = known_models(vendor)
        assert next((rows[name] for name in shorter if name in rows), None) != info, model


def test_the_long_tail_is_every_vendor_that_is_no_provider():
    tail = known_models("pydantic-ai")
    assert {name.partition(":")[0] for name in tail} == set(VENDORS).difference(PROVIDER_NAMES)
    for name, info in tail.items():
        assert model_info("pydantic-ai", name) == info


def test_every_provider_has_models():
    for provider in PROVIDER_NAMES:
        assert known_models(provider), provider


def test_the_default_model_is_known():
    assert model_info(DEFAULT_PROVIDER, DEFAULT_MODEL) is not None


@pytest.mark.parametrize(
    ("provider", "model", "row"),
    [
        ("anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("anthropic", "claude-haiku-4-5-latest", "claude-haiku-4-5"),
        ("openai", "gpt-5-2025-08-07", "gpt-5"),
        ("openai", "gpt-5-pro-2025-10-06", "gpt-5-pro"),
        ("openai", "ft:gpt-4.1-2025-04-14:acme::abc123", "gpt-4.1"),
        ("azure-openai", "gpt-4.1", "gpt-4.1"),
        ("google", "models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("google", "gemini-2.5-flash-preview-09-2025", "gemini-2.5-flash"),
        ("google", "gemini-2.5-pro-001", "gemini-2.5-pro"),
        ("google-vertex", "publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("google-vertex", "gemini-2.5-pro@default", "gemini-2.5-pro"),
        ("amazon-bedrock", "us.amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0"),
        ("amazon-bedrock", "us-gov.amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0"),
        (
            "amazon-bedrock",
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.amazon.nova-pro-v1:0",
            "amazon.nova-pro-v1:0",
        ),
        ("ollama", "qwen3:8b", "qwen3"),
        ("ollama", "qwen3", "qwen3"),
        ("pydantic-ai", "openai-responses:gpt-5", "gpt-5"),
        ("pydantic-ai", "bedrock:eu.amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0"),
        ("pydantic-ai", "groq:openai/gpt-oss-120b", "openai/gpt-oss-120b"),
    ],
)
def test_a_name_is_found_without_its_place_and_build(provider: str, model: str, row: str):
    vendor, _ = vendor_of(provider, model)
    assert model_info(provider, model) == known_models(vendor)[row]


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("anthropic", "claude"),
        ("anthropic", "gpt-5"),
        ("anthropic", ""),
        ("openai", "gpt-5-2025-08-07x"),
        ("openai", "gpt"),
        ("openai", "#"),
        ("ollama", "qwen3.99"),
        ("ollama", "someone/qwen3"),
        ("pydantic-ai", "gpt-5"),
        ("nobody", "gpt-5"),
    ],
)
def test_a_name_that_nobody_told_us_of_is_not_taken_for_another(provider: str, model: str):
    assert model_info(provider, model) is None
    assert context_window(provider, model) is None


def test_a_build_with_a_row_of_its_own_is_not_taken_for_its_family(
    monkeypatch: pytest.MonkeyPatch,
):
    table = "\nopenai m 20 10 - -\nopenai m-2025-01-02 8 4 images -\n"
    monkeypatch.setattr(models, "_table", lambda: table)
    assert model_info("openai", "m-2025-01-02") == ModelInfo(8, 4, reads_images=True)
    assert model_info("openai", "m-2025-03-04") == ModelInfo(20, 10)


def test_an_ollama_server_gives_what_it_is_set_to_and_its_cloud_all():
    assert model_info("ollama", "gpt-oss:20b") is not None
    assert context_window("ollama", "gpt-oss:20b") is None
    assert context_window("pydantic-ai", "ollama:gpt-oss:20b") is None
    assert context_window("ollama", "gpt-oss:120b-cloud") == 131_072


def test_the_page_is_made_from_the_table(script: ModuleType):
    page = (ROOT / "docs/reference/models.md").read_text(encoding="utf-8")
    assert script.page(page) == page, "run: uv run scripts/models --page"


FACT = {
    "litellm_provider": "openai",
    "mode": "chat",
    "supports_function_calling": True,
    "max_input_tokens": 100,
    "max_output_tokens": 10,
}


def rows_from(script: ModuleType, facts: dict[str, dict[str, object]]) -> dict[str, str]:
    """What the script makes of OpenAI's models in a source."""
    made = script.rows_of({name: FACT | fact for name, fact in facts.items()}, "2026-06-01")
    ours = {tuple(line.split(" ", 2)[:2]) for line in script.ROWS.strip().splitlines()}
    return {model: rest for (vendor, model), rest in made.items() if (vendor, model) not in ours}


def test_the_script_takes_current_models_that_can_call_tools_alone(script: ModuleType):
    facts: dict[str, dict[str, object]] = {
        "kept": {},
        "retires-later": {"deprecation_date": "2026-06-02"},
        "retired": {"deprecation_date": "2026-06-01"},
        "toolless": {"supports_function_calling": False},
        "m-audio": {},
        "embeds": {"mode": "embedding"},
        "sizeless": {"max_input_tokens": None},
        "other": {"litellm_provider": "azure"},
    }
    assert list(rows_from(script, facts)) == ["kept", "retires-later"]


def test_the_script_keeps_a_build_only_where_it_differs(script: ModuleType):
    facts: dict[str, dict[str, object]] = {
        "m": {},
        "m-2025-01-02": {},
        "m-2025-03-04": {"max_output_tokens": 5},
        "n-2025-01-02": {},
    }
    assert list(rows_from(script, facts)) == ["m", "m-2025-03-04", "n-2025-01-02"]


def test_the_script_reads_abilities_windows_and_efforts(script: ModuleType):
    thinks: dict[str, object] = {"supports_reasoning": True}
    facts: dict[str, dict[str, object]] = {
        "plain": {"supports_vision": True, "supports_pdf_input": True},
        "thinks": thinks,
        "thinks-more": thinks
        | {"supports_none_reasoning_effort": True, "supports_low_reasoning_effort": False},
        "levels": thinks | {"reasoning_effort_levels": ["max", "low"]},
        "whole": {"max_input_tokens": 272_000},
        "gpt-5-pro": thinks,
    }
    assert rows_from(script, facts) == {
        "gpt-5-pro": "100 10 reasoning high",
        "levels": "100 10 reasoning low,max",
        "plain": "100 10 images,pdf -",
        "thinks": "100 10 reasoning low,medium,high",
        "thinks-more": "100 10 reasoning none,medium,high",
        "whole": "400000 10 - -",
    }


def test_a_known_claude_is_asked_for_what_it_can_write():
    for model, info in known_models("anthropic").items():
        assert token_limits(model, "none").max_tokens == info.max_output_tokens
        limits = token_limits(model, "high")
        assert limits.max_tokens == info.max_output_tokens
        assert bool(limits.effort) == bool(info.efforts)


@pytest.mark.parametrize(
    ("model", "limit", "takes_effort"),
    [
        ("claude-opus-9", 64_000, True),
        ("claude-sonnet-6-2-20270101", 64_000, True),
        ("claude-opus-4-1", 32_000, False),
        ("claude-sonnet-4-20250514", 32_000, False),
        ("claude-3-7-sonnet-latest", 32_000, False),
        ("claude-3-opus-20240229", 4_096, False),
        ("claude-next", 64_000, False),
        ("mystery", 8_192, False),
    ],
)
def test_a_claude_that_is_not_known_is_bounded_by_its_version(model, limit, takes_effort):
    assert model_info("anthropic", model) is None
    bounds = bounds_of(model)
    assert (bounds.max_tokens, bounds.takes_effort) == (limit, takes_effort)
