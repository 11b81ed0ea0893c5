"""The guide to testing Experts: its tests pass, its scenarios are such, its Experts load."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from cli.process import QUIET
from perstack.config.load import parse_config
from perstack.testing.scenario import ReplySpec, Rule, Trouble, parse_scenario

GUIDE = Path(__file__).parents[2] / "docs/guides/testing-experts.md"


def blocks(language: str) -> list[str]:
    text = GUIDE.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_its_tests_pass(tmp_path):
    (experts,) = blocks("toml")
    (tmp_path / "perstack.toml").write_text(experts)
    names = []
    for block in blocks("python"):
        name = block.partition("\n")[0].removeprefix("# ")
        names.append(name)
        (tmp_path / name).write_text(block)
    assert len(names) == 4
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"],
        cwd=tmp_path,
        env=QUIET,
        capture_output=True,
        timeout=50,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout.decode()
    assert b"4 passed" in ended.stdout


def test_its_experts_load_without_a_warning():
    (experts,) = blocks("toml")
    assert not parse_config(experts, GUIDE.name).warnings


@pytest.mark.parametrize("block", blocks("json"))
def test_its_scenarios_are_scenarios(block):
    assert parse_scenario(block.encode())


def test_what_it_says_of_rules_and_replies_is_there():
    guide = GUIDE.read_text(encoding="utf-8")
    for table, form in (("A rule", Rule), ("A reply", ReplySpec)):
        rows = guide.partition(f"| {table} | |\n|---|---|\n")[2].partition("\n\n")[0]
        firsts = [row.split("|")[1] for row in rows.splitlines()]
        named = [name for cell in firsts for name in re.findall(r"`(\w+)`", cell)]
        assert named
        assert set(named) <= set(form.__struct_encode_fields__)
    for trouble in get_args(Trouble):
        assert f"`{trouble}`" in guide
