"""The printed schema describes every line there is, and nothing else."""

from __future__ import annotations

import json
from typing import Any, cast, get_args

import pytest
from jsonschema import Draft202012Validator

from perstack.schema.event import Fact, Shown
from perstack.views.derived import ADDED, added_to
from perstack.views.event_schema import event_schema, event_types, tag_of
from perstack.views.reference import OURS, reference_messages
from perstack.views.wire import Form, Seen, shown_line, wire_line
from views.played import Played, base_tools, play, play_all, runtime_facts

pytestmark = pytest.mark.anyio

FORMS: tuple[Form, ...] = get_args(Form)


def validators(form: Form) -> dict[str, Draft202012Validator]:
    schema = event_schema(form)
    definitions = cast("dict[str, object]", schema["$defs"])
    return {
        tag_of(kind): Draft202012Validator(
            {"$ref": f"#/$defs/{tag_of(kind)}", "$defs": definitions}
        )
        for kind in event_types(form)
    }


def lines_of(jobs: list[Played], form: Form) -> list[dict[str, Any]]:
    seens = [*(seen for job in jobs for seen in job.live), *runtime_facts()]
    lines = [wire_line(form, seen) for seen in seens]
    if form != "stored":
        lines += [shown_line(event) for job in jobs for event in job.shown]
    return [json.loads(line) for line in lines if line is not None]


@pytest.mark.parametrize("form", FORMS)
async def test_every_line_of_every_job_is_as_described(form: Form, tmp_path: Any) -> None:
    checks = validators(form)
    jobs = [*(await play_all()).values(), await play(base_tools(tmp_path))]
    events = lines_of(jobs, form)
    for event in events:
        checks[event["type"]].validate(event)
    assert {event["type"] for event in events} == set(checks)


@pytest.mark.parametrize("form", FORMS)
async def test_the_whole_schema_takes_a_line_as_exactly_one_event(form: Form) -> None:
    whole = Draft202012Validator(event_schema(form))
    jobs = await play_all()
    for event in lines_of([jobs["forks"]], form):
        whole.validate(event)


@pytest.mark.parametrize("form", FORMS)
def test_the_schema_is_a_schema_and_plain_json(form: Form) -> None:
    schema = event_schema(form)
    Draft202012Validator.check_schema(schema)
    assert json.loads(json.dumps(schema)) == schema


@pytest.mark.parametrize("form", FORMS)
async def test_unknown_and_missing_fields_are_refused(form: Form) -> None:
    checks = validators(form)
    events = {event["type"]: event for event in lines_of(list((await play_all()).values()), form)}
    assert len(events) > 20
    for name, event in events.items():
        check = checks[name]
        assert not check.is_valid(event | {"surprise": 1})
        for field in check.schema["$defs"][name]["required"]:  # type: ignore[index]
            assert not check.is_valid({key: event[key] for key in event if key != field}), field


@pytest.mark.parametrize("form", FORMS)
async def test_one_form_is_not_taken_for_another(form: Form) -> None:
    checks = validators(form)
    job = (await play_all())["parallel_tools"]
    for other in FORMS:
        events = [event for event in lines_of([job], other) if event["type"] == "completeRun"]
        assert events
        assert all(checks[event["type"]].is_valid(event) == (form == other) for event in events)


@pytest.mark.parametrize("form", FORMS)
def test_every_object_of_ours_refuses_unknown_fields(form: Form) -> None:
    for name, definition in cast("dict[str, Any]", event_schema(form)["$defs"]).items():
        assert definition["additionalProperties"] is False, name


@pytest.mark.parametrize("form", FORMS)
def test_nothing_is_defined_that_is_not_used(form: Form) -> None:
    schema = event_schema(form)
    text = json.dumps(schema)
    for name in cast("dict[str, Any]", schema["$defs"]):
        assert f'"#/$defs/{name}"' in text


def test_what_is_ours_is_not_in_the_schema_of_full() -> None:
    full = cast("dict[str, Any]", event_schema("full")["$defs"])
    lean = cast("dict[str, Any]", event_schema("lean")["$defs"])
    for kind, names in OURS.items():
        for key in {tag_of(kind) if kind in get_args(Fact) else kind.__name__} & set(full):
            assert not set(names) & set(full[key]["properties"])
            assert set(names) <= set(lean[key]["properties"])
    assert "seq" not in full["startRun"]["properties"]
    assert "startToolCall" not in full


async def test_what_is_added_to_an_event_is_what_is_declared() -> None:
    seens: list[Seen] = [seen for job in (await play_all()).values() for seen in job.live]
    for seen in (*seens, *runtime_facts()):
        for messages_of in (None, reference_messages):
            added = added_to(seen.fact, seen.before, seen.after, messages_of)
            assert (None if added is None else type(added)) == ADDED.get(type(seen.fact))


def test_every_event_occurs_in_the_forms_it_belongs_to() -> None:
    facts, shown = set(get_args(Fact)), set(get_args(Shown))
    assert set(event_types("stored")) == facts
    assert set(event_types("lean")) == facts | shown
    left_out = {tag_of(kind) for kind in set(event_types("lean")) - set(event_types("full"))}
    assert left_out == {"startToolCall", "completeToolCall", "skillReport"}
