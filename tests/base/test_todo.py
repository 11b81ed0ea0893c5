from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from base.kit import calls_in
from perstack.base.arguments import Todos
from perstack.base.todo import remaining_todos, updated_todos
from perstack.schema.tool import Todo

if TYPE_CHECKING:
    from pathlib import Path

LIST = (Todo(id=0, title="a", completed=True), Todo(id=3, title="b"))


def test_ids_count_from_zero_and_are_not_used_again():
    assert [todo.id for todo in updated_todos((), Todos(new_todos=("a", "b")))] == [0, 1]
    assert [todo.id for todo in updated_todos(LIST, Todos(new_todos=("c",)))] == [0, 3, 4]


@given(st.lists(st.tuples(st.lists(st.text(max_size=3), max_size=3), st.integers(0, 9))))
def test_ids_stay_unique_and_completed_todos_stay_completed(steps: list[tuple[list[str], int]]):
    todos: tuple[Todo, ...] = ()
    for titles, done in steps:
        before = todos
        todos = updated_todos(todos, Todos(new_todos=tuple(titles)))
        if done < len(todos):
            todos = updated_todos(todos, Todos(completed_todos=(done,)))
        assert [todo.id for todo in todos] == list(range(len(todos)))
        assert todos[: len(before)] == tuple(
            Todo(id=old.id, title=old.title, completed=old.completed or old.id == done)
            for old in before
        )


@pytest.mark.anyio
async def test_the_answer_is_the_whole_list_and_nothing_is_kept(tmp_path: Path):
    async with calls_in(tmp_path, todos=LIST) as call:
        for _ in range(2):
            said = await call("todo", newTodos=["c"], completedTodos=[3])
            assert said.data == {
                "todos": [
                    {"id": 0, "title": "a", "completed": True},
                    {"id": 3, "title": "b", "completed": True},
                    {"id": 4, "title": "c", "completed": False},
                ]
            }
        assert (await call("todo")).data["todos"][1]["completed"] is False
        assert (await call("clearTodo")).data == {"todos": []}


@pytest.mark.anyio
async def test_an_unknown_id_is_named_with_those_that_exist(tmp_path: Path):
    async with calls_in(tmp_path, todos=LIST) as call:
        said = await call("todo", newTodos=["c"], completedTodos=[3, 7])
    assert said.is_error
    assert "id 7" in said.message
    assert "0, 3, 4" in said.message


@pytest.mark.anyio
async def test_completion_is_empty_only_when_no_todo_is_open(tmp_path: Path):
    async with calls_in(tmp_path, todos=LIST) as call:
        said = await call("attemptCompletion")
    assert said.data == {"remainingTodos": [{"id": 3, "title": "b", "completed": False}]}
    async with calls_in(tmp_path, todos=LIST[:1]) as call:
        assert (await call("attemptCompletion")).data == {}
    assert remaining_todos(LIST) == LIST[1:]
