"""Row 10: what skills cost that are locked and not called."""

from __future__ import annotations

import json
import sys
from statistics import median

from .bench import Bench
from .figures import Figure
from .processes import environment, perstack_command, spent
from .worlds import HERE, ONE_REPLY, READER, model_server, workspace

SKILLS = 3
MOST = 0.025
"""CPU seconds that they may cost beyond a run without skills."""

SKILL = """
[experts.reader.skills.s{number}]
type = "mcpStdioSkill"
command = {command}
args = {args}
"""


def locked_skills(bench: Bench) -> list[Figure]:
    """A run of one reply with three skills, by a lock and without one, against one with none."""
    told = "".join(
        SKILL.format(
            number=number,
            command=json.dumps(sys.executable),
            args=json.dumps([str(HERE / "tool_server.py"), str(number)]),
        )
        for number in range(SKILLS)
    )
    places = {
        "no skills": workspace(bench.folder()),
        "three skills that are locked and not called": workspace(bench.folder(), READER + told),
        "three skills that are started, with their CPU": workspace(bench.folder(), READER + told),
    }
    _, locked, _ = places.values()
    spent([*perstack_command(), "install"], locked, environment(bench.scratch))
    (bench.scratch / ".cache").mkdir(exist_ok=True)  # the home of what is measured
    taken: dict[str, list[float]] = {name: [] for name in places}
    with model_server(bench.scratch, ONE_REPLY) as (url, _):
        for _number in range(bench.runs + 1):
            for name, place in places.items():
                with bench.copy_of(place) as folder:
                    taken[name].append(bench.run(folder, url).cpu)
    without, *_ = (median(values[1:]) for values in taken.values())  # the first warms the caches
    bounds = (None, without + MOST, None)
    return [
        Figure(10, f"one reply, {name}", "cpuMs", tuple(values[1:]), bound=bound)
        for (name, values), bound in zip(taken.items(), bounds, strict=True)
    ]
