"""A conversation to read."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perstack.schema.message import (
    ExpertMessage,
    FileUrlPart,
    ImageBinaryPart,
    ImageInlinePart,
    InstructionMessage,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolMessage,
    ToolResultPart,
    UserMessage,
    user_message,
)
from perstack.views.plain import plain
from perstack.views.transcript import transcript_of
from views.played import play, thoughtful


@pytest.mark.anyio
async def test_a_conversation_reads_in_order() -> None:
    state = (await play(thoughtful())).live[-1].after
    text = transcript_of(state.all_messages)
    assert re.findall("^## .*$", text, re.MULTILINE)[:5] == [
        "## Instruction",
        "## User",
        "## Expert",
        "## Tools",
        "## Expert",
    ]
    assert "> Thinks: Where?\n\nI look.\n\nCalls `look`\n\n```json\n{\n" in text
    assert "`look` answered\n\n```\nsaw x\n```" in text
    assert "`broken` failed\n\n```\nRuntimeError: it is broken\n```" in text
    assert "opaque" not in text


def test_thinking_without_words_is_not_told() -> None:
    mark = ThinkingPart(thinking="", signature="openai-responses:{}")
    message = ExpertMessage(id="e", contents=(mark, TextPart(text="Hello.")))
    assert transcript_of([message]) == "## Expert\n\nHello."


def test_media_is_told_and_not_shown() -> None:
    message = UserMessage(
        id="m",
        contents=(
            ImageInlinePart(encoded_data="AAAA", mime_type="image/png"),
            ImageBinaryPart(data=b"1", mime_type="image/gif"),
            FileUrlPart(url="https://example.com/a.pdf", mime_type="application/pdf"),
        ),
    )
    assert transcript_of([message]) == (
        "## User\n\n(image/png, 3 bytes)\n\n(image/gif, 1 byte)\n\n"
        "(application/pdf at `https://example.com/a.pdf`)"
    )


def test_parts_are_capped() -> None:
    text = transcript_of([user_message("m", "x" * 100)], limit=10)
    assert text == "## User\n\n" + "x" * 9 + "…"


TEXT = st.text(max_size=30) | st.sampled_from(
    ["```", "a\n````\n## User\n", "## User", " ##  Tools ", "\x1b[2J", "> x", "`", "\r## Expert"]
)


@given(TEXT, TEXT)
def test_no_text_passes_for_another_message_or_leaves_its_fence(text: str, name: str) -> None:
    messages = [
        InstructionMessage(id="0", contents=(TextPart(text=text),)),
        ExpertMessage(
            id="1",
            contents=(
                ThinkingPart(thinking=text),
                TextPart(text=text),
                ToolCallPart(tool_call_id="c", tool_name=name, args={text: text}),
            ),
        ),
        ToolMessage(
            id="2",
            contents=(
                ToolResultPart(tool_call_id="c", tool_name=name, contents=(TextPart(text=text),)),
            ),
        ),
    ]
    shown = transcript_of(messages)
    assert plain(shown) == shown
    outside: list[str] = []
    fence = ""
    in_text = 0
    for line in shown.split("\n"):
        opened = re.fullmatch("(`{3,})(json)?", line)
        if fence:
            fence = "" if line == fence else fence
        elif opened and outside and re.match("(Calls )?`", outside[-1] or outside[-2]):
            fence = opened[1]
            in_text += 1
        else:
            outside.append(line)
    assert fence == ""
    headings = [
        line for line in outside if re.match(r"\s*##\s+(Instruction|User|Expert|Tools)\s*$", line)
    ]
    assert headings == ["## Instruction", "## Expert", "## Tools"]
