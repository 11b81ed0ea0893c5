"""docs/reference/events.md leaves nothing out, and what it shows is real."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, cast, get_args

import pytest
from jsonschema import Draft202012Validator

from perstack.providers import Failure, GenerateRequest, Reply
from perstack.testing import call, fail, say, together
from perstack.views.event_schema import event_schema, event_types, tag_of
from perstack.views.wire import Form
from views.played import play
from worlds import World, expert, role

DOCUMENT = Path(__file__, "../../../docs/reference/events.md").resolve().read_text()
FORMS: tuple[Form, ...] = get_args(Form)
SCHEMAS = {form: cast("dict[str, Any]", event_schema(form)["$defs"]) for form in FORMS}
EVENTS = {tag_of(kind) for kind in event_types("lean")}
HEADER = {"type", "id", "seq", "timestamp", "jobId", "runId", "expertKey", "stepNumber"}
SECTIONS = dict(
    re.findall(r"^#{2,3} `?(.*?)`?\n(.*?)(?=^#|\Z)", DOCUMENT, re.MULTILINE | re.DOTALL)
)
ELSEWHERE = {"Expert", "McpStdioSkill", "McpSseSkill", "InteractiveSkill", "InteractiveTool"}
"""Documented in docs/reference/perstack-toml.md."""


def rows(section: str) -> dict[str, list[str]]:
    """Table rows by the name in their first cell."""
    cells = re.findall(r"^\| `(\w+)` \|(.*)\|$", SECTIONS[section], re.MULTILINE)
    assert len(dict(cells)) == len(cells), section
    return {name: [cell.strip() for cell in rest.split("|")] for name, rest in cells}


def forms_of(name: str) -> dict[str, set[str]]:
    """The forms in which each field of an event or a value occurs."""
    fields: dict[str, set[str]] = {}
    for form, definitions in SCHEMAS.items():
        for field in definitions.get(name, {}).get("properties", {}):
            fields.setdefault(field, set()).add(form)
    return fields


def documented(section: str, occurs: set[str]) -> dict[str, set[str]]:
    return {
        name: occurs if cells[0] == "all" else set(cells[0].split(", "))
        for name, cells in rows(section).items()
    }


def occurrences(name: str) -> set[str]:
    return {form for form, definitions in SCHEMAS.items() if name in definitions}


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_every_event_is_documented_with_its_fields_and_their_forms(name: str) -> None:
    fields = {field: forms for field, forms in forms_of(name).items() if field not in HEADER}
    assert documented(name, occurrences(name)) == fields


def test_the_header_is_documented() -> None:
    assert set(rows("Header")) == HEADER


@pytest.mark.parametrize(
    "name", ["Checkpoint", "Step", "ToolCall", "ToolResult", "Usage", "RunError"]
)
def test_large_values_are_documented_with_their_fields_and_forms(name: str) -> None:
    assert documented(name, occurrences(name)) == forms_of(name)


def test_every_other_value_is_documented_with_its_fields() -> None:
    smaller, messages, parts = rows("Smaller values"), rows("Messages"), rows("Parts")
    for name, definition in SCHEMAS["lean"].items():
        fields = set(definition["properties"])
        tag = definition["properties"].get("type", {}).get("enum", [None])[0]
        if name in EVENTS or name in ELSEWHERE or name in SECTIONS:
            continue
        if name.endswith("Message"):
            assert tag in messages
            assert fields == {"type", "id", "contents", "cache"}
        elif name.endswith("Part"):
            assert set(re.findall(r"`(\w+)`", parts[tag][0])) == fields - {"type", "id"}
        else:
            assert set(re.findall(r"`(\w+)`", smaller[name][0])) == fields


def test_nothing_is_documented_that_does_not_exist() -> None:
    named = {name for name in SECTIONS if re.fullmatch(r"\w+", name)} - {
        *("Header", "Sequences", "Values", "Messages", "Parts")
    }
    assert named <= set(SCHEMAS["lean"])
    assert set(rows("Smaller values")) <= set(SCHEMAS["lean"])
    tags = {
        definition["properties"].get("type", {}).get("enum", [None])[0]
        for definition in SCHEMAS["lean"].values()
    }
    assert {*rows("Messages"), *rows("Parts")} <= tags


@pytest.mark.parametrize("form", FORMS)
def test_the_examples_are_lines_of_their_form(form: Form) -> None:
    check = Draft202012Validator(event_schema(form))
    blocks = re.findall(rf"^```json {form}\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert blocks
    for line in "".join(blocks).splitlines():
        check.validate(json.loads(line))


def world(*answers: Reply | Failure, said: tuple[str, ...] = ("Begin.",), steps: int = 9) -> World:
    """The lead gives these answers in order; its helper just helps."""
    left = list(answers)

    def model(request: GenerateRequest) -> Reply | Failure:
        return say("Helped.") if role(request) == "helper" else left.pop(0)

    lead = expert("lead", delegates=("helper",), asks=True)
    return World({"lead": lead, "helper": expert("helper")}, model, said=said, max_steps=steps)


DONE, ASK, HELP = say("Done."), call("askUser"), call("helper", {"query": "Help."})
FINISH = call("attemptCompletion")
PLAYS = {
    "text": world(DONE),
    "a tool": world(call("look"), FINISH, DONE),
    "completion with text": world(call("attemptCompletion", text="Done.")),
    "a delegate": world(HELP, DONE),
    "a question": world(ASK, DONE, said=("Begin.", "answer")),
    "all in one": world(together(ASK, call("look"), HELP), DONE, said=("Begin.", "answer")),
    "a second attempt": world(fail("overloaded_error", 529, retryable=True), DONE),
    "no attempt": world(fail("authentication_error", 401)),
    "the step limit": world(call("look"), steps=1),
}


@pytest.mark.anyio
async def test_the_sequences_are_what_happens() -> None:
    blocks = re.findall(r"^```text\n(.*?)^```", SECTIONS["Sequences"], re.MULTILINE | re.DOTALL)
    shown = [line for block in blocks for line in block.splitlines()]
    real: list[str] = []
    for scene in PLAYS.values():
        job = await play(scene)
        real.append(" ".join(job.log.types(job.live[0].fact.run_id, shown=True)))
    assert sorted(shown) == sorted(real)
