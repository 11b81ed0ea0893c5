"""The tool calls of a Chat Completions stream, which each server sends in its own way.

The vendor numbers them, and gives id and name with the first piece alone. Others send
whole calls at once, give all of them one number or none, repeat id and name with every
piece, or leave the id out.
"""

from __future__ import annotations

from collections.abc import Mapping

from perstack.providers.openai_chat_chunk import Call, Function
from perstack.providers.wire import arguments
from perstack.schema.message import Json, ToolCallPart


class _OpenCall:
    """A call while it arrives."""

    __slots__ = ("given", "id", "name", "pieces")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.pieces: list[str] = []
        self.given: Json | None = None

    def grow(self, call_id: str, function: Function) -> None:
        self.id = self.id or call_id
        self.name = self.name or function.name or ""
        if isinstance(function.arguments, str):
            self.pieces.append(function.arguments)
        elif function.arguments is not None:
            self.given = function.arguments

    def is_followed_by(self, call_id: str, name: str) -> bool:
        """Whether a piece with this id and name begins another call."""
        if not name or not self.name:
            return False
        if name != self.name or (call_id and self.id and call_id != self.id):
            return True
        if self.given is not None:
            return True
        ends = bool(self.pieces) and self.pieces[-1].rstrip().endswith("}")  # asked at each piece
        return ends and not arguments("".join(self.pieces))[1]


class OpenCalls:
    """The calls of one reply, in the order they began.

    `names` gives back the names that the wire changed. `place` is a number for each
    request of a run: an id made from it is the run's only one.
    """

    def __init__(self, names: Mapping[str, str], place: int) -> None:
        self._names = names
        self._place = place
        self._calls: list[_OpenCall] = []
        self._newest: dict[int | None, _OpenCall] = {}

    def grow(self, piece: Call) -> None:
        """Take a piece of the call it belongs to."""
        function = piece.function or Function()
        call_id = piece.id or ""
        call = self._newest.get(piece.index)
        if call is None or call.is_followed_by(call_id, function.name or ""):
            call = _OpenCall()
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
            args, problem = arguments("".join(call.pieces), call.given)
            if problem:
                problems[call_id] = problem
            name = self._names.get(call.name, call.name)
            parts.append(ToolCallPart(tool_call_id=call_id, tool_name=name, args=args))
        return parts, problems
