"""What every wire needs: JSON that cannot fail, names and arguments on the wire, media."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import NamedTuple, cast

import msgspec

from perstack.providers.limits import (
    MAX_ARGUMENTS,
    MAX_ODD_EVENT_BYTES,
    MAX_VALUES,
    values_in,
)
from perstack.schema.message import (
    FileInlinePart,
    FileUrlPart,
    ImageInlinePart,
    ImageUrlPart,
    Json,
    MediaPart,
)

IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
PDF = "application/pdf"
PDF_NAME = "document.pdf"
"""For vendors that want a file to have a name."""
SILENCE = "(no text)"
"""What stands where a message has nothing for the model, and a vendor refuses none."""
NO_OUTPUT = "(no output)"
FAILED = "The tool failed:"
"""Opens the output of a failed call, for vendors that have no field for it."""

MAX_TOKENS = 2**53
"""More than any model counts, and the most that every reader of JSON takes for a number."""

_WIRE_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_encode = msgspec.json.Encoder().encode


def encode_json(value: object) -> bytes:
    """JSON, with a question mark for what no UTF-8 can hold (half a surrogate pair)."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return json.dumps(value, ensure_ascii=False).encode(errors="replace")


def evened_json(data: bytes) -> bytes:
    """The JSON in `data` with a question mark for each half of a surrogate pair.

    Slow, and meant for what is odd alone.

    Raises:
        ValueError: it is no JSON, or too much of it.
        RecursionError: it is too deep.
    """
    if len(data) > MAX_ODD_EVENT_BYTES:
        raise ValueError(f"it has {len(data)} bytes, and {MAX_ODD_EVENT_BYTES} are read this way")
    return json.dumps(json.loads(data), ensure_ascii=False).encode(errors="replace")


def tokens(count: int | None) -> int:
    """A count that a server told, as one that can be true: nothing, or up to 2**53."""
    return min(max(count or 0, 0), MAX_TOKENS)


def wire_name(name: str) -> str:
    """`name` where every vendor accepts it, else its readable start and a digest of it all."""
    if _WIRE_NAME.fullmatch(name):
        return name
    digest = hashlib.blake2s(name.encode(errors="replace"), digest_size=5).hexdigest()
    return re.sub(r"[^a-zA-Z0-9_-]", "_", name)[:53] + "_" + digest


def arguments(text: str, given: object = None) -> tuple[Json, str]:
    """The arguments of a call, and what is wrong with them.

    `text` is their JSON as it was streamed; where it is blank, `given` counts.
    Those that are too long, or have too many values, are not read.
    """
    if len(text) > MAX_ARGUMENTS:
        return {}, f"The arguments are longer than {MAX_ARGUMENTS} characters."
    if values_in(text) > MAX_VALUES:
        return {}, f"The arguments hold more than {MAX_VALUES} values."
    value = given
    if text.strip():
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            return {}, f"The arguments are not valid JSON: {error}"
    if value is None:
        return {}, ""
    if not isinstance(value, dict):
        return {}, "The arguments are not a JSON object."
    return cast("Json", value), ""


def sealed(wire: str, proof: str) -> str:
    """A thinking part's signature that only `wire` sends back.

    A job may be continued with another provider, and no vendor takes another's proof.
    Anthropic's own signatures are base64, which has no colon, and stand as they came.
    """
    return f"{wire}:{proof}"


def unsealed(wire: str, signature: str | None) -> str | None:
    """The proof that `sealed` was given by the same wire; None for one of another's."""
    owner, colon, proof = (signature or "").partition(":")
    return proof if colon and owner == wire else None


class Media(NamedTuple):
    """An image or a file: at `url`, or as base64 `data`. The other one is empty."""

    mime_type: str
    url: str
    data: str

    @property
    def is_image(self) -> bool:
        """Whether it is of a type that every vendor with eyes reads."""
        return self.mime_type in IMAGE_TYPES

    @property
    def data_url(self) -> str:
        """Where it is, or what it is, as one URL."""
        return self.url or f"data:{self.mime_type};base64,{self.data}"

    @property
    def text(self) -> str:
        """Its words, where it is a text that travels with the message."""
        if not self.mime_type.startswith("text/") or not self.data:
            return ""
        return base64.b64decode(self.data).decode(errors="replace")

    @property
    def words(self) -> str:
        """What stands in its place where it cannot be sent: its text, or that it is there."""
        text = self.text
        return text if text.strip() else self.apology

    @property
    def apology(self) -> str:
        """What stands in the place of one that a model cannot read."""
        return f"(a file of type {self.mime_type}, which the model cannot read)"


def media_of(part: MediaPart) -> Media:
    """The media in `part`, its type under the name that vendors know."""
    mime_type = "image/jpeg" if part.mime_type == "image/jpg" else part.mime_type
    match part:
        case ImageUrlPart() | FileUrlPart():
            return Media(mime_type, part.url, "")
        case ImageInlinePart() | FileInlinePart():
            return Media(mime_type, "", part.encoded_data)
        case _:
            return Media(mime_type, "", base64.b64encode(part.data).decode())
