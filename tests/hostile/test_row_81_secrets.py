"""Row 81: the provider's key is nowhere, whatever a server, a command or a crash does."""

from __future__ import annotations

import base64
import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import anyio
import pytest

from crash.process import KEY, running
from crash.world import open_ports
from perstack.testing import serve_model
from perstack.testing.scenario import CallSpec, ReplySpec

if TYPE_CHECKING:
    from crash.process import Runtime

pytestmark = [pytest.mark.anyio, pytest.mark.hostile]

HEADER = "hdr-canary-3f8Kq0ZxW7vL5tYb"
"""A credential of the user's own, in a header."""

CONFIG = '[experts.solo]\ninstruction = "You are solo."\n'
PROVIDER = f"""
[provider]
providerName = "anthropic"
[provider.setting.headers]
authorization = "Bearer {HEADER}"
"""
PREFIX = 12
"""Characters of a key that say too much."""


def traces(data: bytes) -> list[str]:
    """The forms in which a secret stands in `data`, or the better part of it."""
    found: list[str] = []
    for secret in (KEY, HEADER):
        raw = secret.encode()
        forms = {
            "plain": raw[:PREFIX],
            "end": raw[-PREFIX:],
            "hex": raw.hex().encode(),
            "url": quote(secret, safe="").encode(),
        }
        for shift in range(3):  # wherever the secret starts in what was encoded
            coded = base64.b64encode(b"x" * shift + raw)
            forms[f"base64+{shift}"] = coded[4 * (shift > 0) : -4]
        found += [f"{name} of {secret}" for name, form in forms.items() if form in data]
    return found


def test_row_81_a_secret_is_found_in_every_form():
    for secret in (KEY, HEADER):
        raw = secret.encode()
        assert traces(b"..." + raw + b"...")
        assert traces(raw[:-1])
        assert traces(raw.hex().encode())
        for shift in range(5):
            assert traces(base64.b64encode(b"y" * shift + raw + b"zz"))
    assert not traces(b"sk-canary, hdr-canary")


def nothing_in(runtime: Runtime, folder: Path) -> None:
    """No secret in what the runtime said, nor in any file it could have written."""
    assert traces(runtime.raw) == []
    assert traces(runtime.errors.encode()) == []
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert any(path.name == "events.jsonl" for path in files)
    for path in files:
        if path.name != "perstack.toml":
            assert traces(path.read_bytes()) == [], path


async def test_row_81_no_command_and_no_file_gets_the_key(tmp_path):
    async with open_ports() as ports:
        world = ports.world(tmp_path / "w", "solo")
        script = world.folder / "witness"
        script.write_text(script.read_text() + "env; cat /proc/$$/environ; cat /proc/$PPID/cmdline")
        world.arm("exec:a:about")
        async with world.runtime("Do it.", "--debug") as runtime:
            await world.hit(runtime)
            processes = [Path("/proc", str(pid)) for pid in (*world.pids, runtime.pid)]
            for process in processes:
                assert traces((process / "cmdline").read_bytes()) == []
            for process in processes:
                assert traces((process / "environ").read_bytes()) == []
            runtime.signal(signal.SIGTERM)
            assert await runtime.ended() == 143
        nothing_in(runtime, tmp_path)
        async with world.runtime("--continue") as runtime:
            assert await runtime.ended() == 0
        assert "PERSTACK_EXEC" in runtime.raw.decode()  # the environments were printed
        nothing_in(runtime, tmp_path)


SAID = f"invalid x-api-key: {KEY} (authorization: Bearer {HEADER})"
ECHOES = {
    "401": ReplySpec(status=401, error=("authentication_error", SAID)),
    "no-json": ReplySpec(status=403, body=f"<h1>{SAID}</h1>"),
    "name": ReplySpec(status=400, error=(f"error_{KEY}", "x")),
    "in-stream": ReplySpec(text="Hi.", trouble="error", error=("invalid_request_error", SAID)),
    "redirect": ReplySpec(status=302, headers={"location": f"http://127.0.0.1:9/{KEY}"}),
    "header": ReplySpec(status=404, headers={"x-echo": KEY}, body=""),
    "content-type": ReplySpec(status=200, headers={"content-type": f"text/{KEY}"}, text="x"),
    "encoded": ReplySpec(
        status=400,
        error=(
            base64.b64encode(f"user:{KEY}".encode()).decode(),
            f"{KEY.encode().hex()} {KEY.upper()} {base64.b64encode(HEADER.encode()).decode()}",
        ),
    ),
    "escaped": ReplySpec(status=400, body=f'{{"detail": "{KEY.replace("q", chr(92) + "u0071")}"}}'),
    "in-part": ReplySpec(status=401, error=("authentication_error", f"{KEY[:-3]}... is wrong")),
    "request-id": ReplySpec(status=500, headers={"request-id": KEY}, error=("api_error", SAID)),
}
CUTS = {
    "message": ReplySpec(status=401, error=("authentication_error", "x" * 1_980 + KEY)),
    "body": ReplySpec(status=401, body=" " * (64 * 1024 - 20) + KEY),
    "in-stream": ReplySpec(
        text="Hi.", trouble="error", error=("invalid_request_error", "x" * 1_980 + KEY)
    ),
}


@pytest.mark.parametrize("echo", ECHOES)
async def test_row_81_a_server_that_echoes_the_key_does_not_put_it_on_record(tmp_path, echo):
    await echoed(tmp_path, ECHOES[echo])


@pytest.mark.parametrize("cut", CUTS)
async def test_row_81_a_key_on_the_edge_of_what_is_kept_is_not_kept_in_part(tmp_path, cut):
    await echoed(tmp_path, CUTS[cut])


async def echoed(tmp_path: Path, reply: ReplySpec) -> None:
    folder = tmp_path / "w"
    folder.mkdir()
    (folder / "perstack.toml").write_text(CONFIG + PROVIDER)
    async with serve_model([reply] * 2) as server:
        told = ("solo", "Do it.", "--debug", "--max-retries", "1")
        async with running(folder, server.url, *told) as runtime:
            assert await runtime.ended() == 1
        assert server.requests[0].headers["x-api-key"] == KEY
        assert server.requests[0].headers["authorization"] == f"Bearer {HEADER}"
    assert runtime.lines[-1]["type"] == "stopRunByError"
    nothing_in(runtime, tmp_path)


async def test_row_81_a_retry_that_succeeds_leaves_no_key_behind(tmp_path):
    folder = tmp_path / "w"
    folder.mkdir()
    (folder / "perstack.toml").write_text(CONFIG + PROVIDER)
    nowait = {"retry-after-ms": "1"}
    replies = [
        ReplySpec(status=529, headers=nowait, error=("overloaded_error", SAID)),
        ReplySpec(calls=(CallSpec(name="healthCheck"),)),
        ReplySpec(text="Done."),
    ]
    async with (
        serve_model(replies) as server,
        running(folder, server.url, "solo", "Do it.") as runtime,
    ):
        assert await runtime.ended() == 0
    assert any(line["type"] == "retry" and "***" in line["reason"] for line in runtime.lines)
    nothing_in(runtime, tmp_path)


@pytest.mark.parametrize(
    "url", [f"http://user:{KEY}@127.0.0.1:9", f"http://127.0.0.1:9/?key={KEY}", f"http://{KEY}:x"]
)
async def test_row_81_an_address_that_cannot_be_used_is_not_repeated(tmp_path, url):
    folder = tmp_path / "w"
    folder.mkdir()
    (folder / "perstack.toml").write_text(CONFIG)
    with anyio.fail_after(20):
        async with running(folder, url, "solo", "Do it.", "--debug") as runtime:
            assert await runtime.ended() == 2
    assert runtime.raw == b""
    assert traces(runtime.errors.encode()) == []
    assert "ANTHROPIC_BASE_URL" in json.dumps(runtime.errors)
