"""todo, clearTodo. Pure: the list that comes in, the list that comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from perstack.base.answer import Refused
from perstack.schema.tool import Todo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perstack.base.arguments import Todos


def updated_todos(todos: Sequence[Todo], args: Todos) -> tuple[Todo, ...]:
    """The list with new entries at its end and the named ones completed.

    Ids count from 0 and never repeat within a list. An entry can be added and
    completed by one call.

    Raises:
        Refused: `completedTodos` names an id that the list does not have.
    """
    first = max((todo.id for todo in todos), default=-1) + 1
    added = (Todo(id=first + at, title=title) for at, title in enumerate(args.new_todos))
    listed = (*todos, *added)
    done = set(args.completed_todos)
    unknown = sorted(done - {todo.id for todo in listed})
    if unknown:
        known = ", ".join(str(todo.id) for todo in listed) or "none: the list is empty"
        named = ", ".join(str(one) for one in unknown)
        message = f"completedTodos names no todo with id {named}. Known ids: {known}."
        raise Refused(f"{message} Nothing was changed.")
    return tuple(replace(todo, completed=True) if todo.id in done else todo for todo in listed)


def remaining_todos(todos: Sequence[Todo]) -> tuple[Todo, ...]:
    """Those not completed."""
    return tuple(todo for todo in todos if not todo.completed)
