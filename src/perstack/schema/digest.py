"""What makes two definitions the same: their content, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from perstack.schema.expert import Expert
    from perstack.schema.message import Json


def digest(expert: Expert) -> str:
    """The sha256, in hex, of the Expert's canonical JSON: keys sorted, defaults left out.

    Equal definitions have equal digests on every machine, whichever key they were
    asked for by; any edit gives another.
    """
    import hashlib

    return hashlib.sha256(msgspec.json.encode(content_of(expert), order="sorted")).hexdigest()


def content_of(expert: Expert) -> Json:
    """What a definition says, whichever key it was asked for by: no defaults, but its version.

    Of texts, msgspec leaves out only that which is the default itself, and no equal one.
    """
    told = msgspec.to_builtins(msgspec.structs.replace(expert, key=expert.name))
    return {**told, "version": expert.version}
