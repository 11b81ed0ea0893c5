"""Conversations as a run can have them, for tests that hold for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from perstack.schema.message import (
    ExpertMessage,
    ExpertPart,
    FileInlinePart,
    ImageInlinePart,
    Message,
    ResultPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolMessage,
    ToolResultPart,
    UserMessage,
)
from perstack.schema.tool import ToolDefinition

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=40)
said = words.filter(lambda text: bool(text.strip()))
encoded = st.binary(min_size=1, max_size=12).map(
    lambda raw: __import__("base64").b64encode(raw).decode()
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
arguments: SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.sampled_from(["path", "text", "options", "n"]), values, max_size=3
)

TOOLS = tuple(
    ToolDefinition(
        skill_name="tools",
        name=name,
        description=f"What {name} does.",
        input_schema={
            "type": "object",
            "properties": {"path": {"type": "string"}, "n": {"type": ["integer", "null"]}},
            "required": ["path"],
        },
    )
    for name in ("readTextFile", "search_pages", "list-all")
)
names = st.sampled_from([tool.name for tool in TOOLS])


@st.composite
def images(draw: DrawFn) -> ResultPart:
    """A picture."""
    return ImageInlinePart(encoded_data=draw(encoded), mime_type="image/png")


@st.composite
def documents(draw: DrawFn) -> ResultPart:
    """A PDF."""
    return FileInlinePart(encoded_data=draw(encoded), mime_type="application/pdf")


texts: SearchStrategy[ResultPart] = said.map(lambda text: TextPart(text=text))


@st.composite
def conversations(
    draw: DrawFn,
    *,
    sign: Callable[[str, str], str] | None = None,
    media: bool = True,
    errors: bool = True,
) -> tuple[Message, ...]:
    """A user's query, any number of replies with their answers, and the user's word at times.

    `sign` makes the proof of a thought out of a name and its words; without it there are none.
    """
    parts: SearchStrategy[ResultPart] = st.one_of(texts, images()) if media else texts
    messages: list[Message] = [_user(draw, 0, parts)]
    for turn in range(draw(st.integers(0, 4))):
        reply = _reply(draw, turn, sign)
        messages.append(reply)
        if reply.calls:
            messages.append(_answers(draw, reply, parts, errors=errors))
            if draw(st.integers(0, 3)) == 0:
                messages.append(_user(draw, turn + 1, texts))
        else:
            messages.append(_user(draw, turn + 1, parts))
    return tuple(messages)


def _user(draw: DrawFn, turn: int, parts: SearchStrategy[ResultPart]) -> UserMessage:
    contents = (draw(texts), *draw(st.lists(parts, max_size=2)))
    return UserMessage(id=f"u{turn}", contents=contents)


def _reply(draw: DrawFn, turn: int, sign: Callable[[str, str], str] | None) -> ExpertMessage:
    contents: list[ExpertPart] = []
    if sign is not None and draw(st.booleans()):
        thought = draw(said)
        contents.append(ThinkingPart(thinking=thought, signature=sign(f"proof{turn}", thought)))
    calls = draw(st.integers(0, 3))
    if not calls or draw(st.booleans()):
        contents.append(TextPart(text=draw(said)))
    contents += [
        ToolCallPart(
            tool_call_id=f"call_{turn}_{place}", tool_name=draw(names), args=draw(arguments)
        )
        for place in range(calls)
    ]
    return ExpertMessage(id=f"e{turn}", contents=tuple(contents))


def _answers(
    draw: DrawFn, reply: ExpertMessage, parts: SearchStrategy[ResultPart], *, errors: bool
) -> ToolMessage:
    return ToolMessage(
        id=f"t-{reply.id}",
        contents=tuple(
            ToolResultPart(
                tool_call_id=call.tool_call_id,
                tool_name=call.tool_name,
                contents=(draw(texts), *draw(st.lists(parts, max_size=1))),
                is_error=errors and draw(st.integers(0, 4)) == 0,
            )
            for call in reply.calls
        ),
    )
