"""Text from anywhere, as content of a widget: escaped, and never taken for markup."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, cast

from textual.content import Content

from perstack.schema.message import TextPart
from perstack.views.plain import counted, plain

if TYPE_CHECKING:
    from perstack.schema.message import Json
    from perstack.schema.tool import ToolCall, ToolResult
    from perstack.schema.usage import Usage

BODY_LIMIT = 4000
"""Characters of a text that a widget shows; `perstack log` shows the rest."""

LINE_LIMIT = 160

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""What a terminal acts on when it is pasted; and halves of characters, which cannot be copied."""

_TELLING = ("path", "source", "command", "query", "url", "name")
"""Arguments that say by themselves what a call is about."""


def content_of(text: str, style: str = "", limit: int | None = None) -> Content:
    """`text` escaped, in one style."""
    return Content.styled(plain(text, limit), style)


def line_of(text: str, style: str = "", limit: int = LINE_LIMIT) -> Content:
    """The same on one line."""
    return Content.styled(plain(text, limit, one_line=True), style)


def body_of(text: str, style: str = "", limit: int = BODY_LIMIT) -> Content:
    """A text of any length, cut where it is longer than anyone reads here."""
    shown = content_of(text[:limit], style)
    left = len(text) - limit
    if left <= 0:
        return shown
    more = counted(left, "more character")
    return Content.assemble(shown, (f"\n… and {more}, see perstack log", "dim"))


def copyable(text: str) -> str:
    """`text` as it came, without what a terminal would act on. Line ends and tabs stay."""
    return _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def subject_of(call: ToolCall) -> str:
    """What a call is about, in a few words."""
    args = call.args
    command, words = args.get("command"), args.get("args")
    if isinstance(command, str) and isinstance(words, list):
        return shlex.join([command, *map(str, cast("list[object]", words))])
    for name in _TELLING:
        if isinstance(value := args.get(name), str) and value:
            return value
    return ", ".join(f"{name}={_short(value)}" for name, value in list(args.items())[:4])


def arguments_of(args: Json) -> str:
    """All arguments: text as it stands, anything else as JSON."""
    return "\n".join(
        f"{name}: {value if isinstance(value, str) else json_of(value)}"
        for name, value in args.items()
    )


def result_of(result: ToolResult) -> str:
    """The answer to a call; what is no text is named by its kind."""
    return "\n".join(
        part.text if isinstance(part, TextPart) else f"[{part.mime_type}]" for part in result.result
    )


def trouble_of(answer: str) -> str:
    """What a failed call says of itself: the message of a JSON object, or else all of it."""
    try:
        told = json.loads(answer)
    except (ValueError, RecursionError):
        return answer
    message = cast("dict[str, object]", told).get("message") if isinstance(told, dict) else None
    return message if isinstance(message, str) and message else answer


def shortened(count: int) -> str:
    """A number of tokens in four characters or so: 950, 12.3k, 4.5M."""
    if count < 1000:
        return str(count)
    return f"{count / 1000:.1f}k" if count < 999_950 else f"{count / 1_000_000:.1f}M"


def cached(usage: Usage) -> str:
    """The share of the input that came from a cache; empty where none did."""
    if not usage.cached_input_tokens:
        return ""
    return f" ({usage.cached_input_tokens / usage.input_tokens:.0%} cached)"


def _short(value: object) -> str:
    return (value if isinstance(value, str) else json_of(value))[:LINE_LIMIT]


def json_of(value: object) -> str:
    """Any value as JSON text; one that is nested too deeply is not told."""
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except RecursionError:
        return "…"
