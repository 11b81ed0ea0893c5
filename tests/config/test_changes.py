"""What is different in a file that was read anew, by the names of the file."""

from __future__ import annotations

import pytest

from perstack.config.changes import project_changes
from perstack.config.load import parse_config

HELPER = """
[experts.helper]
description = "Helps."
instruction = "Help."
"""
BASE = """
[experts.helper.skills."@perstack/base"]
type = "mcpStdioSkill"
command = "npx"
packageName = "@perstack/base"
pick = ["attemptCompletion"]
"""


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (HELPER, None),
        (f"# A comment\n{HELPER}", None),
        (f'model = "x"\nmaxSteps = 7\n{HELPER}', "model; maxSteps"),
        (HELPER.replace("Help.", "Help well."), "the Expert helper: instruction"),
        (HELPER + BASE, "the Expert helper: the skill @perstack/base"),
        (HELPER + HELPER.replace("helper", "other"), "the Expert other is new"),
        (HELPER.replace("helper", "other"), "the Expert other is new; the Expert helper is gone"),
    ],
)
def test_it_names_what_differs(now: str, told: str | None) -> None:
    before = parse_config(HELPER, "perstack.toml")
    assert project_changes(before, parse_config(now, "perstack.toml")) == told


def test_a_file_that_was_not_there_before_is_all_new() -> None:
    now = parse_config(HELPER, "perstack.toml")
    assert project_changes(None, now) == "the Expert helper is new"
    assert project_changes(now, None) == "the Expert helper is gone"
    assert project_changes(None, None) is None
