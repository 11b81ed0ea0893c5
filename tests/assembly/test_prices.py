"""What replies cost at published prices, and where nobody can say."""

from __future__ import annotations

import subprocess
import sys

import pytest

from perstack.assembly.prices import VENDORS, price_of
from perstack.config.origins import ACCESS
from perstack.schema.usage import Usage
from perstack.views.cost import Asked

MILLION = 1_000_000
AT = 1_764_000_000_000
SONNET = Asked("anthropic", None, "claude-sonnet-4-5")


def test_each_kind_of_token_has_its_own_price():
    prices = [
        price_of(SONNET, usage, AT)
        for usage in (
            Usage(input_tokens=1000),
            Usage(input_tokens=1000, cached_input_tokens=1000),
            Usage(input_tokens=1000, cache_write_input_tokens=1000),
            Usage(output_tokens=1000),
            Usage(output_tokens=1000, reasoning_tokens=900),
        )
    ]
    assert prices == [0.003, 0.0003, 0.00375, 0.015, 0.015]


@pytest.mark.parametrize(
    "asked",
    [
        Asked("anthropic", None, "claude-nobody-knows"),
        Asked("ollama", None, "llama3"),
        Asked("demo", None, "demo-player"),
        Asked(None, None, "claude-sonnet-4-5"),
        Asked("anthropic", "https://gateway.test", "claude-sonnet-4-5"),
        Asked("openai", "http://127.0.0.1:8000", "gpt-4.1"),
        Asked("openai", "http://localhost:8000", "gpt-4.1"),
        Asked("openai", "http://[::1]:8000", "gpt-4.1"),
    ],
)
def test_what_is_not_known_is_none_and_not_zero(asked: Asked):
    assert price_of(asked, Usage(input_tokens=1000, output_tokens=1000), AT) is None


@pytest.mark.parametrize(
    "usage",
    [Usage(input_tokens=10, cached_input_tokens=100), Usage(input_tokens=-5)],
)
def test_counts_that_make_no_sense_have_no_price(usage: Usage):
    assert price_of(SONNET, usage, AT) is None


@pytest.mark.parametrize("at", [2**62, -(2**62)])
def test_a_time_that_no_calendar_has_has_no_price(at: int):
    assert price_of(SONNET, Usage(input_tokens=1000), at) is None


def test_a_vendor_is_known_by_where_it_is_asked():
    there = Asked("openai", "https://openrouter.ai", "anthropic/claude-sonnet-4.5")
    assert price_of(there, Usage(input_tokens=MILLION // 10), AT) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("anthropic", "claude-sonnet-5-5"),
        ("openai", "gpt-4.1"),
        ("azure-openai", "gpt-4.1"),
        ("deepseek", "deepseek-chat"),
        ("google", "gemini-2.5-flash"),
        ("google-vertex", "gemini-2.5-flash"),
        ("amazon-bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
    ],
)
def test_every_vendor_of_ours_has_prices(provider: str, model: str):
    price = price_of(Asked(provider, None, model), Usage(output_tokens=1000), AT)
    assert price is not None
    assert price > 0


def test_providers_without_prices_are_those_that_run_here():
    assert set(ACCESS) - set(VENDORS) <= {"ollama", "pydantic-ai"}


def test_nothing_is_loaded_where_nobody_is_asked_for_a_price():
    script = """
import sys
from perstack.assembly.prices import price_of
from perstack.schema.usage import Usage
from perstack.views.cost import Asked

for asked in (Asked("ollama", None, "x"), Asked("openai", "http://localhost:1", "x")):
    price_of(asked, Usage(input_tokens=1), 0)
print("genai_prices" in sys.modules)
price_of(Asked("anthropic", None, "claude-sonnet-4-5"), Usage(input_tokens=1), 0)
print("genai_prices" in sys.modules)
"""
    command = [sys.executable, "-c", script]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told.split() == ["False", "True"]
