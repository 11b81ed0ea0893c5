"""The body of a Messages request.

https://docs.claude.com/en/api/messages
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from msgspec.structs import replace

from perstack.providers import GenerateRequest
from perstack.providers.anthropic_limits import TokenLimits, token_limits
from perstack.providers.wire import PDF, SILENCE, encode_json, media_of, wire_name
from perstack.schema.history import History
from perstack.schema.message import (
    ExpertMessage,
    ExpertPart,
    Json,
    MediaPart,
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

WIRE = "anthropic"
CACHED_TURNS = 2
"""The newest one, and the one the request before this one ended with."""

_CACHE = b',"cache_control":{"type":"ephemeral"}}'
_SILENCE = encode_json({"type": "text", "text": SILENCE})


class Turn(NamedTuple):
    """One message as encoded content blocks.

    `results` stand before `blocks`, because the vendor wants the answers to its calls
    first. Messages that say nothing to the model have neither.
    """

    role: Literal["user", "assistant"]
    results: tuple[bytes, ...]
    blocks: tuple[bytes, ...]
    is_thinking: bool = False


def request_body(request: GenerateRequest) -> bytes:
    """The JSON that asks for one streamed reply.

    Each message is encoded once in its history's life. Four places are marked for the
    vendor's cache: the tools, the instruction and the newest two turns of the user.
    """
    limits = token_limits(request.model, request.reasoning_budget)
    turns = _turns(request.messages)
    pieces: list[bytes | bytearray] = [b'{"model":', encode_json(request.model), b',"stream":true']
    pieces += _generation(limits, turns)
    pieces += fixed_part(request.instruction, request.tools, request.tool_choice)
    pieces += [b',"messages":[', *_messages(request.messages, turns), b"]}"]
    return b"".join(pieces)


def fixed_part(
    instruction: str, tools: tuple[ToolDefinition, ...], tool_choice: str
) -> list[bytes]:
    """Tools and instruction, which a run's requests have in common."""
    pieces: list[bytes] = []
    if tools:
        pieces += [b',"tool_choice":{"type":"', tool_choice.encode(), b'"},"tools":[']
        encoded = b",".join(_tool(tool) for tool in tools)
        pieces += [encoded[:-1], _CACHE, b"]"]
    if instruction.strip():
        pieces += [b',"system":[{"type":"text","text":', encode_json(instruction), _CACHE, b"]"]
    return pieces


def encode_message(message: Message) -> Turn:
    """One message as the vendor's content blocks. Depends on the message alone."""
    match message:
        case UserMessage():
            blocks = _content(message.contents)
            return Turn("user", (), blocks or (_SILENCE,))
        case ExpertMessage():
            parts = [block for part in message.contents if (block := _said(part))]
            is_thinking = bool(parts) and parts[0]["type"] in ("thinking", "redacted_thinking")
            return Turn("assistant", (), tuple(map(encode_json, parts)), is_thinking)
        case ToolMessage():
            return Turn("user", tuple(map(_result, message.contents)), ())
        case _:  # the instruction travels beside the messages
            return Turn("user", (), ())


class Stale:
    """How many messages, from the first one on, go without the thinking in them."""

    def __init__(self) -> None:
        self.count = 0


def drop_thinking(history: History) -> bool:
    """Send no thinking that is in `history` any more; False where none was sent as it is.

    The newer models bind a thought to the model and the conversation before it, and
    refuse it where either has changed: when a job is continued with another model,
    say, or when its Expert's instruction is another one today.
    """
    turns = _turns(history)
    history.kept(f"{WIRE} stale", Stale).count = len(history)
    return turns != _turns(history)


def _turns(history: History) -> list[Turn]:
    turns = history.encoded(WIRE, encode_message)
    if count := history.kept(f"{WIRE} stale", Stale).count:
        turns[:count] = history.encoded(f"{WIRE} unthinking", _unthinking)[:count]
    return turns


def _unthinking(message: Message) -> Turn:
    if not isinstance(message, ExpertMessage):
        return encode_message(message)
    said = tuple(part for part in message.contents if not isinstance(part, ThinkingPart))
    return encode_message(replace(message, contents=said))


class Settled:
    """The encoded form of the first `count` messages, which no later request changes.

    A request marks its newest turns for the vendor's cache; what lies before them is
    the same bytes in every later request, so it is joined once.
    """

    def __init__(self) -> None:
        self.count = 0
        self.body = bytearray()


def _messages(history: History, turns: list[Turn]) -> list[bytes | bytearray]:
    """Turns of alternating roles, the first and the last being the user's."""
    stale = history.kept(f"{WIRE} stale", Stale).count
    settled = history.kept(f"{WIRE} settled {stale}", Settled)
    boundary = _boundary(turns)
    if settled.count > boundary:
        settled = Settled()
    for group in _merged(turns[settled.count : boundary], is_first=settled.count == 0):
        settled.body += _encoded(*group)
    settled.count = boundary
    newest = _merged(turns[boundary:], is_first=boundary == 0)
    if not newest or newest[-1][0] != "user":
        newest.append(("user", [], [_SILENCE]))
    cached = 0
    for said, results, blocks in reversed(newest):
        if said == "user" and cached < CACHED_TURNS:
            cached += 1
            last = blocks or results
            last[-1] = last[-1][:-1] + _CACHE
    last_turn = _encoded(*newest.pop())[:-1]  # no comma behind it
    return [settled.body, *(_encoded(*group) for group in newest), last_turn]


def _boundary(turns: list[Turn]) -> int:
    """Where the newest turns begin: the ones to mark, and one more, at a change of role."""
    changes = 0
    role = ""
    for index in range(len(turns) - 1, -1, -1):
        turn = turns[index]
        if not turn.results and not turn.blocks:
            continue
        if role and turn.role != role:
            changes += 1
            if changes > 2 * CACHED_TURNS:
                return index + 1
        role = turn.role
    return 0


def _merged(turns: list[Turn], *, is_first: bool) -> list[tuple[str, list[bytes], list[bytes]]]:
    """Neighbours of one role as one. A conversation that begins with a reply gets a user before."""
    merged: list[tuple[str, list[bytes], list[bytes]]] = []
    role = ""
    for turn in turns:
        if not turn.results and not turn.blocks:
            continue
        if turn.role != role:
            role = turn.role
            if is_first and not merged and role == "assistant":
                merged.append(("user", [], [_SILENCE]))
            merged.append((role, [], []))
        merged[-1][1].extend(turn.results)
        merged[-1][2].extend(turn.blocks)
    return merged


def _encoded(role: str, results: list[bytes], blocks: list[bytes]) -> bytes:
    """One turn, with the comma that parts it from the next one."""
    opening = _USER if role == "user" else _ASSISTANT
    return b"".join((opening, b",".join(results + blocks), b"]},"))


_USER = b'{"role":"user","content":['
_ASSISTANT = b'{"role":"assistant","content":['


def _generation(limits: TokenLimits, turns: list[Turn]) -> list[bytes]:
    """How much may be written, and how much thought."""
    pieces = [b',"max_tokens":%d' % limits.max_tokens]
    if limits.off:
        pieces.append(b',"thinking":{"type":"%s"}' % limits.off.encode())
    elif limits.effort:
        pieces.append(b',"thinking":{"type":"adaptive","display":"summarized"}')
        pieces.append(b',"output_config":{"effort":"%s"}' % limits.effort.encode())
    elif limits.thinking and _may_think(turns):
        pieces.append(b',"thinking":{"type":"enabled","budget_tokens":%d}' % limits.thinking)
    return pieces


def _may_think(turns: list[Turn]) -> bool:
    """Whether the vendor accepts thinking here.

    It refuses to start in the middle of a tool loop, whose first reply must be a thought.
    """
    first: Turn | None = None
    for turn in reversed(turns):
        if turn.role == "assistant" and turn.blocks:
            first = turn
        elif turn.blocks:
            break
    return first is None or first.is_thinking


def _tool(tool: ToolDefinition) -> bytes:
    shown: Json = {"name": wire_name(tool.name)}
    if tool.description.strip():
        shown["description"] = tool.description
    return encode_json(shown | {"input_schema": tool.input_schema})


def _said(part: ExpertPart) -> Json | None:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text} if part.text.strip() else None
        case ThinkingPart(redacted=True, signature=None):
            return {"type": "redacted_thinking", "data": part.thinking}
        case ThinkingPart():
            if not part.signature or ":" in part.signature:
                return None  # unsigned, or signed by another vendor: it would be refused
            return {"type": "thinking", "thinking": part.thinking, "signature": part.signature}
        case ToolCallPart():
            called = {"id": wire_name(part.tool_call_id), "name": wire_name(part.tool_name)}
            return {"type": "tool_use", **called, "input": part.args}


def _result(part: ToolResultPart) -> bytes:
    shown: Json = {"type": "tool_result", "tool_use_id": wire_name(part.tool_call_id)}
    if part.is_error:
        shown["is_error"] = True
    blocks = _content(part.contents)
    if not blocks:
        return encode_json(shown)
    return encode_json(shown)[:-1] + b',"content":[' + b",".join(blocks) + b"]}"


def _content(parts: tuple[ResultPart, ...]) -> tuple[bytes, ...]:
    blocks = [
        ({"type": "text", "text": part.text} if part.text.strip() else None)
        if isinstance(part, TextPart)
        else _media(part)
        for part in parts
    ]
    return tuple(encode_json(block) for block in blocks if block)


def _media(part: MediaPart) -> Json:
    """An image or a document; words in its place where the vendor reads no such type."""
    media = media_of(part)
    source: Json = {"type": "url", "url": media.url}
    if not media.url:
        source = {"type": "base64", "media_type": media.mime_type, "data": media.data}
    if media.is_image:
        return {"type": "image", "source": source}
    if media.mime_type == PDF:
        return {"type": "document", "source": source}
    return {"type": "text", "text": media.words}
