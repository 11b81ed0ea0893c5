"""A model that this version does not know works, and a person is told once."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.process import perstack
from cli.server import serving
from perstack.assembly.known_model import unknown_model
from perstack.config.request import Options
from perstack.config.resolve import resolve


def warning(
    folder: Path, provider: str, model: str, environ: dict[str, str] | None = None
) -> str | None:
    return unknown_model(resolve(Options(provider=provider, model=model), folder, environ or {}))


def test_an_unknown_model_is_told_of_with_the_nearest_known_one(tmp_path: Path) -> None:
    told = warning(tmp_path, "anthropic", "claude-sonet-4-5")
    assert told is not None
    assert told.startswith('the model "claude-sonet-4-5" of anthropic is not known')
    assert told.endswith('did you mean "claude-sonnet-4-5"?')


def test_a_hint_is_of_the_same_provider(tmp_path: Path) -> None:
    told = warning(tmp_path, "deepseek", "gpt-5-mini")
    assert told is not None
    assert "did you mean" not in told


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("anthropic", "claude-haiku-4-5-20251001"),
        ("google-vertex", "gemini-2.5-pro"),
        ("ollama", "mine"),
        ("azure-openai", "our-deployment"),
        ("amazon-bedrock", "arn:aws:bedrock:us-east-1:1:application-inference-profile/x1"),
    ],
)
def test_a_known_model_and_a_name_of_ones_own_are_no_news(
    tmp_path: Path, provider: str, model: str
) -> None:
    assert warning(tmp_path, provider, model) is None


@pytest.mark.parametrize(
    ("provider", "variable"),
    [
        ("anthropic", "ANTHROPIC_BASE_URL"),
        ("openai", "OPENAI_BASE_URL"),
        ("google", "GOOGLE_GENERATIVE_AI_BASE_URL"),
        ("google-vertex", "GOOGLE_VERTEX_BASE_URL"),
        ("deepseek", "DEEPSEEK_BASE_URL"),
    ],
)
def test_behind_a_base_url_any_name_is_as_good_as_another(
    tmp_path: Path, provider: str, variable: str
) -> None:
    assert warning(tmp_path, provider, "mine") is not None
    assert warning(tmp_path, provider, "mine", {variable: "https://models.example"}) is None
    (tmp_path / "perstack.toml").write_text(
        f'[provider]\nproviderName = "{provider}"\n'
        '[provider.setting]\nbaseUrl = "https://models.example"\n'
    )
    assert warning(tmp_path, provider, "mine") is None


def test_the_warning_stands_on_stderr_once_before_anything_else(tmp_path: Path) -> None:
    ended = perstack("run", "tic-tac-toe", "Hi", "--model", "claude-sonnet-45", cwd=tmp_path)
    first, *rest = ended.stderr.splitlines()
    assert first.startswith('warning: the model "claude-sonnet-45" of anthropic is not known')
    assert not any("is not known" in line for line in rest)
    assert ended.stdout == ""


def test_a_run_tells_how_full_the_context_of_a_known_model_is_alone(tmp_path: Path) -> None:
    (tmp_path / "perstack.toml").write_text('[experts.helper]\ninstruction = "Help."\n')
    reply = {"text": "Helped."}
    with serving({"rules": [{"replies": [reply, reply]}]}, tmp_path) as env:
        known = perstack("run", "helper", "Hi", cwd=tmp_path, env=env)
        unknown = perstack("run", "helper", "Hi", "--model", "mine", cwd=tmp_path, env=env)

    checkpoint = known.events[-1]["checkpoint"]
    assert checkpoint["contextWindow"] == 1_000_000
    assert checkpoint["contextWindowUsage"] == checkpoint["usage"]["totalTokens"] / 1_000_000 > 0
    assert "contextWindow" not in unknown.stdout
    assert "is not known" not in unknown.stderr
