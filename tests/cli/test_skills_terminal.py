"""`perstack skills` in front of a person: on a terminal, and stopped by a signal."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.process import PERSTACK, QUIET
from cli.terminal import told_on_a_terminal

SERVER = Path(__file__).parents[1] / "skills/mcp/hostile_server.py"
UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u202e\u2028]")


def configure(folder: Path, **skills: Path) -> None:
    """Write the configuration of an Expert whose skills are these programs."""
    tables = [
        f'\n[experts.worker.skills.{name}]\ntype = "mcpStdioSkill"\n'
        f"command = {json.dumps(sys.executable)}\nargs = [{json.dumps(str(path))}]\n"
        for name, path in skills.items()
    ]
    about = f'[experts.worker]\ndescription = "{"long " * 100}"\ninstruction = "Work."\n'
    (folder / "perstack.toml").write_text(about + "".join(tables))


def on_a_terminal(
    folder: Path, columns: int, command: str = "skills", stream: str = "stdout"
) -> str:
    """What a terminal gets on one of the streams."""
    env = {"COLUMNS": str(columns)}
    code, told = told_on_a_terminal(command, cwd=folder, env=env, stream=stream)
    assert code in {0, 1}
    return told


def test_a_person_who_waits_for_an_install_is_told_for_what(tmp_path: Path):
    configure(tmp_path, tools=SERVER)
    shown = on_a_terminal(tmp_path, 80, "install", stream="stderr")
    assert shown.splitlines()[0] == "starting worker: tools"
    assert shown.splitlines()[-1].startswith("Wrote ")


@pytest.mark.hostile
def test_nothing_that_a_server_says_moves_or_hides_text_on_a_terminal(tmp_path: Path):
    evil = "\x1b[2J\x9b31m\u202egnp.exe\u200b\rover"
    tools = [{"name": "a" + evil, "description": evil, "inputSchema": {"type": "object"}}]
    server = tmp_path / "evil.py"
    server.write_text(
        "import json, sys\n"
        f"results = {{'initialize': {{'protocolVersion': '2025-06-18', 'capabilities': {{}}, "
        f"'serverInfo': {{'name': {evil!r}, 'version': {evil!r}}}}}, "
        f"'tools/list': {{'tools': {tools!r}}}}}\n"
        "for line in sys.stdin:\n"
        "    asked = json.loads(line)\n"
        "    if 'id' in asked:\n"
        "        print(json.dumps({'jsonrpc': '2.0', 'id': asked['id'],\n"
        "            'result': results[asked['method']]}), flush=True)\n"
    )
    dying = tmp_path / "dying.py"
    dying.write_text(f"import sys\nsys.stderr.write({evil!r})\nsys.exit(3)\n")
    configure(tmp_path, evil=server, dying=dying)
    shown = on_a_terminal(tmp_path, 80)
    assert not UNSAFE.search(shown)
    assert r"\x1b[2J" in shown
    assert r"\u202egnp.exe" in shown
    assert "status 3" in shown


def test_lines_of_descriptions_fit_a_terminal(tmp_path: Path):
    configure(tmp_path, tools=SERVER)
    lines = on_a_terminal(tmp_path, 60).splitlines()
    assert "…" in lines[0]
    assert max(len(line) for line in lines if not line.startswith("    $")) <= 60


@pytest.mark.parametrize("words", [["skills"], ["install"], ["install", "--frozen"]])
@pytest.mark.parametrize("caught", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_listing_and_its_servers(
    tmp_path: Path, caught: signal.Signals, words: list[str]
):
    (tmp_path / "perstack.lock").write_text('version = "1"\n')
    mark = tmp_path / "started"
    server = tmp_path / "silent.py"
    server.write_text(f"import sys\nopen({str(mark)!r}, 'w').write('x')\nsys.stdin.read()\n")
    os.mkfifo(mark)
    configure(tmp_path, silent=server)
    with subprocess.Popen(
        [str(PERSTACK), *words],
        cwd=tmp_path,
        env=QUIET,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert mark.read_text() == "x"  # the server runs, and will not answer
        process.send_signal(caught)
        assert process.communicate(timeout=30)[0] == b""
        assert process.returncode == 128 + caught
    assert len(list(tmp_path.iterdir())) == 4
