"""What a guide shows in Python runs as it stands, one block after the other, over a real model API.

A `text` block behind a block of Python is what it prints. A `toml` block is the
`perstack.toml` of the blocks after it, and a `toml env` block their `.env`.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from cli.server import serving

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs/guides/adding-ai-to-your-app.md"
SCENARIOS = Path(__file__).with_name("scenarios")
FILES = {"toml": "perstack.toml", "toml env": ".env"}
FENCED = re.compile(r"^```(\w[\w ]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """A fenced block: its language, the line it begins at, its text."""

    language: str
    line: int
    text: str


def blocks(page: Path) -> list[Block]:
    told = page.read_text(encoding="utf-8")
    return [
        Block(found[1], told.count("\n", 0, found.start()) + 2, found[2])
        for found in FENCED.finditer(told)
    ]


def steps(page: Path) -> Iterator[tuple[Block, str]]:
    """Each block of a page with what it prints."""
    found = blocks(page)
    for block, after in zip(found, [*found[1:], None], strict=True):
        if block.language in ("python", *FILES):
            yield block, after.text if after is not None and after.language == "text" else ""


def carry_out(block: Block, page: Path, names: dict[str, object]) -> None:
    """Run a block. Where it awaits at its top, it stands for the body of an async function."""
    source = "\n" * (block.line - 1) + block.text
    code = compile(
        source, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
    )
    made = eval(code, names)
    if inspect.iscoroutine(made):
        asyncio.run(made)


def answer(prompt: str) -> str:
    """A person at a terminal, which shows what is typed."""
    sys.stdout.write(f"{prompt}four\n")
    return "four"


@pytest.mark.parametrize(
    "page",
    [GUIDE, ROOT / "README.md", ROOT / "docs/getting-started.md"],
    ids=lambda page: page.name,
)
def test_the_python_of_a_page_runs_and_prints_what_the_page_says(
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "workspace").mkdir()
    monkeypatch.chdir(tmp_path / "workspace")
    monkeypatch.setattr("builtins.input", answer)
    scenario = json.loads((SCENARIOS / f"{GUIDE.stem}.json").read_text(encoding="utf-8"))
    names: dict[str, object] = {"__name__": "guide"}
    ran = 0
    with serving(scenario, tmp_path) as env:
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        for block, printed in steps(page):
            if block.language in FILES:
                Path(FILES[block.language]).write_text(block.text, encoding="utf-8")
                continue
            carry_out(block, page, names)
            assert capsys.readouterr().out == printed, f"{page.name}, line {block.line}"
            ran += 1
    assert ran


def test_the_first_example_is_the_same_everywhere() -> None:
    first = next(block.text for block in blocks(GUIDE) if block.language == "python")

    for page in (ROOT / "README.md", ROOT / "docs/getting-started.md"):
        assert [block.text for block in blocks(page) if block.language == "python"] == [first]


def test_every_section_of_the_guide_is_in_its_contents() -> None:
    told = GUIDE.read_text(encoding="utf-8")
    sections = re.findall(r"^## (.+)$", told, re.MULTILINE)
    listed = re.findall(r"^- \[(.+)\]\(#(.+)\)$", told, re.MULTILINE)

    assert [words for words, _ in listed] == sections
    for words, anchor in listed:
        assert anchor == re.sub(r"[^\w-]", "", words.lower().replace(" ", "-"))
