"""The kinds of activity: data only. Wire names are the reference's; `healthCheck` is ours."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from perstack.schema.base import Data
from perstack.schema.message import Json, ResultPart
from perstack.schema.tool import Todo


class Delegator(Data, kw_only=True):
    """The run that a delegate's run answers."""

    expert_key: str
    run_id: str


class ActivityHeader(Data, tag_field="type", kw_only=True):
    """What every activity has.

    `id` is the id of the event it was told by, and an index. `previous_activity_id`
    is the one before it in the same run. `reasoning` is what the model thought and
    said ahead of it, and stands with the first activity of a reply alone.
    """

    id: str = ""
    expert_key: str = ""
    run_id: str = ""
    previous_activity_id: str | None = None
    delegated_by: Delegator | None = None
    reasoning: str | None = None


class QueryActivity(ActivityHeader, tag="query", kw_only=True):
    """What a person, or a delegating Expert, says: a query, or the answer to a question."""

    text: str


class RetryActivity(ActivityHeader, tag="retry", kw_only=True):
    """A reply did not come or cannot be used, and the model is asked again in `wait_ms`."""

    error: str
    message: str
    wait_ms: int = 0


class CompleteActivity(ActivityHeader, tag="complete", kw_only=True):
    """A run's result."""

    text: str


class ErrorActivity(ActivityHeader, tag="error", kw_only=True):
    """A run stopped without a result."""

    error: str | None = None
    error_name: str | None = None
    is_retryable: bool | None = None


class ToolActivity(ActivityHeader, kw_only=True):
    """A call of a base tool. `error` says why it failed."""

    error: str | None = None


class AttemptCompletionActivity(ToolActivity, tag="attemptCompletion", kw_only=True):
    """The Expert says it is done; `remaining_todos` or `error` say what speaks against it."""

    remaining_todos: tuple[Todo, ...] | None = None


class TodoActivity(ToolActivity, tag="todo", kw_only=True):
    """The todo list changed, or was looked at: `todos` is the whole list after it."""

    new_todos: tuple[str, ...] | None = None
    completed_todos: tuple[int, ...] | None = None
    todos: tuple[Todo, ...]


class ClearTodoActivity(ToolActivity, tag="clearTodo", kw_only=True):
    """The todo list was emptied."""


class ExecActivity(ToolActivity, tag="exec", kw_only=True):
    """A program ran: `output` when it went well, else `stdout` and `stderr`."""

    command: str
    args: tuple[str, ...]
    cwd: str
    output: str | None = None
    stdout: str | None = None
    stderr: str | None = None


class GetFileInfoActivity(ToolActivity, tag="getFileInfo", kw_only=True):
    """A file was looked at from outside. `info` is the tool's answer."""

    path: str
    info: Json | None = None


class HealthCheckActivity(ToolActivity, tag="healthCheck", kw_only=True):
    """The base tools were tried. `info` is the tool's answer."""

    info: Json | None = None


class ReadTextFileActivity(ToolActivity, tag="readTextFile", kw_only=True):
    """Lines `from` up to, not including, `to` (counted from 0) were read."""

    path: str
    content: str | None = None
    from_: int | None = msgspec.field(name="from", default=None)
    to: int | None = None


class ReadImageFileActivity(ToolActivity, tag="readImageFile", kw_only=True):
    """An image was looked at. `size` is in bytes."""

    path: str
    mime_type: str | None = None
    size: int | None = None


class ReadPdfFileActivity(ToolActivity, tag="readPdfFile", kw_only=True):
    """A PDF was read. `size` is in bytes."""

    path: str
    mime_type: str | None = None
    size: int | None = None


class WriteTextFileActivity(ToolActivity, tag="writeTextFile", kw_only=True):
    """A file was made, or its text replaced."""

    path: str
    text: str


class AppendTextFileActivity(ToolActivity, tag="appendTextFile", kw_only=True):
    """Text was added to a file's end."""

    path: str
    text: str


class EditTextFileActivity(ToolActivity, tag="editTextFile", kw_only=True):
    """A piece of a file was replaced."""

    path: str
    old_text: str
    new_text: str


class MoveFileActivity(ToolActivity, tag="moveFile", kw_only=True):
    """A file or directory got another name."""

    source: str
    destination: str


class DeleteFileActivity(ToolActivity, tag="deleteFile", kw_only=True):
    """A file was deleted."""

    path: str


class ListDirectoryActivity(ToolActivity, tag="listDirectory", kw_only=True):
    """A directory was listed."""

    path: str
    items: tuple[Json, ...] | None = None


class CreateDirectoryActivity(ToolActivity, tag="createDirectory", kw_only=True):
    """A directory was made."""

    path: str


class DeleteDirectoryActivity(ToolActivity, tag="deleteDirectory", kw_only=True):
    """A directory was deleted; with `recursive`, with all it held."""

    path: str
    recursive: bool | None = None


class DelegateActivity(ActivityHeader, tag="delegate", kw_only=True):
    """Another Expert is asked."""

    delegate_expert_key: str
    query: str


class DelegationCompleteActivity(ActivityHeader, tag="delegationComplete", kw_only=True):
    """All Experts that were asked have answered. `count` is their number."""

    count: int


class InteractiveToolActivity(ActivityHeader, tag="interactiveTool", kw_only=True):
    """A person is asked."""

    skill_name: str
    tool_name: str
    args: Json


class GeneralToolActivity(ActivityHeader, tag="generalTool", kw_only=True):
    """A call of any other tool, or one of a base tool with arguments it does not take."""

    skill_name: str
    tool_name: str
    args: Json
    result: tuple[ResultPart, ...] | None = None
    error: str | None = None


BaseToolActivity: TypeAlias = (
    AttemptCompletionActivity
    | TodoActivity
    | ClearTodoActivity
    | ExecActivity
    | GetFileInfoActivity
    | HealthCheckActivity
    | ReadTextFileActivity
    | ReadImageFileActivity
    | ReadPdfFileActivity
    | WriteTextFileActivity
    | AppendTextFileActivity
    | EditTextFileActivity
    | MoveFileActivity
    | DeleteFileActivity
    | ListDirectoryActivity
    | CreateDirectoryActivity
    | DeleteDirectoryActivity
)
Activity: TypeAlias = (
    QueryActivity
    | RetryActivity
    | CompleteActivity
    | ErrorActivity
    | BaseToolActivity
    | DelegateActivity
    | DelegationCompleteActivity
    | InteractiveToolActivity
    | GeneralToolActivity
)
