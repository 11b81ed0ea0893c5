"""The seventeen tools in the order they are offered: form, effect, words and function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from perstack.base import arguments as forms
from perstack.base.answer import answer
from perstack.base.arguments import input_schema, parse_arguments
from perstack.base.caps import Caps
from perstack.base.completion import attempt_completion, health_check
from perstack.base.directories import create_directory, delete_directory, list_directory
from perstack.base.exec import exec_command
from perstack.base.files import delete_file, get_file_info, move_file
from perstack.base.media import read_image_file, read_pdf_file
from perstack.base.paths import Workspace
from perstack.base.text_files import (
    append_text_file,
    edit_text_file,
    read_text_file,
    write_text_file,
)
from perstack.base.todo import updated_todos
from perstack.schema.base import Data
from perstack.schema.message import Json
from perstack.schema.tool import BASE_SKILL, Effect, Todo, ToolDefinition, ToolOutput

Form = TypeVar("Form", bound=Data)


class Place(NamedTuple):
    """Where a call happens, and what it may use. `uptime` gives seconds."""

    workspace: Workspace
    caps: Caps
    todos: Callable[[], Sequence[Todo]]
    environ: Mapping[str, str]
    uptime: Callable[[], float]


class Tool(NamedTuple):
    """A tool as it is offered, and what a call of it does."""

    definition: ToolDefinition
    call: Callable[[Place, Json], Awaitable[ToolOutput]]


def _tool(
    name: str,
    form: type[Form],
    effect: Effect,
    description: str,
    perform: Callable[[Place, Form], Awaitable[ToolOutput]],
) -> Tool:
    async def call(place: Place, args: Json) -> ToolOutput:
        return await perform(place, parse_arguments(args, form))

    definition = ToolDefinition(
        skill_name=BASE_SKILL,
        name=name,
        description=description,
        input_schema=input_schema(form),
        effect=effect,
    )
    return Tool(definition, call)


async def _todo(place: Place, args: forms.Todos) -> ToolOutput:
    return answer({"todos": updated_todos(place.todos(), args)})


async def _clear_todo(_place: Place, _args: forms.Nothing) -> ToolOutput:
    return answer({"todos": ()})


TOOLS = (
    _tool(
        "attemptCompletion",
        forms.Nothing,
        "none",
        "Say that the task is done. Call it alone, as your last call, when everything that was "
        "asked for is finished and checked. If todos are still open, they are returned and you "
        "go on working.",
        lambda at, _args: attempt_completion(at.todos()),
    ),
    _tool(
        "todo",
        forms.Todos,
        "none",
        "Keep a list of what is to be done. Adds newTodos at the end and marks completedTodos, "
        "by id, as completed; with neither it shows the list. Returns the whole list.",
        _todo,
    ),
    _tool(
        "clearTodo",
        forms.Nothing,
        "none",
        "Empty the todo list. Ids start from 0 again.",
        _clear_todo,
    ),
    _tool(
        "exec",
        forms.Exec,
        "unknown",
        "Run a program in the workspace and wait for it to end. There is no shell: for pipes, "
        "globs or &&, run sh with args ['-c', '...']. It has no input and no terminal. Long "
        "output loses its middle. Everything it started is ended when it ends or times out, so "
        "nothing can be left running in the background.",
        lambda at, args: exec_command(at.workspace, at.caps, at.environ, args),
    ),
    _tool(
        "getFileInfo",
        forms.GetFileInfo,
        "none",
        "Kind, size, MIME type, times and permissions of a file or directory.",
        lambda at, args: get_file_info(at.workspace, args),
    ),
    _tool(
        "healthCheck",
        forms.Nothing,
        "none",
        "Whether the base tools work: workspace, uptime, memory and process id.",
        lambda at, _args: health_check(at.workspace, at.uptime()),
    ),
    _tool(
        "readTextFile",
        forms.ReadTextFile,
        "none",
        "Read a UTF-8 text file, or its lines from `from` (counted from 0) up to but not "
        "including `to`. Read a part of a long file rather than all of it.",
        lambda at, args: read_text_file(at.workspace, at.caps, args),
    ),
    _tool(
        "readImageFile",
        forms.ReadImageFile,
        "none",
        "Look at a PNG, JPEG, GIF or WebP image of at most 15 MB.",
        lambda at, args: read_image_file(at.workspace, at.caps, args),
    ),
    _tool(
        "readPdfFile",
        forms.ReadPdfFile,
        "none",
        "Read a PDF of at most 30 MB.",
        lambda at, args: read_pdf_file(at.workspace, at.caps, args),
    ),
    _tool(
        "writeTextFile",
        forms.WriteTextFile,
        "idempotent",
        "Create a text file, or replace all of its text. Missing directories are created. To "
        "change a part of a file use editTextFile, to add to its end appendTextFile.",
        lambda at, args: write_text_file(at.workspace, at.caps, args),
    ),
    _tool(
        "appendTextFile",
        forms.AppendTextFile,
        "unknown",
        "Add text to the end of a file that exists. No line end is added before it.",
        lambda at, args: append_text_file(at.workspace, at.caps, args),
    ),
    _tool(
        "editTextFile",
        forms.EditTextFile,
        "unknown",
        "Replace the first exact match of oldText in a file with newText. Give enough of the "
        "text around it to make it unique. The file keeps its line ends.",
        lambda at, args: edit_text_file(at.workspace, at.caps, args),
    ),
    _tool(
        "moveFile",
        forms.MoveFile,
        "unknown",
        "Move or rename a file or directory. Missing directories are created; a destination "
        "that exists is never overwritten.",
        lambda at, args: move_file(at.workspace, args),
    ),
    _tool(
        "deleteFile",
        forms.DeleteFile,
        "unknown",
        "Delete a file. Of a link, the link is deleted and not what it points to.",
        lambda at, args: delete_file(at.workspace, args),
    ),
    _tool(
        "listDirectory",
        forms.ListDirectory,
        "none",
        "List one directory in order of names, with type, size and time of change. Directories "
        "in it are not entered. A very long list is cut, and says so.",
        lambda at, args: list_directory(at.workspace, at.caps, args),
    ),
    _tool(
        "createDirectory",
        forms.CreateDirectory,
        "idempotent",
        "Create a directory, and those above it. One that exists is left as it is.",
        lambda at, args: create_directory(at.workspace, args),
    ),
    _tool(
        "deleteDirectory",
        forms.DeleteDirectory,
        "unknown",
        "Delete an empty directory, or with recursive a directory and all it holds.",
        lambda at, args: delete_directory(at.workspace, args),
    ),
)
