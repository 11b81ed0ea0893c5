"""Rows 11 to 13: what MCP servers cost, beyond what they cost anybody."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from .bench import Bench
from .figures import Figure
from .processes import Spent, environment, perstack_command, spent
from .worlds import HERE, ONE_REPLY, READER, REPLY, model_server, moments, workspace

INSTALLED = HERE.parents[1] / ".servers"
PINS = HERE.parents[1] / "tests/real/package.json"
NPX = (
    "@modelcontextprotocol/server-everything",
    "@modelcontextprotocol/server-filesystem",
    "exa-mcp-server",
)
DELEGATES = 30
TRIVIAL = (sys.executable, "-I", "-S", str(HERE / "trivial_server.py"))


def three_servers(bench: Bench) -> list[Figure]:
    """A run of one reply with three npx skills, against the same servers without Perstack."""
    if not (INSTALLED / "installed").exists():
        bench.notes.append("Row 11 is left out: `uv run --group dev scripts/servers` comes first.")
        return []
    pins = json.loads(PINS.read_text())["dependencies"]
    packages = [f"{name}@{pins[name]}" for name in NPX]
    skills = [["npx", package, *_folder(package)] for package in packages]
    commands = [["npx", "--prefix", os.devnull, "-y", *words] for _, *words in skills]
    with_skills = READER + "".join(
        f'[experts.reader.skills.s{number}]\ntype = "mcpStdioSkill"\ncommand = "npx"\n'
        f"args = {json.dumps(words)}\n"
        for number, (_, *words) in enumerate(skills)
    )
    waits: dict[str, list[float]] = {"none": [], "three": [], "bare": [], "alone": []}
    costs: dict[str, list[Spent]] = {"none": [], "three": [], "bare": []}
    with model_server(bench.scratch, ONE_REPLY) as (url, times):
        environ = environment(bench.scratch, url) | _npm()
        for _number in range(bench.long_runs + 1):
            for name, config in (("none", READER), ("three", with_skills)):
                wait, cost = _first_request(bench, config, environ, times)
                waits[name].append(wait)
                costs[name].append(cost)
            ready, cost = _bare(bench, commands, environ)
            waits["bare"].append(max(ready))
            costs["bare"].append(cost)
            waits["alone"].append(max(_bare(bench, [one], environ)[0][0] for one in commands))
    waits = {name: values[1:] for name, values in waits.items()}  # the first warms the caches
    added = [three - none for three, none in zip(waits["three"], waits["none"], strict=True)]
    over = median(ours / bare for ours, bare in zip(added, waits["bare"], strict=True))
    cpu = {name: median(each.cpu for each in values[1:]) for name, values in costs.items()}
    name = "three npx skills"
    return [
        Figure(11, f"{name}: the slowest, started alone", "s", tuple(waits["alone"])),
        Figure(11, f"{name}: the slowest of all three, started bare", "s", tuple(waits["bare"])),
        Figure(11, f"{name}: to the first request, beyond a run without", "s", tuple(added)),
        Figure(11, f"{name}: that over the slowest, started bare", "times", (over,), bound=1.05),
        Figure(11, f"{name}: the servers, started bare", "cpu", (cpu["bare"],)),
        Figure(11, f"{name}: the run with them", "cpu", (cpu["three"],)),
        Figure(11, f"{name}: a run without", "cpu", (cpu["none"],)),
    ]


def calls(bench: Bench) -> list[Figure]:
    """A call of a trivial server over stdio, against a bare loop that speaks to its like."""
    folder = bench.folder()
    folder.mkdir()
    told = subprocess.run(
        [sys.executable, "-m", "measure.call_often", str(bench.runs), "500"],
        cwd=HERE.parent,
        env=environment(bench.scratch),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    taken: dict[str, list[float]] = json.loads(told.stdout)
    beyond = tuple(ours - bare for ours, bare in zip(taken["perstack"], taken["bare"], strict=True))
    return [
        Figure(12, "a call over stdio: the bare loop", "us", tuple(taken["bare"])),
        Figure(12, "a call over stdio: Perstack", "us", tuple(taken["perstack"])),
        Figure(12, "a call over stdio: Perstack beyond that", "us", beyond, bound=500e-6),
    ]


def many_servers(bench: Bench) -> list[Figure]:
    """Thirty delegates at once, each with a server of its own that it calls once."""
    config, scenario = _delegates()
    walls: list[float] = []
    costs: list[Spent] = []
    at_once: list[float] = []
    left: list[float] = []
    for _number in range(bench.long_runs):
        folder = bench.folder()
        log = bench.scratch / f"{folder.name}.log"
        with model_server(bench.scratch, scenario) as (url, times):
            costs.append(bench.run(workspace(folder, config.replace("LOG", str(log))), url))
            walls.append(moments(times, "answered")[-1] - moments(times, "asked")[0])
        lines = [line.split() for line in log.read_text().splitlines()]
        pids = {int(pid) for what, pid, _ in lines if what == "start"}
        if len(pids) != DELEGATES:
            bench.notes.append(f"Row 13: {len(pids)} servers were started, not {DELEGATES}.")
        at_once.append(_at_once([(float(at), what == "start") for what, _, at in lines]))
        left.append(sum(_is_running(pid) for pid in pids))
    name = f"{DELEGATES} delegates with a server each"
    return [
        Figure(13, f"{name}: servers at once", "count", tuple(at_once), bound=DELEGATES),
        Figure(13, f"{name}: processes left", "count", tuple(left), bound=0),
        Figure(13, f"{name}: first request to last reply", "s", tuple(walls)),
        Figure(13, f"{name}: with the servers", "cpu", tuple(each.cpu for each in costs)),
        Figure(
            13, f"{name}: peak memory of Perstack", "memory", tuple(each.memory for each in costs)
        ),
    ]


def _folder(package: str) -> tuple[str, ...]:
    return (".",) if "filesystem" in package else ()


def _npm() -> dict[str, str]:
    return {
        "PATH": f"{INSTALLED / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "NPM_CONFIG_CACHE": str(INSTALLED / "npm"),
        "NPM_CONFIG_OFFLINE": "true",
    }


def _first_request(
    bench: Bench, config: str, environ: dict[str, str], times: Path
) -> tuple[float, Spent]:
    """The seconds from the start of a run until its model is asked, and what all of it cost."""
    folder = workspace(bench.folder(), config)
    before = len(moments(times, "asked"))
    began = time.time()  # noqa: TID251 - the model server's clock
    cost = spent([*perstack_command(), "run", "reader", "Read it."], folder, environ)
    return moments(times, "asked")[before] - began, cost


def _bare(
    bench: Bench, commands: list[list[str]], environ: dict[str, str]
) -> tuple[list[float], Spent]:
    """When each of the servers was ready, without Perstack, and what they cost."""
    folder = workspace(bench.folder())
    out = folder / "ready.json"
    command = [sys.executable, "-I", "-S", str(HERE / "bare_servers.py"), json.dumps(commands)]
    cost = spent(command, folder, environ, out)
    return json.loads(out.read_text()), cost


def _delegates() -> tuple[str, dict[str, Any]]:
    """A coordinator that asks all delegates in one reply: `perstack.toml`, and the model."""
    names = [f"child-{number}" for number in range(DELEGATES)]
    config = '[experts.reader]\ninstruction = "You ask others."\n'
    config += f"delegates = {json.dumps(names)}\n"
    for name in names:
        config += (
            f'[experts.{name}]\ndescription = "Knows."\ninstruction = "You answer."\n'
            f'[experts.{name}.skills.own]\ntype = "mcpStdioSkill"\n'
            f"command = {json.dumps(TRIVIAL[0])}\nargs = {json.dumps([*TRIVIAL[1:], 'LOG'])}\n"
        )
    asked = [{"name": name, "args": {"query": "What do you know?"}} for name in names]
    scenario = {
        "rules": [
            {"system": "You ask others.", "by": "turn", "replies": [{"calls": asked}, REPLY]},
            {
                "system": "You answer.",
                "by": "turn",
                "replies": [{"calls": [{"name": "echo", "args": {}}]}, REPLY],
            },
        ]
    }
    return config, scenario


def _at_once(moves: list[tuple[float, bool]]) -> int:
    """How many were there at the same time, at most, from when each came and went."""
    count = most = 0
    for _, has_come in sorted(moves):
        count += 1 if has_come else -1
        most = max(most, count)
    return most


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
