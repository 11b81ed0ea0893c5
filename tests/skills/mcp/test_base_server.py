"""A base skill from elsewhere: what a server has of it, and what stays in our process."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from perstack import Expert, load_config, run
from perstack.assembly.install import survey
from perstack.assembly.lock_file import write_lock
from perstack.config.request import Options
from perstack.config.resolve import resolve
from perstack.embedding.result import Result
from perstack.schema.event import (
    SkillConnected,
    SkillDisconnected,
    SkillReported,
    SkillStarting,
    ToolCallCompleted,
    ToolCallStarted,
)
from perstack.schema.tool import BASE_SKILL, BASE_TOOLS, OWN_TOOLS
from perstack.testing import ScriptedModel, call, say, together

pytestmark = pytest.mark.anyio

PERSTACK = Path(sys.executable).with_name("perstack")
OUR_SERVER = (str(PERSTACK), "base")
HOSTILE = str(Path(__file__).with_name("hostile_server.py"))
DONE = call("attemptCompletion", {})


def config(*skills: str, command: tuple[str, ...] = ()) -> str:
    head = f"perstackBaseSkillCommand = {json.dumps(command)}\n" if command else ""
    return f'{head}[experts.worker]\ninstruction = "Work."\n' + "".join(skills)


def skill(name: str, *lines: str) -> str:
    body = "\n".join(('type = "mcpStdioSkill"', *lines))
    return f"\n[experts.worker.skills.{json.dumps(name)}]\n{body}\n"


def package(name: str, what: str = BASE_SKILL, *lines: str) -> str:
    return skill(name, 'command = "npx"', f'packageName = "{what}"', *lines)


def hostile(name: str, *modes: str) -> str:
    words = json.dumps([HOSTILE, *modes])
    return skill(name, f"command = {json.dumps(sys.executable)}", f"args = {words}")


async def ran(
    folder: Path, text: str, model: ScriptedModel, env: dict[str, str] | None = None
) -> Result:
    (folder / "perstack.toml").write_text(text)
    loaded = load_config(folder / "perstack.toml")
    return await run("worker", "Go", config=loaded, provider=model, workspace=folder, env=env)


def offered(model: ScriptedModel) -> dict[str, str]:
    """The skill of each tool that the model was shown first."""
    return {tool.name: tool.skill_name for tool in model.requests[0].tools}


def told(result: Result, *kinds: type) -> list[object]:
    return [event.detail for event in result.events if isinstance(event.detail, kinds)]


def effects(result: Result) -> list[str]:
    return [e.detail.effect for e in result.events if isinstance(e.detail, ToolCallStarted)]


def answers(result: Result) -> list[str]:
    details = [event.detail for event in result.events]
    return [one.tool_result.text for one in details if isinstance(one, ToolCallCompleted)]


def reports(result: Result) -> list[str]:
    """What was said of the base skill's tools."""
    details = [event.detail for event in result.events]
    found = [one for one in details if isinstance(one, SkillReported) and one.source == "runtime"]
    return [one.message for one in found if one.skill_name == BASE_SKILL]


async def test_a_server_has_the_files_and_the_run_keeps_its_todos_and_its_end(tmp_path: Path):
    model = ScriptedModel(
        [
            call("writeTextFile", {"path": "a.txt", "text": "1"}),
            call("todo", {"newTodos": ["Check it."]}),
            DONE,
            call("todo", {"completedTodos": [0]}),
            DONE,
            say("Done."),
        ]
    )
    result = await ran(tmp_path, config(command=OUR_SERVER), model)
    assert result.text == "Done."
    assert offered(model) == dict.fromkeys(BASE_TOOLS, BASE_SKILL)
    assert (tmp_path / "a.txt").read_text() == "1"
    assert effects(result)[0] == "unknown", "the server says otherwise, and is not trusted"
    assert set(effects(result)[1:]) == {"none"}
    assert '"remainingTodos":[{"id":0' in answers(result)[2]
    [connected] = told(result, SkillConnected)
    assert isinstance(connected, SkillConnected)
    assert connected.skill_name == BASE_SKILL


async def test_changes_of_one_reply_reach_the_server_one_after_the_other(tmp_path: Path):
    script = [
        together(
            call("writeTextFile", {"path": "a.txt", "text": ""}),
            *(call("appendTextFile", {"path": "a.txt", "text": str(n)}) for n in range(8)),
        ),
        say("Done."),
    ]
    result = await ran(tmp_path, config(command=OUR_SERVER), ScriptedModel(script))
    assert (tmp_path / "a.txt").read_text() == "01234567"
    kinds = [type(each) for each in told(result, ToolCallStarted, ToolCallCompleted)]
    assert kinds == [ToolCallStarted, ToolCallCompleted] * 9


async def test_of_a_trusted_server_the_effects_are_believed(tmp_path: Path):
    text = config(package(BASE_SKILL, BASE_SKILL, "trusted = true"), command=OUR_SERVER)
    script = [
        call("writeTextFile", {"path": "a.txt", "text": "1"}),
        call("readTextFile", {"path": "a.txt"}),
        call("appendTextFile", {"path": "a.txt", "text": "2"}),
        say("Done."),
    ]
    result = await ran(tmp_path, text, ScriptedModel(script))
    assert effects(result) == ["idempotent", "none", "unknown"]


async def test_pick_and_omit_hold_for_the_server_and_for_what_is_ours(tmp_path: Path):
    narrow = 'pick = ["readTextFile", "exec", "todo"]', 'omit = ["exec"]'
    text = config(package(BASE_SKILL, BASE_SKILL, *narrow), command=OUR_SERVER)
    model = ScriptedModel([call("exec", {}), say("Done.")])
    await ran(tmp_path, text, model)
    assert set(offered(model)) == {"readTextFile", "todo"}


async def test_a_server_that_does_not_start_leaves_the_run_what_is_ours(tmp_path: Path):
    model = ScriptedModel(
        [call("todo", {"newTodos": ["a"]}), call("clearTodo"), DONE, say("Done.")]
    )
    command = (sys.executable, HOSTILE, "exit")
    result = await ran(tmp_path, config(command=command), model)
    assert result.text == "Done."
    assert set(offered(model)) == OWN_TOOLS
    [lost] = told(result, SkillDisconnected)
    assert isinstance(lost, SkillDisconnected)
    assert (lost.skill_name, lost.tools_lost) == (BASE_SKILL, True)
    words = model.requests[0].instruction
    assert "- @perstack/base: The server ended with status 3." in words
    assert "but for those of the todo list and attemptCompletion." in words


@pytest.mark.hostile
async def test_a_server_says_nothing_of_a_runs_end_and_names_of_base_tools_are_its_own(
    tmp_path: Path,
):
    text = config(hostile("files", "names"), command=(sys.executable, HOSTILE, "names"))
    model = ScriptedModel([DONE, say("Done.")])
    result = await ran(tmp_path, text, model)
    assert result.text == "Done."
    found = offered(model)
    ours = {tool.name: tool.description for tool in model.requests[0].tools}
    assert ours["attemptCompletion"].startswith("Say that the task is done.")
    assert (found["exec"], found["files__exec"]) == (BASE_SKILL, "files")
    assert (found["readTextFile"], found["files__readTextFile"]) == (BASE_SKILL, "files")
    assert found["files__attemptCompletion"] == "files"
    assert not [name for name in found if name.endswith("base__attemptCompletion")]
    [left_out] = [line for line in reports(result) if line.startswith("Of the server's tools")]
    assert left_out.endswith(" attemptCompletion are left out: Perstack has its own")


async def test_a_server_need_not_have_what_is_ours_for_pick_to_name_it(tmp_path: Path):
    narrow = package(BASE_SKILL, BASE_SKILL, 'pick = ["todo", "exec", "other"]')
    model = ScriptedModel([say("Done.")])
    result = await ran(tmp_path, config(narrow, command=(sys.executable, HOSTILE, "names")), model)
    assert set(offered(model)) == {"todo", "exec"}
    strangers = [line for line in reports(result) if line.startswith("There is no tool")]
    assert strangers == ["There is no tool 'other', which pick or omit names"]


def npx(folder: Path) -> dict[str, str]:
    """An environment in which `npx` serves our base tools, whatever the package."""
    program = folder / "bin/npx"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nexec {PERSTACK} base\n")
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:{os.environ['PATH']}"}


async def test_a_version_of_the_package_is_what_is_started(tmp_path: Path):
    model = ScriptedModel([call("readTextFile", {"path": "perstack.toml"}), say("Done.")])
    pinned = package(BASE_SKILL, f"{BASE_SKILL}@0.0.5", 'omit = ["exec"]')
    result = await ran(tmp_path, config(pinned), model, npx(tmp_path))
    [starting] = told(result, SkillStarting)
    assert isinstance(starting, SkillStarting)
    assert starting.args[-2:] == ("--", f"{BASE_SKILL}@0.0.5")
    assert set(offered(model)) == {*BASE_TOOLS} - {"exec"}
    assert "Work." in answers(result)[0]


async def test_the_package_under_another_name_stands_beside_the_bundled_skill(tmp_path: Path):
    model = ScriptedModel([call("files__readTextFile", {"path": "perstack.toml"}), say("Done.")])
    result = await ran(tmp_path, config(package("files")), model, npx(tmp_path))
    others = {f"files__{name}": "files" for name in BASE_TOOLS if name not in OWN_TOOLS}
    assert offered(model) == dict.fromkeys(BASE_TOOLS, BASE_SKILL) | others
    assert "Work." in answers(result)[0]


async def test_where_only_what_is_ours_is_left_no_server_is_started(tmp_path: Path):
    narrow = package(BASE_SKILL, BASE_SKILL, 'pick = ["attemptCompletion"]')
    model = ScriptedModel([DONE, say("Done.")])
    result = await ran(tmp_path, config(narrow, command=("/nowhere/base",)), model)
    assert result.text == "Done."
    assert not told(result, SkillStarting, SkillDisconnected)


async def test_a_locked_base_skill_is_started_by_its_first_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    text = config(command=OUR_SERVER)
    (tmp_path / "perstack.toml").write_text(text)
    found = await survey(resolve(Options(), tmp_path, dict(os.environ)), lambda *_: None)
    write_lock(found.lock, found.path)
    [locked] = found.lock.experts.values()
    assert {tool.name for tool in locked.tools[BASE_SKILL]} == {*BASE_TOOLS}
    reads = call("readTextFile", {"path": "perstack.toml"})
    for script, starts in (([DONE, say("Done.")], 0), ([reads, DONE, say("Done.")], 1)):
        model = ScriptedModel(script)
        result = await ran(tmp_path, text, model)
        assert result.text == "Done."
        assert len(told(result, SkillConnected)) == starts
        assert offered(model) == dict.fromkeys(BASE_TOOLS, BASE_SKILL)


async def test_a_lazy_base_skill_is_opened_and_its_tools_have_their_own_names(tmp_path: Path):
    lazy = package(BASE_SKILL, f"{BASE_SKILL}@1.0.0", "lazyInit = true")
    read = call("readTextFile", {"path": "perstack.toml"})
    model = ScriptedModel([call("open_perstack_base"), read, say("Done.")])
    result = await ran(tmp_path, config(lazy), model, npx(tmp_path))
    assert set(offered(model)) == {*OWN_TOOLS, "open_perstack_base"}
    assert "Work." in answers(result)[1]


async def test_base_tools_that_a_program_names_are_all_that_a_server_may_offer(tmp_path: Path):
    (tmp_path / "perstack.toml").write_text(config(command=(sys.executable, HOSTILE, "names")))
    loaded = load_config(tmp_path / "perstack.toml")
    for names, servers in ((["exec", "todo"], 1), (["todo"], 0), ([], 0)):
        model = ScriptedModel([say("Done.")])
        helper = Expert("helper", "Help.", base_tools=names)
        result = await run(helper, "Go", config=loaded, provider=model, workspace=tmp_path)
        assert {tool.name for tool in model.requests[0].tools} == set(names)
        assert len(told(result, SkillConnected)) == servers
