"""The conformance suite of the protocol, run against runs whose skill is reached over HTTP."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from real.servers import Servers

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(600)]

CLIENT = Path(__file__).with_name("conformance_client.py")

HANDSHAKE, STATELESS = "2025-11-25", "2026-07-28"

SCENARIOS = [
    ("initialize", "2025-06-18"),
    ("initialize", HANDSHAKE),
    ("tools_call", "2025-06-18"),
    ("tools_call", HANDSHAKE),
    ("tools_call", STATELESS),
    ("sse-retry", HANDSHAKE),
    ("json-schema-2020-12-preservation", HANDSHAKE),
    ("json-schema-2020-12-preservation", STATELESS),
    ("json-schema-ref-no-deref", STATELESS),
    ("request-metadata", STATELESS),
    ("http-standard-headers", STATELESS),
    ("http-custom-headers", STATELESS),
    ("http-invalid-tool-headers", STATELESS),
]

NOT_OURS = {
    "auth/": "no OAuth: a token comes from a variable (bearerTokenEnv)",
    "elicitation-sep1034-client-defaults": "no elicitation is offered: nobody is there to ask",
    "sep-2322-client-request-state": "a tool that wants input is refused: nobody is there to ask",
    "sep-2640-": "no resources are read, and so none that hold skills",
}
"""Scenarios, or what their names begin with, for what a client of tools does not do."""


@pytest.mark.parametrize(("scenario", "version"), SCENARIOS)
async def test_a_scenario_of_the_suite_passes(
    servers: Servers, tmp_path: Path, scenario: str, version: str
):
    mode = ["--echo"] if scenario.endswith("-preservation") else []
    client = shlex.join([sys.executable, str(CLIENT), *mode])
    words = ["--scenario", scenario, "--spec-version", version, "--output-dir", str(tmp_path)]
    told = await suite(servers, "client", "--command", client, *words)
    found = checks_in(tmp_path)
    passed = {check["id"] for check in found if check["status"] == "SUCCESS"}
    missed = [check for check in found if check["status"] in {"FAILURE", "WARNING"}]
    assert not missed, f"{json.dumps(missed, indent=2)}\n{told}"
    assert passed, told


async def test_each_scenario_of_the_suite_is_run_or_has_a_reason_not_to_be(servers: Servers):
    told = await suite(servers, "list", "--client")
    names = {line.split()[1] for line in told.splitlines() if line.startswith("  - ")}
    assert len(names) > 40
    others = {name for name in names if not name.startswith(tuple(NOT_OURS))}
    assert others == {name for name, _ in SCENARIOS}


def checks_in(folder: Path) -> list[dict[str, Any]]:
    """What the suite has written there."""
    [path] = folder.rglob("checks.json")
    return json.loads(path.read_text())


async def suite(servers: Servers, *words: str) -> str:
    """What the suite prints."""
    with anyio.fail_after(120):
        ended = await anyio.run_process(
            [servers.program("conformance"), *words],
            env=servers.environ,
            stderr=subprocess.STDOUT,
            check=False,
        )
    return ended.stdout.decode()
