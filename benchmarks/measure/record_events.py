"""What it takes to record an event, and to carry a step to the disk.

    python record_events.py STORE SCRATCH

Takes the facts of the newest job in STORE and records them again, one by one, in new
jobs in SCRATCH: the same mix and sizes as in a run, without a model and without tools.
Prints JSON: for each way of recording, the seconds of each event and of each flush.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast, get_args

import anyio
from msgspec.structs import replace

from perstack.cli.output import Output
from perstack.kernel.state import blank
from perstack.runtime.environment import Environment, Listener, Stop
from perstack.runtime.recorder import Recorder
from perstack.schema.event import Fact, RuntimeEvent, StepContinued
from perstack.schema.settings import Settings
from perstack.storage.files import FilesStore


async def kept_facts(root: Path) -> list[Fact]:
    """Every fact of the newest job's first run, without its id."""
    store = FilesStore(root)
    job_id = (await store.jobs())[0].id
    run_id = (await store.runs(job_id))[0]
    return [replace(fact, id="") async for fact in store.events(job_id, run_id)]


async def recorded(
    facts: Sequence[Fact], store: FilesStore, listeners: list[Listener]
) -> tuple[list[float], list[float]]:
    """Seconds of each `record`, and of the `flush` at each step's end."""
    settings = Settings()
    lease = await store.claim("j1")
    await store.open_run("j1", "r1", settings)
    absent = cast("Any", None)  # no model and no tools take part
    env = Environment(
        store=store,
        provider=absent,
        settings=settings,
        resolve=absent,
        open_toolbox=absent,
        listeners=listeners,
    )
    recorder = Recorder(blank("j1", "r1"), env)
    events: list[float] = []
    flushes: list[float] = []
    for fact in facts:
        begun = time.perf_counter()
        if isinstance(fact, get_args(RuntimeEvent)):
            await recorder.note(cast("RuntimeEvent", fact))
        else:
            await recorder.record(cast("Any", fact))
        events.append(time.perf_counter() - begun)
        if isinstance(fact, StepContinued):
            begun = time.perf_counter()
            await recorder.flush()
            flushes.append(time.perf_counter() - begun)
    await lease.release()
    return events, flushes


async def measure(root: Path, scratch: Path) -> dict[str, list[float]]:
    """All ways, one after the other."""
    facts = await kept_facts(root)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        output = Output(null, "lean", Stop())
        quiet, _ = await recorded(facts, FilesStore(scratch / "quiet", durable=False), [])
        told, _ = await recorded(facts, FilesStore(scratch / "told", durable=False), [output])
        _, flushes = await recorded(facts, FilesStore(scratch / "durable"), [])
    finally:
        os.close(null)
    return {"record": quiet, "recordWithOutput": told, "flush": flushes}


if __name__ == "__main__":
    taken = anyio.run(measure, Path(sys.argv[1]), Path(sys.argv[2]))
    json.dump(taken, sys.stdout)
