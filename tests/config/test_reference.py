"""docs/reference/perstack-toml.md says all there is to say, and its examples are right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from perstack.config.dotenv import parse_env
from perstack.config.expert_table import EXPERT_FIELDS
from perstack.config.load import parse_config
from perstack.config.project_table import PROJECT_FIELDS
from perstack.config.provider_table import PROVIDER_FIELDS, PROVIDER_SETTINGS
from perstack.config.request import Options
from perstack.config.resolve import resolve
from perstack.config.skill_table import INTERACTIVE_TOOL_FIELDS, SKILL_FIELDS

DOCUMENT = Path(__file__, "../../../docs/reference/perstack-toml.md").resolve().read_text()
BLOCKS = re.findall(r"^```toml\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    return re.split(rf"^#+ .*{title}.*$", DOCUMENT, flags=re.MULTILINE)[1].split("\n#")[0]


@pytest.mark.parametrize(
    ("title", "keys"),
    [
        ("Top level", PROJECT_FIELDS),
        ("Provider", [f"provider.{key}" for key in PROVIDER_FIELDS]),
        ("Provider", PROVIDER_SETTINGS),
        ("Provider", [key for fields in PROVIDER_SETTINGS.values() for key in fields]),
        ("Experts", EXPERT_FIELDS),
        ("`interactiveSkill`", INTERACTIVE_TOOL_FIELDS),
        *((f"`{kind}`", fields) for kind, fields in SKILL_FIELDS.items()),
    ],
)
def test_every_key_is_documented(title: str, keys: list[str]) -> None:
    rows = "".join(line for line in section(title).splitlines() if line.startswith("|"))
    assert [key for key in keys if f"`{key}`" not in rows] == []


def test_every_documented_key_exists() -> None:
    known = {
        *PROJECT_FIELDS,
        *(f"provider.{key}" for key in PROVIDER_FIELDS),
        *PROVIDER_SETTINGS,
        *(key for fields in PROVIDER_SETTINGS.values() for key in fields),
        *EXPERT_FIELDS,
        *(key for fields in SKILL_FIELDS.values() for key in fields),
        *INTERACTIVE_TOOL_FIELDS,
    }
    firsts = re.findall(r"^\| (`[^|]*`) \|", DOCUMENT, re.MULTILINE)
    named = {key for first in firsts for key in re.findall(r"`([^`]+)`", first)}
    assert named
    assert named - known == set()


@pytest.mark.parametrize(("name", "fields"), PROVIDER_SETTINGS.items())
def test_every_provider_is_documented_with_just_its_settings(
    name: str, fields: dict[str, object]
) -> None:
    (row,) = re.findall(
        rf"^\| [^|]*`{name}`[^|]* \| ([^|]*) \|$", section("Provider"), re.MULTILINE
    )
    assert set(re.findall(r"`([^`]+)`", row)) == set(fields)


@pytest.mark.parametrize("block", BLOCKS)
def test_every_example_is_without_problems_and_warnings(block: str) -> None:
    assert parse_config(block, "example").warnings == ()


def test_the_defaults_are_the_documented_ones(tmp_path: Path) -> None:
    request = resolve(Options(), tmp_path, {})
    settings = request.settings
    for key, value in {
        "model": f"`{settings.model}` with the provider {settings.provider.provider_name}",
        "reasoningBudget": f'`"{settings.reasoning_budget}"`',
        "maxSteps": f"`{settings.max_steps}`",
        "maxRetries": f"`{settings.max_retries}`",
        "timeout": f"`{settings.timeout}`",
        "runtime": f'`"{request.runtime}"`',
    }.items():
        (default,) = re.findall(
            rf"^\| `{key}` \| [^|]* \| ([^|]*) \|", section("Top level"), re.MULTILINE
        )
        assert default == value


def test_the_example_of_variables_is_read_as_described() -> None:
    (block,) = re.findall(r"^```sh\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert parse_env(block, ".env") == {
        "EXA_API_KEY": "abc123",
        "GREETING": r"literal $HOME \n",
        "CERTIFICATE": "first line\nsecond line\twith a tab",
    }
