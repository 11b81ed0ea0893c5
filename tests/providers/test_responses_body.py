import base64
import json
from collections.abc import Iterable
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perstack.providers import GenerateRequest, openai_responses_body
from perstack.providers.models import ModelInfo
from perstack.providers.openai_effort import EFFORTS, effort_of
from perstack.providers.openai_responses_body import request_body
from perstack.providers.openai_responses_proof import phase_mark, thinking_of
from perstack.providers.openai_schema import schema_problem
from perstack.providers.wire import wire_name
from perstack.schema.history import History
from perstack.schema.message import (
    ExpertMessage,
    FileBinaryPart,
    FileInlinePart,
    FileUrlPart,
    ImageBinaryPart,
    ImageInlinePart,
    ImageUrlPart,
    InstructionMessage,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolMessage,
    ToolResultPart,
    UserMessage,
    user_message,
)
from perstack.schema.tool import ToolDefinition

WIRE = "openai-responses"
SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "$comment": "kept"}
REASONER = ModelInfo(
    400_000,
    128_000,
    is_reasoning=True,
    efforts=("minimal", "low", "medium", "high"),
    reads_images=True,
    reads_pdf=True,
)
PLAIN = ModelInfo(128_000, 16_000, reads_images=True, reads_pdf=True)
BLIND = ModelInfo(128_000, 16_000, is_reasoning=True, efforts=("low", "medium", "high"))


def raw_body(history: History, **fields: Any) -> bytes:
    about = {"wire": WIRE, "info": None, "is_vendor": True}
    about |= {name: fields.pop(name) for name in tuple(fields) if name in about}
    fields = {"model": "gpt-5", "instruction": "Be brief."} | fields
    return request_body(GenerateRequest(messages=history, **fields), **about)


def body(*messages: Any, **fields: Any) -> dict[str, Any]:
    history = messages[0] if messages and isinstance(messages[0], History) else History(messages)
    return json.loads(raw_body(history, **fields))


def sent(*messages: Any, **fields: Any) -> list[dict[str, Any]]:
    return body(*messages, **fields)["input"]


def user(*parts) -> UserMessage:
    return UserMessage(id="u", contents=parts)


def expert(*parts) -> ExpertMessage:
    return ExpertMessage(id="e", contents=parts)


def text(words: str) -> TextPart:
    return TextPart(text=words)


def called(name: str = "readTextFile", call_id: str = "call_1", **args) -> ToolCallPart:
    return ToolCallPart(tool_call_id=call_id, tool_name=name, args=args)


def answered(*parts, call_id: str = "call_1", is_error: bool = False) -> ToolMessage:
    part = ToolResultPart(
        tool_call_id=call_id, tool_name="readTextFile", contents=parts, is_error=is_error
    )
    return ToolMessage(id="t", contents=(part,))


def reasoned(item_id: str = "rs_1", *summary: str, wire: str = WIRE) -> ThinkingPart:
    part = thinking_of(wire, item_id, f"sealed-{item_id}", list(summary), [])
    assert part is not None
    return part


def tool(name: str, description: str = "Reads.", schema: Any = SCHEMA) -> ToolDefinition:
    return ToolDefinition(
        skill_name="files", name=name, description=description, input_schema=schema
    )


def kinds(items: list[dict[str, Any]]) -> list[str]:
    return [item.get("role") or item["type"] for item in items]


def test_a_whole_request_has_every_part_in_its_place():
    whole = body(
        user_message("m", "Hello"), tools=(tool("readTextFile"),), info=REASONER, cache_key="run-1"
    )
    assert whole == {
        "model": "gpt-5",
        "stream": True,
        "store": False,
        "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "run-1",
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [
            {
                "type": "function",
                "name": "readTextFile",
                "description": "Reads.",
                "parameters": SCHEMA,
                "strict": False,
            }
        ],
        "instructions": "Be brief.",
        "input": [
            {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "Hello"}],
            }
        ],
    }


def test_a_server_that_is_not_the_vendors_gets_only_what_every_server_takes():
    whole = body(user_message("m", "Hi"), info=REASONER, cache_key="run-1", is_vendor=False)
    assert whole["reasoning"] == {"effort": "low"}
    assert whole.keys() == {"model", "stream", "store", "reasoning", "instructions", "input"}


def test_a_model_nobody_told_us_of_is_not_told_how_to_reason():
    assert not body(user_message("m", "Hi")).keys() & {"reasoning", "include"}


def test_a_model_that_does_not_reason_is_sent_no_reasoning_and_asked_for_none():
    history = (user_message("m", "Hi"), expert(reasoned(), called()), answered(text("x")))
    whole = body(*history, info=PLAIN)
    assert not whole.keys() & {"reasoning", "include"}
    assert kinds(whole["input"]) == ["user", "function_call", "function_call_output"]


def test_without_tools_there_is_no_tool_choice_either():
    whole = body(user_message("m", "Hi"), tool_choice="none")
    assert not whole.keys() & {"tools", "tool_choice", "parallel_tool_calls"}


def test_tools_are_still_sent_when_none_may_be_called():
    whole = body(user_message("m", "Hi"), tools=(tool("a"),), tool_choice="none")
    assert whole["tool_choice"] == "none"
    assert len(whole["tools"]) == 1


def test_an_empty_instruction_is_left_out():
    assert "instructions" not in body(user_message("m", "Hi"), instruction=" \n")


def test_a_cache_key_fits_the_vendors_limit():
    assert len(body(user_message("m", "Hi"), cache_key="k" * 90)["prompt_cache_key"]) == 64


def test_an_object_without_properties_is_sent_with_none():
    (shown,) = body(user_message("m", "Hi"), tools=(tool("a", schema={"type": "object"}),))["tools"]
    assert shown["parameters"] == {"type": "object", "properties": {}}


def test_a_longer_request_begins_with_the_bytes_of_the_shorter_one():
    history = History([user_message("0", "go")])
    earlier = raw_body(history, tools=(tool("a"),), info=REASONER, cache_key="k")
    history = history.append(expert(reasoned("rs_1", "Hm."), called()), answered(text("x")))
    later = raw_body(history, tools=(tool("a"),), info=REASONER, cache_key="k")
    assert later.startswith(earlier.removesuffix(b"]}"))


def test_each_message_is_encoded_once_in_the_life_of_its_history(monkeypatch):
    seen = []
    encode = openai_responses_body.encode_message
    monkeypatch.setattr(
        openai_responses_body,
        "encode_message",
        lambda message, form: seen.append(message.id) or encode(message, form),
    )
    history = History([user_message("0", "go")])
    for step in range(5):
        body(history)
        history = history.append(user_message(str(step + 1), "more"))
    body(history)
    assert seen == ["0", "1", "2", "3", "4", "5"]


def test_reasoning_goes_back_as_it_came_before_what_it_led_to():
    items = sent(
        user_message("0", "go"),
        expert(
            reasoned("rs_1", "First.\n\nStill first.", "", "Second."),
            text("I look."),
            reasoned("rs_2"),
            called("a", "call_1"),
            called("b", "call_2"),
        ),
        answered(text("x")),
        info=REASONER,
    )
    assert kinds(items[1:6]) == [
        "reasoning",
        "assistant",
        "reasoning",
        "function_call",
        "function_call",
    ]
    assert items[1] == {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [
            {"type": "summary_text", "text": part}
            for part in ("First.\n\nStill first.", "", "Second.")
        ],
        "encrypted_content": "sealed-rs_1",
    }
    assert items[3]["summary"] == []


def test_reasoning_that_nothing_follows_is_left_out():
    items = sent(
        user_message("0", "go"),
        expert(reasoned(), text("I look."), reasoned("rs_2"), text(" ")),
        expert(reasoned("rs_3")),
        user_message("1", "and?"),
    )
    assert kinds(items) == ["user", "reasoning", "assistant", "user"]


@pytest.mark.parametrize(
    "part",
    [
        ThinkingPart(thinking="unsigned"),
        ThinkingPart(thinking="Claude's", signature="c2ln"),
        ThinkingPart(thinking="opaque", redacted=True),
        ThinkingPart(thinking="damaged", signature=f"{WIRE}:{{"),
        ThinkingPart(thinking="half", signature=f"{WIRE}:\ud800"),
        reasoned(wire="azure-openai-responses"),
        reasoned(wire=f"{WIRE}-like"),
        phase_mark(f"{WIRE}-like", "commentary"),
    ],
)
def test_the_thinking_of_others_is_not_sent(part):
    items = sent(user_message("0", "go"), expert(part, text("Done.")), user_message("1", "more"))
    assert items[1] == {"type": "message", "role": "assistant", "content": "Done."}
    assert len(items) == 3


def test_a_message_keeps_its_phase_and_no_other_one_has_it():
    items = sent(
        user_message("0", "go"),
        expert(phase_mark(WIRE, "commentary"), text("I look."), text("Still."), called()),
        answered(text("x")),
        expert(reasoned(), phase_mark(WIRE, "final_answer"), text("Done.")),
        expert(phase_mark(WIRE, "commentary"), text(""), text("No phase.")),
    )
    phases = [item.get("phase") for item in items if item.get("role") == "assistant"]
    assert phases == ["commentary", None, "final_answer", None]


MEDIA = [
    (
        ImageInlinePart(encoded_data="QUJD", mime_type="image/png"),
        {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,QUJD"},
    ),
    (
        ImageBinaryPart(data=b"ABC", mime_type="image/jpg"),
        {"type": "input_image", "detail": "auto", "image_url": "data:image/jpeg;base64,QUJD"},
    ),
    (
        ImageUrlPart(url="https://x.test/a.png", mime_type="image/png"),
        {"type": "input_image", "detail": "auto", "image_url": "https://x.test/a.png"},
    ),
    (
        FileInlinePart(encoded_data="QUJD", mime_type="application/pdf"),
        {
            "type": "input_file",
            "filename": "document.pdf",
            "file_data": "data:application/pdf;base64,QUJD",
        },
    ),
    (
        FileUrlPart(url="https://x.test/a.pdf", mime_type="application/pdf"),
        {"type": "input_file", "file_url": "https://x.test/a.pdf"},
    ),
]
WORDS = [
    (FileBinaryPart(data="wörter".encode(), mime_type="text/plain"), "wörter"),
    (
        FileBinaryPart(data=b"\0", mime_type="application/zip"),
        "(a file of type application/zip, which the model cannot read)",
    ),
]


@pytest.mark.parametrize(("part", "block"), MEDIA)
def test_images_and_documents_travel_in_messages_and_in_tool_results(part, block):
    assert sent(user(part))[0]["content"] == [block]
    items = sent(user_message("0", "go"), expert(called()), answered(part, text("seen")))
    assert items[2]["output"] == [block, {"type": "input_text", "text": "seen"}]


@pytest.mark.parametrize(("part", "words"), WORDS)
def test_other_files_are_words(part, words):
    assert sent(user(part))[0]["content"] == [{"type": "input_text", "text": words}]
    assert sent(expert(called()), answered(part))[1]["output"] == words


@pytest.mark.parametrize(("part", "_"), MEDIA)
def test_a_model_that_cannot_see_is_told_what_it_was_given(part, _):
    (block,) = sent(user(part), info=BLIND)[0]["content"]
    assert block["type"] == "input_text"
    assert "cannot read" in block["text"]


def test_one_history_goes_to_models_that_differ():
    picture = ImageBinaryPart(data=b"ABC", mime_type="image/png")
    history = History([user(picture), expert(reasoned(), text("Nice."))])
    shapes = [
        [item["type"] for item in body(history, info=info)["input"]] for info in (None, PLAIN)
    ]
    assert shapes == [["message", "reasoning", "message"], ["message", "message"]]
    assert body(history, info=BLIND)["input"][0] != body(history)["input"][0]
    assert body(history, info=None) == body(History(list(history)), info=None)


@pytest.mark.parametrize(
    ("parts", "output"),
    [
        ((text("No such file."),), "The tool failed:\nNo such file."),
        ((), "The tool failed:\n(no output)"),
    ],
)
def test_a_failed_tool_says_so(parts, output):
    assert sent(expert(called()), answered(*parts, is_error=True))[1]["output"] == output


def test_a_failed_tool_with_a_picture_says_so_first():
    picture = ImageBinaryPart(data=b"ABC", mime_type="image/png")
    output = sent(expert(called()), answered(picture, is_error=True))[1]["output"]
    assert [block["type"] for block in output] == ["input_text", "input_image"]


def test_texts_of_a_tool_result_are_one_text():
    assert sent(expert(called()), answered(text("a"), text(""), text("b")))[1]["output"] == "a\nb"
    assert sent(expert(called()), answered(text("")))[1]["output"] == "(no output)"


def test_empty_text_is_dropped_and_an_empty_reply_with_it():
    items = sent(
        user_message("0", "go"), expert(text(""), text(" \n")), user(text("So?"), text(""))
    )
    assert kinds(items) == ["user", "user"]
    assert items[1]["content"] == [{"type": "input_text", "text": "So?"}]


@pytest.mark.parametrize(
    "messages",
    [
        (),
        (user_message("0", "  "),),
        (expert(text("")),),
        (InstructionMessage(id="i", contents=(text("Be brief."),)),),
    ],
)
def test_there_is_always_an_input(messages):
    (item,) = sent(*messages)
    assert item["content"] == [{"type": "input_text", "text": "(no text)"}]


def test_odd_tool_names_and_ids_become_names_the_vendor_accepts_everywhere_alike():
    name = "résumé/search files" + "x" * 80
    whole = body(
        user_message("0", "go"),
        expert(called(name, "call:1|a" * 20, x="é")),
        answered(text("x"), call_id="call:1|a" * 20),
        tools=(tool(name),),
    )
    call, output = whole["input"][1:]
    assert call["name"] == whole["tools"][0]["name"] == wire_name(name)
    assert call["call_id"] == output["call_id"]
    assert len(call["call_id"]) <= 64
    assert json.loads(call["arguments"]) == {"x": "é"}


def test_half_a_surrogate_pair_does_not_stop_a_request():
    items = sent(user(text("a\ud800")), expert(called(x="\ud800b")))
    assert items[0]["content"][0]["text"] == "a?"
    assert json.loads(items[1]["arguments"]) == {"x": "?b"}


def test_a_large_image_is_encoded_once_for_each_form():
    picture = ImageBinaryPart(data=b"\x89PNG" * 1000, mime_type="image/png")
    history = History([user(picture)])
    assert base64.b64encode(picture.data) in raw_body(history)
    kept = history.kept(f"{WIRE}-111", lambda: pytest.fail("made anew"))
    assert len(kept.ends) == 1


ALL = tuple(EFFORTS)
OLD = ("low", "medium", "high")


@pytest.mark.parametrize(
    ("budget", "efforts", "effort"),
    [
        ("none", ALL, "none"),
        ("none", OLD, "low"),
        (0, ("minimal", *OLD), "minimal"),
        (-5, ALL, "none"),
        ("minimal", ALL, "minimal"),
        ("minimal", ("none", *OLD), "low"),
        ("low", OLD, "low"),
        ("medium", OLD, "medium"),
        ("high", ALL, "high"),
        (1, ALL, "minimal"),
        (3_000, OLD, "low"),
        (4_000, OLD, "medium"),
        (1_000_000, OLD, "high"),
        (1_000_000, ALL, "max"),
        ("high", ("high",), "high"),
        ("high", (), None),
        ("high", ("ultra",), None),
        (5, ("none",), "none"),
    ],
)
def test_a_budget_becomes_the_nearest_effort_that_the_model_takes(budget, efforts, effort):
    assert effort_of(budget, efforts) == effort


def test_no_summary_is_asked_of_a_model_that_shall_not_reason():
    info = ModelInfo(1, 1, is_reasoning=True, efforts=("none", "low"))
    whole = body(user_message("0", "go"), info=info, reasoning_budget="none")
    assert whole["reasoning"] == {"effort": "none"}
    assert whole["include"]


@pytest.mark.parametrize(
    ("schema", "where"),
    [
        ({}, "/type"),
        ({"properties": {}}, "/type"),
        ({"type": "string"}, "/type"),
        ({"type": ["object", "null"]}, "/type"),
        ({"$ref": "#/$defs/a"}, "/type"),
        *(
            ({"type": "object", keyword: []}, f'"{keyword}" at the top level (at /{keyword})')
            for keyword in ("oneOf", "anyOf", "allOf", "enum", "const", "not")
        ),
        ({"type": "object", "properties": {"a/b~c": {"type": "array"}}}, "/properties/a~1b~0c"),
        (
            {
                "type": "object",
                "properties": {"a": {"type": "array", "items": {"anyOf": [{}, {"type": "array"}]}}},
            },
            "/properties/a/items/anyOf/1",
        ),
    ],
)
def test_a_schema_that_the_vendor_refuses_is_told_with_its_place(schema, where):
    failure = schema_problem((tool("fine"), tool("søk", schema=schema)))
    assert failure is not None
    assert failure.error.name == "UnsupportedToolSchema"
    assert not failure.error.is_retryable
    for words in ("'søk'", "'files'", where, "omit"):
        assert words in failure.error.message


@pytest.mark.parametrize(
    "schema",
    [
        SCHEMA,
        {"type": "object"},
        {"type": "object", "properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}}},
        {"type": "object", "properties": {"a": {"type": "array", "items": {}}}},
        {"type": "object", "properties": {"a": {"type": "array", "prefixItems": [{}]}}},
        {"type": "object", "properties": {"enum": {"enum": ["a"]}, "type": {"const": "array"}}},
        {"type": "object", "properties": {"odd": True, "list": {"items": [], "anyOf": "x"}}},
        {"type": "object", "properties": []},
    ],
)
def test_other_schemas_go_as_they_came(schema):
    assert schema_problem((tool("a", schema=schema),)) is None


def test_a_schema_of_any_depth_is_checked():
    schema: dict[str, Any] = {"type": "array"}
    for _ in range(5_000):
        schema = {"type": "object", "properties": {"a": schema}}
    failure = schema_problem((tool("a", schema=schema),))
    assert failure is not None
    assert "/properties/a/properties/a)" in failure.error.message


def anything():
    return st.sampled_from(
        [
            user(text("Hi")),
            user(),
            expert(text("Hm")),
            expert(
                reasoned("rs_1", "Hm."), phase_mark(WIRE, "commentary"), text("I do."), called()
            ),
            expert(),
            answered(),
            answered(text("no"), is_error=True),
            answered(*(part for part, _ in MEDIA)),
            user(*(part for part, _ in [*MEDIA, *WORDS])),
        ]
    )


INFOS = st.sampled_from([None, REASONER, PLAIN, BLIND])


@given(st.lists(anything(), min_size=1, max_size=30), st.lists(anything(), max_size=4), INFOS)
def test_a_request_is_the_same_whatever_was_asked_before_it(messages, others, info):
    grown = History()
    for index, message in enumerate(messages):
        before, grown = grown, grown.append(message)
        again = History(messages[: index + 1])
        assert raw_body(grown, info=info) == raw_body(again, info=info)
        assert raw_body(before, info=info) == raw_body(History(messages[:index]), info=info)
        assert raw_body(grown.append(*others), info=info)


@pytest.fixture(scope="module")
def official():
    """Whether the vendor's own types take a whole body, and know each of its fields."""
    from openai.types import responses
    from openai.types.responses import response_create_params, response_input_item_param
    from pydantic import TypeAdapter

    whole = TypeAdapter(response_create_params.ResponseCreateParamsStreaming)
    items = {
        "message": responses.EasyInputMessageParam,
        "function_call": responses.ResponseFunctionToolCallParam,
        "function_call_output": response_input_item_param.FunctionCallOutput,
        "reasoning": responses.ResponseReasoningItemParam,
        "function": responses.FunctionToolParam,
        "input_text": responses.ResponseInputTextParam,
        "input_image": responses.ResponseInputImageParam,
        "input_file": responses.ResponseInputFileParam,
    }
    adapters = {kind: TypeAdapter(form) for kind, form in items.items()}
    fields = {kind: set(get_type_hints(form)) for kind, form in items.items()}

    def exhausted(value: Any) -> None:
        """Pydantic checks an Iterable only as it is read."""
        if isinstance(value, dict):
            value = value.values()
        if isinstance(value, Iterable) and not isinstance(value, str):
            for inner in value:
                exhausted(inner)

    def check(sent: dict[str, Any]) -> None:
        exhausted(whole.validate_python(sent))
        assert sent.keys() <= set(
            get_type_hints(response_create_params.ResponseCreateParamsStreaming)
        )
        for item in [*sent["input"], *sent.get("tools", ())]:
            blocks = item.get("content"), item.get("output")
            for each in [item, *(b for block in blocks if isinstance(block, list) for b in block)]:
                exhausted(adapters[each["type"]].validate_python(each))
                assert each.keys() <= fields[each["type"]], each

    return check


def test_the_vendors_types_refuse_what_is_wrong(official):
    whole = body(user_message("0", "go"))
    official(whole)
    with pytest.raises(ValueError, match="call_id"):
        official(whole | {"input": [{"type": "function_call", "name": "a", "arguments": ""}]})
    with pytest.raises(AssertionError):
        official(whole | {"input": [{"type": "message", "role": "user", "content": "", "x": 1}]})


@given(
    st.lists(anything(), max_size=12),
    INFOS,
    st.sampled_from(["none", "minimal", "low", "medium", "high", 7_000]),
    st.booleans(),
    st.sampled_from([(), (tool("a", ""), tool("é", schema={"type": "object"}))]),
)
def test_every_body_is_one_that_the_vendors_types_take(
    official, messages, info, budget, is_vendor, tools
):
    official(
        body(
            *messages,
            info=info,
            reasoning_budget=budget,
            is_vendor=is_vendor,
            tools=tools,
            cache_key="run-1",
        )
    )
