"""`perstack skills` where a lock says what a run offers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from cli.process import Ended, perstack

SERVERS = Path(__file__).parents[1] / "skills/mcp"


def configure(folder: Path, more: str = "", tools: str = "") -> None:
    """An Expert whose skill is a server that changes after its first start."""
    args = json.dumps([str(SERVERS / "changing_server.py"), str(folder / "starts")])
    (folder / "perstack.toml").write_text(
        f'[experts.worker]\ninstruction = "Work."\n{more}\n'
        f'[experts.worker.skills.tools]\ntype = "mcpStdioSkill"\n'
        f"command = {json.dumps(sys.executable)}\nargs = {args}\n{tools}\n"
    )


def install(folder: Path) -> None:
    ended = perstack("install", cwd=folder)
    assert ended.code == 0, ended.stderr


def listed(folder: Path, *words: str) -> Ended:
    return perstack("skills", *words, cwd=folder)


def entry(folder: Path) -> dict[str, Any]:
    """The skill, as the document has it."""
    [expert] = json.loads(listed(folder, "--json").stdout)["experts"]
    return expert["skills"][1]


def names(entry: dict[str, Any]) -> list[str]:
    return [tool["name"] for tool in entry["tools"]]


def test_a_skill_that_is_as_it_was_locked_is_shown_so(tmp_path: Path) -> None:
    configure(tmp_path)
    install(tmp_path)
    (tmp_path / "starts").unlink()
    ended = listed(tmp_path)
    assert (ended.code, ended.stderr) == (0, "")
    assert "  tools: 7 tools, locked, changing 1\n" in ended.stdout


def test_tools_that_a_run_would_refuse_or_not_offer_are_told_of(tmp_path: Path) -> None:
    configure(tmp_path, tools='omit = ["die"]')
    (tmp_path / "starts").write_text("1")
    install(tmp_path)
    (tmp_path / "starts").unlink()
    skill = entry(tmp_path)
    assert skill["isLocked"]
    assert skill["isWorking"]
    assert names(skill) == ["starts", "leave", "turn", "sulk"]
    assert {left["tool"]: left["reason"] for left in skill["leftOut"]} == {
        "die": "omit names it",
        "brief": "perstack.lock does not have it",
        "sly": "it is not the tool that perstack.lock has, and its calls are refused",
    }
    assert "`perstack install --frozen` shows what changed" in skill["notes"][0]


def test_a_tool_that_the_server_does_not_have_any_more_is_told_of(tmp_path: Path) -> None:
    configure(tmp_path)
    install(tmp_path)
    ended = listed(tmp_path)
    assert ended.code == 0
    assert "perstack.lock has it, and the server does not any more:\n      brief" in ended.stdout
    assert "warning: It is not as it was locked." in ended.stdout


def test_a_skill_of_which_a_run_would_call_nothing_does_not_work(tmp_path: Path) -> None:
    configure(tmp_path, tools='pick = ["sly"]')
    install(tmp_path)
    ended = listed(tmp_path)
    assert ended.code == 1
    assert "! The server runs, and has none of the tools that perstack.lock says." in ended.stdout
    assert "> `perstack install --frozen` shows what changed" in ended.stdout


def test_a_lazy_skill_that_is_locked_has_no_tool_that_opens_it(tmp_path: Path) -> None:
    configure(tmp_path, tools="lazyInit = true")
    assert names(entry(tmp_path))[0] == "open_tools"
    (tmp_path / "starts").unlink()
    install(tmp_path)
    (tmp_path / "starts").unlink()
    assert names(entry(tmp_path)) == ["starts", "die", "leave", "turn", "sulk", "sly", "brief"]


def test_a_lock_that_is_older_than_its_file_is_warned_of(tmp_path: Path) -> None:
    configure(tmp_path)
    install(tmp_path)
    configure(tmp_path, more='tags = ["new"]', tools='omit = ["die"]')
    ended = listed(tmp_path)
    assert "warning: perstack.lock is older than perstack.toml: worker changed" in ended.stderr
    assert ", locked" not in ended.stdout
    [warning] = json.loads(listed(tmp_path, "--json").stdout)["warnings"]
    assert warning.startswith("perstack.lock is older than perstack.toml")
