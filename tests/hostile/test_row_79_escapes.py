"""Row 79: nothing that moves the cursor, hides text or reorders it reaches a terminal."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tty
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from crash.process import command, environment
from perstack.testing import serve_model
from perstack.testing.scenario import CallSpec, ReplySpec

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = [pytest.mark.anyio, pytest.mark.hostile]

HOSTILE = Path(__file__).parents[1] / "skills" / "mcp" / "hostile_server.py"

EVIL = (
    "\x1b[2J\x1b[31mred\x1b[0m "
    "\x1b]0;title\x07 \x1b]52;c;ZXZpbA==\x07 \x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\ "
    "\x9b31m\x90q\x9c over\rwritten \x08\x08 \x7f "
    "\u202egnp.exe\u2066x\u2069 \u200bzero\u200d \u2028line \ufeffmark \U000e0041tag"
)
"""Colours, a title, the clipboard, a link, 8-bit codes, overwriting, bidi, invisible letters."""

UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)

CONFIG = """\
[experts.solo]
instruction = "You are solo."
[experts.solo.skills.people]
type = "interactiveSkill"
[experts.solo.skills.people.tools.askUser]
inputJsonSchema = '{"type":"object"}'
"""


async def on_a_terminal(
    folder: Path, url: str, told: Sequence[str], config: str = CONFIG
) -> tuple[int, str, bytes]:
    """Exit code, what a terminal got on stderr, and stdout."""
    folder.mkdir()  # noqa: ASYNC240 - one small file
    (folder / "perstack.toml").write_text(config)
    ours, theirs = os.openpty()
    tty.setraw(theirs)  # so that it adds nothing of its own
    shown: list[bytes] = []
    stdout = b""
    code = -1

    def watch() -> None:
        try:
            while piece := os.read(ours, 65536):
                shown.append(piece)
        except OSError:
            return  # the last writer is gone

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, watch)
            process = await anyio.open_process(
                told, cwd=folder, env=environment(folder, url), stderr=theirs, stdin=theirs
            )
            os.close(theirs)
            assert process.stdout is not None
            stdout = b"".join([piece async for piece in process.stdout])
            code = await process.wait()
            await process.aclose()
    finally:
        os.close(ours)
    return code, b"".join(shown).decode(), stdout


def nothing_moves(shown: str, *words: str) -> None:
    found = UNSAFE.search(shown)
    assert found is None, ascii(shown[max(0, found.start() - 40) : found.end() + 40])
    for word in words:
        assert word in shown


EXEC = {"command": "printf", "args": ["%s", EVIL], "env": {}, "cwd": ".", "stdout": True}
RUNS = {
    "result": [ReplySpec(text=f"Result {EVIL}")],
    "thinking": [ReplySpec(thinking=f"Thought {EVIL}", text=f"Result {EVIL}")],
    "tool": [
        ReplySpec(calls=(CallSpec(name="exec", args={**EXEC, "stderr": True}),)),
        ReplySpec(text="Result"),
    ],
    "failing-tool": [
        ReplySpec(calls=(CallSpec(name="readTextFile", args={"path": EVIL}),)),
        ReplySpec(text="Result"),
    ],
    "unknown-tool": [ReplySpec(calls=(CallSpec(name=f"t{EVIL}"),)), ReplySpec(text="Result")],
    "todo": [
        ReplySpec(calls=(CallSpec(name="todo", args={"newTodos": [EVIL]}),)),
        ReplySpec(text="Result"),
    ],
    "question": [ReplySpec(calls=(CallSpec(name="askUser", args={f"Result{EVIL}": EVIL}),))],
    "question-value": [
        ReplySpec(calls=(CallSpec(name="askUser", args={"Result": {"x": [EVIL]}}, id=EVIL),)),
    ],
    "retry": [
        ReplySpec(status=529, headers={"retry-after-ms": "1"}, error=(f"E{EVIL}", EVIL)),
        ReplySpec(text="Result"),
    ],
    "error": [ReplySpec(status=400, error=(f"Result{EVIL}", EVIL))],
    "error-body": [ReplySpec(status=400, body=f"Result {EVIL}")],
}


@pytest.mark.parametrize("verbose", [(), ("--verbose",)], ids=["quiet", "verbose"])
@pytest.mark.parametrize("run", RUNS)
async def test_row_79_what_a_run_says_is_shown_escaped(tmp_path, run, verbose):
    async with serve_model(RUNS[run]) as server:
        told = command("solo", f"Do {EVIL}", *verbose)
        code, shown, stdout = await on_a_terminal(tmp_path / "w", server.url, told)
    assert code == (1 if run.startswith("error") else 0)
    nothing_moves(shown, "Result")
    nothing_moves(stdout.decode(), "Result")
    [log] = (tmp_path / "w").rglob("events.jsonl")
    nothing_moves(log.read_text(), "Result")
    first = log.read_text().partition("\n")[0]
    assert json.loads(first)["query"] == f"Do {EVIL}"


@pytest.mark.parametrize("verbose", [(), ("--verbose",)], ids=["quiet", "verbose"])
async def test_row_79_what_an_mcp_server_says_is_shown_escaped(tmp_path, verbose):
    config = (
        f'{CONFIG}[experts.solo.skills.evil]\ntype = "mcpStdioSkill"\n'
        f'command = "{sys.executable}"\nargs = ["{HOSTILE}", "evil", "names", "schemas"]\n'
        f'[experts.solo.skills.bad]\ntype = "mcpStdioSkill"\n'
        f'command = "{sys.executable}"\nargs = ["{HOSTILE}", "evil", "exit"]\n'
    )
    hows = ("text", "fail", "refuse", "die")
    replies = [ReplySpec(calls=(CallSpec(name="leak", args={"how": how}),)) for how in hows]
    async with serve_model([*replies, ReplySpec(text="Result")]) as server:
        told = command("solo", "Do it.", *verbose)
        code, shown, stdout = await on_a_terminal(tmp_path / "w", server.url, told, config)
    assert code == 0
    nothing_moves(shown, "Result", "bad", *(["leak"] if verbose else []))
    nothing_moves(stdout.decode(), "Result", "gnp.exe")


MISTAKES = {
    "option": command("solo", "x", f"--{EVIL}"),
    "option-value": command("solo", "x", "--events", EVIL),
    "expert": command(EVIL, "x"),
    "command": [*command()[:-1], EVIL],
    "steps": command("solo", "x", "--max-steps", EVIL),
    "config": command("solo", "x", "--config", f"{EVIL}.toml"),
    "workspace": command("solo", "x", "--workspace", EVIL),
    "job": command("solo", "x", "--continue-job", EVIL),
    "variable": command("solo", "x", "--env", EVIL),
    "extra": command("solo", "x", EVIL),
}


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_row_79_a_mistake_on_the_command_line_is_shown_escaped(tmp_path, mistake):
    told = MISTAKES[mistake]
    code, shown, stdout = await on_a_terminal(tmp_path / "w", "http://127.0.0.1:9", told)
    assert (code, stdout) == (2, b"")
    nothing_moves(shown)
    assert shown.strip()


@pytest.mark.parametrize(
    "config",
    [
        CONFIG + '"\\u001b[2J\\u202e" = 1\n',
        CONFIG + 'model = "\\u001b[2J\\r\\u009b"\n',
        '[experts."\\u001b[2J"]\ninstruction = "x"\n',
        '[experts.solo]\ninstruction = 5\n"\\u001b]0;x\\u0007" = 1\n',
        '[experts.solo]\ninstruction = "x"\ndelegates = ["\\u001b[2J"]\n',
        'runtime = "\\u001b[2J"\n' + CONFIG,
    ],
)
async def test_row_79_a_mistake_in_the_file_is_shown_escaped(tmp_path, config):
    async with serve_model([ReplySpec(text="Done.")]) as server:
        told = command("solo", "Do it.")
        _, shown, _ = await on_a_terminal(tmp_path / "w", server.url, told, config)
    nothing_moves(shown)
    assert shown.strip()


async def test_row_79_a_broken_config_is_shown_escaped(tmp_path):
    told = command("solo", "Do it.", "--debug")
    folder = tmp_path / "w"
    code, shown, _ = await on_a_terminal(folder, "http://127.0.0.1:9", told, f"= {EVIL}")
    assert code == 2
    nothing_moves(shown)


def test_row_79_the_evil_text_would_be_noticed():
    printed = subprocess.run(["printf", "%s", EVIL], capture_output=True, check=True).stdout
    with pytest.raises(AssertionError):
        nothing_moves(printed.decode())
