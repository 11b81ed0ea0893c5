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
from perstack.schema.event import RunStarted
from perstack.tui.session import Rested

if TYPE_CHECKING:
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
