"""How much one call may read, write, list or print."""

from __future__ import annotations

from perstack.schema.base import Data

MIB = 1024 * 1024


class Caps(Data, kw_only=True):
    """Limits of the base tools: bytes, but for `entries`, which counts.

    `read` and `write` bound a whole text file, not only the lines or the text of
    one call. `output` bounds each of a command's two streams. A file is measured
    before it is read.
    """

    read: int = 8 * MIB
    write: int = 8 * MIB
    image: int = 15 * MIB
    pdf: int = 30 * MIB
    output: int = MIB // 4
    entries: int = 2000
