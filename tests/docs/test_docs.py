"""The documentation says what is there: links lead somewhere, options and commands exist."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from perstack.cli import COMMANDS
from perstack.cli.jobs import jobs, prune
from perstack.cli.log import log
from perstack.cli.options import FLAGS, REPEATED, VALUES
from perstack.config.starting_model import KEY_VARIABLES, MODELS
from perstack.registry.catalogue import catalogue_experts

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
OPTIONS = {flag for flags, *_ in (*VALUES, *REPEATED, *FLAGS) for flag in flags}
OTHER_OPTIONS = {"--events", "--debug", "--help", "--version"}
OTHER_OPTIONS |= {"--pick", "--omit", "--port", "--log", "--frozen", "--json"}
OTHER_OPTIONS |= {
    option
    for command in (log, jobs, prune)
    for parameter in command.params
    for option in parameter.opts
}

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@pages
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page}: {target}"


def anchors(page: Path) -> set[str]:
    """What a link to a heading of the page may end with."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", words.lower()).replace(" ", "-") for words in headings}


@pages
def test_every_link_to_a_heading_finds_it(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#]*)#([^)]*)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert anchor in anchors(page.parent / target if target else page), f"{page}: {anchor}"


@pages
def test_every_command_names_commands_and_options_that_exist(page: Path) -> None:
    for line in page.read_text(encoding="utf-8").splitlines():
        match = re.match(r"\s*(?:\$ )?(?:uv run )?perstack ([a-z].*)$", line)
        if match is None:
            continue
        command = match[1].split(" | ")[0].split("  ")[0]
        words = shlex.split(command.replace("…", "").replace("[", "").replace("]", ""))
        assert words[0] in COMMANDS, line
        for word in words[1:]:
            if word.startswith("-") and word != "-":
                assert word.partition("=")[0] in OPTIONS | OTHER_OPTIONS, line


def test_every_option_is_in_the_reference() -> None:
    reference = (ROOT / "docs/reference/cli.md").read_text(encoding="utf-8")

    for option in OPTIONS | OTHER_OPTIONS:
        assert option in reference, option
    for command in COMMANDS:
        assert f"perstack {command}" in reference


def test_every_expert_of_the_catalogue_is_in_the_reference() -> None:
    reference = (ROOT / "docs/reference/cli.md").read_text(encoding="utf-8")
    table = reference.partition("### The catalogue\n")[2].partition("\n## ")[0]

    assert re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE) == list(catalogue_experts())


def test_every_decision_has_a_number_of_its_own() -> None:
    numbers = [path.name[:4] for path in (ROOT / "docs/decisions").glob("*.md")]

    assert len(numbers) == len(set(numbers))


def test_the_models_that_keys_choose_are_in_the_reference() -> None:
    page = (ROOT / "docs/reference/models.md").read_text(encoding="utf-8")
    section = page.partition("## Where nothing names a model")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| `(.+)` \| `(.+)` \|$", section, re.MULTILINE)

    assert rows == [(KEY_VARIABLES[name], name, model) for name, model in MODELS.items()]


def test_the_readme_counts_the_dependencies_that_there_are() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    numbers = ("Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve")

    word = numbers[len(project["dependencies"]) - 7]
    assert f"{word} direct dependencies" in (ROOT / "README.md").read_text(encoding="utf-8")
