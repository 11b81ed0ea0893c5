"""The scripted model server as a process of its own, for the life of a block."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec


@contextmanager
def serving(scenario: dict[str, Any], folder: Path) -> Generator[dict[str, str]]:
    """The environment under which `perstack` talks to a server that plays `scenario`."""
    path = folder / "scenario.json"
    path.write_bytes(msgspec.json.encode(scenario))
    server = subprocess.Popen(
        [sys.executable, "-m", "perstack.testing.model_server", str(path)],
        stdout=subprocess.PIPE,
    )
    try:
        assert server.stdout is not None
        url = server.stdout.readline().decode().strip()
        assert url.startswith("http://127.0.0.1:"), "the model server did not start"
        yield {"ANTHROPIC_API_KEY": "sk-test", "ANTHROPIC_BASE_URL": url}
    finally:
        server.kill()
        server.communicate()
