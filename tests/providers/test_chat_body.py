"""Chat Completions bodies: what is sent, and that the vendor's own types accept it."""

import json
from typing import Any

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.histories import TOOLS, conversations
from perstack.providers import GenerateRequest, openai_chat_body
from perstack.providers.models import ModelInfo
from perstack.providers.openai_chat_body import request_body
from perstack.providers.openai_chat_quirks import (
    AZURE,
    AZURE_DEPLOYMENT,
    COMPATIBLE,
    DEEPSEEK,
    OLLAMA,
    OPENAI,
)
from perstack.providers.openai_schema import schema_problem
from perstack.providers.wire import sealed, wire_name
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

SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "$comment": "kept"}
REASONER = ModelInfo(
    400_000,
    128_000,
    is_reasoning=True,
    efforts=("minimal", "low", "medium", "high"),
    reads_images=True,
    reads_pdf=True,
)
SWITCHABLE = REASONER._replace(efforts=("none", "low", "medium", "high"))
PLAIN = ModelInfo(128_000, 16_000, reads_images=True, reads_pdf=True)
BLIND = ModelInfo(128_000, 16_000)
EVERY_SERVER = (OPENAI, COMPATIBLE, AZURE, AZURE_DEPLOYMENT, DEEPSEEK, OLLAMA)


def raw_body(history: History, *, info=None, quirks=OPENAI, **fields: Any) -> bytes:
    fields = {"model": "gpt-5", "instruction": "Be brief."} | fields
    return request_body(GenerateRequest(messages=history, **fields), info, quirks)


def body(*messages: Any, **fields: Any) -> dict[str, Any]:
    history = messages[0] if messages and isinstance(messages[0], History) else History(messages)
    return json.loads(raw_body(history, **fields))


def sent(*messages: Any, **fields: Any) -> list[dict[str, Any]]:
    """The messages without the system's."""
    return body(*messages, **fields)["messages"][1:]


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


def tool(name: str, description: str = "Reads.", schema=SCHEMA) -> ToolDefinition:
    return ToolDefinition(
        skill_name="@perstack/base", name=name, description=description, input_schema=schema
    )


def thought(proof: str, words: str = "Hm.", wire: str = "deepseek-chat") -> ThinkingPart:
    return ThinkingPart(thinking=words, signature=sealed(wire, proof))


def test_a_whole_request_has_every_part_in_its_place():
    assert body(
        user_message("m", "Hello"),
        tools=(tool("readTextFile"),),
        info=REASONER,
        cache_key="run-1",
    ) == {
        "model": "gpt-5",
        "stream": True,
        "stream_options": {"include_usage": True},
        "reasoning_effort": "low",
        "prompt_cache_key": "run-1",
        "tool_choice": "auto",
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "readTextFile",
                    "description": "Reads.",
                    "parameters": SCHEMA,
                },
            }
        ],
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hello"},
        ],
    }


def test_a_server_that_merely_speaks_the_dialect_gets_no_field_of_the_vendors_own():
    for quirks in (COMPATIBLE, DEEPSEEK, OLLAMA, AZURE_DEPLOYMENT):
        asked = body(user_message("m", "Hi"), quirks=quirks, cache_key="run-1")
        assert asked.keys() == {"model", "stream", "stream_options", "messages"}


def test_without_tools_there_is_no_tool_choice_either():
    asked = body(user_message("m", "Hello"), tool_choice="none")
    assert "tools" not in asked
    assert "tool_choice" not in asked


def test_tools_are_still_sent_when_none_may_be_called():
    asked = body(user_message("m", "Hi"), tools=(tool("a", ""),), tool_choice="none")
    assert asked["tool_choice"] == "none"
    assert asked["tools"][0]["function"] == {"name": "a", "parameters": SCHEMA}


def test_a_schema_without_properties_gets_an_empty_list_of_them_for_the_vendor_alone():
    bare = (tool("a", schema={"type": "object"}),)
    asked = [body(user_message("m", "Hi"), tools=bare, quirks=q) for q in (OPENAI, COMPATIBLE)]
    shown = [each["tools"][0]["function"]["parameters"] for each in asked]
    assert shown == [{"type": "object", "properties": {}}, {"type": "object"}]


def test_an_empty_instruction_is_left_out():
    (message,) = body(user_message("m", "Hi"), instruction=" \n")["messages"]
    assert message["role"] == "user"


def test_a_tool_loop_goes_as_calls_and_answers():
    assert sent(
        user_message("0", "go"),
        expert(text("I read."), called("a", "c1", path="x"), called("b", "c2")),
        answered(text("one"), text("two"), call_id="c1"),
        answered(call_id="c2"),
    ) == [
        {"role": "user", "content": "go"},
        {
            "role": "assistant",
            "content": "I read.",
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "a", "arguments": '{"path":"x"}'},
                },
                {"id": "c2", "type": "function", "function": {"name": "b", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "one\ntwo"},
        {"role": "tool", "tool_call_id": "c2", "content": "(no output)"},
    ]


def test_a_reply_of_nothing_but_calls_has_no_content():
    assert (
        sent(user_message("0", "go"), expert(called()), answered(text("x")))[1]["content"] is None
    )


def test_answers_stand_in_the_order_of_the_calls_and_before_all_else():
    messages = sent(
        user_message("0", "go"),
        expert(called("a", "c1"), called("b", "c2")),
        user_message("1", "and this"),
        answered(text("second"), call_id="c2"),
        answered(text("first"), call_id="c1"),
        user_message("2", "and that"),
    )
    assert [message["role"] for message in messages] == [
        "user",
        "assistant",
        "tool",
        "tool",
        "user",
    ]
    assert [message["content"] for message in messages[2:]] == [
        "first",
        "second",
        "and this\n\nand that",
    ]


def test_a_failed_tool_says_so():
    answer = sent(user_message("0", "go"), expert(called()), answered(text("no"), is_error=True))[2]
    assert answer["content"] == "The tool failed:\nno"


@pytest.mark.parametrize(
    ("part", "shown"),
    [
        (
            ImageInlinePart(encoded_data="QUJD", mime_type="image/png"),
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
        ),
        (
            ImageBinaryPart(data=b"ABC", mime_type="image/jpg"),
            {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,QUJD"}},
        ),
        (
            ImageUrlPart(url="https://x.test/a.png", mime_type="image/png"),
            {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
        ),
        (
            FileInlinePart(encoded_data="QUJD", mime_type="application/pdf"),
            {
                "type": "file",
                "file": {
                    "filename": "document.pdf",
                    "file_data": "data:application/pdf;base64,QUJD",
                },
            },
        ),
    ],
)
def test_images_and_documents_stand_in_messages_of_the_user(part, shown):
    (message,) = sent(user(text("Look:"), part))
    assert message["content"] == [{"type": "text", "text": "Look:"}, shown]
    messages = sent(
        user_message("0", "go"),
        expert(called("a", "c1"), called("b", "c2")),
        answered(text("a picture"), part, call_id="c1"),
        answered(text("nothing"), call_id="c2"),
        user_message("1", "well?"),
    )
    assert [message["role"] for message in messages[2:]] == ["tool", "tool", "user"]
    assert messages[2]["content"].startswith("a picture\n")
    assert messages[4]["content"] == [
        {"type": "text", "text": "Returned by the call c1 of the tool readTextFile:"},
        shown,
        {"type": "text", "text": "well?"},
    ]


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (FileBinaryPart(data="wörter".encode(), mime_type="text/plain"), "wörter"),
        (FileBinaryPart(data=b"\0", mime_type="application/zip"), "application/zip"),
        (FileUrlPart(url="https://x.test/a.pdf", mime_type="application/pdf"), "application/pdf"),
        (ImageBinaryPart(data=b"\0", mime_type="image/tiff"), "image/tiff"),
    ],
)
def test_what_the_vendor_cannot_read_becomes_words(part, words):
    (message,) = sent(user(part))
    assert words in message["content"]
    answer = sent(user_message("0", "go"), expert(called()), answered(part))[2]
    assert words in answer["content"]


def test_a_model_that_cannot_see_gets_words_in_place_of_a_picture():
    picture = ImageInlinePart(encoded_data="QUJD", mime_type="image/png")
    pages = FileInlinePart(encoded_data="QUJD", mime_type="application/pdf")
    history = History([user(picture, pages)])
    for about in ({"info": BLIND}, {"quirks": DEEPSEEK}):
        (message,) = sent(history, **about)
        assert "image/png" in message["content"]
        assert "QUJD" not in message["content"]
    (message,) = sent(history, quirks=OLLAMA)
    assert [part["type"] for part in message["content"]] == ["image_url", "text"]
    (message,) = sent(history, info=PLAIN, quirks=COMPATIBLE)
    assert [part["type"] for part in message["content"]] == ["image_url", "file"]


@pytest.mark.parametrize(
    ("budget", "effort"),
    [
        ("none", "minimal"),
        (0, "minimal"),
        ("minimal", "minimal"),
        ("low", "low"),
        ("medium", "medium"),
        ("high", "high"),
        (1, "minimal"),
        (4_000, "medium"),
        (100_000, "high"),
    ],
)
def test_a_budget_becomes_the_nearest_effort(budget, effort):
    asked = body(user_message("0", "go"), reasoning_budget=budget, info=REASONER)
    assert asked["reasoning_effort"] == effort


@pytest.mark.parametrize("info", [None, PLAIN, REASONER._replace(efforts=())])
def test_a_model_that_takes_no_effort_is_sent_none(info):
    asked = body(user_message("0", "go"), reasoning_budget="high", info=info)
    assert "reasoning_effort" not in asked


@pytest.mark.parametrize("quirks", [OPENAI, COMPATIBLE, AZURE])
def test_a_model_of_openai_s_that_can_do_without_reasoning_does_where_it_has_tools(quirks):
    fields = {"info": SWITCHABLE, "quirks": quirks, "reasoning_budget": "high"}
    asked = body(user_message("0", "go"), **fields)
    assert asked["reasoning_effort"] == "high"
    asked = body(user_message("0", "go"), tools=(tool("a"),), **fields)
    assert asked["reasoning_effort"] == "none"


def test_deepseek_and_ollama_turn_reasoning_off_each_in_their_way():
    fields = {"info": REASONER, "reasoning_budget": "none", "tools": (tool("a"),)}
    asked = body(user_message("0", "go"), quirks=DEEPSEEK, **fields)
    assert asked["thinking"] == {"type": "disabled"}
    assert "reasoning_effort" not in asked
    asked = body(user_message("0", "go"), quirks=OLLAMA, **fields)
    assert asked["reasoning_effort"] == "none"
    assert "thinking" not in asked


def test_deepseek_gets_its_reasoning_back_and_an_empty_one_where_calls_came_without():
    messages = sent(
        user_message("0", "go"),
        expert(thought("reasoning_content"), called()),
        answered(text("x")),
        expert(ThinkingPart(thinking="another's", signature="sig=="), called()),
        answered(text("x")),
        expert(text("Done.")),
        quirks=DEEPSEEK,
    )
    replies = [message for message in messages if message["role"] == "assistant"]
    assert [reply.get("reasoning_content") for reply in replies] == ["Hm.", "", None]


def test_reasoning_goes_back_in_the_field_it_came_in_and_only_over_its_own_wire():
    details = [{"type": "reasoning.text", "text": "Hm.", "signature": "s", "index": 0}]
    for proof, field, shown in (
        ("reasoning", "reasoning", "Hm."),
        ("reasoning_content", "reasoning_content", "Hm."),
        (json.dumps(details), "reasoning_details", details),
    ):
        reply = expert(thought(proof, wire="openai-chat-like"), text("So."))
        (_, back, _) = sent(user_message("0", "go"), reply, quirks=COMPATIBLE)
        assert back == {"role": "assistant", "content": "So.", field: shown}
        for quirks in (OPENAI, AZURE, OLLAMA, DEEPSEEK):
            (_, back, _) = sent(user_message("0", "go"), reply, quirks=quirks)
            assert back == {"role": "assistant", "content": "So."}


def test_a_proof_that_was_spoilt_is_left_out():
    for proof in ("[{", "content", "tool_calls"):
        reply = expert(thought(proof, wire="openai-chat-like"), text("So."))
        (_, back, _) = sent(user_message("0", "go"), reply, quirks=COMPATIBLE)
        assert back == {"role": "assistant", "content": "So."}


def test_replies_that_say_nothing_are_left_out():
    messages = sent(
        user_message("0", "go"),
        expert(text(" \n")),
        expert(thought("reasoning", wire="openai-chat-like")),
        user(text("You said nothing."), text("")),
        quirks=COMPATIBLE,
    )
    assert messages == [{"role": "user", "content": "go\n\nYou said nothing."}]


@pytest.mark.parametrize(
    "messages",
    [
        (),
        (user_message("0", "  "),),
        (expert(text("I begin.")),),
        (user_message("0", "go"), expert(text("I end."))),
        (InstructionMessage(id="i", contents=(text("Be brief."),)),),
    ],
)
def test_the_last_word_is_never_the_model_s(messages):
    assert sent(*messages)[-1] == {"role": "user", "content": "(no text)"}


def test_odd_tool_names_and_long_ids_become_ones_the_vendor_accepts_everywhere_alike():
    name, call_id = "résumé/search files" + "x" * 80, "c" * 41
    asked = body(
        user_message("0", "go"),
        expert(called(name, call_id)),
        answered(text("x"), call_id=call_id),
        tools=(tool(name),),
    )
    (call,) = asked["messages"][2]["tool_calls"]
    assert call["function"]["name"] == asked["tools"][0]["function"]["name"] == wire_name(name)
    assert call["id"] == asked["messages"][3]["tool_call_id"] != call_id
    assert len(call["id"]) <= 40


def test_other_servers_get_their_ids_back_as_they_gave_them():
    call_id = "functions.read file:0" + "x" * 60
    messages = sent(
        user_message("0", "go"),
        expert(called(call_id=call_id)),
        answered(text("x"), call_id=call_id),
        quirks=COMPATIBLE,
    )
    assert messages[1]["tool_calls"][0]["id"] == messages[2]["tool_call_id"] == call_id


def test_half_a_surrogate_pair_does_not_stop_a_request():
    messages = sent(
        user_message("0", "x\ud800y"),
        expert(called(path="\udfff")),
        answered(text("\ud800")),
        user(text("\ud800"), ImageUrlPart(url="https://x.test/a.png", mime_type="image/png")),
    )
    assert messages[0]["content"] == "x?y"
    assert messages[3]["content"][0]["text"] == "?"


def test_each_message_is_encoded_once_in_the_life_of_its_history(monkeypatch):
    seen = []
    encode = openai_chat_body.encode_message
    monkeypatch.setattr(
        openai_chat_body,
        "encode_message",
        lambda message, form: seen.append(message.id) or encode(message, form),
    )
    history = History([user_message("0", "go")])
    for step in range(5):
        body(history)
        history = history.append(expert(text("on")), user_message(str(step + 1), "more"))
    body(history)
    assert [each for each in seen if each != "e"] == ["0", "1", "2", "3", "4", "5"]


def test_the_forms_of_two_models_do_not_mix():
    history = History([user(ImageUrlPart(url="https://x.test/a.png", mime_type="image/png"))])
    seeing, blind = sent(history), sent(history, info=BLIND)
    assert seeing != blind
    assert sent(history) == seeing


def anything():
    return st.sampled_from(
        [user(text("Hi")), user(), expert(text("Hm")), expert(called()), expert(), answered()]
    )


@given(
    st.lists(anything(), min_size=1, max_size=30),
    st.lists(anything(), max_size=4),
    st.sampled_from(EVERY_SERVER),
)
def test_a_request_is_the_same_whatever_was_asked_before_it(messages, others, quirks):
    grown = History()
    for index, message in enumerate(messages):
        grown = grown.append(message)
        again = History(messages[: index + 1])
        assert raw_body(grown, quirks=quirks) == raw_body(again, quirks=quirks)
        forked = grown.append(*others)
        fresh = History([*messages[: index + 1], *others])
        assert raw_body(forked, quirks=quirks) == raw_body(fresh, quirks=quirks)
        assert raw_body(grown, quirks=quirks) == raw_body(again, quirks=quirks)


@pytest.fixture(scope="module")
def vendor_types():
    """The vendor's own types of a streamed request, checked strictly."""
    pytest.importorskip("openai")
    from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
    from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming

    return {
        "whole": pydantic.TypeAdapter(CompletionCreateParamsStreaming),
        "messages": pydantic.TypeAdapter(list[ChatCompletionMessageParam]),
        "tools": pydantic.TypeAdapter(list[ChatCompletionToolParam]),
    }


def known(value: Any) -> Any:
    """Every list in `value`, read to its end: the vendor's types leave iterators unread."""
    if isinstance(value, dict):
        return {key: known(each) for key, each in value.items()}
    if isinstance(value, str | bytes | int | float | None):
        return value
    return [known(each) for each in value]


@settings(max_examples=60, deadline=None)
@given(
    messages=conversations(),
    server=st.sampled_from([OPENAI, AZURE, AZURE_DEPLOYMENT]),
    info=st.sampled_from([None, PLAIN, BLIND, REASONER, SWITCHABLE]),
    tool_choice=st.sampled_from(["auto", "none"]),
)
def test_the_vendors_own_types_accept_every_request(
    vendor_types, messages, server, info, tool_choice
):
    asked = body(
        *messages, quirks=server, info=info, tools=TOOLS, tool_choice=tool_choice, cache_key="k"
    )
    assert known(vendor_types["whole"].validate_python(asked)) == asked
    assert known(vendor_types["messages"].validate_python(asked["messages"])) == asked["messages"]
    assert known(vendor_types["tools"].validate_python(asked["tools"])) == asked["tools"]


@settings(max_examples=60, deadline=None)
@given(messages=conversations(), server=st.sampled_from(EVERY_SERVER))
def test_every_call_is_followed_by_its_answers_and_roles_take_turns(messages, server):
    asked = sent(*messages, quirks=server, tools=TOOLS)
    for place, message in enumerate(asked):
        calls = [call["id"] for call in message.get("tool_calls", ())]
        answers = asked[place + 1 : place + 1 + len(calls)]
        assert [answer.get("tool_call_id") for answer in answers] == calls
        if place and message["role"] == "user":
            assert asked[place - 1]["role"] != "user"
    assert asked[-1]["role"] != "assistant"


def test_what_a_request_costs_does_not_grow_with_what_was_said_before():
    """Work is counted in messages joined, not in time: the settled ones are never touched."""
    history = History([user_message("0", "go")])
    for step in range(100):
        history = history.append(
            expert(called(call_id=f"c{step}")), answered(text("x" * 500), call_id=f"c{step}")
        )
        raw_body(history)
    joined = []
    original = openai_chat_body._joined
    try:
        openai_chat_body._joined = lambda group: joined.append(len(group)) or original(group)
        history = history.append(
            expert(called(call_id="last")), answered(text("y"), call_id="last")
        )
        raw_body(history)
    finally:
        openai_chat_body._joined = original
    assert joined == [2, 2]


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string"}, '"type"'),
        ({"properties": {}}, '"type"'),
        ({"type": ["object", "null"]}, '"type"'),
        *(
            ({"type": "object", "properties": {}, keyword: []}, f'"{keyword}"')
            for keyword in ("oneOf", "anyOf", "allOf", "enum", "not")
        ),
        ({"type": "object", "properties": {"a/b": {"type": "array"}}}, "/properties/a~1b"),
        (
            {
                "type": "object",
                "properties": {"a": {"anyOf": [{"type": "null"}, {"type": "array"}]}},
            },
            "/properties/a/anyOf/1",
        ),
        (
            {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "array"}}}},
            "/properties/a/items",
        ),
    ],
)
def test_a_schema_that_the_vendor_refuses_is_told_with_its_tool_skill_and_keyword(schema, words):
    failure = schema_problem((tool("fine"), tool("odd", schema=schema)))
    assert failure is not None
    assert failure.error.name == "UnsupportedToolSchema"
    assert not failure.error.is_retryable
    for part in ("'odd'", "'@perstack/base'", words):
        assert part in failure.error.message


def test_a_schema_with_alternatives_below_its_top_is_fine_however_deep():
    schema: dict[str, Any] = {"anyOf": [{"type": "string"}, {"not": {"enum": [1]}}]}
    for _ in range(5_000):
        schema = {"type": "object", "properties": {"a": schema, "items": True}}
    assert schema_problem((tool("a", schema=schema),)) is None
