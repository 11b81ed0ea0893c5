from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING, cast

import jsonschema
import pytest

from base.kit import PLAIN, calls_in, open_descriptors
from perstack.base import BaseTools
from perstack.base.answer import printable
from perstack.errors import ConfigurationError
from perstack.schema.tool import BASE_SKILL, ORDERED_TOOLS

if TYPE_CHECKING:
    from pathlib import Path

    from perstack.schema.message import Json

pytestmark = pytest.mark.anyio

ORDER = [
    *("attemptCompletion", "todo", "clearTodo", "exec", "getFileInfo", "healthCheck"),
    *("readTextFile", "readImageFile", "readPdfFile", "writeTextFile", "appendTextFile"),
    *("editTextFile", "moveFile", "deleteFile", "listDirectory", "createDirectory"),
    "deleteDirectory",
]
NO_EFFECT = {
    *("attemptCompletion", "todo", "clearTodo", "getFileInfo", "healthCheck", "readTextFile"),
    *("readImageFile", "readPdfFile", "listDirectory"),
}
IDEMPOTENT = {"writeTextFile", "createDirectory"}


def tools_in(workspace: Path, pick: tuple[str, ...] = (), omit: tuple[str, ...] = ()) -> BaseTools:
    return BaseTools(workspace=workspace, todos=tuple, environ=PLAIN, pick=pick, omit=omit)


def test_the_tools_are_offered_in_order_with_their_effects(tmp_path: Path):
    tools = tools_in(tmp_path).tools()
    assert [tool.name for tool in tools] == ORDER
    for tool in tools:
        none = "none" if tool.name in NO_EFFECT else "unknown"
        assert tool.effect == ("idempotent" if tool.name in IDEMPOTENT else none)
        assert tool.skill_name == BASE_SKILL
        assert tool.description.endswith(".")
    assert set(ORDER) >= ORDERED_TOOLS


def test_every_schema_is_valid_and_closed(tmp_path: Path):
    for tool in tools_in(tmp_path).tools():
        jsonschema.Draft202012Validator.check_schema(tool.input_schema)
        assert tool.input_schema["additionalProperties"] is False
        for argument in cast("dict[str, Json]", tool.input_schema["properties"]).values():
            assert argument["description"]
            assert "type" in argument


async def test_pick_and_omit_narrow_what_is_offered_and_what_can_be_called(tmp_path: Path):
    async with calls_in(tmp_path, pick=("todo", "exec"), omit=("exec",)) as call:
        assert [tool.name for tool in call.tools.tools()] == ["todo"]
        assert not (await call("todo")).is_error
        assert (await call.exec("true")).message == "There is no tool 'exec'."
        assert (await call("nonsense")).is_error


@pytest.mark.parametrize(
    ("tool", "args", "named"),
    [
        ("readTextFile", {}, "`path`"),
        ("readTextFile", {"path": 1}, "$.path"),
        ("readTextFile", {"path": None}, "`path`"),
        ("readTextFile", {"path": "a", "extra": 1}, "`extra`"),
        ("readTextFile", {"path": "a", "from": -1}, "$.from"),
        ("readTextFile", {"path": "a", "to": True}, "$.to"),
        ("readTextFile", {"path": ""}, "$.path"),
        ("readTextFile", {"path": "a\0b"}, "path holds a NUL"),
        ("readTextFile", {"path": "\ud800"}, "path is not valid Unicode"),
        ("writeTextFile", {"path": "a", "text": "\udfff"}, "text is not valid Unicode"),
        ("todo", {"newTodos": "a"}, "$.newTodos"),
        ("todo", {"completedTodos": ["0"]}, "$.completedTodos"),
        ("attemptCompletion", {"done": True}, "`done`"),
        ("exec", {"command": "true"}, "`args`"),
    ],
)
async def test_wrong_arguments_are_named_in_the_answer(
    tmp_path: Path, tool: str, args: dict[str, object], named: str
):
    async with calls_in(tmp_path) as call:
        output = await call.tools.call(tool, args)
        said = await call(tool, **{"first_line" if k == "from" else k: v for k, v in args.items()})
    assert output.is_error
    assert said.data["error"] == "Error"
    assert named in said.message


async def test_null_stands_for_an_argument_left_out(tmp_path: Path):
    (tmp_path / "a").write_text("x")
    async with calls_in(tmp_path) as call:
        assert (await call("readTextFile", path="a", to=None)).data["content"] == "x"


async def test_closed_tools_answer_with_an_error(tmp_path: Path):
    output = await tools_in(tmp_path).call("healthCheck", {})
    assert output.is_error


async def test_a_workspace_that_is_not_there_cannot_be_entered(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="missing"):
        async with calls_in(tmp_path / "missing"):
            pass


async def test_the_health_check_tells_where_it_works(tmp_path: Path):
    async with calls_in(tmp_path) as call:
        said = await call("healthCheck")
    assert said.data["status"] == "ok"
    assert said.data["workspace"] == str(tmp_path)
    assert set(said.data) == {"status", "workspace", "uptime", "memory", "pid"}


async def test_closing_gives_every_descriptor_back(tmp_path: Path):
    (tmp_path / "a").write_text("x")
    before = open_descriptors()
    async with calls_in(tmp_path) as call:
        await call("readTextFile", path="a")
        await call("readTextFile", path="../a")
        await call("listDirectory", path=".")
        await call("deleteDirectory", path="a", recursive=True)
        await call.exec("true")
        await call.exec("nonsense")
    assert open_descriptors() == before


async def test_a_small_read_costs_a_fraction_of_a_millisecond(tmp_path: Path):
    (tmp_path / "a").write_text("x" * 200)
    async with calls_in(tmp_path) as call:
        await call.tools.call("readTextFile", {"path": "a"})
        before = time.thread_time()
        for _ in range(400):
            await call.tools.call("readTextFile", {"path": "a"})
        spent = time.thread_time() - before
    assert spent / 400 < 0.001


def test_any_name_can_be_said():
    assert printable("plain \u00e9") == "plain \u00e9"
    assert printable("\udcff") == "\\xff"
    assert printable("\ud800") == "\\ud800"


def test_importing_the_package_loads_nothing_else():
    probe = (
        "import sys, perstack.base; "
        "print([n for n in sys.modules if n.split('.')[0] in ('msgspec', 'anyio')])"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"


def test_the_names_reserved_for_the_base_skill_are_its_tools_in_order():
    from perstack.base.table import TOOLS
    from perstack.schema.tool import BASE_TOOLS

    assert tuple(tool.definition.name for tool in TOOLS) == BASE_TOOLS
