"""A guide is walked from its top to its end, as a reader does, over a real model API.

A `toml` block is the `perstack.toml` from there on, and `perstack check` finds nothing in it;
in a `toml wrong` block it finds what the `text` block behind it says. A `markdown` block is
a file of the workspace. Every command of a `sh` block is run, and a `text` block behind it
is what the last one prints. A `python` block is a module: a test module passes, and any other
prints what the `text` block behind it says.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import click
import pytest

from cli.process import QUIET, perstack
from cli.server import serving
from docs.test_guides import SCENARIOS, Block, blocks
from docs.test_reading_logs import general
from perstack.cli import ABOUT, COMMANDS
from perstack.cli.commands import group

ROOT = Path(__file__).parents[2]
HOME = "/home/ana"
"""Where the workspace of a guide lies, as its pages show it."""

FOLDERS = {
    "rapid-prototyping": "meeting-tasks",
    "taming-prompt-sprawl": "shop",
    "best-practices": "practices",
}
"""Each guide, and the folder that it works in."""

CASE = {
    "case.md": "# Case 17\n\nAda, order 4711: model M2, delivered 12 March. Beans, 12 euros.\n",
    "manual.md": "The seal of the tank wears out first. Wipe it.\n",
    "message.txt": "My M2 drips since Monday, and the beans were stale.\n",
}
"""What a case of the shop is made of: in its own folder, and where commands are run."""

FILES = {
    "rapid-prototyping": {},
    "taming-prompt-sprawl": CASE | {f"cases/drips/{name}": text for name, text in CASE.items()},
    "best-practices": {},
}
"""What a guide takes for granted in its folder."""

NOTES = "notes.md"

PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error")

in_each_guide = pytest.mark.parametrize("guide", FOLDERS)


def page_of(guide: str) -> Path:
    return ROOT / f"docs/guides/{guide}.md"


def steps(guide: str) -> Iterator[tuple[Block, str | None]]:
    """Each block with the `text` block behind it, if that comes before any other."""
    found = blocks(page_of(guide))
    for block, after in zip(found, [*found[1:], None], strict=True):
        yield block, after.text if after is not None and after.language == "text" else None


def commands(text: str) -> list[list[str]]:
    """The words after `perstack` of each line that runs it; what is piped on is not ours."""
    lines = [line.strip() for line in text.splitlines()]
    return [
        shlex.split(line.partition(" | ")[0], comments=True)[1:]
        for line in lines
        if line.startswith("perstack ")
    ]


def parse(words: list[str]) -> None:
    """Read a command line with the parsers of its commands.

    Raises:
        click.ClickException: a command, an option or an argument that they do not take.
    """
    command: click.Command | None = group(COMMANDS, ABOUT)
    context = command.make_context("perstack", list(words))
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, command, words = command.resolve_command(context, words)
        assert command is not None
        context = command.make_context(name, list(words), parent=context)


@pytest.fixture
def home() -> Generator[Path]:
    """A folder whose name is short, since `perstack log` cuts its lines."""
    with tempfile.TemporaryDirectory(prefix="p", dir="/tmp") as folder:
        yield Path(folder).resolve()


class Walk:
    """A reader of one guide: their folder, and the environment of their commands."""

    def __init__(self, home: Path, folder: str, env: dict[str, str]) -> None:
        self.workspace = home / folder
        self.workspace.mkdir()
        self._home, self._env = home, env
        self._config = self.workspace / "perstack.toml"
        self._tests = 0

    def take(self, block: Block, printed: str | None) -> None:
        """Do what a block says; compare what comes of it with what the guide prints."""
        match block.language:
            case "toml":
                self._config.write_text(block.text, encoding="utf-8")
                assert "warning" not in self._run("check")
            case "toml wrong":
                kept = self._config.read_text(encoding="utf-8")
                self._config.write_text(block.text, encoding="utf-8")
                ended = perstack("check", cwd=self.workspace, env=self._env)
                assert self._shown(ended.stderr) == printed
                self._config.write_text(kept, encoding="utf-8")
            case "markdown":
                (self.workspace / NOTES).write_text(block.text, encoding="utf-8")
            case "sh":
                told = [self._run(*words) for words in commands(block.text)]
                if printed is not None:
                    assert general(self._shown(told[-1])) == general(printed)
            case "python":
                assert self._carry_out(block.text) == (printed or "")
            case other:
                assert other in ("text", "dockerfile"), f"a block of {other}"

    def _run(self, *words: str) -> str:
        """What a command prints: for programs, or else for people."""
        ended = perstack(*words, cwd=self.workspace, env=self._env)
        assert ended.code == 0, f"{words}: {ended.stderr}"
        return ended.stdout or ended.stderr

    def _shown(self, told: str) -> str:
        return told.replace(str(self._home), HOME)

    def _carry_out(self, module: str) -> str:
        """What a program prints; of a test module nothing, once its tests have passed."""
        name = module.partition("\n")[0].removeprefix("# ")
        (self.workspace / name).write_text(module, encoding="utf-8")
        is_test = name.startswith("test_")
        ended = subprocess.run(
            [sys.executable, *(PYTEST if is_test else ()), name],
            cwd=self.workspace,
            env=QUIET | ({} if is_test else self._env),
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 0, (ended.stdout + ended.stderr).decode()
        return "" if is_test else ended.stdout.decode()


@in_each_guide
def test_a_guide_does_what_it_says(guide: str, home: Path) -> None:
    scenario = json.loads((SCENARIOS / f"{guide}.json").read_text(encoding="utf-8"))
    with serving(scenario, home) as env:
        walk = Walk(home, FOLDERS[guide], env)
        for name, text in FILES[guide].items():
            (walk.workspace / name).parent.mkdir(parents=True, exist_ok=True)
            (walk.workspace / name).write_text(text, encoding="utf-8")
        for block, printed in steps(guide):
            try:
                walk.take(block, printed)
            except AssertionError as wrong:
                wrong.add_note(f"{guide}.md, line {block.line}")
                raise


@in_each_guide
def test_every_command_of_a_guide_is_one(guide: str) -> None:
    found = commands(page_of(guide).read_text(encoding="utf-8"))

    assert found
    for words in found:
        parse(words)


@pytest.mark.parametrize(
    "words", [["runs"], ["run", "a", "--maxsteps", "3"], ["jobs", "prune"], ["check", "a", "b"]]
)
def test_what_is_no_command_is_noticed(words: list[str]) -> None:
    with pytest.raises(click.ClickException):
        parse(words)
