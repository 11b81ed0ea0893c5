"""What pydantic-ai makes of a vendor's stream, as our deltas and our reply."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec
from pydantic_ai import messages as theirs  # noqa: TID253 - loaded with the first such provider

from perstack.net.redaction import Redaction
from perstack.providers import Failure, ReasoningDelta, Reply, TextDelta
from perstack.providers.bridge_proof import Proof, carrier
from perstack.providers.failure import MAX_NAME, trouble
from perstack.providers.wire import arguments, encode_json, tokens
from perstack.schema.message import ExpertPart, Json, TextPart, ThinkingPart, ToolCallPart
from perstack.schema.usage import Usage

if TYPE_CHECKING:
    from pydantic_ai.usage import RequestUsage

REASONING_COUNTS = ("reasoning_tokens", "thoughts_tokens", "reasoning")
"""Under which names the library keeps vendors' counts of reasoning."""

OVERFULL = frozenset({"model_context_window_exceeded"})
"""Vendors' finish reasons that mean there is no room to go on."""


def delta_of(event: object) -> ReasoningDelta | TextDelta | None:
    """What an event of the stream adds for the reader's eyes."""
    match event:
        case theirs.PartStartEvent(part=theirs.TextPart(content=str(text))) if text:
            return TextDelta(text=whole(text))
        case theirs.PartStartEvent(part=theirs.ThinkingPart(content=str(text))) if text:
            return ReasoningDelta(text=whole(text))
        case theirs.PartDeltaEvent(delta=theirs.TextPartDelta(content_delta=str(text))) if text:
            return TextDelta(text=whole(text))
        case theirs.PartDeltaEvent(delta=theirs.ThinkingPartDelta(content_delta=str(text))) if text:
            return ReasoningDelta(text=whole(text))
        case _:
            return None


def reply_of(
    response: theirs.ModelResponse, wire: str, names: Mapping[str, str], redaction: Redaction
) -> Reply | Failure:
    """The whole reply, or why there is none. `names` gives back the names the wire changed.

    A stream that ended without saying why has been cut. What no UTF-8 can hold is a
    question mark.
    """
    usage = usage_of(response.usage)
    if (failure := _refusal(response, redaction)) is not None:
        return msgspec.structs.replace(failure, usage=usage)
    contents: list[ExpertPart] = []
    problems: dict[str, str] = {}
    called: set[str] = set()
    for index, part in enumerate(response.parts):
        match part:
            case theirs.TextPart():
                contents += _text(part, wire)
            case theirs.ThinkingPart():
                contents += _thinking(part, wire)
            case theirs.ToolCallPart():
                contents += _call(part, wire, names, f"-{index}", called, problems)
            case _:  # a file or a tool of the vendor's, which nobody asked for
                pass
    return Reply(
        contents=tuple(contents),
        usage=usage,
        is_truncated=response.finish_reason == "length",
        problems=problems,
    )


def usage_of(counted: RequestUsage) -> Usage:
    """Tokens, as the library adds them up: its input includes what was cached."""
    reasoning = next((counted.details[n] for n in REASONING_COUNTS if n in counted.details), 0)
    input_tokens, output_tokens = tokens(counted.input_tokens), tokens(counted.output_tokens)
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        reasoning_tokens=tokens(reasoning),
        total_tokens=tokens(input_tokens + output_tokens),
        cached_input_tokens=tokens(counted.cache_read_tokens),
        cache_write_input_tokens=tokens(counted.cache_write_tokens),
    )


def _refusal(response: theirs.ModelResponse, redaction: Redaction) -> Failure | None:
    """Why `response` is no reply, under the vendor's own name for it, without secrets."""
    details = response.provider_details or {}
    vendors = str(details.get("block_reason") or details.get("finish_reason") or "")
    told = whole(redaction.line(vendors, MAX_NAME))
    reason = response.finish_reason
    if told in OVERFULL:
        message = (
            "The conversation no longer fits the model's context window: "
            "the reply was cut where it ended."
        )
        return trouble(told, message, is_retryable=False)
    if reason is None and not told:
        message = "The model's server hung up inside the stream."
        return trouble("Disconnected", message, is_retryable=True)
    if reason == "content_filter":
        message = "The vendor's filter ended the reply."
        return trouble(told or "content_filter", message, is_retryable=False)
    if reason == "error" or (reason is None and told.lower() == "malformed_tool_use"):
        message = f"The vendor gave the reply up: {told or 'it does not say why'}."
        return trouble(told or "error", message, is_retryable=True)
    return None


def _text(part: theirs.TextPart, wire: str) -> list[ExpertPart]:
    proof = Proof(
        of="text" if part.content else "silence", id=part.id, details=part.provider_details
    )
    marks: list[ExpertPart] = [] if proof.is_empty else [carrier(wire, proof)]
    return [*marks, TextPart(text=whole(part.content))] if part.content else marks


def _thinking(part: theirs.ThinkingPart, wire: str) -> list[ExpertPart]:
    proof = Proof(signature=part.signature, id=part.id, details=part.provider_details)
    if not proof.is_empty:
        kept = carrier(wire, proof, whole(part.content))
        return [kept if part.content else msgspec.structs.replace(kept, redacted=True)]
    return [ThinkingPart(thinking=whole(part.content))] if part.content else []


def _call(
    part: theirs.ToolCallPart,
    wire: str,
    names: Mapping[str, str],
    suffix: str,
    called: set[str],
    problems: dict[str, str],
) -> list[ExpertPart]:
    call_id = whole(part.tool_call_id)
    if not call_id or call_id in called:  # each call is answered under its own id
        call_id = f"{call_id or 'call'}{suffix}"
    called.add(call_id)
    args, problem = _arguments(part.args)
    if problem:
        problems[call_id] = problem
    proof = Proof(of="call", call_id=call_id, id=part.id, details=part.provider_details)
    marks: list[ExpertPart] = [] if proof.is_empty else [carrier(wire, proof)]
    name = whole(part.tool_name)
    name = names.get(name, name)
    return [*marks, ToolCallPart(tool_call_id=call_id, tool_name=name, args=args)]


def _arguments(told: object) -> tuple[Json, str]:
    """The arguments of a call, and what is wrong with them. The SDKs' JSON has no limits."""
    if told is None or isinstance(told, str):
        return arguments(whole(told or ""))
    try:
        return arguments(encode_json(told).decode())
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError):
        return {}, "The arguments hold what JSON cannot."


def whole(text: str) -> str:
    """`text` with a question mark for each half of a surrogate pair."""
    return text if text.isascii() else text.encode(errors="replace").decode()
