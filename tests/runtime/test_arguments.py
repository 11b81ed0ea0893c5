"""Arguments as a model sends them: what cannot be kept is answered, and the run goes on."""

import pytest

from perstack.providers import GenerateRequest, Reply
from perstack.runtime.replay import read_job
from perstack.storage.memory import MemoryStore
from perstack.testing import call, say
from worlds import JOB, World, expert, replies

pytestmark = pytest.mark.anyio


def nested(depth: int) -> dict[str, object]:
    args: dict[str, object] = {}
    for _ in range(depth):
        args = {"a": [args]}
    return args


@pytest.mark.parametrize(("depth", "is_kept"), [(40, True), (60, False), (400, False)])
async def test_arguments_nested_too_deep_to_be_read_back_are_answered(
    depth: int, is_kept: bool
) -> None:
    def model(request: GenerateRequest) -> Reply:
        return say("Done.") if replies(request) else call("look", nested(depth))

    store = MemoryStore()
    job = await World({"lead": expert("lead")}, model).play(store)

    (state,) = (await read_job(store, JOB)).values()
    assert state.status == "completed"
    assert job.coordinator is not None
    answer = state.messages[2].contents[0]
    assert getattr(answer, "is_error", None) is (not is_kept)
