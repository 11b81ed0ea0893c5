from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from perstack.config.load import parse_config
from perstack.kernel.instruction import instruction_of
from perstack.schema.expert import Definition, DelegateInfo
from perstack.schema.skill import McpStdioSkill
from perstack.schema.tool import BASE_SKILL
from perstack.testing.scenario import load_scenario

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path.parent for path in ROOT.glob("examples/*/perstack.toml"))
SCENARIOS = Path(__file__).parent / "scenarios"
GUIDE = ROOT / "docs/getting-started.md"
PAGES = [GUIDE, *(folder / "README.md" for folder in EXAMPLES)]

in_each_example = pytest.mark.parametrize(
    "folder", EXAMPLES, ids=[folder.name for folder in EXAMPLES]
)
on_each_page = pytest.mark.parametrize(
    "page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES]
)


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of one language, without their fences."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


def perstack_commands(page: Path) -> list[list[str]]:
    """The words after `perstack` of each command that runs it."""
    lines = "\n".join(blocks(page, "sh")).splitlines()
    return [shlex.split(line.partition("perstack ")[2]) for line in lines if "perstack run" in line]


def test_there_are_examples():
    assert [folder.name for folder in EXAMPLES] == [
        "code-reviewer",
        "fitness-assistant",
        "news-researcher",
        "release-notes",
    ]


@in_each_example
def test_an_example_loads_without_a_warning(folder):
    path = folder / "perstack.toml"
    project = parse_config(path.read_text(), str(path))
    assert not project.warnings
    assert folder.name in project.experts


@in_each_example
def test_every_delegate_of_an_example_is_in_its_file(folder):
    experts = parse_config((folder / "perstack.toml").read_text(), folder.name).experts
    for expert in experts.values():
        assert expert.description
        assert all(key in experts for key in expert.delegates)


@in_each_example
def test_the_readme_of_an_example_runs_it(folder):
    commands = perstack_commands(folder / "README.md")
    assert commands
    assert all(folder.name in words for words in commands)


def test_the_code_reviewer_asks_two_specialists_that_can_only_read():
    path = ROOT / "examples/code-reviewer/perstack.toml"
    experts = parse_config(path.read_text(), str(path)).experts
    specialists = experts["code-reviewer"].delegates
    assert len(specialists) == 2
    for key in specialists:
        base = experts[key].skills[BASE_SKILL]
        assert isinstance(base, McpStdioSkill)
        assert base.pick
        assert not {"exec", "writeTextFile", "editTextFile", "deleteFile"} & set(base.pick)


@in_each_example
def test_the_scenario_of_an_example_calls_what_each_expert_may_call(folder):
    experts = parse_config((folder / "perstack.toml").read_text(), folder.name).experts
    rules = load_scenario(SCENARIOS / f"{folder.name}.json").rules
    for expert in experts.values():
        delegates = tuple(
            DelegateInfo(key=key, tool_name=key, description=experts[key].description)
            for key in expert.delegates
        )
        prompt = instruction_of(Definition(expert=expert, delegates=delegates))
        [rule] = [rule for rule in rules if rule.system in prompt]
        base = expert.skills.get(BASE_SKILL)
        for name in (call.name for reply in rule.replies for call in reply.calls):
            if name not in expert.delegates and isinstance(base, McpStdioSkill):
                assert name in (base.pick or [name])
                assert name not in base.omit


@on_each_page
def test_every_toml_block_of_a_page_loads_without_a_warning(page):
    for number, block in enumerate(blocks(page, "toml")):
        assert not parse_config(block, f"{page.name}, block {number}").warnings


@on_each_page
def test_every_link_of_a_page_leads_to_a_file(page):
    for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert (page.parent / link).is_file(), link


def test_the_guide_shows_the_fitness_assistant_as_it_is():
    example = (ROOT / "examples/fitness-assistant/perstack.toml").read_text()
    assert blocks(GUIDE, "toml")[0] == example
