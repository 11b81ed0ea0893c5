"""What the Responses API wants back beside a reply's words.

It travels in the signatures of thinking parts, sealed, so that only the provider that
gave it gets it back. There are two kinds: a reasoning item, and the phase of a message,
which stands in a thinking part of its own that has no words, before its text.
https://developers.openai.com/api/docs/guides/reasoning
"""

from __future__ import annotations

import msgspec

from perstack.providers.wire import sealed, unsealed
from perstack.schema.message import Json, ThinkingPart

PHASES = frozenset({"commentary", "final_answer"})
"""Whether a message is said on the way to the answer, or is the answer."""

_BETWEEN = "\n\n"


class Proof(msgspec.Struct, omit_defaults=True):
    """A reasoning item's id and encrypted content, or a message's phase.

    `summary` is the lengths in characters of the summaries that the thinking was
    joined from, so that they go back as they came.
    """

    id: str = ""
    encrypted_content: str = ""
    summary: tuple[int, ...] = ()
    phase: str = ""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Proof).decode


def thinking_of(
    wire: str, item_id: str, encrypted_content: str, summary: list[str], thoughts: list[str]
) -> ThinkingPart | None:
    """A reasoning item as a part; None for one that says and proves nothing.

    `thoughts` are shown where there is no `summary`. One without encrypted content is
    unsigned, and is not sent back.
    """
    said = _BETWEEN.join(summary or thoughts)
    if not encrypted_content:
        return ThinkingPart(thinking=said) if said else None
    proof = Proof(item_id, encrypted_content, tuple(map(len, summary)))
    return ThinkingPart(thinking=said, signature=_signature(wire, proof), redacted=not said)


def phase_mark(wire: str, phase: str) -> ThinkingPart:
    """The part that stands before a text of `phase`."""
    return ThinkingPart(thinking="", signature=_signature(wire, Proof(phase=phase)))


def proof_of(wire: str, part: ThinkingPart) -> Proof | None:
    """The proof in a part that came over `wire`; None for any other part."""
    told = unsealed(wire, part.signature)
    if told is None:
        return None
    try:
        return _decode(told)
    except (msgspec.MsgspecError, UnicodeEncodeError):
        return None


def reasoning_item(proof: Proof, thinking: str) -> Json:
    """The reasoning item that a part was made of."""
    summary: list[Json] = []
    start = 0
    for length in proof.summary:
        summary.append({"type": "summary_text", "text": thinking[start : start + length]})
        start += length + len(_BETWEEN)
    return {
        "type": "reasoning",
        "id": proof.id,
        "summary": summary,
        "encrypted_content": proof.encrypted_content,
    }


def _signature(wire: str, proof: Proof) -> str:
    return sealed(wire, _encode(proof).decode())
