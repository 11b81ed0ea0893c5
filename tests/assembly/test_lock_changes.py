"""How two locks differ, told to a person."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from perstack.assembly.lock_changes import MAX_DIFF_LINES, MAX_LINES, lock_changes
from perstack.config.lock import parse_lock
from perstack.schema.expert import Expert
from perstack.schema.lockfile import LockedExpert, LockedTool, Lockfile
from perstack.schema.skill import McpStdioSkill

REFERENCE = Path(__file__).parents[1] / "config/reference.lock"
SKILLS = {"files": McpStdioSkill(command="npx", package_name="files")}
WORKER = Expert(key="worker", name="worker", instruction="One.\nTwo.", skills=dict(SKILLS))
READ = LockedTool(
    name="read",
    description="Reads.",
    input_schema={"type": "object", "properties": {"path": {"type": "string"}}},
)
WRITE = LockedTool(name="write", input_schema={"type": "object"})


def lock(expert: Expert = WORKER, *tools: LockedTool) -> Lockfile:
    locked = LockedExpert(expert=expert, tools={"files": tools or (READ, WRITE)})
    return Lockfile(generated_at=1, config_path="perstack.toml", experts={expert.key: locked})


def test_the_time_and_the_order_of_keys_are_no_difference() -> None:
    schema = {"properties": {"path": {"type": "string"}}, "type": "object"}
    later = replace(lock(WORKER, replace(READ, input_schema=schema), WRITE), generated_at=2)
    assert lock_changes(lock(), later) == ()


def test_experts_that_came_and_went_are_named() -> None:
    other = replace(WORKER, key="other", name="other")
    assert lock_changes(lock(), lock(other)) == ("Expert worker removed", "Expert other added")


def test_a_definition_that_changed_is_told_field_by_field() -> None:
    skills = {"files": replace(SKILLS["files"], pick=("read",)), "web": SKILLS["files"]}
    now = replace(WORKER, instruction="One.\nThree.", tags=("a",), skills=skills)
    assert lock_changes(lock(), lock(now)) == (
        "worker: instruction changed",
        "    @@ -1,2 +1,2 @@",
        "     One.",
        "    -Two.",
        "    +Three.",
        "worker: tags changed",
        "    @@ -1 +1,3 @@",
        "    -[]",
        "    +[",
        '    +  "a"',
        "    +]",
        "worker: skill web added",
        "worker: skill files is declared otherwise",
        "    @@ -2,4 +2,7 @@",
        '       "command": "npx",',
        '       "packageName": "files",',
        '    +  "pick": [',
        '    +    "read"',
        "    +  ],",
        '       "type": "mcpStdioSkill"',
        "     }",
    )


def test_tools_that_changed_are_told_with_what_is_other_about_them() -> None:
    sly = replace(
        READ,
        description="Reads, and more.",
        input_schema={"type": "object", "properties": {"path": {"type": "number"}}},
        annotations={"readOnlyHint": True},
    )
    new = LockedTool(name="new", input_schema={})
    assert lock_changes(lock(), lock(WORKER, sly, new)) == (
        "worker: skill files: tool write removed",
        "worker: skill files: tool new added",
        "worker: skill files: the description of read changed",
        "    @@ -1 +1 @@",
        "    -Reads.",
        "    +Reads, and more.",
        "worker: skill files: the schema of read changed",
        "    @@ -2,5 +2,5 @@",
        '       "properties": {',
        '         "path": {',
        '    -      "type": "string"',
        '    +      "type": "number"',
        "         }",
        "       },",
        "worker: skill files: the set of annotations of read changed",
        "    @@ -1 +1,3 @@",
        "    -{}",
        "    +{",
        '    +  "readOnlyHint": true',
        "    +}",
    )


def test_another_order_of_tools_is_a_difference() -> None:
    assert lock_changes(lock(), lock(WORKER, WRITE, READ)) == (
        "worker: skill files: its tools are listed in another order",
    )


def test_another_type_of_a_value_is_a_difference() -> None:
    one, true = ({"const": value} for value in (1, True))
    tools = (lock(WORKER, replace(READ, input_schema=schema)) for schema in (one, true))
    assert "the schema of read changed" in lock_changes(*tools)[0]


def described(description: str) -> Lockfile:
    return lock(WORKER, replace(READ, description=description), WRITE)


def test_what_came_behind_a_long_line_is_told_and_not_the_rest_of_it() -> None:
    long = "Reads a file of the workspace. " * 20
    assert lock_changes(described(long), described(f"{long}Then sends it away."))[1:] == (
        "    @@ -19,2 +19,3 @@",
        "     Reads a file of the workspace. ",
        "     Reads a file of the workspace. ",
        "    +Then sends it away.",
    )


@pytest.mark.parametrize("end", ["\r", "\u2028", "\x0b", "\n"])
def test_another_line_end_is_told(end: str) -> None:
    changes = lock_changes(described("One.\nTwo."), described(f"One.{end}\nTwo."))
    assert any(line.startswith("    +") for line in changes), changes


def test_texts_of_many_differences_are_compared_as_far_as_they_are_told() -> None:
    every = [f"line {number}" for number in range(30_000)]
    other = [line if number % 2 else f"{line}!" for number, line in enumerate(every)]
    changes = lock_changes(described("\n".join(every)), described("\n".join(other)))
    assert len(changes) == MAX_DIFF_LINES + 2
    assert changes[-1] == "    … and more"


def test_what_is_told_is_bounded() -> None:
    long = replace(WORKER, instruction="\n".join(f"{n} {'x' * 1000}" for n in range(100)))
    lines = lock_changes(lock(), lock(long))
    assert len(lines) == MAX_DIFF_LINES + 2
    assert lines[-1].endswith("more lines")
    assert max(map(len, lines)) < 300

    many = [LockedTool(name=f"t{n}", input_schema={}) for n in range(1000)]
    lines = lock_changes(lock(), lock(WORKER, *many))
    assert len(lines) == MAX_LINES + 1
    assert lines[-1] == "… and 602 more lines"


def test_a_lock_of_the_reference_is_never_the_same_as_ours() -> None:
    theirs = parse_lock(REFERENCE.read_bytes(), "perstack.lock")
    whole = {key: replace(locked, is_whole=True) for key, locked in theirs.experts.items()}
    assert lock_changes(theirs, replace(theirs, experts=whole)) == (
        "researcher: it was locked by another implementation, without sums",
        "@acme/writer@1.2.0: it was locked by another implementation, without sums",
    )
