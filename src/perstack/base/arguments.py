"""What each tool takes: the one place its schema and its checks come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeAlias, TypeVar, cast

import msgspec
from msgspec import Meta

from perstack.base.answer import Refused
from perstack.schema.base import Data
from perstack.schema.message import Json

DEFAULT_TIMEOUT = 60_000
"""What a command may take, in ms, when the call does not say."""

FilePath: TypeAlias = Annotated[
    str,
    Meta(description="Path in the workspace, relative to its root or absolute.", min_length=1),
]
Text: TypeAlias = Annotated[str, Meta(description="The text, as UTF-8.")]


class Nothing(Data, kw_only=True):
    """No arguments."""


class Todos(Data, kw_only=True):
    """`todo`."""

    new_todos: Annotated[tuple[str, ...], Meta(description="Titles of todos to add.")] = ()
    completed_todos: Annotated[
        tuple[int, ...], Meta(description="Ids of todos that are now completed.")
    ] = ()


class Exec(Data, kw_only=True):
    """`exec`. `timeout` is in ms."""

    command: Annotated[
        str,
        Meta(
            description="The program: a name found on PATH, or a path to a file in the workspace. "
            "No shell reads it."
        ),
    ]
    args: Annotated[tuple[str, ...], Meta(description="Its arguments, passed as they are.")]
    env: Annotated[dict[str, str], Meta(description="Environment variables to set. {} for none.")]
    cwd: Annotated[str, Meta(description="Working directory in the workspace. '.' for its root.")]
    stdout: Annotated[bool, Meta(description="Whether to return what it prints to stdout.")]
    stderr: Annotated[bool, Meta(description="Whether to return what it prints to stderr.")]
    timeout: Annotated[
        float, Meta(description="Milliseconds after which it is killed (default: 60000).")
    ] = DEFAULT_TIMEOUT


class GetFileInfo(Data, kw_only=True):
    """`getFileInfo`."""

    path: FilePath


class ReadTextFile(Data, kw_only=True):
    """`readTextFile`."""

    path: FilePath
    from_: Annotated[int, Meta(ge=0, description="First line, counted from 0.")] | None = (
        msgspec.field(name="from", default=None)
    )
    to: Annotated[int, Meta(ge=0, description="Line to stop before.")] | None = None


class ReadImageFile(Data, kw_only=True):
    """`readImageFile`."""

    path: FilePath


class ReadPdfFile(Data, kw_only=True):
    """`readPdfFile`."""

    path: FilePath


class WriteTextFile(Data, kw_only=True):
    """`writeTextFile`."""

    path: FilePath
    text: Text


class AppendTextFile(Data, kw_only=True):
    """`appendTextFile`."""

    path: FilePath
    text: Text


class EditTextFile(Data, kw_only=True):
    """`editTextFile`."""

    path: FilePath
    old_text: Annotated[str, Meta(description="The exact text to replace.", min_length=1)]
    new_text: Annotated[str, Meta(description="The text to put in its place.")]


class MoveFile(Data, kw_only=True):
    """`moveFile`."""

    source: FilePath
    destination: FilePath


class DeleteFile(Data, kw_only=True):
    """`deleteFile`."""

    path: FilePath


class ListDirectory(Data, kw_only=True):
    """`listDirectory`."""

    path: FilePath


class CreateDirectory(Data, kw_only=True):
    """`createDirectory`."""

    path: FilePath


class DeleteDirectory(Data, kw_only=True):
    """`deleteDirectory`."""

    path: FilePath
    recursive: Annotated[
        bool, Meta(description="Delete its contents as well (default: false).")
    ] = False


Arguments = TypeVar("Arguments", bound=Data)


def parse_arguments(args: Json, form: type[Arguments]) -> Arguments:
    """The arguments of one call. None stands for an argument left out.

    Raises:
        Refused: one is missing, unknown or of the wrong type, or no valid text;
            the message names it.
    """
    given = {name: value for name, value in args.items() if value is not None}
    _check_text(given)
    try:
        return msgspec.convert(given, form)
    except msgspec.ValidationError as error:
        raise Refused(f"Wrong arguments: {error}") from None


def input_schema(form: type[Data]) -> Json:
    """The JSON Schema of a form, for a model."""
    schema = cast("Json", msgspec.json.schema(form)["$defs"][form.__name__])
    properties = cast("dict[str, Json]", schema["properties"])
    return {
        "type": "object",
        "properties": {name: _property(value) for name, value in properties.items()},
        "required": schema.get("required", []),
        "additionalProperties": False,
    }


def _property(value: Json) -> Json:
    """Without null and defaults: to leave an argument out is the one way to leave it out."""
    choices = cast("list[Json]", value.get("anyOf", []))
    plain = {name: inner for name, inner in value.items() if name not in {"anyOf", "default"}}
    for choice in choices:
        if choice != {"type": "null"}:
            plain |= choice
    return plain


def _check_text(value: object, name: str = "") -> None:
    if isinstance(value, str):
        if "\0" in value:
            raise Refused(f"Wrong arguments: {name} holds a NUL character.")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Refused(f"Wrong arguments: {name} is not valid Unicode text.") from None
    elif isinstance(value, dict):
        for key, inner in cast("Json", value).items():
            _check_text(key, name or "an argument's name")
            _check_text(inner, f"{name}.{key}" if name else key)
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(cast("Sequence[object]", value)):
            _check_text(inner, f"{name}[{index}]")
