"""Which base skill an Expert has, as it and its project declare it."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from perstack.assembly.base_skill import has_server, own_names, own_tools, with_base
from perstack.assembly.lock import Lock
from perstack.config.load import parse_config
from perstack.config.lock import parse_lock
from perstack.errors import ConfigurationError
from perstack.schema.expert import Expert
from perstack.schema.lockfile import PLAIN_BASE, LockedExpert, Lockfile
from perstack.schema.skill import McpSseSkill, McpStdioSkill, Skill
from perstack.schema.tool import BASE_SKILL, BASE_TOOLS, OWN_TOOLS

REFERENCE = Path(__file__).parents[1] / "config/reference.lock"
COMMAND = ("npx", "-y", BASE_SKILL)
FAR = McpSseSkill(endpoint="https://example.com/mcp")


def expert(base: Skill | None = None) -> Expert:
    skills = {} if base is None else {BASE_SKILL: base}
    return Expert(key="worker", name="worker", instruction="Work.", skills=skills)


@pytest.mark.parametrize("version", ["", "@0.0.5"])
def test_the_command_of_the_project_is_started_whatever_program_is_declared(version: str):
    declared = replace(PLAIN_BASE, package_name=BASE_SKILL + version, omit=("exec",), rule="Mind.")
    base = with_base(expert(declared), COMMAND).skills[BASE_SKILL]
    assert base == McpStdioSkill(
        command="npx", args=("-y", BASE_SKILL), omit=("exec",), rule="Mind."
    )
    assert has_server(base)


def test_an_expert_that_declares_none_gets_the_command_once():
    once = with_base(expert(), COMMAND)
    assert has_server(once.skills[BASE_SKILL])
    assert with_base(once, COMMAND) == once


def test_a_command_and_an_endpoint_are_two_base_skills():
    with pytest.raises(ConfigurationError, match="worker: the file's perstackBaseSkillCommand"):
        with_base(expert(FAR), COMMAND)


@pytest.mark.parametrize("args", [(BASE_SKILL,), ("-y", BASE_SKILL)])
def test_the_bare_package_is_the_bundled_one_however_it_is_written(args: tuple[str, ...]):
    declared = McpStdioSkill(command="npx", args=args, omit=("exec",))
    base = with_base(expert(declared), None).skills[BASE_SKILL]
    assert base == replace(PLAIN_BASE, omit=("exec",))
    assert not has_server(base)


def test_what_the_reference_locks_by_default_is_the_bundled_one():
    locked = Lock(parse_lock(REFERENCE.read_bytes(), "perstack.lock"), {}).expert("researcher")
    assert locked is not None
    assert not has_server(with_base(locked, None).skills[BASE_SKILL])


@pytest.mark.parametrize(
    "base",
    [
        FAR,
        replace(PLAIN_BASE, package_name=f"{BASE_SKILL}@0.0.5"),
        McpStdioSkill(command="npx", args=("-y", f"{BASE_SKILL}@latest")),
        McpStdioSkill(command="node", args=("base.js",)),
    ],
)
def test_anything_else_is_a_server_that_has_all_but_what_is_ours(base: Skill):
    declared = with_base(expert(base), None)
    assert declared == expert(base)
    assert has_server(base)
    assert {tool.name for tool in own_tools(declared)} == OWN_TOOLS


def test_without_a_server_all_base_tools_are_ours():
    assert [tool.name for tool in own_tools(expert())] == list(BASE_TOOLS)


@pytest.mark.parametrize(
    "narrow",
    [
        replace(FAR, pick=("todo", "attemptCompletion")),
        replace(FAR, pick=("todo", "exec"), omit=("exec",)),
        replace(FAR, omit=BASE_TOOLS),
    ],
)
def test_where_only_what_is_ours_is_left_there_is_no_server(narrow: Skill):
    assert not has_server(narrow)
    assert {tool.name for tool in own_tools(expert(narrow))} <= OWN_TOOLS


def test_no_server_of_a_base_skill_keeps_the_todos_of_a_run():
    pinned = replace(PLAIN_BASE, package_name=f"{BASE_SKILL}@1.0.0")
    for name, skill in ((BASE_SKILL, FAR), ("files", PLAIN_BASE), ("files", pinned)):
        assert own_names(name, skill) == OWN_TOOLS
    other = replace(PLAIN_BASE, package_name=f"{BASE_SKILL}-more")
    for name, skill in (("far", FAR), ("more", other)):
        assert own_names(name, skill) == ()


def test_a_lock_of_another_command_is_older_than_its_project():
    text = 'perstackBaseSkillCommand = {}\n[experts.worker]\ninstruction = "Work."\n'
    project = parse_config(text.format('["a", "b"]'), "perstack.toml")
    worker = with_base(project.experts["worker"], ("a", "b"))
    tools = {BASE_SKILL: ()}
    locked = {"worker": LockedExpert(expert=worker, tools=tools)}
    lock = Lock(
        Lockfile(generated_at=1, config_path="perstack.toml", experts=locked), project.experts
    )
    assert lock.warning(project, "worker") is None
    assert list(lock.tools_of(worker)) == [BASE_SKILL]
    other = parse_config(text.format('["a", "c"]'), "perstack.toml")
    assert "worker changed since" in (lock.warning(other, "worker") or "")
    assert lock.tools_of(with_base(other.experts["worker"], ("a", "c"))) == {}
