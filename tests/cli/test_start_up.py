"""What a command loads. A module on this path costs every start, so each is meant to be there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cli.process import QUIET, perstack

HEAVY = {"msgspec", "httpx2", "anyio", "asyncio", "tomllib", "ssl"}
NEVER = {"pydantic", "pydantic_ai", "mcp", "textual", "rich", "httpx", "requests", "uvloop"}
NEVER |= {"markdown_it", "tomli_w"}  # of the workbench and of `perstack install`
NEVER |= {"genai_prices"}  # only a person is told what replies cost


def loaded(words: list[str], cwd: Path, env: dict[str, str] | None = None) -> set[str]:
    """The modules in memory after a command line was run."""
    program = (
        "import sys\n"
        "from perstack.cli import run_command\n"
        f"code = run_command({words!r})\n"
        "sys.stderr.write('\\nMODULES ' + ' '.join(sys.modules))\n"
        "sys.exit(code)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=cwd,
        env=QUIET | (env or {}),
        capture_output=True,
        check=True,
    )
    return set(ended.stderr.decode().rpartition("MODULES ")[2].split())


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        ["run", "--help"],
        ["start", "--help"],
        ["init", "--help"],
        ["install", "--help"],
        ["skills", "--help"],
        ["doctor", "--help"],
        ["schema", "--help"],
        ["check", "--help"],
        ["log", "--help"],
        ["jobs", "--help"],
        ["jobs", "prune", "--help"],
    ],
)
def test_help_and_version_load_nothing_heavy(words: list[str], tmp_path: Path) -> None:
    modules = loaded(words, tmp_path)

    assert not modules & (HEAVY | NEVER)
    assert not any(name.startswith("perstack.runtime") for name in modules)


def test_the_version_alone_does_not_even_load_click(tmp_path: Path) -> None:
    assert "click" not in loaded(["--version"], tmp_path)


@pytest.mark.parametrize("command", ["run", "start"])
def test_a_run_loads_no_module_that_it_does_not_use(command: str, tmp_path: Path) -> None:
    modules = loaded([command, "tic-tac-toe", "Hi"], tmp_path)

    assert not modules & NEVER
    assert "httpx2" not in modules, "the demo player needs no network"
    unused = {
        "perstack.storage.memory",
        "perstack.testing",
        "perstack.views.event_schema",
        "perstack.views.activity",
        "perstack.providers.anthropic",
    }
    assert not modules & unused
    assert not any(name.startswith(("perstack.net", "perstack.skills.mcp")) for name in modules)
    unseen = ("perstack.assembly.local_models", "perstack.tui")
    assert not any(name.startswith(unseen) for name in modules)


@pytest.mark.parametrize("words", [["log"], ["log", "--errors", "--context", "1"], ["jobs"]])
def test_looking_at_jobs_loads_no_event_loop_and_follows_no_run(
    words: list[str], tmp_path: Path
) -> None:
    perstack("run", "tic-tac-toe", "Hi", cwd=tmp_path)
    modules = loaded(words, tmp_path)

    assert not modules & (NEVER | {"anyio", "asyncio", "httpx2", "ssl"})
    ours = ("perstack.runtime", "perstack.providers", "perstack.skills", "perstack.base")
    assert not any(name.startswith((*ours, "perstack.net.")) for name in modules)


def test_the_workbench_loads_what_it_shows_when_there_is_something_to_show() -> None:
    program = "import sys, perstack.cli.workbench, perstack.cli.wanted; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    later = {
        "genai_prices",
        "httpx2",
        "markdown_it",
        "perstack.cli.choices",
        "perstack.tui.form",
        "pydantic",
        "pygments",
    }

    assert not later & set(ended.stdout.decode().split())
