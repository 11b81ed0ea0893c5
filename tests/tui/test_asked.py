"""What a question asks, read from arguments and schemas that anyone may have written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perstack.schema.message import Json
from perstack.tui.asked import DEEPEST, MOST_CHOICES, Asked, asked_of
from perstack.tui.fields import MOST_FIELDS, BadValue, Field, fields_of
from tui.fake_session import tool


def asked(args: Json, schema: str = "") -> Asked:
    return asked_of(tool("askUser", args, skill="person"), schema)


def test_arguments_are_told_in_the_order_of_the_schema_by_its_titles() -> None:
    schema = """{"properties": {"b": {"title": "Second"}, "a": {"description": "What a is"}}}"""

    told = asked({"x": 1, "a": "one", "b": True}, schema).details

    assert [(each.label, each.about, each.value) for each in told] == [
        ("Second", "", "yes"),
        ("a", "What a is", "one"),
        ("x", "", "1"),
    ]


@pytest.mark.parametrize(
    "schema",
    ["", "{", "[]", "null", '{"properties": []}', '{"properties": {"a": 1}}', "[" * 100_000],
)
def test_a_schema_that_is_none_hides_nothing(schema: str) -> None:
    told = asked({"a": "one"}, schema).details

    assert [(each.label, each.value) for each in told] == [("a", "one")]


def test_nested_values_stand_one_below_the_other() -> None:
    told = asked({"plan": {"steps": ["one", {"two": None}], "is done": False}}).details

    assert told[0].value == "\n  steps: \n    - one\n    - \n      two: none\n  is done: no"


def test_what_is_nested_deeply_is_told_as_json() -> None:
    value: object = "end"
    for _ in range(DEEPEST + 2):
        value = [value]

    assert '[["end"]]' in asked({"a": value}).details[0].value


def test_a_list_of_texts_is_an_offer() -> None:
    read = asked({"question": "Which?", "colours": ["red", "blue"]})

    assert [choice.text for choice in read.choices] == ["red", "blue"]
    assert [detail.label for detail in read.details] == ["question"]
    assert read.offer == "colours"


def test_a_list_named_so_comes_before_others_as_the_offer() -> None:
    read = asked({"files": ["a", "b"], "options": ["yes", "no"]})

    assert [choice.text for choice in read.choices] == ["yes", "no"]
    assert read.details[0].value == "\n  - a\n  - b"


def test_a_choice_shows_its_label_and_stands_for_its_value() -> None:
    read = asked(
        {
            "choices": [
                {"label": "Yes, all", "value": "all", "description": "Every file"},
                {"title": "None"},
                {"value": "some"},
            ]
        }
    )

    assert [(each.shown, each.about, each.text) for each in read.choices] == [
        ("Yes, all", "Every file", "all"),
        ("None", "", "None"),
        ("some", "", "some"),
    ]


@pytest.mark.parametrize("value", [[], [1, 2], ["a", 1], ["a", ""], [{}], [{"label": 1}], "abc"])
def test_what_is_no_list_of_choices_is_only_told(value: object) -> None:
    read = asked({"choices": value})

    assert not read.choices
    assert [detail.label for detail in read.details] == ["choices"]


def test_an_offer_has_an_end() -> None:
    assert len(asked({"choices": ["x"] * 10_000}).choices) == MOST_CHOICES


def test_an_argument_that_is_a_schema_is_a_form() -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "title": "Your name", "minLength": 2},
            "age": {"type": ["null", "integer"], "minimum": 0, "maximum": 150},
            "is_new": {"type": "boolean", "default": True},
            "size": {"enum": ["S", 2, None]},
            "tags": {"type": "array"},
        },
        "required": ["name"],
    }

    read = asked({"question": "Who?", "form": schema, "options": ["a"]})

    assert [(each.name, each.kind, each.is_required) for each in read.fields] == [
        ("name", "text", True),
        ("age", "integer", False),
        ("is_new", "boolean", False),
        ("size", "choice", False),
        ("tags", "json", False),
    ]
    assert read.fields[0].label == "Your name"
    assert [detail.label for detail in read.details] == ["question", "options"]


@pytest.mark.parametrize(
    "schema",
    [
        None,
        [],
        {"type": "object"},
        {"type": "object", "properties": []},
        {"type": "object", "properties": {}},
        {"type": "object", "properties": {"a": 1}},
        {"type": "array", "properties": {"a": {}}},
        {"type": "object", "properties": {str(n): {} for n in range(MOST_FIELDS + 1)}},
    ],
)
def test_what_is_no_schema_of_an_object_is_no_form(schema: object) -> None:
    assert fields_of(schema) == ()


@pytest.mark.parametrize(
    ("field", "typed", "value"),
    [
        (Field("a", "a", kind="number"), " 1.5 ", 1.5),
        (Field("a", "a", kind="number"), "2", 2),
        (Field("a", "a", kind="integer"), "3.0", 3),
        (Field("a", "a", kind="integer", least=1, most=3), "3", 3),
        (Field("a", "a", kind="json"), '{"b": [1]}', {"b": [1]}),
        (Field("a", "a", most=3), "abc", "abc"),
    ],
)
def test_what_is_typed_becomes_a_value(field: Field, typed: str, value: object) -> None:
    assert field.value_of(typed) == value


@pytest.mark.parametrize(
    ("field", "typed", "says"),
    [
        (Field("a", "a", kind="number"), "many", "a number is needed"),
        (Field("a", "a", kind="number"), "nan", "a number is needed"),
        (Field("a", "a", kind="integer"), "1.5", "a whole number is needed"),
        (Field("a", "a", kind="integer"), "1e999", "a whole number is needed"),
        (Field("a", "a", kind="integer", least=1), "0", "1 at least"),
        (Field("a", "a", kind="json"), "{", "JSON is needed"),
        (Field("a", "a", most=3), "abcd", "3 characters at most"),
    ],
)
def test_what_is_no_value_is_said(field: Field, typed: str, says: str) -> None:
    with pytest.raises(BadValue, match=says):
        field.value_of(typed)


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["type", "properties", "enum", "title", "default", "required", "a"]),
            inner | st.sampled_from(["object", "string", "integer", "boolean"]),
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(form=anything, choices=anything)
def test_anything_can_be_read(form: object, choices: object) -> None:
    read = asked({"form": form, "choices": choices})

    assert len(read.details) + bool(read.fields) + bool(read.choices) == 2
