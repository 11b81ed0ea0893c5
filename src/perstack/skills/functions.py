"""Plain functions as tools."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeAlias, cast, get_args

import anyio.to_thread
import msgspec

from perstack.errors import UsageError, words_of
from perstack.schema.message import Json, ResultPart, TextPart
from perstack.schema.tool import BASE_TOOLS, FUNCTION_SKILL, Effect, ToolDefinition, ToolOutput
from perstack.skills.signature import Signature

Function: TypeAlias = Callable[..., object]
"""An async function; a plain one runs in a worker thread."""

_PARTS = get_args(ResultPart)
_EFFECTS = get_args(Effect)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ToolOutput).decode


@dataclass(frozen=True)
class FunctionTool:
    """A function that a model may call.

    A bare function among an Expert's `tools` is the same with every default.

    What the function returns is the answer: text as it is, None as no words, parts of
    `perstack.schema.message` (or a list of them) as they are, all else as JSON. What
    it raises is an answer that says so.

    Attributes:
        function: an async one runs in the event loop, a plain one in a worker thread.
            Its parameters need types: they become the schema.
        name: what the model calls it; the function's own name where it is left out.
        description: what it is good for; the docstring's words above its sections where
            it is left out.
        effect: what a second call would do to the world: "none" for a function that
            only reads, "idempotent" for one that may be repeated. An "unknown" one that
            was cut short is not repeated when its run is resumed; the model is told.

    Raises:
        UsageError: the function's parameters have no schema, or its name is taken.
    """

    function: Function
    name: str = ""
    description: str = ""
    effect: Effect = "unknown"
    signature: Signature = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        name = self.name or getattr(self.function, "__name__", "")
        if not name.isidentifier() and not name.replace("-", "_").isidentifier():
            raise UsageError(f"{self.function!r} has no name that a tool can have: give it one")
        if name in BASE_TOOLS:
            raise UsageError(f"A tool cannot be called {name}: the base skill has one of that name")
        if self.effect not in _EFFECTS:
            raise UsageError(f"The effect of the tool {name} is none of {', '.join(_EFFECTS)}")
        if inspect.isgeneratorfunction(self.function) or inspect.isasyncgenfunction(self.function):
            raise UsageError(f"The tool {name} is a generator: let it return its answer whole")
        signature = Signature(self.function, name)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "signature", signature)
        object.__setattr__(self, "description", self.description or signature.description)

    @property
    def definition(self) -> ToolDefinition:
        """The tool as a model sees it."""
        return ToolDefinition(
            skill_name=FUNCTION_SKILL,
            name=self.name,
            description=self.description,
            input_schema=self.signature.schema,
            effect=self.effect,
        )

    async def call(self, args: Json) -> ToolOutput:
        """The function's answer to `args`."""
        try:
            given = self.signature.check(args)
        except msgspec.ValidationError as error:
            return _failed(f"The arguments of {self.name} do not fit: {error}")
        try:
            if inspect.iscoroutinefunction(self.function):
                answer: object = await self.function(**given)
            else:
                answer = await anyio.to_thread.run_sync(
                    lambda: self.function(**given),
                    abandon_on_cancel=True,  # a thread cannot be ended, and must not be waited for
                )
                if inspect.isawaitable(answer):
                    answer = cast("object", await answer)
            return _checked(_output(answer))
        except Exception as error:  # noqa: BLE001 - trouble of a tool is an answer
            return _failed(f"{type(error).__name__}: {words_of(error)}")


class FunctionTools:
    """A ToolSource of functions."""

    def __init__(self, tools: Iterable[FunctionTool]) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._definitions = tuple(tool.definition for tool in self._tools.values())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def tools(self) -> Sequence[ToolDefinition]:
        """One definition for each function."""
        return self._definitions

    async def call(self, name: str, args: Json) -> ToolOutput:
        """What the function answers."""
        tool = self._tools.get(name)
        if tool is None:
            return _failed(f"There is no tool named {name}.")
        return await tool.call(args)


def function_tool(tool: FunctionTool | Function) -> FunctionTool:
    """`tool`, or the tool that a function makes.

    Raises:
        UsageError: it is neither, or cannot be a tool.
    """
    if isinstance(tool, FunctionTool):
        return tool
    if not callable(cast("object", tool)):
        raise UsageError(f"A tool is a function or a FunctionTool, not {tool!r}")
    return FunctionTool(tool)


def _checked(output: ToolOutput) -> ToolOutput:
    """`output`, as a log can keep it and give it back.

    Raises:
        TypeError: something in it is of another type than it says.
    """
    try:
        return _decode(_encode(output))
    except (msgspec.MsgspecError, UnicodeEncodeError) as error:
        raise TypeError(f"what it returned cannot be kept: {error}") from error


def _output(answer: object) -> ToolOutput:
    match answer:
        case ToolOutput():
            return answer
        case str():
            return ToolOutput(contents=(TextPart(text=answer),))
        case None:
            return ToolOutput(contents=(TextPart(text="Done."),))
        case _ if isinstance(answer, _PARTS):
            return ToolOutput(contents=(cast("ResultPart", answer),))
        case list() | tuple() if answer and all(
            isinstance(part, _PARTS) for part in cast("Any", answer)
        ):
            return ToolOutput(contents=tuple(cast("Iterable[ResultPart]", answer)))
        case _:
            text = msgspec.json.encode(answer, enc_hook=_encodable).decode()
            return ToolOutput(contents=(TextPart(text=text),))


def _encodable(value: object) -> object:
    """A value that JSON does not know: a model of pydantic's as its fields, all else as words."""
    dump = getattr(value, "model_dump", None)
    return dump() if dump is not None else str(value)


def _failed(text: str) -> ToolOutput:
    return ToolOutput(contents=(TextPart(text=text),), is_error=True)
