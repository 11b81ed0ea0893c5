import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perstack.providers import GenerateRequest
from perstack.providers.anthropic_body import request_body
from perstack.providers.anthropic_limits import token_limits
from perstack.providers.wire import encode_json, wire_name
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

CACHE = {"type": "ephemeral"}
SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "$comment": "kept"}


def body(*messages: Any, **fields: Any) -> dict[str, Any]:
    fields = {"model": "claude-sonnet-4-5", "instruction": "Be brief."} | fields
    history = messages[0] if messages and isinstance(messages[0], History) else History(messages)
    return json.loads(request_body(GenerateRequest(messages=history, **fields)))


def user(*parts) -> UserMessage:
    return UserMessage(id="u", contents=parts)


def expert(*parts) -> ExpertMessage:
    return ExpertMessage(id="e", contents=parts)


def text(words: str) -> TextPart:
    return TextPart(text=words)


def called(name: str = "readTextFile", call_id: str = "toolu_1", **args) -> ToolCallPart:
    return ToolCallPart(tool_call_id=call_id, tool_name=name, args=args)


def answered(*parts, call_id: str = "toolu_1", is_error: bool = False) -> ToolMessage:
    part = ToolResultPart(
        tool_call_id=call_id, tool_name="readTextFile", contents=parts, is_error=is_error
    )
    return ToolMessage(id="t", contents=(part,))


def tool(name: str, description: str = "Reads.") -> ToolDefinition:
    return ToolDefinition(
        skill_name="@perstack/base", name=name, description=description, input_schema=SCHEMA
    )


def unmarked(value: Any) -> Any:
    """The same JSON without cache marks."""
    if isinstance(value, dict):
        return {key: unmarked(item) for key, item in value.items() if key != "cache_control"}
    return [unmarked(item) for item in value] if isinstance(value, list) else value


def marks(value) -> int:
    if isinstance(value, dict):
        return ("cache_control" in value) + sum(map(marks, value.values()))
    return sum(map(marks, value)) if isinstance(value, list) else 0


def roles(sent: dict) -> list[str]:
    return [message["role"] for message in sent["messages"]]


def test_a_whole_request_has_every_part_in_its_place():
    sent = body(user_message("m", "Hello"), tools=(tool("readTextFile"),), reasoning_budget="none")
    assert sent == {
        "model": "claude-sonnet-4-5",
        "stream": True,
        "max_tokens": 64_000,
        "tool_choice": {"type": "auto"},
        "tools": [
            {
                "name": "readTextFile",
                "description": "Reads.",
                "input_schema": SCHEMA,
                "cache_control": CACHE,
            }
        ],
        "system": [{"type": "text", "text": "Be brief.", "cache_control": CACHE}],
        "messages": [
            {
                "role": "user",
                "content": [{"type": "text", "text": "Hello", "cache_control": CACHE}],
            }
        ],
    }


def test_without_tools_there_is_no_tool_choice_either():
    sent = body(user_message("m", "Hello"), tool_choice="none")
    assert "tools" not in sent
    assert "tool_choice" not in sent


def test_tools_are_still_sent_when_none_may_be_called():
    sent = body(user_message("m", "Hi"), tools=(tool("a"),), tool_choice="none")
    assert sent["tool_choice"] == {"type": "none"}
    assert len(sent["tools"]) == 1


def test_an_empty_instruction_is_left_out():
    assert "system" not in body(user_message("m", "Hi"), instruction=" \n")


def test_neighbours_of_one_role_become_one_turn_with_tool_results_first():
    sent = body(
        user_message("1", "a"),
        expert(text("b"), called("x", "t1"), called("y", "t2")),
        answered(text("c"), call_id="t1"),
        user_message("2", "feedback"),
        answered(text("d"), call_id="t2"),
        user_message("3", "e"),
    )
    assert roles(sent) == ["user", "assistant", "user"]
    last = unmarked(sent["messages"][2]["content"])
    assert [block["type"] for block in last] == ["tool_result", "tool_result", "text", "text"]
    assert [block["tool_use_id"] for block in last[:2]] == ["t1", "t2"]


def test_the_cache_marks_are_the_instruction_the_last_tool_and_the_newest_two_turns():
    history = [user_message("0", "go")]
    for step in range(6):
        history += [
            expert(called(call_id=f"t{step}")),
            answered(text("x"), text("y"), call_id=f"t{step}"),
        ]
    sent = body(*history, tools=(tool("a"), tool("b")))
    assert marks(sent) == 4
    assert [marks(each) for each in sent["tools"]] == [0, 1]
    marked = [index for index, message in enumerate(sent["messages"]) if marks(message)]
    assert marked == [10, 12]
    assert sent["messages"][12]["content"][-1]["cache_control"] == CACHE


def test_the_prefix_of_a_longer_request_is_that_of_the_shorter_one():
    messages = [user_message("0", "go")]
    earlier = body(*messages)
    messages += [expert(called()), answered(text("x"))]
    later = body(*messages)
    assert unmarked(later["messages"][:1]) == unmarked(earlier["messages"])
    assert later["messages"][0] == earlier["messages"][0]  # read back where it was written


def test_each_message_is_encoded_once_in_the_life_of_its_history(monkeypatch):
    from perstack.providers import anthropic_body

    seen = []
    encode = anthropic_body.encode_message
    monkeypatch.setattr(
        anthropic_body, "encode_message", lambda message: seen.append(message.id) or encode(message)
    )
    history = History([user_message("0", "go")])
    for step in range(5):
        body(history)
        history = history.append(user_message(str(step + 1), "more"))
    body(history)
    assert seen == ["0", "1", "2", "3", "4", "5"]


def test_thinking_goes_back_unchanged_with_its_signature():
    sent = body(
        user_message("0", "go"),
        expert(
            ThinkingPart(thinking="Hm.", signature="sig=="),
            ThinkingPart(thinking="opaque==", redacted=True),
            ThinkingPart(thinking="", signature="hidden"),
            ThinkingPart(thinking="unsigned"),
            called(),
        ),
        answered(text("x")),
    )
    assert sent["messages"][1]["content"][:3] == [
        {"type": "thinking", "thinking": "Hm.", "signature": "sig=="},
        {"type": "redacted_thinking", "data": "opaque=="},
        {"type": "thinking", "thinking": "", "signature": "hidden"},
    ]
    assert [block["type"] for block in sent["messages"][1]["content"][3:]] == ["tool_use"]


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (
            ImageInlinePart(encoded_data="QUJD", mime_type="image/png"),
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"},
            },
        ),
        (
            ImageBinaryPart(data=b"ABC", mime_type="image/jpg"),
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/jpeg", "data": "QUJD"},
            },
        ),
        (
            ImageUrlPart(url="https://x.test/a.png", mime_type="image/png"),
            {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}},
        ),
        (
            FileInlinePart(encoded_data="QUJD", mime_type="application/pdf"),
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "QUJD"},
            },
        ),
        (
            FileUrlPart(url="https://x.test/a.pdf", mime_type="application/pdf"),
            {"type": "document", "source": {"type": "url", "url": "https://x.test/a.pdf"}},
        ),
        (
            FileBinaryPart(data="wörter".encode(), mime_type="text/plain"),
            {"type": "text", "text": "wörter"},
        ),
        (
            FileBinaryPart(data=b"\0", mime_type="application/zip"),
            {
                "type": "text",
                "text": "(a file of type application/zip, which the model cannot read)",
            },
        ),
    ],
)
def test_images_and_documents_travel_in_messages_and_in_tool_results(part, block):
    assert unmarked(body(user(part)))["messages"][0]["content"] == [block]
    sent = body(user_message("0", "go"), expert(called()), answered(part))
    assert unmarked(sent["messages"][2]["content"][0])["content"] == [block]


def test_a_failed_tool_says_so():
    sent = body(user_message("0", "go"), expert(called()), answered(text("no"), is_error=True))
    assert sent["messages"][2]["content"][0]["is_error"] is True


def test_an_empty_tool_result_has_no_content():
    sent = unmarked(body(user_message("0", "go"), expert(called()), answered(text(""))))
    assert sent["messages"][2]["content"] == [{"type": "tool_result", "tool_use_id": "toolu_1"}]


def test_empty_text_is_dropped_and_an_empty_reply_with_it():
    sent = body(
        user_message("0", "go"),
        expert(text(""), text(" \n")),
        user(text("You said nothing."), text("")),
    )
    assert roles(sent) == ["user"]
    assert [block["text"] for block in sent["messages"][0]["content"]] == [
        "go",
        "You said nothing.",
    ]


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
def test_every_history_starts_and_ends_with_words_of_the_user(messages):
    sent = body(*messages)
    assert roles(sent)[0] == roles(sent)[-1] == "user"
    assert all(
        block.get("text", "x").strip()
        for message in sent["messages"]
        for block in message["content"]
    )


def test_odd_tool_names_and_ids_become_names_the_vendor_accepts_everywhere_alike():
    name = "résumé/search files" + "x" * 80
    sent = body(
        user_message("0", "go"),
        expert(called(name, "call:1|a")),
        answered(text("x"), call_id="call:1|a"),
        tools=(tool(name),),
    )
    shown = sent["tools"][0]["name"]
    used = sent["messages"][1]["content"][0]
    assert used["name"] == shown == wire_name(name)
    assert used["id"] == sent["messages"][2]["content"][0]["tool_use_id"] != "call:1|a"


@given(st.text(max_size=100))
def test_every_name_has_one_form_the_vendor_accepts(name):
    shown = wire_name(name)
    assert 1 <= len(shown) <= 64
    assert shown.isascii()
    assert shown.replace("-", "_").replace("_", "a").isalnum()
    assert wire_name(shown) == shown


def test_names_that_look_alike_on_the_wire_stay_apart():
    assert wire_name("a b") != wire_name("a.b") != wire_name("a_b")


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_any_text_makes_valid_json(value):
    json.loads(encode_json(value))


def test_half_a_surrogate_pair_does_not_stop_a_request():
    assert json.loads(encode_json({"a": "x\ud800y"})) == {"a": "x?y"}


@pytest.mark.parametrize(
    ("budget", "tokens"),
    [("minimal", 1024), ("low", 2048), ("medium", 5000), ("high", 10_000), (1, 1024), (3000, 3000)],
)
def test_a_budget_becomes_thinking_tokens(budget, tokens):
    sent = body(user_message("0", "go"), reasoning_budget=budget)
    assert sent["thinking"] == {"type": "enabled", "budget_tokens": tokens}
    assert sent["max_tokens"] > tokens


@pytest.mark.parametrize("budget", ["none", 0])
def test_no_budget_means_no_thinking(budget):
    assert "thinking" not in body(user_message("0", "go"), reasoning_budget=budget)


@pytest.mark.parametrize(
    "model", ["claude-opus-4-7", "claude-opus-4-8-20260601", "claude-sonnet-5"]
)
def test_newer_models_are_given_an_effort_in_place_of_a_budget(model):
    sent = body(user_message("0", "go"), model=model, reasoning_budget="medium")
    assert sent["thinking"]["type"] == "adaptive"
    assert sent["output_config"] == {"effort": "medium"}


def test_a_model_without_thinking_is_not_asked_to_think():
    sent = body(user_message("0", "go"), model="claude-3-5-haiku-latest", reasoning_budget="high")
    assert "thinking" not in sent
    assert sent["max_tokens"] == 8192


@given(st.sampled_from(["claude-sonnet-4-5", "claude-3-opus-1", "mystery"]), st.integers(0, 10**6))
def test_there_is_always_room_for_an_answer(model, budget):
    limits = token_limits(model, budget)
    assert limits.max_tokens > limits.thinking
    assert limits.thinking == 0 or limits.thinking >= 1024


def test_thinking_does_not_start_in_the_middle_of_a_tool_loop():
    thought = ThinkingPart(thinking="Hm.", signature="s")
    start = (user_message("0", "go"),)
    loop = (expert(called()), answered(text("x")))
    assert "thinking" not in body(*start, *loop)
    assert "thinking" in body(*start, expert(thought, called()), answered(text("x")), *loop)
    assert "thinking" in body(*start, *loop, user_message("1", "and now?"))


def test_a_large_image_is_not_encoded_twice():
    picture = ImageBinaryPart(data=b"\x89PNG" * 1000, mime_type="image/png")
    history = History([user(picture)])
    first = request_body(GenerateRequest(model="m", instruction="", messages=history))
    assert base64.b64encode(picture.data) in first
    kept = history.encoded("anthropic", lambda _: pytest.fail("encoded again"))
    assert len(kept) == 1


def anything():
    return st.sampled_from(
        [user(text("Hi")), user(), expert(text("Hm")), expert(called()), expert(), answered()]
    )


@given(st.lists(anything(), min_size=1, max_size=30), st.lists(anything(), max_size=4))
def test_a_request_is_the_same_whatever_was_asked_before_it(messages, others):
    grown = History()
    for index, message in enumerate(messages):
        grown = grown.append(message)
        again = History(messages[: index + 1])
        asked = [
            request_body(GenerateRequest(model="m", instruction="", messages=history))
            for history in (grown, again)
        ]
        assert asked[0] == asked[1]
        forked = grown.append(*others)
        assert request_body(GenerateRequest(model="m", instruction="", messages=forked))


@pytest.mark.parametrize(
    ("model", "thinking", "effort"),
    [
        ("claude-sonnet-5-5", {"type": "between_tools"}, None),
        ("claude-sonnet-5", {"type": "disabled"}, None),
        ("claude-opus-5", {"type": "disabled"}, None),
        ("claude-haiku-5-5", {"type": "disabled"}, None),
        ("claude-opus-5-5", {"type": "adaptive", "display": "summarized"}, "low"),
        ("claude-fable-5-1", {"type": "adaptive", "display": "summarized"}, "low"),
        ("claude-sonnet-9", {"type": "adaptive", "display": "summarized"}, "low"),
        ("claude-opus-4-8", None, None),
        ("claude-haiku-4-5", None, None),
    ],
)
def test_a_model_that_thinks_unasked_is_told_not_to_or_to_think_little(model, thinking, effort):
    sent = body(user_message("0", "go"), model=model, reasoning_budget="none")
    assert sent.get("thinking") == thinking
    assert sent.get("output_config") == (effort and {"effort": effort})
