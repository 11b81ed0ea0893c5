"""Workspaces to run in, model servers to ask, and certificates for them."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from .processes import Failed, environment

HERE = Path(__file__).parent

READER = """\
[experts.reader]
instruction = "You read files."
"""
TEXT = f"{'A line of forty characters, all in all.':<39}\n" * 5
"""200 bytes."""

REPLY = {"text": "It is read, and there is nothing more to say.", "textPieces": 3}

ONE_REPLY = {"policy": {"steps": 0, "reply": REPLY, "final": REPLY}}
"""A model that is done at once."""

BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)


class Certificate(NamedTuple):
    """What a server shows, and the authorities that a client has to trust for it."""

    certificate: Path
    key: Path
    authorities: Path


def reading(steps: int) -> dict[str, Any]:
    """A model that has a file read `steps` times, and then is done."""
    call = {"name": "readTextFile", "args": {"path": "a.txt"}}
    return {"policy": {"steps": steps, "reply": {"calls": [call]}, "final": REPLY}}


def workspace(folder: Path, config: str = READER) -> Path:
    """A new workspace with a file of 200 bytes."""
    folder.mkdir(parents=True)
    (folder / "perstack.toml").write_text(config)
    (folder / "a.txt").write_text(TEXT)
    return folder


@contextmanager
def model_server(
    scratch: Path, scenario: dict[str, Any], secured: Certificate | None = None
) -> Generator[tuple[str, Path]]:
    """A model server in a process of its own: its URL, and its log of times."""
    name = f"server-{len(list(scratch.glob('server-*.json')))}"
    told, times = scratch / f"{name}.json", scratch / f"{name}.times"
    told.write_text(json.dumps(scenario))
    times.touch()
    command = [sys.executable, str(HERE / "server.py"), str(told), "--times", str(times)]
    if secured is not None:
        command += ["--certificate", str(secured.certificate), "--key", str(secured.key)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment(scratch), cwd=scratch
    )
    try:
        url = (process.stdout.readline() if process.stdout else "").strip()
        if not url:
            raise Failed("The model server did not start.")
        yield url, times
    finally:
        process.kill()
        process.communicate()


def moments(times: Path, what: str) -> list[float]:
    """When requests were `asked`, or `answered`: seconds since the epoch."""
    pairs = (line.split() for line in times.read_text().splitlines())
    return [float(at) for name, at in pairs if name == what]


def make_certificate(scratch: Path) -> Certificate | None:
    """One for 127.0.0.1, trusted beside the machine's own authorities. None without openssl.

    The machine's authorities stay in the bundle, since reading them is most of what a
    TLS context costs.
    """
    if shutil.which("openssl") is None:
        return None
    made = Certificate(scratch / "server.pem", scratch / "server.key", scratch / "trusted.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(made.key), "-out", str(made.certificate)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        return None
    own = _machine_authorities()
    machine = own.read_text() if own else ""
    made.authorities.write_text(f"{machine}\n{made.certificate.read_text()}")
    return made


def _machine_authorities() -> Path | None:
    named = (os.environ.get("SSL_CERT_FILE"), ssl.get_default_verify_paths().cafile, *BUNDLES)
    return next((Path(name) for name in named if name and Path(name).is_file()), None)
