"""What makes two definitions the same: their content, and nothing else."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from perstack.schema.expert import Expert


def digest(expert: Expert) -> str:
    """The sha256, in hex, of the Expert's canonical JSON: keys sorted, defaults left out.

    Equal definitions have equal digests on every machine, whichever key they were
    asked for by; any edit gives another.
    """
    unasked = msgspec.structs.replace(expert, key=expert.name)
    return hashlib.sha256(msgspec.json.encode(unasked, order="sorted")).hexdigest()
