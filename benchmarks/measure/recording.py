"""Row 5: keeping one event."""

from __future__ import annotations

import json
import sys
from statistics import median

from .bench import Bench
from .figures import Figure, percentile
from .processes import environment, spent
from .worlds import HERE


def recording(bench: Bench) -> list[Figure]:
    """One event through the recorder into files, and one step to the disk."""
    place = bench.folder()
    place.mkdir()
    command = [sys.executable, str(HERE / "record_events.py")]
    command += [str(bench.read_job() / "perstack"), str(place)]
    spent(command, place, environment(bench.scratch), place / "taken.json")
    taken: dict[str, list[float]] = json.loads((place / "taken.json").read_text())
    names = {
        "record": "recording an event, not synced",
        "recordWithOutput": "recording an event and writing its lean line",
        "flush": "carrying a step to the disk (fdatasync)",
    }
    figures: list[Figure] = []
    for key, name in names.items():
        values = taken[key]
        bound = 0.001 if key == "record" else None
        figures += [
            Figure(5, f"{name}: median", "us", (median(values),), bound),
            Figure(5, f"{name}: 99 of 100", "us", (percentile(values, 0.99),)),
        ]
    return figures
