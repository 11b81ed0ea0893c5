"""perstack.lock as text: what is written reads back, and what was edited is noticed."""

from __future__ import annotations

import json
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perstack.config.load import parse_config
from perstack.config.lock import parse_lock
from perstack.config.lock_text import lock_text, said
from perstack.errors import ConfigurationError
from perstack.schema.lockfile import LockedExpert, LockedTool, Lockfile
from perstack.schema.message import Json

REFERENCE = Path(__file__).with_name("reference.lock")
PROJECT = """
[experts.worker]
version = "2.1.0"
description = "Works."
instruction = "Work.\\r\\n\\tHard: \\u0000 ü"
delegates = ["helper@1.0.0"]
tags = ["stable"]
minRuntimeVersion = "v1.0"
providerToolOptions = { web = { max = 3 } }

[experts.worker.skills.files]
type = "mcpStdioSkill"
command = "npx"
packageName = "some-server"
pick = ["read"]
requiredEnv = ["TOKEN"]
trusted = true

[experts.worker.skills.library]
type = "mcpSseSkill"
endpoint = "https://mcp.example.com/mcp"
description = ""

[experts.worker.skills.questions]
type = "interactiveSkill"
rule = "Ask."
[experts.worker.skills.questions.tools.askUser]
inputJsonSchema = '{"type": "object"}'
"""
ONE = 'version = "1"\n[experts.a]\nkey = "a"\ninstruction = "A"\n'
TOOL = f'{ONE}[[experts.a.toolDefinitions]]\nskillName = "b"\nname = "c"\n'
NULLS: Json = {"type": "object", "properties": {"a": {"enum": [None, "x"], "default": None}}}


def locked(*tools: LockedTool, text: str = PROJECT) -> Lockfile:
    """A lock of the worker, whose skill `files` offers these."""
    expert = parse_config(text, "perstack.toml").experts["worker"]
    offered = {"@perstack/base": (), "files": tools, "library": ()}
    return Lockfile(
        generated_at=17,
        config_path="perstack.toml",
        experts={"worker": LockedExpert(expert=expert, tools=offered)},
    )


def tool(name: str = "read", schema: Json | None = None, annotations: Json | None = None):
    return LockedTool(name=name, input_schema=schema or {}, annotations=annotations or {})


def parsed(text: str) -> Lockfile:
    return parse_lock(text.encode(), "perstack.lock")


def problem(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parsed(text)
    assert caught.value.message.endswith("`perstack install` writes it anew")
    return caught.value.message


def exact(value: object) -> str:
    """JSON that tells 1 from 1.0 and from true, and no order of keys from another."""
    return json.dumps(value, sort_keys=True)


def test_a_lock_that_is_written_reads_back_as_it_was() -> None:
    lock = locked(tool(schema=NULLS, annotations={"readOnlyHint": True, "title": None}))
    assert parsed(lock_text(lock)) == lock


def test_the_same_lock_has_the_same_bytes() -> None:
    assert lock_text(locked(tool())) == lock_text(parsed(lock_text(locked(tool()))))


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
scalars = scalars.filter(lambda value: not isinstance(value, float) or abs(value) != float("inf"))
schemas = st.dictionaries(
    st.text(),
    st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=30,
    ),
    max_size=5,
)


@settings(max_examples=300, deadline=None)
@given(schemas, schemas)
def test_any_schema_comes_back_exactly(schema: Json, annotations: Json) -> None:
    text = lock_text(locked(tool(schema=schema, annotations=annotations)))
    [found] = parsed(text).experts["worker"].tools["files"]
    assert exact(found.input_schema) == exact(schema)
    assert exact(found.annotations) == exact(annotations)


def nested(levels: int) -> Json:
    schema: Json = {}
    for level in range(levels):
        schema = {"a": schema} if level % 2 else {"b": [schema]}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        NULLS,
        {"maximum": 2**64 - 1},
        {"maximum": 10**300},
        {"minimum": -(2**53)},
        {"a.b": {"": {'"': {"\n": [None]}}}},
        nested(40),
        nested(64),
        {"a" * 1000: 1},
    ],
    ids=range(8),
)
def test_what_toml_cannot_say_stands_beside_it_as_json(schema: Json) -> None:
    text = lock_text(locked(tool(schema=schema)))
    assert "inputSchemaJson = " in text
    [found] = parsed(text).experts["worker"].tools["files"]
    assert exact(found.input_schema) == exact(schema)


def test_beside_the_json_stands_what_toml_can_say() -> None:
    told = tomllib.loads(lock_text(locked(tool(schema=NULLS))))
    [entry] = told["experts"]["worker"]["toolDefinitions"]
    assert entry["inputSchema"] == {"type": "object", "properties": {"a": {"enum": ["x"]}}}
    assert json.loads(entry["inputSchemaJson"]) == NULLS


def test_what_toml_can_say_is_said_once() -> None:
    assert said("inputSchema", {"maximum": 2**53 - 1}) == {"inputSchema": {"maximum": 2**53 - 1}}


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ("inputSchemaJson = '{'", "inputSchemaJson is not the JSON of an object"),
        ("inputSchemaJson = '[]'", "inputSchemaJson is not the JSON of an object"),
        ("annotationsJson = '{\"a\": NaN}'", "annotationsJson is not the JSON of an object"),
        (f"inputSchemaJson = '{'[' * 9999}'", "inputSchemaJson is not the JSON of an object"),
        (
            'inputSchema = {a = 2}\ninputSchemaJson = \'{"a": 1, "b": null}\'',
            "inputSchemaJson says something else than the table beside it",
        ),
        (
            "inputSchema = { a = [{ b = 2026-01-01 }] }",
            "inputSchema holds a date or time, which JSON does not have",
        ),
        ("annotations = { a = nan }", "annotations holds a number that JSON does not have"),
        (
            "inputSchemaJson = '" + '{"a":' * 200 + "1" + "}" * 200 + "'",
            "inputSchemaJson holds more than 100 levels",
        ),
    ],
    ids=range(8),
)
def test_a_tool_that_is_no_json_is_refused_with_its_place(keys: str, told: str) -> None:
    assert f'perstack.lock: experts."a".toolDefinitions[0].{told}' in problem(TOOL + keys)


# What others write


def test_a_lock_of_the_reference_is_read() -> None:
    lock = parse_lock(REFERENCE.read_bytes(), "perstack.lock")
    researcher = lock.experts["researcher"]
    assert not researcher.is_whole
    assert researcher.expert.instruction == 'Find it out.\nSay "where".'
    assert [each.name for each in researcher.tools["search"]] == ["web_search"]
    schema: Any = researcher.tools["search"][0].input_schema
    assert schema["properties"]["seed"]["maximum"] == 18446744073709552000
    writer = lock.experts["@acme/writer@1.2.0"]
    assert writer.expert.key == "@acme/writer@1.2.0"
    assert writer.expert.name == "@acme/writer"
    assert writer.tools == {}


def test_ours_has_every_key_that_the_reference_needs() -> None:
    theirs: dict[str, set[str]] = {
        "mcpStdioSkill": {"type", "name", "command", "args", "pick", "omit", "requiredEnv"}
        | {"lazyInit"},
        "mcpSseSkill": {"type", "name", "endpoint", "pick", "omit"},
        "interactiveSkill": {"type", "name", "tools"},
    }
    told = tomllib.loads(lock_text(locked(tool(schema={"type": "object"}))))
    assert told["version"] == "1"
    assert isinstance(told["generatedAt"], int)
    assert told["configPath"] == "perstack.toml"
    [worker] = told["experts"].values()
    needed = {"key", "name", "version", "instruction", "skills", "delegates", "tags"}
    assert needed | {"toolDefinitions"} <= worker.keys()
    assert "@perstack/base" in worker["skills"]
    for skill in worker["skills"].values():
        assert theirs[skill["type"]] <= skill.keys()
    assert worker["toolDefinitions"] == [
        {"skillName": "files", "name": "read", "inputSchema": {"type": "object"}}
    ]


def test_missing_and_unknown_keys_are_no_trouble() -> None:
    text = 'version = "1"\nfuture = 1\n[experts.a]\nkey = "a"\ninstruction = "A."\nodd = [1]\n'
    expert = parsed(text).experts["a"].expert
    assert (expert.name, expert.version, expert.skills) == ("a", "1.0.0", {})


# What is wrong with one


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            'instruction = "Work.',
            'instruction = "Shirk.',
            'experts."worker" does not match its `in',
        ),
        ("trusted = true", "trusted = false", 'experts."worker" does not match its `integrity`'),
        ('name = "read"', 'name = "write"', 'the tools of the skill "files" do not match'),
        ("generatedAt = 17", "generatedAt = 18", "perstack.lock does not match its `integrity`"),
        ("readOnlyHint = true", "readOnlyHint = false", 'the tools of the skill "files" do not'),
        ('skillName = "files"', 'skillName = "other"', 'the tools of the skill "files" do not'),
        ('type = "number"', 'type = "string"', "the tools of the skill"),
        ('name = "worker"', 'name = "boss"', "are those of another Expert"),
    ],
)
def test_an_edit_by_hand_is_noticed(old: str, new: str, told: str) -> None:
    schema: Json = {"properties": {"a": {"type": "number"}}}
    text = lock_text(locked(tool(schema=schema, annotations={"readOnlyHint": True})))
    assert text.count(old) == 1
    assert told in problem(text.replace(old, new))


def test_an_expert_that_was_taken_out_by_hand_is_noticed() -> None:
    head, _, _ = lock_text(locked()).partition("[experts")
    assert "does not match its `integrity`" in problem(head)


def test_an_expert_without_its_sum_is_noticed_by_those_of_its_tools() -> None:
    lines = lock_text(locked(tool())).replace('name = "read"', 'name = "write"').splitlines()
    left = [line for line in lines if not line.startswith("integrity = ")]
    assert "does not match its `integrity`" in problem("\n".join(left))


def test_a_tool_that_was_added_by_hand_is_noticed() -> None:
    text = lock_text(locked(tool(schema={"description": "long " * 50})))
    more = '\n[[experts.worker.toolDefinitions]]\nskillName = "library"\nname = "x"\n'
    assert 'the tools of the skill "library" do not match' in problem(text + more)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('version = "2"', "is of version '2', and this Perstack reads '1' alone"),
        ("version = 1", "is of version 1, and this"),
        ("", "is no lock: it has no `version`"),
        (
            '<<<<<<< HEAD\nversion = "1"\n=======\nversion = "2"\n>>>>>>> other',
            "holds the marks of a merge conflict (line 1)",
        ),
        (f"{ONE}<<<<<<< HEAD\r\n", "holds the marks of a merge conflict (line 5)"),
        ("version = ", "is not valid TOML"),
        ('version = "1"\nexperts = 1', r"Expected `object`, got `int` - at `\$.experts`"),
        ('version = "1"\n[experts.a]', 'experts."a": Object missing required field `key`'),
        ('version = "1"\n[experts.a]\nkey = "a"', 'experts."a".instruction: is required'),
        ('version = "1"\n[experts."A!"]\nkey = "A!"', "is not an Expert key"),
        (
            ONE + '[experts.a.skills.b]\ntype = "mcpStdioSkill"\ncommand = "a\\nb"\nargs = []',
            "must not hold line breaks",
        ),
        ('version = "1"\ngeneratedAt = inf', r"Expected `int`, got `float` - at `\$.generatedAt`"),
        (ONE + "toolIntegrity = 1", r'experts."a": Expected `object`, got `int` - at `\$.toolInt'),
    ],
    ids=range(13),
)
def test_what_is_no_lock_is_one_message_with_a_way_out(text: str, told: str) -> None:
    message = problem(text)
    assert message.startswith("perstack.lock")
    assert told.replace("\\", "") in message


HEAD = b'version = "1"\n'
BOMBS = {
    "deep arrays": (HEAD + b"a = " + b"[" * 5000, "nested deeper"),
    "deep tables of dotted keys": (
        ONE.encode()
        + b"[experts.a.providerToolOptions]\n"
        + b"{".join([b".".join([b"a"] * 31) + b" = "] * 31)
        + b"1"
        + b"}" * 30,
        "nested deeper|more than",
    ),
    "dotted key": (HEAD + b"a" + b".a" * 20_000 + b" = 1", "more than 32 parts"),
    "long integer": (HEAD + b"a = " + b"1" * 100_000, "longer than 512"),
    "many values": (HEAD + b"a = [" + b"1," * 500_000 + b"]", "holds more than 400000"),
    "50 MB": (b"#" * 50_000_000, "larger than 16 MiB"),
    "too large": (b"#" * (16 * 2**20 + 1), "larger than 16 MiB"),
    "invalid UTF-8": (HEAD + b'x = "\xff"', r"not UTF-8 text \(line 2\)"),
}


@pytest.mark.hostile
@pytest.mark.parametrize("name", BOMBS)
def test_row_76_a_bomb_in_a_lock_is_a_configuration_error_in_under_a_second(name: str) -> None:
    source, told = BOMBS[name]
    start = time.process_time()
    with pytest.raises(ConfigurationError, match=told):
        parse_lock(source, "perstack.lock")
    assert time.process_time() - start < 1
