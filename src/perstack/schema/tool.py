"""Tools: what an Expert may call, and what comes back."""

from __future__ import annotations

from typing import Literal, TypeAlias

from perstack.schema.base import Data
from perstack.schema.message import Json, ResultPart, TextPart

BASE_SKILL = "@perstack/base"
"""The skill every Expert has."""

BASE_TOOLS = (
    "attemptCompletion",
    "todo",
    "clearTodo",
    "exec",
    "getFileInfo",
    "healthCheck",
    "readTextFile",
    "readImageFile",
    "readPdfFile",
    "writeTextFile",
    "appendTextFile",
    "editTextFile",
    "moveFile",
    "deleteFile",
    "listDirectory",
    "createDirectory",
    "deleteDirectory",
)
"""The base skill's tools, in the order they are offered. No other tool may take such a name."""

DELEGATE_SKILL = "@perstack/delegate"
"""The skill name of calls that ask a delegate."""

FUNCTION_SKILL = "@perstack/functions"
"""The skill name of tools that are functions of an embedding program."""

UNKNOWN_SKILL = "@perstack/unknown"
"""The skill name of calls for a tool that does not exist."""

COMPLETION_TOOL = "attemptCompletion"
TODO_TOOLS = frozenset({"todo", "clearTodo"})
WRITING_TOOLS = frozenset(
    {
        "writeTextFile",
        "appendTextFile",
        "editTextFile",
        "moveFile",
        "deleteFile",
        "createDirectory",
        "deleteDirectory",
    }
)
OWN_TOOLS = TODO_TOOLS | {COMPLETION_TOOL}
"""Base tools that run in our process, whoever serves the others: a run is told by their answers."""

ORDERED_TOOLS = TODO_TOOLS | WRITING_TOOLS
"""Base tools whose calls run in the order of the reply."""

OUTCOME_UNKNOWN = (
    "This call was started and then interrupted, and its outcome is unknown: it may have taken "
    "effect in part, in full, or not at all. Find out what is the case before you repeat it."
)
"""The answer to a call that was cut short and cannot simply be made again."""

Effect: TypeAlias = Literal["none", "idempotent", "unknown"]
"""What a second call would do to the world: nothing, nothing more, or who knows."""


class ToolDefinition(Data, kw_only=True):
    """A tool as a model sees it, and where it comes from.

    `input_schema` is a JSON Schema object, passed on as it came.
    """

    skill_name: str
    name: str
    description: str = ""
    input_schema: Json
    effect: Effect = "unknown"
    is_interactive: bool = False


class ToolCall(Data, kw_only=True):
    """One call of a reply. `id` is the vendor's tool call id.

    `problem` (ours) says why the call cannot be made as it came: arguments that
    are no JSON object, say.
    """

    id: str
    skill_name: str
    tool_name: str
    args: Json
    problem: str | None = None


class ToolResult(Data, kw_only=True):
    """The answer to one call. `is_error` is ours."""

    id: str
    skill_name: str
    tool_name: str
    result: tuple[ResultPart, ...]
    is_error: bool = False

    @property
    def text(self) -> str:
        """All text parts, joined."""
        return "".join(part.text for part in self.result if isinstance(part, TextPart))


class ToolOutput(Data, kw_only=True):
    """What a tool gives back, before it is tied to a call: parts, and whether it failed."""

    contents: tuple[ResultPart, ...]
    is_error: bool = False


class Todo(Data, omit_defaults=False, kw_only=True):
    """One entry of a run's todo list."""

    id: int
    title: str
    completed: bool = False
