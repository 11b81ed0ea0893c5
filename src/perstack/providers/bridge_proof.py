"""What a vendor behind the bridge wants back beside a reply's words.

It travels in the signatures of thinking parts, sealed, so that only the wire that gave it
gets it back. A thinking part carries its own. A text or a tool call that has one (Gemini
signs those) is preceded by a mark: a thinking part without words.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from perstack.providers.wire import encode_json, sealed, unsealed
from perstack.schema.message import Json, ThinkingPart


class Proof(msgspec.Struct, omit_defaults=True):
    """What the library keeps with a part: a signature, an id, whose it is, and more.

    `of` says which part it belongs to: the thinking that carries it, the text that
    follows, a text without words, or the call `call_id`.
    """

    of: Literal["thinking", "text", "silence", "call"] = "thinking"
    call_id: str = ""
    signature: str | None = None
    id: str | None = None
    details: Json | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to keep."""
        return not (self.signature or self.id or self.details)


_decode = msgspec.json.Decoder(Proof).decode


def carrier(wire: str, proof: Proof, thinking: str = "") -> ThinkingPart:
    """The part that carries `proof`."""
    told = encode_json(msgspec.to_builtins(proof))
    return ThinkingPart(thinking=thinking, signature=sealed(wire, told.decode()))


def proof_of(wire: str, part: ThinkingPart) -> Proof | None:
    """The proof in a part that came over `wire`; None for any other part."""
    told = unsealed(wire, part.signature)
    if told is None:
        return None
    try:
        return _decode(told)
    except (msgspec.MsgspecError, UnicodeEncodeError):
        return None
