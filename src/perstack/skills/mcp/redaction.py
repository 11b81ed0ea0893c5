"""Keeps the values that a server was trusted with out of everything it says."""

from __future__ import annotations

import json
import re
from base64 import b64encode, urlsafe_b64encode
from bisect import bisect_left
from functools import cached_property, lru_cache
from itertools import accumulate, chain
from typing import TYPE_CHECKING, NamedTuple, cast
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SHORTEST = 8
"""Shorter values are not hidden: words would suffer, and no key is that short."""

_LOOK_AHEAD = 4
"""How many times a limit is looked at: a text may be shorter without its secrets."""

_HINTS = (r"\u", r"\x", "%")
_HEX = "[0-9a-fA-F]"
_PERCENT = "%(?:25){0,8}"
_SLASHES = r"\\{1,32}"  # bounded: a search through a million of them ends
_MORE = f"{_PERCENT}[89abAB]{_HEX}"
_ESCAPE = re.compile(
    rf"""( {_SLASHES} (?: u{_HEX}{{4}} | x{_HEX}{{2}} | ["'/nrt] )
         | {_PERCENT} (?: [0-7]{_HEX} | [cdCD]{_HEX}{_MORE}
                      | [eE]{_HEX}(?:{_MORE}){{2}} | [fF]{_HEX}(?:{_MORE}){{3}} ) )""",
    re.VERBOSE,
)
_CODE = re.compile(rf"(?:u|x|{_PERCENT})({_HEX}{{2,4}})")
_HALF_AT_END = re.compile(rf"(?:\\(?:u{_HEX}{{0,3}}|x{_HEX}?)?|%{_HEX}?)\Z")
_HALF_AT_START = re.compile(rf"[ux]?{_HEX}{{0,3}}(?=[\\%])")
_NAMED = {"n": "\n", "r": "\r", "t": "\t"}


class Redaction:
    r"""Puts `[NAME]` in the place of each secret; secrets are (name of a variable, value).

    Guarantee: no value of at least `SHORTEST` characters is left, as it is, with any of
    its characters escaped as JSON, Python or a URL escapes them, also several times over
    (`\n`, `\u0041`, `\x41`, `%41`), as HTML has it, in hex, or in base64, alone or within
    something longer.
    The same holds for each line of a value of several. A server that means to tell a
    value can still do so in a code of its own. Where there is nothing to hide, it costs
    nothing.
    """

    def __init__(self, secrets: Iterable[tuple[str, str]] = ()) -> None:
        self._secrets = {
            value.strip(): name for name, value in secrets if len(value.strip()) >= SHORTEST
        }

    def __bool__(self) -> bool:
        return bool(self._secrets)

    def hidden(self, text: str) -> str:
        """`text` without secrets."""
        pieces: list[str] = []
        kept = 0
        for start, end, name in self._spans(text) if self._secrets else ():
            pieces += text[kept:start], f"[{name}]"
            kept = end
        return "".join((*pieces, text[kept:])) if pieces else text

    def start(self, text: str, limit: int, more: str = "") -> str:
        """At most `limit` characters of `text` without secrets, and `more` where that is not all.

        It is cut last: half a secret at the end of what is kept could not be told any more.
        """
        head = text[: _LOOK_AHEAD * limit]
        is_whole = len(head) == len(text)
        head = self.hidden(head if is_whole else self.without_end(head))
        return head if is_whole and len(head) <= limit else head[:limit] + more

    def without_end(self, text: str) -> str:
        """`text`, which was cut somewhere, without the beginning of a secret at its end."""
        if not self._secrets:
            return text
        text = _HALF_AT_END.sub("", text)
        for view in _views(text):
            for form, name in self._forms.items():
                at = view.text.find(form[:SHORTEST], max(0, len(view.text) - len(form)))
                while at >= 0:
                    if form.startswith(view.text[at:]):
                        return f"{text[: view.origin(at)]}[{name}]"
                    at = view.text.find(form[:SHORTEST], at + 1)
        return text

    def without_start(self, text: str) -> str:
        """`text`, of which something before was cut off, without the end of a secret there."""
        if not self._secrets:
            return text
        text = text[found.end() :] if (found := _HALF_AT_START.match(text)) else text
        for view in _views(text):
            for form, name in self._forms.items():
                at = view.text.rfind(form[-SHORTEST:], 0, len(form)) + SHORTEST
                while at >= SHORTEST:
                    if form.endswith(view.text[:at]):
                        return f"[{name}]{text[view.origin(at) :]}"
                    at = view.text.rfind(form[-SHORTEST:], 0, at - 1) + SHORTEST
        return text

    def data(self, value: object, depth: int = 100) -> object:
        """`value`, as JSON has it, without secrets in texts and keys; None for what is deeper."""
        if not self._secrets:
            return value
        if isinstance(value, str):
            return self.hidden(value)
        if isinstance(value, list):
            items = cast("list[object]", value)
            return [self.data(item, depth - 1) for item in items] if depth else None
        if isinstance(value, dict):
            return self._table(cast("dict[str, object]", value), depth) if depth else None
        return value

    def _table(self, table: dict[str, object], depth: int) -> dict[str, object]:
        """Two keys that are the same without secrets stay two."""
        found: dict[str, object] = {}
        for key, value in table.items():
            name = self.hidden(key)
            while name in found or (name != key and name in table):
                name += "'"
            found[name] = self.data(value, depth - 1)
        return found

    @cached_property
    def _forms(self) -> dict[str, str]:
        """What is looked for, and the name that stands for it."""
        forms = {form: name for secret, name in self._secrets.items() for form in _forms(secret)}
        return {form: name for form, name in forms.items() if len(form) >= SHORTEST}

    def _spans(self, text: str) -> list[tuple[int, int, str]]:
        """Where secrets stand, from left to right; those that touch are one."""
        found: list[tuple[int, int, str]] = []
        for view in _views(text):
            for form, name in self._forms.items():
                at = view.text.find(form)
                while at >= 0:
                    found.append((view.origin(at), -view.origin(at + len(form)), name))
                    at = view.text.find(form, at + len(form))
        spans: list[tuple[int, int, str]] = []
        for start, end, name in sorted(found):  # of two that begin in one place, the longer first
            if spans and start <= spans[-1][1]:
                spans[-1] = (spans[-1][0], max(-end, spans[-1][1]), spans[-1][2])
            else:
                spans.append((start, -end, name))
        return spans


class _View(NamedTuple):
    """A text with its escapes undone. `at` are their places in it, `wider` what each saved so far.

    `wider` has one number more than `at`, the first being 0.
    """

    text: str
    at: list[int]
    wider: list[int]

    def origin(self, place: int) -> int:
        """The place in the text as it came."""
        return place + self.wider[bisect_left(self.at, place)]


def _views(text: str) -> Iterator[_View]:
    """The text as it is, and unescaped where it may hold an escape that spells a letter."""
    yield _View(text, [], [0])
    if not any(hint in text for hint in _HINTS):
        return
    pieces = _ESCAPE.split(text)
    plain, escapes = pieces[::2], pieces[1::2]
    if escapes:
        letters = map(_letter, escapes)
        wider = list(accumulate((len(escape) - 1 for escape in escapes), initial=0))
        at = [place + number for number, place in enumerate(accumulate(map(len, plain[:-1])))]
        yield _View("".join(chain(*zip(plain, letters, strict=False), plain[-1:])), at, wider)


@lru_cache(4096)
def _letter(escape: str) -> str:
    """What one escape spells."""
    codes = _CODE.findall(escape)
    if not codes:
        return _NAMED.get(escape[-1], escape[-1])
    if escape[0] == "%":
        return bytes.fromhex("".join(codes)).decode(errors="replace")[:1]
    return chr(int(codes[0], 16))


def _forms(secret: str) -> Iterator[str]:
    raw = secret.encode(errors="surrogatepass")
    yield secret
    yield from (line.strip() for line in secret.splitlines())
    yield " ".join(secret.split())  # as it stands once a text is on one line
    for coded in (_quoted(secret), json.dumps(secret, ensure_ascii=False)[1:-1]):
        yield from (coded, coded.replace("/", r"\/"), _quoted(coded), _quoted(_quoted(coded)))
    html = secret.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    yield html
    yield html.replace('"', "&quot;").replace("'", "&#x27;")
    yield html.replace('"', "&quot;").replace("'", "&#39;")
    yield quote(raw, safe="")
    yield quote_plus(raw)
    yield raw.hex()
    yield raw.hex().upper()
    for before in range(3):  # bytes that share its first base64 group, as in user:password
        first, last = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        for encode in (b64encode, urlsafe_b64encode):
            yield encode(bytes(before) + raw).decode()[first:last]


def _quoted(text: str) -> str:
    return json.dumps(text)[1:-1]


NOTHING = Redaction()
"""Hides nothing."""
