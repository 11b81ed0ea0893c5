"""An activity as one line for a person."""

from __future__ import annotations

import shlex

from perstack.schema.message import TextPart
from perstack.views.activity_kinds import (
    Activity,
    AppendTextFileActivity,
    AttemptCompletionActivity,
    ClearTodoActivity,
    CompleteActivity,
    CreateDirectoryActivity,
    DelegateActivity,
    DelegationCompleteActivity,
    DeleteDirectoryActivity,
    DeleteFileActivity,
    EditTextFileActivity,
    ErrorActivity,
    ExecActivity,
    GeneralToolActivity,
    GetFileInfoActivity,
    HealthCheckActivity,
    InteractiveToolActivity,
    ListDirectoryActivity,
    MoveFileActivity,
    QueryActivity,
    ReadImageFileActivity,
    ReadPdfFileActivity,
    ReadTextFileActivity,
    RetryActivity,
    TodoActivity,
    WriteTextFileActivity,
)
from perstack.views.plain import counted, plain

LINE_LIMIT = 240
"""Characters of the longest line."""

_LONGEST_PART = 1000
"""Characters of a part that are looked at: more could not be shown."""


def line_of(activity: Activity) -> str:
    """One line without a line end: who, what, of what, and why it failed.

    Safe to print: control characters and what reorders text are shown as escapes.
    """
    who = f"[{activity.expert_key}]" if activity.expert_key else ""
    what, subject = _words(activity)
    error = None if isinstance(activity, (RetryActivity, ErrorActivity)) else _error(activity)
    failed = f"failed: {_head(error)}" if error else ""
    words = " ".join(word for word in (who, what, _head(subject), failed) if word)
    return plain(words, LINE_LIMIT, one_line=True)


def _words(activity: Activity) -> tuple[str, str]:  # noqa: C901 - one arm a kind
    match activity:
        case QueryActivity(text=text):
            return "query:", text
        case CompleteActivity(text=text):
            return "complete:", text
        case RetryActivity():
            wait = f" (again in {activity.wait_ms / 1000:g} s)" if activity.wait_ms else ""
            return "retry:", f"{_head(activity.message or activity.error)}{wait}"
        case ErrorActivity():
            named = f"{activity.error_name}: " if activity.error_name else ""
            return "error:", f"{named}{activity.error or ''}"
        case AttemptCompletionActivity(remaining_todos=left):
            return "attemptCompletion", f"with {counted(len(left), 'open todo')}" if left else ""
        case TodoActivity(todos=todos):
            done = sum(todo.completed for todo in todos)
            return "todo", f"{done} of {len(todos)} done"
        case ClearTodoActivity() | HealthCheckActivity():
            return str(activity.__struct_config__.tag), ""
        case ExecActivity(command=command, args=args):
            return "exec", " ".join(shlex.quote(_head(word)) for word in (command, *args[:100]))
        case ReadTextFileActivity(path=path, from_=first, to=last):
            lines = "" if first is None or last is None else f" lines {first} to {last}"
            return "readTextFile", f"{_head(path)}{lines}"
        case ReadImageFileActivity() | ReadPdfFileActivity():
            size = "" if activity.size is None else f" ({counted(activity.size, 'byte')})"
            return str(activity.__struct_config__.tag), f"{_head(activity.path)}{size}"
        case WriteTextFileActivity() | AppendTextFileActivity():
            size = f" ({counted(len(activity.text), 'character')})"
            return str(activity.__struct_config__.tag), f"{_head(activity.path)}{size}"
        case ListDirectoryActivity(path=path, items=items):
            found = "" if items is None else f" ({counted(len(items), 'entry', 'entries')})"
            return "listDirectory", f"{_head(path)}{found}"
        case MoveFileActivity(source=source, destination=destination):
            return "moveFile", f"{_head(source)} to {_head(destination)}"
        case (
            GetFileInfoActivity()
            | EditTextFileActivity()
            | DeleteFileActivity()
            | CreateDirectoryActivity()
            | DeleteDirectoryActivity()
        ):
            return str(activity.__struct_config__.tag), activity.path
        case DelegateActivity(delegate_expert_key=key, query=query):
            return "delegate to", f"{_head(key)}: {_head(query)}"
        case DelegationCompleteActivity(count=count):
            return "delegationComplete:", f"{count} answered"
        case InteractiveToolActivity():
            return f"interactiveTool {_head(activity.tool_name)}", _args(activity)
        case GeneralToolActivity():
            told = "" if activity.result is None else f"-> {_result(activity)}"
            return f"generalTool {_head(activity.tool_name)}", " ".join(
                filter(None, (_args(activity), told))
            )


def _error(activity: Activity) -> str | None:
    return getattr(activity, "error", None)


def _args(activity: InteractiveToolActivity | GeneralToolActivity) -> str:
    return ", ".join(
        f"{_head(name)}={_head(repr(_short(value)))}"
        for name, value in [*activity.args.items()][:20]
    )


def _short(value: object) -> object:
    return _head(value) if isinstance(value, str) else value


def _result(activity: GeneralToolActivity) -> str:
    parts = activity.result or ()
    return _head("".join(part.text[:_LONGEST_PART] for part in parts if isinstance(part, TextPart)))


def _head(text: str) -> str:
    return text[:_LONGEST_PART]
