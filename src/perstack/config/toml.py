"""TOML text to plain values, in bounded time.

The standard library's parser recurses once per bracket, does work that grows with
the square of a dotted key, and leaves huge integers to the interpreter's own limit.
A look over the text comes first: strings and comments are taken out, and what is
left, the skeleton, is measured.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from perstack.errors import ConfigurationError

MAX_NESTING = 32
MAX_KEY_PARTS = 16
MAX_WORD_LENGTH = 512
MAX_STRUCTURE = 50_000


class Shape(NamedTuple):
    """How much a document may hold: parts of a key, and of `. , = [ ] { }`.

    The second are those outside strings and comments.
    """

    key_parts: int = MAX_KEY_PARTS
    structure: int = MAX_STRUCTURE


_SHAPE = Shape()

# Every alternative also matches when its end is missing. So each character is
# looked at once, and a file of half-open strings costs no more than a good one.
_OPAQUE = re.compile(
    r'"""[^"\\]*+(?:(?:\\.?|"(?!""))[^"\\]*+)*+(?:"{3,5}|\Z)'
    r"|'''[^']*+(?:'(?!'')[^']*+)*+(?:'{3,5}|\Z)"
    r'|"[^"\\\n]*+(?:\\.?[^"\\\n]*+)*+"?'
    r"|'[^'\n]*+'?"
    r"|#[^\n]*+",
    re.DOTALL,
)
_NOT_STRUCTURE = re.compile(r"[^\n.,=\[\]{}]++")
_BETWEEN_WORDS = re.compile(r"[\s,=\[\]{}]++")


def parse_toml(text: str, origin: str, shape: Shape = _SHAPE) -> dict[str, object]:
    """The values of a TOML document of at most this `shape`. `origin` names it in errors.

    Raises:
        ConfigurationError: it is not TOML (line and column are named), or is built
            to take long: nested too deeply, keys of too many parts, endless numbers.
    """
    import tomllib

    problem = _shape_problem(_OPAQUE.sub("s", text), shape)
    if problem is not None:
        raise ConfigurationError(f"{origin}: {problem}")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as trouble:
        raise ConfigurationError(f"{origin} is not valid TOML: {trouble}") from None
    except ValueError:  # the interpreter's limit on digits, where someone lowered it
        raise ConfigurationError(f"{origin}: a number or date is out of range") from None
    except RecursionError:
        raise ConfigurationError(f"{origin}: {_TOO_DEEP}") from None


_TOO_DEEP = f"arrays and tables are nested deeper than {MAX_NESTING} levels"


def _shape_problem(skeleton: str, shape: Shape) -> str | None:
    structure = _NOT_STRUCTURE.sub("", skeleton)
    if len(structure) - structure.count("\n") > shape.structure:
        return f"the file holds more than {shape.structure} keys, values and brackets"
    if "." * shape.key_parts in structure:
        return f"a key has more than {shape.key_parts} parts"
    if max(map(len, _BETWEEN_WORDS.split(skeleton))) > MAX_WORD_LENGTH:
        return f"a number or a bare key is longer than {MAX_WORD_LENGTH} characters"
    depth = 0
    for bracket in structure:
        if bracket in "[{":
            depth += 1
            if depth > MAX_NESTING:
                return _TOO_DEEP
        elif bracket in "]}":
            depth -= 1
    return None
