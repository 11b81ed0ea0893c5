"""Which schemas of a server's tools are passed on, and what becomes of alternatives at the top."""

from __future__ import annotations

import copy
from typing import Any

import jsonschema
import pytest

from perstack.providers.bridge_schema import claude_problem
from perstack.providers.openai_schema import schema_problem as openai_problem
from perstack.schema.tool import ToolDefinition
from perstack.skills.mcp.alternatives import MAX_PARTS
from perstack.skills.mcp.schemas import MAX_DEPTH, schema_problem, sendable


def test_a_schema_without_a_type_is_one_of_an_object():
    assert schema_problem({}) is None
    assert sendable({"properties": {}}) == {"type": "object", "properties": {}}


def nested(depth: int) -> dict[str, object]:
    schema: dict[str, object] = {"type": "object"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"x": schema}}
    return schema


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string"}, "not one of an object"),
        ({"properties": {"a": {"$ref": "http://example.com/s"}}}, "another document"),
        ({"allOf": [{"$ref": "file:///etc/passwd"}]}, "another document"),
        (nested(MAX_DEPTH), "nested deeper"),
        (nested(100_000), "nested deeper"),
        ({"enum": [[0]] * 30_000}, "more than"),
        ({"properties": {"a b": {}, "c": {"$ref": "#/properties/a b"}}}, "has not"),
    ],
)
def test_a_schema_that_cannot_be_passed_on_is_told(schema: dict[str, object], words: str):
    assert words in (schema_problem(schema) or "")


def test_a_schema_that_refers_to_itself_and_one_with_a_slow_pattern_are_data():
    recursive = {"$defs": {"n": {"items": {"$ref": "#/$defs/n"}}}, "$ref": "#/$defs/n"}
    assert schema_problem(recursive) is None
    assert schema_problem({"properties": {"a": {"pattern": "(a+)+$"}}}) is None


def inside(schema: object) -> list[dict[str, Any]]:
    """An object's schema with `schema` in each place that a schema may have."""
    return [
        {"properties": {"a": schema}},
        {"properties": {"a": {"items": schema}}},
        {"properties": {"a": {"anyOf": [{"type": "null"}, schema]}}},
        {"$defs": {"a": schema}, "properties": {"b": {"$ref": "#/$defs/a"}}},
        {"additionalProperties": schema},
        {"properties": {"a": {"not": {"prefixItems": [schema]}}}},
        {"properties": {"a": {"patternProperties": {"^x": schema}}}},
    ]


INVALID: list[object] = [
    7, None, "object", [], {"type": "objekt"}, {"type": []}, {"type": ["string", "string"]},
    {"type": {"a": 1}}, {"properties": 7}, {"properties": []}, {"properties": {"x": "string"}},
    {"required": "x"}, {"required": True}, {"required": [1]}, {"required": ["x", "x"]},
    {"items": [{"type": "string"}]}, {"items": 1}, {"anyOf": []}, {"anyOf": {}}, {"oneOf": [1]},
    {"enum": "a"}, {"enum": {}}, {"minimum": "1"}, {"minimum": True}, {"exclusiveMinimum": True},
    {"minLength": -1}, {"maxItems": 1.5}, {"multipleOf": 0}, {"uniqueItems": "yes"},
    {"pattern": 1}, {"format": []}, {"description": ["a"]}, {"title": 1}, {"$defs": []},
    {"additionalProperties": "no"}, {"not": []}, {"if": 1}, {"dependentRequired": {"a": "b"}},
    {"$ref": 1}, {"$ref": {}}, {"examples": 1}, {"deprecated": 1}, {"readOnly": None},
]  # fmt: skip
VALID: list[object] = [
    True, False, {}, {"type": "string"}, {"type": ["string", "null"]}, {"properties": {}},
    {"properties": {"type": {"type": "string"}, "required": {"const": 1}}}, {"required": []},
    {"items": True}, {"anyOf": [True]}, {"enum": []}, {"enum": [{"type": 7}]},
    {"default": {"type": "objekt"}}, {"const": {"required": 1}}, {"examples": [{"items": 1}]},
    {"minimum": -1.5}, {"minLength": 3.0}, {"multipleOf": 0.1}, {"pattern": "(a+)+$"},
    {"format": "nothing-known"}, {"x-ours": 7}, {"description": "a"}, {"deprecated": True},
]  # fmt: skip


@pytest.mark.parametrize("schema", INVALID, ids=str)
def test_a_schema_that_is_not_valid_is_told_wherever_it_stands(schema: object):
    for whole in inside(schema):
        with pytest.raises(jsonschema.SchemaError):
            jsonschema.Draft202012Validator.check_schema(whole)
        wanted = "has not" if schema is None and "$defs" in whole else "is not valid"
        assert wanted in (schema_problem(whole) or "")


@pytest.mark.parametrize("schema", VALID, ids=str)
def test_a_schema_that_is_valid_has_no_problem_wherever_it_stands(schema: object):
    for whole in inside(schema):
        jsonschema.Draft202012Validator.check_schema(whole)
        assert schema_problem(whole) is None


def test_the_keyword_that_is_wrong_is_told_with_its_place():
    problem = schema_problem({"properties": {"a": {"items": {"type": "objekt"}}}}) or ""
    assert "'type' at '/properties/a/items'" in problem
    assert len(schema_problem({"properties": {"x" * 9000: {"type": 1}}}) or "") < 200


def test_a_reference_to_nothing_is_told():
    assert "has not" in (schema_problem({"properties": {"a": {"$ref": "#/$defs/b"}}}) or "")
    assert "has not" in (schema_problem({"$ref": "#/allOf/7", "allOf": [{}]}) or "")
    escaped = {"$defs": {"a/b~c d": {}}, "properties": {"a": {"$ref": "#/$defs/a~1b~0c%20d"}}}
    assert schema_problem(escaped) is None


A, B = {"type": "string"}, {"type": "integer"}
ALTERNATIVES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "anyOf adds what may be given": (
        {"properties": {"a": A}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
        {"properties": {"a": A}, "description": "Needed besides: (a) or (b)."},
    ),
    "oneOf of whole objects": (
        {
            "description": "Either.",
            "oneOf": [
                {"type": "object", "properties": {"k": A, "a": A}, "required": ["k", "a"]},
                {"type": "object", "properties": {"k": A, "b": B}, "required": ["k", "b"]},
            ],
        },
        {
            "description": "Either. Needed besides: (a) or (b).",
            "properties": {"k": A, "a": A, "b": B},
            "required": ["k"],
        },
    ),
    "one name of two kinds": (
        {"oneOf": [{"properties": {"x": A}}, {"properties": {"x": B}}, {"properties": {"x": A}}]},
        {"properties": {"x": {"anyOf": [A, B]}}},
    ),
    "allOf asks for all": (
        {
            "properties": {"a": A},
            "required": ["a"],
            "allOf": [{"properties": {"a": {"minLength": 1}, "b": B}, "required": ["b", "a"]}],
        },
        {
            "properties": {"a": {"allOf": [A, {"minLength": 1}]}, "b": B},
            "required": ["a", "b"],
        },
    ),
    "references at the top": (
        {
            "$defs": {
                "m": {"properties": {"a": A}, "required": ["a"]},
                "n": {"properties": {"b": B}},
            },
            "$ref": "#/$defs/m",
            "anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}, True],
        },
        {
            "$defs": {
                "m": {"properties": {"a": A}, "required": ["a"]},
                "n": {"properties": {"b": B}},
            },
            "properties": {"a": A, "b": B},
            "required": ["a"],
        },
    ),
    "what only narrows": (
        {"properties": {"a": A}, "not": {"required": ["b"]}, "enum": [{}], "const": {}},
        {"properties": {"a": A}},
    ),
    "a part that is no schema": (
        {"default": {"properties": 7, "required": [1, "a"]}, "$ref": "#/default"},
        {"default": {"properties": 7, "required": [1, "a"]}, "required": ["a"]},
    ),
}


@pytest.mark.parametrize("case", ALTERNATIVES)
def test_alternatives_at_the_top_are_drawn_together_as_vendors_take_them(case: str):
    schema, wanted = ALTERNATIVES[case]
    before = copy.deepcopy(schema)
    assert schema_problem(schema) is None
    found = sendable(schema)
    assert found == {"type": "object", **wanted}
    assert schema == before
    jsonschema.Draft202012Validator.check_schema(found)
    assert not claude_problem(found)
    tool = ToolDefinition(skill_name="s", name="t", description="", input_schema=found)
    assert openai_problem((tool,)) is None


def test_a_circle_and_too_many_alternatives_are_told():
    circle = {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}
    assert "alternatives" in (schema_problem(circle) or "")
    assert "alternatives" in (schema_problem({"anyOf": [{}] * MAX_PARTS}) or "")
    assert schema_problem({"anyOf": [{}] * (MAX_PARTS - 1)}) is None


def test_a_schema_that_grows_without_its_alternatives_is_told():
    branch = [
        {"allOf": [{"$ref": "#/$defs/d"}], "properties": {"x": {"const": n}}} for n in range(30)
    ]
    schema = {"$defs": {"d": {"properties": {"x": {"description": "x" * 20_000}}}}, "anyOf": branch}
    assert "too large" in (schema_problem(schema) or "")
