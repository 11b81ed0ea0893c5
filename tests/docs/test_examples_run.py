"""Each example is run as its README says, by the real program, over a real model API."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.process import perstack
from cli.server import serving

ROOT = Path(__file__).parents[2]
SCENARIOS = Path(__file__).with_name("scenarios")


def code_reviewer(workspace: Path) -> None:
    (workspace / "app.py").write_text("eval(input())\n", encoding="utf-8")


def release_notes(workspace: Path) -> None:
    author = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
    for words in (["init", "-q"], [*author, "commit", "-q", "--allow-empty", "-m", "Add a thing"]):
        subprocess.run(["git", *words], cwd=workspace, check=True)


def fitness_assistant(workspace: Path) -> None:
    """Begins in an empty folder."""


EXAMPLES = {
    "code-reviewer": (code_reviewer, "Review app.py", "review.md", 3),
    "fitness-assistant": (fitness_assistant, "Start today's session", "fitness-log.md", 2),
    "release-notes": (release_notes, "Write the notes", None, 1),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs_to_its_result(name: str, tmp_path: Path) -> None:
    prepare, query, made, runs = EXAMPLES[name]
    workspace, server = tmp_path / "workspace", tmp_path / "server"
    workspace.mkdir()
    server.mkdir()
    shutil.copy(ROOT / "examples" / name / "perstack.toml", workspace)
    prepare(workspace)
    scenario = json.loads((SCENARIOS / f"{name}.json").read_text(encoding="utf-8"))

    with serving(scenario, server) as env:
        ended = perstack("run", name, query, cwd=workspace, env=env)

    assert ended.code == 0, ended.stderr
    assert ended.events[-1]["type"] == "completeRun"
    assert ended.events[-1]["text"]
    assert len({event["runId"] for event in ended.events}) == runs
    failed = [
        event["toolResult"]
        for event in ended.events
        if event["type"] == "completeToolCall" and event["toolResult"].get("isError")
    ]
    assert not failed
    if made is not None:
        assert (workspace / made).read_text(encoding="utf-8")


def example() -> str:
    return (ROOT / "examples/news-researcher/perstack.toml").read_text(encoding="utf-8")


def guide() -> str:
    """The first block of the guide."""
    page = (ROOT / "docs/guides/extending-with-tools.md").read_text(encoding="utf-8")
    return page.partition("```toml\n")[2].partition("```")[0]


@pytest.mark.parametrize("written", [example, guide])
def test_the_news_researcher_says_which_key_is_missing_before_a_model_is_asked(
    tmp_path: Path, written: Callable[[], str]
) -> None:
    (tmp_path / "perstack.toml").write_text(written(), encoding="utf-8")
    ended = perstack("run", "news-researcher", "x", cwd=tmp_path, env={"ANTHROPIC_API_KEY": "sk"})

    assert ended.code == 2
    assert ended.stdout == ""
    assert "skill web-search needs EXA_API_KEY" in ended.stderr
    assert "Export them, or put them in .env" in ended.stderr


def test_the_guide_shows_what_skills_says_of_the_news_researcher(tmp_path: Path) -> None:
    (tmp_path / "perstack.toml").write_text(example(), encoding="utf-8")
    ended = perstack("skills", cwd=tmp_path)
    page = (ROOT / "docs/guides/extending-with-tools.md").read_text(encoding="utf-8")

    assert ended.code == 1
    assert f"```text\n{ended.stdout}```\n" in page


def test_the_news_researcher_searches_with_the_package_it_declares(tmp_path: Path) -> None:
    """The package's runner is one of ours here: it notes its words, and serves other tools."""
    workspace, programs, server = (tmp_path / name for name in ("workspace", "bin", "server"))
    for folder in (workspace, programs, server):
        folder.mkdir()
    shutil.copy(ROOT / "examples/news-researcher/perstack.toml", workspace)
    npx = programs / "npx"
    words = shlex.join([sys.executable, str(ROOT / "tests/skills/mcp/hostile_server.py")])
    npx.write_text(f'#!/bin/sh\necho "$@ $EXA_API_KEY" > {tmp_path}/words\nexec {words}\n')
    npx.chmod(0o755)
    scenario = json.loads((SCENARIOS / "news-researcher.json").read_text(encoding="utf-8"))
    with serving(scenario, server) as env:
        path = {"PATH": f"{programs}:/usr/bin:/bin", "EXA_API_KEY": "exa-key"}
        ended = perstack("run", "news-researcher", "x", cwd=workspace, env=env | path)

    assert ended.code == 0, ended.stderr
    assert (tmp_path / "words").read_text() == "--prefix /dev/null -y -- exa-mcp-server exa-key\n"
    assert (workspace / "reports/news.md").is_file()
    assert "exa-key" not in ended.stdout
