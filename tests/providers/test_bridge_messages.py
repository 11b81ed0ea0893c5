from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("pydantic_ai")

from pydantic_ai import messages as theirs

from perstack.providers.bridge_messages import (
    Translator,
    pydantic_messages,
)
from perstack.providers.bridge_proof import Proof, carrier, proof_of
from perstack.schema.history import History
from perstack.schema.message import (
    ExpertMessage,
    FileBinaryPart,
    FileInlinePart,
    FileUrlPart,
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


def translated(*messages, wire="w", **fields) -> Any:
    return Translator(wire, "vendor", **fields).messages(History(messages))


def expert(*parts):
    return ExpertMessage(id="e", contents=parts)


def result(call_id="c1", *parts):
    return ToolResultPart(tool_call_id=call_id, tool_name="read", contents=parts)


GO = user_message("0", "go")
CALL = ToolCallPart(tool_call_id="c1", tool_name="read", args={"n": 1})


def test_a_conversation_ends_with_the_user():
    said = translated(GO, expert(TextPart(text="Yes.")))
    assert isinstance(said[-1], theirs.ModelRequest)
    (prompt,) = said[-1].parts
    assert isinstance(prompt, theirs.UserPromptPart)
    assert prompt.content == "(no text)"


def test_the_instruction_is_no_message():
    said = translated(InstructionMessage(id="i", contents=(TextPart(text="Be."),)), GO)
    assert len(said) == 1


def test_blank_words_are_said_as_none():
    (request,) = translated(UserMessage(id="u", contents=(TextPart(text=" \n"),)))
    assert request.parts[0].content == ["(no text)"]
    answers = ToolMessage(id="t", contents=(result("c1", TextPart(text="")),))
    said = translated(GO, expert(CALL, TextPart(text=" ")), answers)
    assert [type(part) for part in said[1].parts] == [theirs.ToolCallPart]
    assert said[2].parts[0].content == "(no text)"


def test_neighbouring_answers_are_one_request():
    answers = [ToolMessage(id=f"t{n}", contents=(result(f"c{n}"),)) for n in range(3)]
    said = translated(GO, expert(CALL), *answers, user_message("1", "on"))
    assert [len(message.parts) for message in said] == [1, 1, 3, 1]


def test_a_history_is_not_changed_by_being_translated():
    """What is kept for its messages is used again, and must not have grown."""
    answers = [ToolMessage(id=f"t{n}", contents=(result(f"c{n}"),)) for n in range(2)]
    history = History((GO, expert(CALL), *answers))
    shapes = [
        [len(message.parts) for message in Translator("w", "vendor").messages(history)]
        for _ in range(2)
    ]
    assert shapes == [[1, 1, 2]] * 2


@pytest.mark.parametrize(
    "signature", [None, "c2lnbmVk", "other:{}", "w:not json", 'w:{"of":"nothing"}']
)
def test_a_thought_without_a_proof_of_the_same_wire_is_not_said(signature):
    thought = ThinkingPart(thinking="secret", signature=signature)
    said = translated(GO, expert(thought, TextPart(text="Yes.")))
    assert [type(part) for part in said[1].parts] == [theirs.TextPart]


def test_a_proof_goes_back_in_the_vendors_name():
    thought = carrier("w", Proof(signature="s", id="i", details={"x": 1}), "Hm.")
    (part,) = translated(GO, expert(thought))[1].parts
    assert part == theirs.ThinkingPart(
        "Hm.", id="i", signature="s", provider_name="vendor", provider_details={"x": 1}
    )


def test_a_mark_belongs_to_the_part_behind_it():
    mark = carrier("w", Proof(of="call", call_id="c1", details={"x": 1}))
    other = ToolCallPart(tool_call_id="c2", tool_name="read", args={})
    said = translated(GO, expert(mark, CALL, other))[1].parts
    assert [part.provider_details for part in said] == [{"x": 1}, None]
    moved = translated(GO, expert(mark, other, CALL))[1].parts
    assert [part.provider_details for part in moved] == [None, None]


def test_thoughts_are_left_out_where_a_model_takes_none_back():
    thought = carrier("w", Proof(signature="s"), "Hm.")
    said = translated(GO, expert(thought, TextPart(text="Yes.")), takes_thoughts=False)
    assert [type(part) for part in said[1].parts] == [theirs.TextPart]


def test_anthropics_own_signatures_stand_as_they_came():
    thoughts = expert(
        ThinkingPart(thinking="Hm.", signature="c2ln"),
        ThinkingPart(thinking="b3BhcXVl", redacted=True),
        ThinkingPart(thinking="No.", signature="other:c2ln"),
    )
    said: Any = pydantic_messages(History((GO, thoughts)), wire="anthropic", system="anthropic")
    assert [(part.content, part.signature, part.id) for part in said[1].parts] == [
        ("Hm.", "c2ln", None),
        ("", "b3BhcXVl", "redacted_thinking"),
    ]


@pytest.mark.parametrize(("length", "given"), [(0, "call_1"), (9, "AbCdE1234")])
def test_an_id_that_fits_is_left_alone(length, given):
    call = ToolCallPart(tool_call_id=given, tool_name="read", args={})
    (part,) = translated(GO, expert(call), id_length=length)[1].parts
    assert part.tool_call_id == given


def test_ids_of_another_vendor_are_fitted_alike_in_calls_and_answers():
    answers = ToolMessage(id="t", contents=(result("c1", TextPart(text="x")),))
    said = translated(GO, expert(CALL), answers, id_length=9)
    ids = {message.parts[0].tool_call_id for message in said[1:]}
    (fitted,) = ids
    assert len(fitted) == 9
    assert fitted.isalnum()


def test_media_are_given_as_what_they_are():
    parts = (
        ImageUrlPart(url="https://h/x.png", mime_type="image/png"),
        FileUrlPart(url="https://h/x.pdf", mime_type="application/pdf"),
        FileInlinePart(encoded_data="aGk=", mime_type="text/plain"),
        FileBinaryPart(data=b"x", mime_type="application/zip"),
    )
    (request,) = translated(UserMessage(id="u", contents=parts))
    content = request.parts[0].content
    assert isinstance(content[0], theirs.ImageUrl)
    assert isinstance(content[1], theirs.DocumentUrl)
    assert content[2] == "hi"
    assert "application/zip" in content[3]


def test_a_carrier_gives_its_proof_to_its_own_wire_alone():
    part = carrier("w", Proof(of="text", id="i"))
    assert proof_of("w", part) == Proof(of="text", id="i")
    assert proof_of("v", part) is None
