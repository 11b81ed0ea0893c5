"""Rows 1 and 2: what it takes to start, and to get one reply."""

from __future__ import annotations

import sys
from statistics import median

from .bench import Bench
from .figures import Figure
from .processes import Spent, environment, perstack_command, spent
from .worlds import HERE, ONE_REPLY, Certificate, make_certificate, model_server, workspace


def one_reply(bench: Bench) -> list[Figure]:
    """A run of one reply against the bare stack, over TLS as shipped, and over plain http."""
    figures: list[Figure] = []
    secured = make_certificate(bench.scratch)
    if secured is None:
        bench.notes.append("Row 1 over https is left out: there is no usable openssl.")
    else:
        figures += _against_bare(bench, "https", secured, "1.06 CPU s, 161 MB")
    return figures + _against_bare(bench, "http", None, "")


def _against_bare(
    bench: Bench, scheme: str, secured: Certificate | None, reference: str
) -> list[Figure]:
    trust = secured.authorities if secured else None
    environ = environment(bench.scratch, "", trust)
    ours: list[Spent] = []
    bare: list[Spent] = []
    with model_server(bench.scratch, ONE_REPLY, secured) as (url, _):
        asked = [sys.executable, str(HERE / "bare_stack.py"), url]
        for _number in range(bench.runs + 1):
            ours.append(bench.run(workspace(bench.folder()), url, trust=trust))
            bare.append(spent(asked, bench.scratch, environ))
    ours, bare = ours[1:], bare[1:]  # the first of each warms the caches
    ratio = median(each.cpu for each in ours) / median(each.cpu for each in bare)
    memory = tuple(each.memory for each in ours)
    name = f"one reply, {scheme}"
    return [
        Figure(1, name, "cpu", tuple(each.cpu for each in ours), reference=reference),
        Figure(1, f"{name}: the bare stack", "cpu", tuple(each.cpu for each in bare)),
        Figure(1, f"{name}: ratio of the medians", "times", (ratio,), bound=1.4),
        Figure(1, f"{name}: peak memory", "memory", memory, bound=60e6),
        Figure(
            1,
            f"{name}: peak memory of the bare stack",
            "memory",
            tuple(each.memory for each in bare),
        ),
    ]


def starts(bench: Bench) -> list[Figure]:
    """What `--version` and `--help` take beyond an interpreter that does nothing."""
    environ = environment(bench.scratch)
    commands = {
        "bare": [sys.executable, "-c", "pass"],
        "--version": [*perstack_command(), "--version"],
        "--help": [*perstack_command(), "--help"],
    }
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _number in range(2 * bench.runs + 1):
        for name, command in commands.items():
            taken[name].append(spent(command, bench.scratch, environ).cpu)
    bare = median(taken["bare"][1:])

    def beyond(name: str) -> tuple[float, ...]:
        return tuple(cpu - bare for cpu in taken[name][1:])

    return [
        Figure(2, "`python -c pass`", "cpuMs", tuple(taken["bare"][1:])),
        Figure(2, "`--version`, beyond that", "cpuMs", beyond("--version"), bound=0.060),
        Figure(2, "`--help`, beyond that", "cpuMs", beyond("--help")),
    ]
