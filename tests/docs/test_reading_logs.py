"""The guide to logs shows what the commands print."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from cli.process import perstack
from cli.server import serving
from docs.test_examples_run import code_reviewer
from docs.test_guides import blocks
from perstack.views.log.filter import parse_filter

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/guides/reading-logs.md"
SCENARIO = Path(__file__).with_name("scenarios") / "code-reviewer.json"


def general(text: str) -> str:
    """The same without what differs from one run to the next."""
    text = re.sub(r"\b[0-9a-z]{16}\b", "ID", text)
    text = re.sub(r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\b", "DATE", text)
    text = re.sub(r"\b\d\d:\d\d:\d\d\.\d{3}\b", "TIME", text)
    text = re.sub(r"(?m)(  replied +)(?:unknown cost|\$\d\.\d{4}),", r"\1COST,", text)
    return re.sub(r"\b(?:\d+ ms|\d+\.\d s)", "SPAN", text)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Where the example was run."""
    folder, server = tmp_path / "workspace", tmp_path / "server"
    folder.mkdir()
    server.mkdir()
    shutil.copy(ROOT / "examples/code-reviewer/perstack.toml", folder)
    code_reviewer(folder)
    with serving(json.loads(SCENARIO.read_text(encoding="utf-8")), server) as env:
        assert perstack("run", "code-reviewer", "Review app.py", cwd=folder, env=env).code == 0
    return folder


def test_the_guide_shows_what_each_command_prints(workspace: Path) -> None:
    shown = [block for block in blocks(PAGE) if block.language in ("sh", "text")]
    [run_id] = {
        event["runId"]
        for event in perstack("log", "--json", "--take", "0", cwd=workspace).events
        if event.get("expertKey") == "correctness-reviewer"
    }
    pairs = list(zip(shown[::2], shown[1::2], strict=True))
    assert pairs
    for command, printed in pairs:
        words = shlex.split(command.text.replace("RUN", run_id))[1:]
        ended = perstack(*words, cwd=workspace)
        assert ended.code == 0, ended.stderr
        assert general(ended.stdout) == general(printed.text), f"line {command.line}"


def test_every_filter_of_the_guide_is_one() -> None:
    filters = re.findall(r"--filter '(.+)'", PAGE.read_text(encoding="utf-8"))
    assert len(filters) > 2
    for text in filters:
        parse_filter(text)
