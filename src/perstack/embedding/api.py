"""One job with a runtime of its own: the shortest way in."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Unpack, cast

import anyio

from perstack.embedding.options import JobOptions, RuntimeOptions
from perstack.embedding.runtime import Runtime
from perstack.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from perstack.embedding.expert import Expert
    from perstack.embedding.options import Options
    from perstack.embedding.result import Result
    from perstack.embedding.stream import Stream


async def run(expert: Expert | str, query: str | None = None, **options: Unpack[Options]) -> Result:
    """Run `expert` with `query` until the job rests, and say how it ended.

        result = await run("tic-tac-toe", "Let's play!")

    `expert` is an `Expert`, or the key of one in `config` or in the catalogue. What an
    Expert or its tools get wrong is in the result; what is wrong with the call is raised.

    Raises:
        UsageError: options that are wrong, do not go together, or do not fit the job.
        ConfigurationError: something the Expert needs is missing or wrong.
        StorageError: its facts cannot be read or kept.
    """
    shared, own = _split(options)
    async with Runtime(**shared) as runtime:
        return await runtime.run(expert, query, **own)


@asynccontextmanager
async def stream(
    expert: Expert | str, query: str | None = None, **options: Unpack[Options]
) -> AsyncGenerator[Stream]:
    """`run`, event by event.

        async with stream("tic-tac-toe", "Let's play!") as events:
            async for event in events:
                ...
        events.result

    Leaving the block before the job rests interrupts it; it can be continued. Raises
    what `run` raises.
    """
    shared, own = _split(options)
    async with Runtime(**shared) as runtime, runtime.stream(expert, query, **own) as events:
        yield events


def run_sync(expert: Expert | str, query: str | None = None, **options: Unpack[Options]) -> Result:
    """`run`, for a program without an event loop.

    Ctrl-C interrupts the job, which can then be continued, and raises KeyboardInterrupt.

    Raises:
        UsageError: an event loop runs in this thread; and what `run` raises.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise UsageError("run_sync cannot run inside an event loop: use `await run(...)` there")

    async def in_loop() -> Result:
        return await run(expert, query, **options)

    return anyio.run(in_loop)


def _split(options: Options) -> tuple[RuntimeOptions, JobOptions]:
    """What is shared by all jobs of a runtime, and what is one job's own."""
    known = RuntimeOptions.__annotations__.keys() | JobOptions.__annotations__.keys()
    if unknown := sorted(options.keys() - known):
        raise UsageError(f"There is no option {unknown[0]!r}. Options: {', '.join(sorted(known))}")
    given = cast("dict[str, object]", options)
    shared = {
        name: value for name, value in given.items() if name in RuntimeOptions.__annotations__
    }
    own = {name: value for name, value in given.items() if name in JobOptions.__annotations__}
    return cast("RuntimeOptions", shared), cast("JobOptions", own)
