"""The tool calls of a Chat Completions stream, which each server sends in its own way.

The vendor numbers them, and gives id and name with the first piece alone. Others send
whole calls at once, give all of them one number or none, repeat id and name with every
piece, or leave the id out.
"""

from __future__ import annotations

from collections.abc import Mapping

from perstack.providers.limits import Arguments, Held
from perstack.providers.openai_chat_chunk import Call, Function
from perstack.providers.wire import arguments
from perstack.schema.message import ToolCallPart


class _Brackets:
    """Whether JSON that arrives in pieces is closed. Looks at each piece once."""

    __slots__ = ("_depth", "_escape", "_is_begun", "_is_text")

    def __init__(self) -> None:
        self._depth = 0
        self._is_begun = False
        self._is_text = False  # the end of what was seen stands inside a string
        self._escape = ""  # half of an escape, at the end of a piece

    @property
    def is_closed(self) -> bool:
        return self._is_begun and self._depth == 0 and not self._is_text

    def add(self, piece: str) -> None:
        bare = (self._escape + piece).replace("\\\\", "").replace('\\"', "")
        self._escape = "\\" if bare.endswith("\\") else ""
        for place, stretch in enumerate(bare.split('"')):
            if place:
                self._is_text = not self._is_text
            if stretch and not self._is_text:
                opened = stretch.count("{") + stretch.count("[")
                self._depth += opened - stretch.count("}") - stretch.count("]")
                self._is_begun = self._is_begun or opened > 0


class _OpenCall:
    """A call while it arrives. Counts what it holds in `held`."""

    __slots__ = ("_brackets", "_held", "_seen", "arguments", "id", "name")

    def __init__(self, held: Held) -> None:
        held.part()
        self._held = held
        self.id = ""
        self.name = ""
        self.arguments = Arguments(held)
        self._brackets = _Brackets()
        self._seen = 0  # pieces that the brackets have counted

    def grow(self, call_id: str, function: Function) -> None:
        if not self.id:
            self.id = call_id
            self._held.grow("calls", len(call_id))
        if not self.name and function.name:
            self.name = function.name
            self._held.grow("calls", len(self.name))
        if text := function.text:
            self.arguments.grow(text)

    def is_followed_by(self, call_id: str, name: str) -> bool:
        """Whether a piece with this id and name begins another call."""
        if not name or not self.name:
            return False
        if name != self.name or (call_id and self.id and call_id != self.id):
            return True
        pieces = self.arguments.pieces
        for place in range(self._seen, len(pieces)):
            self._brackets.add(pieces[place])
        self._seen = len(pieces)
        return self._brackets.is_closed


class OpenCalls:
    """The calls of one reply, in the order they began.

    `names` gives back the names that the wire changed. `place` is a number for each
    request of a run: an id made from it is the run's only one. `held` counts what
    they hold, and raises ReplyTooLarge from both methods.
    """

    def __init__(self, names: Mapping[str, str], place: int, held: Held) -> None:
        self._held = held
        self._names = names
        self._place = place
        self._calls: list[_OpenCall] = []
        self._newest: dict[int | None, _OpenCall] = {}

    def grow(self, piece: Call) -> None:
        """Take a piece of the call it belongs to. Raises ValueError if it cannot be read."""
        function = piece.function or Function()
        call_id = piece.id or ""
        call = self._newest.get(piece.index)
        if call is None or call.is_followed_by(call_id, function.name or ""):
            call = _OpenCall(self._held)
            self._calls.append(call)
            self._newest[piece.index] = self._newest[None] = call
        call.grow(call_id, function)

    def parts(self) -> tuple[list[ToolCallPart], dict[str, str]]:
        """The calls, each with an id of its own; and by id what is wrong with arguments."""
        parts: list[ToolCallPart] = []
        problems: dict[str, str] = {}
        called: set[str] = set()
        for place, call in enumerate(self._calls):
            call_id = call.id
            if not call_id or call_id in called:  # each call is answered under its own id
                call_id = f"{call_id or 'call'}_{self._place}_{place}"
            called.add(call_id)
            told = call.arguments.text
            self._held.values(told)
            args, problem = arguments(told)
            if problem:
                problems[call_id] = problem
            name = self._names.get(call.name, call.name)
            parts.append(ToolCallPart(tool_call_id=call_id, tool_name=name, args=args))
        return parts, problems
