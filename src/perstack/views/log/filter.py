"""A small language that says which events are meant: `.stepNumber > 5 and .type == "retry"`.

    expression := conjunction ("or" conjunction)*
    conjunction := term ("and" term)*
    term := "(" expression ")" | path comparison literal
    path := ("." name | "[]")+         name: letters, digits and _, or a JSON string
    comparison := == | != | < | <= | > | >=
    literal := a JSON string, number, true, false or null

`[]` stands for any item of a list. What is not there is null. Values of different kinds are
not equal, and only two numbers or two texts come before or after one another.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias, cast

import msgspec

from perstack.errors import UsageError

MAX_LENGTH = 4096
MAX_DEPTH = 32

Json: TypeAlias = object
Test: TypeAlias = Callable[[Json], bool]

Path: TypeAlias = tuple[str | None, ...]
"""Names of fields; None stands for any item of a list."""

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<any>\[\])
      | \.\s*(?P<name>[A-Za-z_][A-Za-z0-9_]*|"(?:[^"\\\x00-\x1f]|\\.)*")
      | (?P<comparison>[=!]=|[<>]=?)
      | (?P<literal>"(?:[^"\\\x00-\x1f]|\\.)*"|-?[0-9][0-9.eE+-]*)
      | (?P<word>[A-Za-z]+)
      | (?P<bracket>[()])
    )""",
    re.VERBOSE,
)
_LITERAL_WORDS = frozenset({"true", "false", "null"})
_ORDERS: dict[str, Callable[[object, object], bool]] = {
    "<": cast("Callable[[object, object], bool]", operator.lt),
    "<=": cast("Callable[[object, object], bool]", operator.le),
    ">": cast("Callable[[object, object], bool]", operator.gt),
    ">=": cast("Callable[[object, object], bool]", operator.ge),
}


class Filter(NamedTuple):
    """A parsed expression. `names` are the fields of an event that it looks at."""

    test: Test
    names: frozenset[str]

    def matches(self, event: Json) -> bool:
        """Whether the event, as JSON decodes, is meant."""
        return self.test(event)


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def parse_filter(text: str) -> Filter:
    """The filter that `text` describes.

    Raises:
        UsageError: it describes none; the message names the place.
    """
    if len(text) > MAX_LENGTH:
        raise UsageError(f"--filter is longer than {MAX_LENGTH} characters")
    parser = _Parser(text)
    test = parser.expression(0)
    if parser.token is not None:
        raise parser.unexpected('"and", "or", or the end')
    return Filter(test, frozenset(parser.names))


class _Parser:
    """Reads an expression from left to right, one token ahead."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._scanned()
        self.names: set[str] = set()
        self.token = next(self._tokens, None)

    def _scanned(self) -> Iterator[_Token]:
        at = 0
        end = len(self._text.rstrip())
        while at < end:
            found = _TOKEN.match(self._text, at)
            if found is None or found.lastgroup is None:
                at += len(self._text[at:]) - len(self._text[at:].lstrip())
                raise self._problem(at, f"{self._text[at]!a} has no meaning here")
            yield _Token(found.lastgroup, found[found.lastgroup], found.start(found.lastgroup))
            at = found.end()

    def _next(self) -> None:
        self.token = next(self._tokens, None)

    def _is(self, kind: str, text: str | None = None) -> bool:
        token = self.token
        return token is not None and token.kind == kind and text in (None, token.text)

    def unexpected(self, wanted: str) -> UsageError:
        """The error for a token that is none of those `wanted`."""
        if self.token is None:
            return self._problem(len(self._text), f"it ends where {wanted} must be")
        return self._problem(self.token.at, f"{self.token.text!a} stands where {wanted} must be")

    def _problem(self, at: int, what: str) -> UsageError:
        start = max(0, at - 60)
        shown = "".join(c if c.isprintable() else "?" for c in self._text[start : at + 60])
        return UsageError(
            f"--filter, character {at + 1}: {what}\n  {shown}\n  {' ' * (at - start)}^"
        )

    def expression(self, depth: int) -> Test:
        """One or more conjunctions, any of which is enough."""
        return self._joined("or", any, lambda: self._conjunction(depth))

    def _conjunction(self, depth: int) -> Test:
        return self._joined("and", all, lambda: self._term(depth))

    def _joined(
        self, word: str, join: Callable[[Iterator[bool]], bool], part: Callable[[], Test]
    ) -> Test:
        tests = [part()]
        while self._is("word", word):
            self._next()
            tests.append(part())
        if len(tests) == 1:
            return tests[0]
        return lambda event: join(test(event) for test in tests)

    def _term(self, depth: int) -> Test:
        if not self._is("bracket", "("):
            return self._comparison()
        if depth == MAX_DEPTH:
            raise self.unexpected(f"no bracket more than {MAX_DEPTH} deep")
        self._next()
        test = self.expression(depth + 1)
        if not self._is("bracket", ")"):
            raise self.unexpected('")"')
        self._next()
        return test

    def _comparison(self) -> Test:
        path = self._path()
        token = self.token
        if token is None or token.kind != "comparison":
            raise self.unexpected("a comparison (==, !=, <, <=, >, >=)")
        self._next()
        return _test_of(path, token.text, self._literal())

    def _path(self) -> Path:
        if not self._is("name"):
            raise self.unexpected("a path such as .type")
        parts: list[str | None] = []
        while (token := self.token) is not None and token.kind in ("name", "any"):
            if not parts:
                self.names.add(self._name(token))
            if len(parts) == MAX_DEPTH:
                raise self.unexpected(f"no path longer than {MAX_DEPTH} parts")
            parts.append(None if token.kind == "any" else self._name(token))
            self._next()
        return tuple(parts)

    def _name(self, token: _Token) -> str:
        return str(self._decoded(token)) if token.text.startswith('"') else token.text

    def _literal(self) -> Json:
        token = self.token
        is_value = token is not None and (
            token.kind == "literal" or (token.kind == "word" and token.text in _LITERAL_WORDS)
        )
        if token is None or not is_value:
            raise self.unexpected('a JSON value ("text", 5, true, false, null)')
        value = self._decoded(token)
        self._next()
        return value

    def _decoded(self, token: _Token) -> Json:
        try:
            return cast("object", msgspec.json.decode(token.text))
        except ValueError:
            raise self._problem(token.at, f"{token.text[:40]!a} is no JSON value") from None


def _test_of(path: Path, comparison: str, literal: Json) -> Test:
    compare = _compared(comparison, literal)
    return lambda event: any(compare(value) for value in _values(event, path))


def _compared(comparison: str, literal: Json) -> Test:
    if comparison == "==":
        return lambda value: _is_same(value, literal)
    if comparison == "!=":
        return lambda value: not _is_same(value, literal)
    order = _ORDERS[comparison]
    kind = _kind(literal)
    if kind not in ("number", "text"):
        return lambda _: False
    return lambda value: _kind(value) == kind and order(value, literal)


def _is_same(value: Json, literal: Json) -> bool:
    return _kind(value) == _kind(literal) and value == literal


def _kind(value: Json) -> str:
    """Python takes True for 1, and JSON does not."""
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, (int, float)):
        return "number"
    return "text" if isinstance(value, str) else type(value).__name__


def _values(value: Json, path: Path) -> Iterator[Json]:
    """What stands at a path; several things where it leads through lists."""
    if not path:
        yield value
        return
    step, *rest = path
    if step is not None:
        table = cast("dict[str, object]", value) if isinstance(value, dict) else {}
        yield from _values(table.get(step), tuple(rest))
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            yield from _values(item, tuple(rest))
