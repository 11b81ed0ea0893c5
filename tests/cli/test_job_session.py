"""The session behind the workbench: what is wished goes on from the right place, and once."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from cli.server import serving
from perstack.cli.job_session import JobSession
from perstack.cli.wanted import Wanted
from perstack.config.request import Options
from perstack.errors import StorageError
from perstack.schema.event import GenerationStarted, RunStarted
from perstack.storage.files import FilesStore
from perstack.tui.session import Notice, Rested

if TYPE_CHECKING:
    from perstack.schema.event import Fact
    from perstack.tui.session import Happening

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

EXPERTS = """
[experts.helper]
description = "Helps."
instruction = "Help."
delegates = ["worker"]

[experts.worker]
description = "Works."
instruction = "Work."
"""


class Listening:
    """A session that is carried out, and what it told."""

    def __init__(self, session: JobSession) -> None:
        self.session = session
        self.told: list[Happening] = []
        self._happenings = session.happenings()

    async def until(self, kind: type[Happening]) -> Happening:
        async for happening in self._happenings:
            self.told.append(happening)
            if isinstance(happening, kind):
                return happening
        raise AssertionError(f"it ended without {kind}: {self.told}")

    async def rest(self) -> Rested:
        rested = await self.until(Rested)
        assert isinstance(rested, Rested)
        return rested

    def starts(self) -> list[RunStarted]:
        return [one for one in self.told if isinstance(one, RunStarted)]


@asynccontextmanager
async def session(
    folder: Path, environ: dict[str, str], **options: object
) -> AsyncGenerator[Listening]:
    (folder / "perstack.toml").write_text(EXPERTS)
    given = Options(expert_key="helper", **options)  # pyright: ignore[reportArgumentType]
    wanted = Wanted(given, folder, {"PATH": "/usr/bin", **environ})
    listening = Listening(JobSession(wanted, wanted.request()))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listening.session.carry_out)
        yield listening
        listening.session.close()
        await listening.session.ended()


async def test_what_is_typed_after_a_stop_goes_on_from_where_the_stopped_run_began(
    tmp_path: Path,
) -> None:
    hangs = {"system": "Work.", "replies": [{"trouble": "hang"}]}
    delegates = {
        "user": "Do another",
        "replies": [{"calls": [{"name": "worker", "args": {"query": "Go"}}]}],
    }
    done = {"user": "Do", "replies": [{"text": "Done."}]}
    with serving({"rules": [hangs, delegates, done]}, tmp_path) as env:
        async with session(tmp_path, env, query="Do one") as listening:
            await listening.rest()
            listening.session.ask("Do two")
            await listening.rest()
            [first] = {start.base.checkpoint_id for start in listening.starts() if start.base}
            listening.session.go_back(first)
            await listening.rest()
            listening.session.ask("Do another")
            while len(listening.starts()) < 4:
                await listening.until(RunStarted)
            listening.session.stop()
            assert (await listening.rest()).is_interrupted
            listening.session.ask("Do four")
            await listening.rest()

    bases = [start.base.checkpoint_id for start in listening.starts() if start.base]
    assert bases == [first, first, first]


async def test_a_query_that_was_begun_and_failed_is_carried_on_and_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = FilesStore.append
    full = [StorageError("the disk is full")]

    async def fail_once(store: FilesStore, fact: Fact, line: bytes) -> None:
        if isinstance(fact, GenerationStarted) and full:
            raise full.pop()
        await append(store, fact, line)

    monkeypatch.setattr(FilesStore, "append", fail_once)
    with serving({"replies": [{"text": "Done."}]}, tmp_path) as env:
        async with session(tmp_path, env) as listening:
            await listening.rest()
            listening.session.ask("Do one")
            failed = await listening.rest()
            listening.session.carry_on()
            rested = await listening.rest()

    assert (failed.is_interrupted, failed.unsent) == (True, "")
    assert (rested.status, len(listening.starts())) == ("completed", 1)


async def test_a_query_of_the_command_line_that_cannot_be_carried_out_is_given_back(
    tmp_path: Path,
) -> None:
    with serving({"replies": [{"text": "Done."}]}, tmp_path) as env:
        async with session(tmp_path, env, query="Do one") as listening:
            await listening.rest()
        job_id = listening.session.job_id
        options = {"continue_job": job_id, "query": "4", "interactive": True}
        async with session(tmp_path, env, **options) as listening:
            rested = await listening.rest()

    assert rested.unsent == "4", "nothing waits for an answer"


async def test_a_session_that_is_left_before_it_began_begins_nothing(tmp_path: Path) -> None:
    with serving({"replies": [{"text": "Done."}]}, tmp_path) as env:
        async with session(tmp_path, env, query="Do one") as listening:
            listening.session.close()
            await listening.session.ended()

    assert listening.session.job_id is None


async def test_a_stop_that_comes_before_the_job_moves_is_not_forgotten(tmp_path: Path) -> None:
    with serving({"replies": [{"text": "Done."}]}, tmp_path) as env:
        async with session(tmp_path, env) as listening:
            await listening.rest()
            listening.session.ask("Do one")
            listening.session.stop()
            stopped = await listening.rest()
            listening.session.carry_on()
            rested = await listening.rest()

    assert stopped.is_interrupted
    assert (rested.status, len(listening.starts())) == ("completed", 1)


async def test_where_nothing_can_be_set_aside_it_is_said_that_it_goes_on(tmp_path: Path) -> None:
    hangs = {"system": "Work.", "replies": [{"trouble": "hang"}]}
    delegates = {"calls": [{"name": "worker", "args": {"query": "Go"}}]}
    with serving({"rules": [hangs], "replies": [delegates]}, tmp_path) as env:
        async with session(tmp_path, env, query="Do one") as listening:
            while len(listening.starts()) < 2:
                await listening.until(RunStarted)
            listening.session.stop()
            await listening.rest()
            listening.session.ask("Do two")
            told = await listening.until(Notice)

    assert isinstance(told, Notice)
    assert "it goes on, and this follows" in told.text


async def test_the_key_goes_to_another_address_only_after_a_second_word(tmp_path: Path) -> None:
    with serving({"replies": [{"text": "One."}] * 2}, tmp_path) as env:
        async with session(tmp_path, {"ANTHROPIC_API_KEY": "k"}) as listening:
            await listening.rest()
            url = env["ANTHROPIC_BASE_URL"]
            there = '[provider]\nproviderName = "anthropic"\n'
            there += f'[provider.setting]\nbaseUrl = "{url}"\n'
            (tmp_path / "perstack.toml").write_text(EXPERTS + there)
            listening.session.ask("Do one")
            told = await listening.until(Notice)
            assert isinstance(told, Notice)
            assert told.is_problem
            assert url in told.text
            rested = await listening.rest()
            assert rested.unsent == "Do one"
            assert not listening.starts()
            listening.session.ask("Do one")
            assert (await listening.rest()).status == "completed"
            listening.session.ask("Do two")
            await listening.rest()

    assert len(listening.starts()) == 2
