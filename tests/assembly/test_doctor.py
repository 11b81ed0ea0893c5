"""What `perstack doctor` finds of this machine, with the machine's parts stood in for."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.abc
import pytest

from perstack.assembly.ask import MAX_ANSWER_BYTES, ask
from perstack.assembly.doctor import docker
from perstack.assembly.doctor.docker import docker_engine
from perstack.assembly.doctor.project import jobs_place
from perstack.assembly.doctor.sandboxes import sandbox
from perstack.config.request import Options
from perstack.config.resolve import resolve
from perstack.schema.diagnosis import Engine, Finding

pytestmark = pytest.mark.anyio

MACHINES = Path("/var/run/docker.sock")
NOWHERE = Path("/nonexistent")
VERSION = b'HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{"Version": "28.2.2", "X": 1}'


@pytest.mark.parametrize("name", ["perstack", "jobs"])
@pytest.mark.parametrize("refused", [os.R_OK, os.W_OK, os.X_OK])
def test_folders_for_jobs_that_may_not_be_read_and_written_are_told(
    tmp_path: Path, name: str, refused: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "perstack/jobs").mkdir(parents=True)
    request = resolve(Options(), tmp_path, {})
    findings: list[Finding] = []
    assert jobs_place(request, findings) == str(tmp_path / "perstack")
    assert not findings
    monkeypatch.setattr(os, "access", lambda path, mode: path.name != name or not mode & refused)
    jobs_place(request, findings)
    assert "may not be read and written" in findings[0].message


@asynccontextmanager
async def answering(path: Path, answer: bytes | None) -> AsyncGenerator[list[bytes]]:
    """A socket that says this to whatever it is asked; None: nothing, until it is left."""
    asked: list[bytes] = []

    async def serve(client: anyio.abc.SocketStream) -> None:
        async with client:
            asked.append(await client.receive())
            if answer is None:
                await anyio.sleep_forever()
            else:
                await client.send(answer)

    async with anyio.create_task_group() as tasks, await anyio.create_unix_listener(path) as one:
        tasks.start_soon(one.serve, serve)
        yield asked
        tasks.cancel_scope.cancel()


async def test_an_engine_that_answers_is_told_with_its_version(tmp_path: Path) -> None:
    address = f"unix://{tmp_path}/docker.sock"
    async with answering(tmp_path / "docker.sock", VERSION) as asked:
        found = await docker_engine({"DOCKER_HOST": address}, NOWHERE)
    assert found == Engine(state="answers", address=address, version="28.2.2")
    assert asked[0].startswith(b"GET /version HTTP/1.0\r\n")


@pytest.mark.skipif(MACHINES.exists(), reason="the machine's own engine comes first")
async def test_the_engine_of_a_user_without_root_is_found(tmp_path: Path) -> None:
    async with answering(tmp_path / "docker.sock", VERSION):
        found = await docker_engine({"XDG_RUNTIME_DIR": str(tmp_path)}, NOWHERE)
    assert found.state == "answers"


@pytest.mark.parametrize(
    "answer", [None, b"", b"HTTP/1.1 500 No\r\n\r\n{}", VERSION.replace(b"28.2.2", b"\xff")]
)
async def test_a_socket_that_answers_otherwise_is_no_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes | None
) -> None:
    monkeypatch.setattr(docker, "SECONDS", 0.2)
    async with answering(tmp_path / "docker.sock", answer):
        found = await docker_engine({"DOCKER_HOST": f"unix://{tmp_path}/docker.sock"}, NOWHERE)
    assert (found.state, found.version) == ("silent", None)


async def test_an_engine_that_does_not_run_is_not_woken(tmp_path: Path) -> None:
    environ = {"DOCKER_HOST": f"unix://{tmp_path}/docker.sock"}
    pid = tmp_path / "docker.pid"
    async with answering(tmp_path / "docker.sock", VERSION) as asked:
        for text in (None, "no number", "999999999"):
            if text is not None:
                pid.write_text(text)
            assert (await docker_engine(environ, tmp_path)).state == "notAsked"
        assert asked == []
        pid.write_text(str(os.getpid()))
        assert (await docker_engine(environ, tmp_path)).state == "answers"


@pytest.mark.hostile
@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("tcp://user:secret@10.0.0.1:2375", "tcp://10.0.0.1:2375"),
        ("ssh://me@far", "ssh://far"),
        ("secret", "(not an address)"),
    ],
)
async def test_an_engine_elsewhere_is_not_asked(host: str, shown: str) -> None:
    found = await docker_engine({"DOCKER_HOST": host}, NOWHERE)
    assert found == Engine(state="notAsked", address=shown)


async def test_no_socket_is_no_engine(tmp_path: Path) -> None:
    (tmp_path / "docker.sock").write_text("a file")
    found = await docker_engine({"DOCKER_HOST": f"unix://{tmp_path}/docker.sock"}, NOWHERE)
    assert found.state == "none"


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (OK + b"\r\n[1]", [1]),
        (OK + b"content-LENGTH: 3\r\n\r\n[1]and more", None),
        (OK + b"Content-Length: 3\r\n\r\n[1]", [1]),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\n[1]\r\n0\r\n\r\n", None),
        (b"HTTP/1.1 404 Not Found\r\n\r\n[1]", None),
        (b"HTTP/1.1 2000\r\n\r\n[1]", None),
        (OK + b"\r\n" + b"[" * 100_000, None),
        (OK + b"\r\n[" + b" " * MAX_ANSWER_BYTES + b"1]", None),
        (OK + b"Content-Length: 999999999\r\n\r\n[1]", [1]),
        (b"SSH-2.0-x\r\n", None),
        (b"", None),
    ],
)
async def test_an_answer_is_taken_whole_and_bounded_or_not_at_all(
    tmp_path: Path, answer: bytes, told: object
) -> None:
    async with answering(tmp_path / "socket", answer):
        stream = await anyio.connect_unix(tmp_path / "socket")
        with anyio.fail_after(10):
            assert await ask(stream, "/", list[int]) == told


async def test_the_backends_of_a_sandbox_are_found_and_none_is_used(tmp_path: Path) -> None:
    bwrap = tmp_path / "bwrap"
    bwrap.write_text("#!/bin/sh\n")
    bwrap.chmod(0o755)
    found = sandbox({"PATH": str(tmp_path)})
    assert found.used is None
    by_name = {backend.name: backend for backend in found.backends}
    assert list(by_name) == ["bubblewrap", "userNamespaces", "landlock"]
    assert by_name["bubblewrap"].detail == str(bwrap)
    assert not sandbox({"PATH": "/nonexistent"}).backends[0].is_available
    assert all(backend.detail for backend in found.backends)


@pytest.mark.parametrize(("script", "detail"), [("exit 1", "Operation not permitted"), (None, "")])
async def test_namespaces_that_cannot_be_made_are_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, detail: str
) -> None:
    python = tmp_path / "python"
    if script is not None:
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    namespaces = sandbox({}).backends[1]
    assert not namespaces.is_available
    assert detail in namespaces.detail
