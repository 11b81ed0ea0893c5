"""The resolver of this machine, which may be slow, and what it answers."""

from __future__ import annotations

import subprocess
import sys

import pytest

from perstack.net.resolve import system_resolver

STUCK = """
import socket, threading
import anyio
from perstack.net.site import Site

asked = threading.Event()

def never(*_, **__):
    asked.set()
    threading.Event().wait()

async def main():
    async with Site("https://mcp.example.com/") as site, anyio.create_task_group() as tasks:
        tasks.start_soon(ask, site)
        await anyio.to_thread.run_sync(asked.wait)
        tasks.cancel_scope.cancel()

async def ask(site):
    async with site.exchange("GET", patience=600):
        pass

socket.getaddrinfo = never
anyio.run(main)
print("left")
"""


def test_a_resolver_that_never_answers_keeps_no_process_from_its_end():
    ended = subprocess.run(
        [sys.executable, "-c", STUCK], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.stdout, ended.stderr) == ("left\n", "")


@pytest.mark.anyio
async def test_this_machine_is_known_to_its_resolver():
    assert set(await system_resolver("localhost", 443)) <= {"127.0.0.1", "::1"}


@pytest.mark.anyio
async def test_a_name_that_no_resolver_can_look_up_is_an_error_of_the_system():
    with pytest.raises((OSError, UnicodeError)):
        await system_resolver("a" * 64 + ".localhost", 443)
