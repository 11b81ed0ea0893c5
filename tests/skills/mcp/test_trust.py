"""What a server says of its tools' effects, and what becomes of a call that it dies in."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from perstack import load_config, run
from perstack.schema.event import ToolCallCompleted, ToolCallStarted
from perstack.schema.tool import OUTCOME_UNKNOWN
from perstack.testing import ScriptedModel, call, say

pytestmark = pytest.mark.anyio

SERVER = Path(__file__).with_name("dying_server.py")


async def called(
    folder: Path, tool: str, *, deaths: int, trusted: bool, mode: str = "", more: str = ""
) -> tuple[str, str, int]:
    """The recorded effect of one call, its answer, and how often the server saw it."""
    log = folder / "calls"
    config = folder / "perstack.toml"
    config.write_text(
        '[experts.worker]\ninstruction = "Work."\n'
        '[experts.worker.skills.tools]\ntype = "mcpStdioSkill"\n'
        f'command = "{sys.executable}"\nargs = ["{SERVER}", "{deaths}", "{log}", "{mode}"]\n'
        f"trusted = {str(trusted).lower()}\n{more}"
    )
    model = ScriptedModel([call(tool), say("Done.")])
    result = await run("worker", "Go", config=load_config(config), provider=model, workspace=folder)
    details = [event.detail for event in result.events]
    [started] = [one for one in details if isinstance(one, ToolCallStarted)]
    [answer] = [one for one in details if isinstance(one, ToolCallCompleted)]
    return started.effect, answer.tool_result.text, len(log.read_text().splitlines())


@pytest.mark.parametrize(
    ("tool", "effect"), [("read", "none"), ("put", "idempotent"), ("write", "unknown")]
)
async def test_effects_are_those_a_trusted_server_tells(tmp_path: Path, tool: str, effect: str):
    assert await called(tmp_path, tool, deaths=0, trusted=True) == (effect, f"{tool} is done", 1)


@pytest.mark.parametrize("tool", ["read", "put", "write"])
async def test_no_word_of_a_server_that_is_not_trusted_counts(tmp_path: Path, tool: str):
    effect, answer, calls = await called(tmp_path, tool, deaths=1, trusted=False)
    assert effect == "unknown"
    assert OUTCOME_UNKNOWN in answer
    assert calls == 1


@pytest.mark.parametrize("tool", ["read", "put"])
async def test_a_call_that_may_be_repeated_is_made_again_when_its_server_died(
    tmp_path: Path, tool: str
):
    _, answer, calls = await called(tmp_path, tool, deaths=1, trusted=True)
    assert (answer, calls) == (f"{tool} is done", 2)


async def test_a_call_that_may_be_repeated_is_made_twice_at_most(tmp_path: Path):
    _, answer, calls = await called(tmp_path, "read", deaths=9, trusted=True)
    assert "ended with status 3" in answer
    assert OUTCOME_UNKNOWN not in answer
    assert calls == 2


async def test_a_trusted_server_that_says_nothing_of_a_tool_is_not_asked_twice(tmp_path: Path):
    _, answer, calls = await called(tmp_path, "write", deaths=1, trusted=True)
    assert OUTCOME_UNKNOWN in answer
    assert calls == 1


async def test_a_call_is_not_repeated_where_the_server_takes_back_what_it_said_of_it(
    tmp_path: Path,
):
    _, answer, calls = await called(tmp_path, "read", deaths=1, trusted=True, mode="recant")
    assert "another tool now: its set of annotations" in answer
    assert calls == 1


@pytest.mark.parametrize("tool", ["read", "write"])
async def test_the_last_words_of_a_server_reach_the_model_without_its_secrets(
    tmp_path: Path, tool: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TOKEN", "canary-of-a-token")
    more = 'requiredEnv = ["TOKEN"]\n'
    _, answer, _ = await called(tmp_path, tool, deaths=9, trusted=True, more=more)
    assert "The token is [TOKEN]." in answer
    assert "canary" not in answer
