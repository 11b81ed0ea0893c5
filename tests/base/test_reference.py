"""The reference page says what the tools are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from perstack.base import Caps
from perstack.base.environment import DEFAULT_PATH, MARK, PASSED, PROXIES
from perstack.base.exec import LONGEST, SHORTEST
from perstack.base.table import TOOLS

if TYPE_CHECKING:
    from perstack.schema.message import Json

PAGE = Path(__file__, "../../../docs/reference/base-skill.md").resolve().read_text()
SECTION = re.compile(r"^### (\w+)\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
SECTIONS = {found[1]: found[2] for found in SECTION.finditer(PAGE)}


def test_the_page_has_the_tools_and_no_others():
    assert sorted(SECTIONS) == sorted(tool.definition.name for tool in TOOLS)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.definition.name)
def test_each_tool_is_described_with_its_effect_and_arguments(tool: object):
    definition = next(one.definition for one in TOOLS if one is tool)
    section = SECTIONS[definition.name]
    assert f"Effect: {definition.effect}." in section
    assert "Result: " in section
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", section, re.MULTILINE))
    properties = cast("dict[str, Json]", definition.input_schema["properties"])
    assert list(rows) == list(properties)
    for name, schema in properties.items():
        kind = str(schema["type"])
        if kind == "array":
            kind = f"{cast('Json', schema['items'])['type']}[]"
        elif kind == "object":
            kind = "object of strings"
        required = name in cast("list[str]", definition.input_schema["required"])
        assert rows[name] == (f"{kind}, required" if required else kind)
    assert bool(rows) == ("No arguments." not in section)


def test_each_cap_is_named_with_its_default():
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+?) \| \w", PAGE, re.MULTILINE))
    for name in Caps.__struct_fields__:
        value = getattr(Caps(), name)
        shown = str(value) if name == "entries" else f"{value // 1024} KiB"
        if name != "entries" and value >= 1024 * 1024:
            shown = f"{value // (1024 * 1024)} MiB"
        assert rows[name] == shown


def test_the_environment_of_commands_is_listed():
    listed = set(re.findall(r"`([A-Z_]+)`", SECTIONS["exec"].split("A variable whose value")[0]))
    assert listed == PASSED | PROXIES | {MARK}
    assert f"`{DEFAULT_PATH}`" in SECTIONS["exec"]
    assert f"{SHORTEST} to {LONGEST}" in SECTIONS["exec"]
