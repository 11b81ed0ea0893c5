"""Whether a Docker engine answers. None is started, and none is woken."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import msgspec

from perstack.assembly.ask import ask
from perstack.schema.diagnosis import Engine

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS = 1.0
SYSTEMD = Path("/run/systemd/system")
"""Is there where systemd runs the machine, which starts an engine when its socket is asked."""

_UNIX = "unix://"


class _Version(msgspec.Struct):
    """https://docs.docker.com/reference/api/engine: GET /version."""

    version: str = msgspec.field(name="Version")


async def docker_engine(environ: Mapping[str, str], systemd: Path = SYSTEMD) -> Engine:
    """The engine that Docker's client would speak to, if it is on this machine and runs."""
    told = environ.get("DOCKER_HOST", "").strip()
    if told and not told.startswith(_UNIX):
        return Engine(state="notAsked", address=_shown(told))
    places = [Path(told.removeprefix(_UNIX))] if told else _usual_places(environ)
    sockets = [path for path in places if path.is_socket()]
    if not sockets:
        return Engine(state="none", address=told or None)
    address = f"{_UNIX}{sockets[0]}"
    if not _may_be_asked(sockets[0], systemd):
        return Engine(state="notAsked", address=address)
    version: _Version | None = None
    with anyio.move_on_after(SECONDS):
        try:
            stream = await anyio.connect_unix(sockets[0])
        except OSError:
            return Engine(state="silent", address=address)
        version = await ask(stream, "/version", _Version)
    if version is None:
        return Engine(state="silent", address=address)
    return Engine(state="answers", address=address, version=version.version[:80])


def _usual_places(environ: Mapping[str, str]) -> list[Path]:
    """The engine of the machine, of a user without root, and of Docker Desktop."""
    places = [Path("/var/run/docker.sock")]
    if folder := environ.get("XDG_RUNTIME_DIR"):
        places.append(Path(folder, "docker.sock"))
    if home := environ.get("HOME"):
        places += [Path(home, ".docker", where, "docker.sock") for where in ("run", "desktop")]
    return places


def _may_be_asked(socket: Path, systemd: Path) -> bool:
    """Whether the question could not be what starts it: an engine that runs says so in a file."""
    if not systemd.exists():
        return True
    try:
        number = int(socket.with_suffix(".pid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return False
    return Path("/proc", str(number)).exists()


def _shown(address: str) -> str:
    """Without a user or password."""
    scheme, there, rest = address.partition("://")
    return f"{scheme}{there}{rest.rpartition('@')[2]}" if there else "(not an address)"
