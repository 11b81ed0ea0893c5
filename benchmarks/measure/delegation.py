"""Row 4: delegates that are asked at the same time."""

from __future__ import annotations

import json
from typing import Any

from .bench import Bench
from .figures import Figure
from .worlds import REPLY, model_server, moments, workspace

DELEGATES = 8
LATENCY_MS = 300
IDEAL_SECONDS = 3 * LATENCY_MS / 1000
"""The coordinator's call, all delegates at once, the coordinator's answer."""


def world() -> tuple[str, dict[str, Any]]:
    """A coordinator that asks all delegates in one reply: `perstack.toml`, and the model."""
    names = [f"child-{number}" for number in range(DELEGATES)]
    config = '[experts.reader]\ninstruction = "You ask others."\n'
    config += f"delegates = {json.dumps(names)}\n"
    for name in names:
        config += f'[experts.{name}]\ndescription = "Knows."\ninstruction = "You answer."\n'
    calls = [{"name": name, "args": {"query": "What do you know?"}} for name in names]
    scenario = {
        "rules": [
            {
                "system": "You ask others.",
                "by": "turn",
                "replies": [
                    {"calls": calls, "latencyMs": LATENCY_MS},
                    {**REPLY, "latencyMs": LATENCY_MS},
                ],
            },
            {"system": "You answer.", "replies": [{**REPLY, "latencyMs": LATENCY_MS}]},
        ]
    }
    return config, scenario


def delegates(bench: Bench) -> list[Figure]:
    """Delegates of one reply work at the same time."""
    config, scenario = world()
    walls: list[float] = []
    cpus: list[float] = []
    for _number in range(bench.long_runs):
        with model_server(bench.scratch, scenario) as (url, times):
            cpus.append(bench.run(workspace(bench.folder(), config), url).cpu)
            asked, answered = moments(times, "asked"), moments(times, "answered")
        if len(asked) != DELEGATES + 2:
            bench.notes.append(f"Row 4: {len(asked)} requests came, not {DELEGATES + 2}.")
        walls.append(answered[-1] - asked[0])
    name = f"{DELEGATES} delegates, {LATENCY_MS} ms a reply"
    over = tuple(wall / IDEAL_SECONDS for wall in walls)
    return [
        Figure(4, f"{name}: first request to last reply", "s", tuple(walls)),
        Figure(4, f"{name}: over {IDEAL_SECONDS} s", "times", over, 1.10, "1.31-1.42 x"),
        Figure(4, name, "cpu", tuple(cpus)),
    ]
