from __future__ import annotations

import base64
import json
import os
import re
import select
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from base.kit import Told, calls_in
from base.mcp_process import (
    COMMAND,
    ENVIRONMENT,
    MODERN,
    READY,
    SECONDS,
    Requests,
    lines,
    raw_client,
)
from perstack.schema.tool import BASE_TOOLS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
PDF = b"%PDF-1.7\n%%EOF\n"
WAITS = "echo $$ > pid; echo up > told; exec sleep 1000"
LONG = 33 * 1024 * 1024


@asynccontextmanager
async def client(workspace: Path, *options: str) -> AsyncIterator[Client]:
    """The SDK's own client, connected to a real server."""
    server = StdioServerParameters(
        command=COMMAND[0], args=[*COMMAND[1:], *options], cwd=workspace, env=ENVIRONMENT
    )
    transport = stdio_client(server, errlog=sys.__stderr__ or sys.stderr)
    async with Client(transport, read_timeout_seconds=SECONDS) as made:
        yield made


def said(result: Any) -> dict[str, Any]:
    """The JSON of an answer's only part."""
    (part,) = result.content
    return json.loads(part.text)


def json_of(answer: dict[str, Any]) -> dict[str, Any]:
    """The same, of an answer as it came."""
    (part,) = answer["result"]["content"]
    return json.loads(part["text"])


@asynccontextmanager
async def waiting_command(workspace: Path, raw: Any) -> AsyncIterator[int]:
    """A pidfd of a command that runs for as long as it is let."""
    async with Told(workspace / "told") as told:
        await raw.send(raw.exec("sh", "-c", WAITS))
        assert await told.line() == "up"
    pidfd = os.pidfd_open(int((workspace / "pid").read_text()))
    try:
        yield pidfd
    finally:
        os.close(pidfd)


def peak_of(pid: int) -> int:
    """The most memory it has had, in kB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc", str(pid), "status").read_text())
    assert found is not None
    return int(found[1])


def has_ended(pidfd: int) -> bool:
    return bool(select.select([pidfd], [], [], SECONDS)[0])


async def test_a_client_sees_every_tool_as_it_is_defined(tmp_path):
    async with calls_in(tmp_path) as calls:
        definitions = calls.tools.tools()
    async with client(tmp_path) as made:
        tools = (await made.list_tools()).tools
    assert [tool.name for tool in tools] == list(BASE_TOOLS)
    assert [(tool.description, tool.input_schema) for tool in tools] == [
        (definition.description, definition.input_schema) for definition in definitions
    ]


async def test_hints_say_what_a_call_does_to_the_world(tmp_path):
    async with client(tmp_path) as made:
        hints = {
            tool.name: tool.annotations.model_dump() | {"title": None}
            for tool in (await made.list_tools()).tools
            if tool.annotations
        }
    names = ("read_only_hint", "destructive_hint", "idempotent_hint", "open_world_hint")
    told = {tool: "".join(name[0] for name in names if hints[tool][name]) for tool in hints}
    reading = ("attemptCompletion", "getFileInfo", "healthCheck", "readTextFile")
    media = ("readImageFile", "readPdfFile", "listDirectory")
    assert told == dict.fromkeys((*reading, *media), "ri") | {
        "todo": "",
        "clearTodo": "i",
        "exec": "do",
        "writeTextFile": "di",
        "appendTextFile": "",
        "editTextFile": "d",
        "moveFile": "d",
        "deleteFile": "d",
        "createDirectory": "i",
        "deleteDirectory": "d",
    }


async def test_pick_and_omit_narrow_what_is_offered_and_what_can_be_called(tmp_path):
    options = ("--pick", "readTextFile", "--pick", "exec", "--omit", "exec")
    async with client(tmp_path, *options) as made:
        assert [tool.name for tool in (await made.list_tools()).tools] == ["readTextFile"]
        refused = await made.call_tool("exec", {})
    assert refused.is_error
    assert said(refused)["message"] == "There is no tool 'exec'."


async def test_texts_images_and_pdfs_come_as_what_they_are(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    (tmp_path / "a.png").write_bytes(PNG)
    (tmp_path / "my file.pdf").write_bytes(PDF)
    async with client(tmp_path) as made:
        text = await made.call_tool("readTextFile", {"path": "a.txt", "to": 1})
        image = await made.call_tool("readImageFile", {"path": "a.png"})
        pdf = await made.call_tool("readPdfFile", {"path": "my file.pdf"})
    assert said(text) == {"path": "a.txt", "content": "one", "from": 0, "to": 1}
    assert not text.is_error
    part: Any
    (part,) = image.content
    assert (part.type, part.mime_type) == ("image", "image/png")
    assert base64.b64decode(part.data) == PNG
    (part,) = pdf.content
    assert part.type == "resource"
    assert part.resource.mime_type == "application/pdf"
    assert part.resource.uri == (tmp_path.resolve() / "my file.pdf").as_uri()
    assert base64.b64decode(part.resource.blob) == PDF


@pytest.mark.parametrize(
    ("tool", "args", "message"),
    [
        ("noSuchTool", {}, "There is no tool 'noSuchTool'."),
        ("readTextFile", {}, "missing required field `path`"),
        ("readTextFile", {"path": 3}, "Expected `str`, got `int`"),
        ("readTextFile", {"path": "none.txt"}, "none.txt does not exist"),
        ("readTextFile", {"path": "/etc/passwd"}, "workspace"),
        ("listDirectory", {"path": "perstack"}, "perstack"),
        ("writeTextFile", {"path": "perstack/jobs/x", "text": ""}, "perstack"),
        ("readImageFile", {"path": "."}, "."),
    ],
)
async def test_what_goes_wrong_in_a_call_is_its_answer(tool, args, message, tmp_path):
    (tmp_path / "perstack/jobs").mkdir(parents=True)
    async with client(tmp_path) as made:
        result = await made.call_tool(tool, args)
        assert result.is_error
        assert message in said(result)["message"]
        assert not (await made.call_tool("healthCheck", {})).is_error
    assert not list((tmp_path / "perstack/jobs").iterdir())


def no_utf8(parent: Path) -> Path:
    """A folder with a PDF, and a name that is no UTF-8."""
    folder = Path(os.fsdecode(os.fsencode(parent) + b"/caf\xe9"))
    folder.mkdir()
    (folder / "a.pdf").write_bytes(PDF)
    return folder


async def test_a_workspace_may_have_any_name(tmp_path):
    workspace = no_utf8(tmp_path)
    async with client(workspace) as made:
        assert (made.instructions or "").count("caf\\xe9") == 1
        part: Any
        (part,) = (await made.call_tool("readPdfFile", {"path": "a.pdf"})).content
    assert part.resource.uri.endswith("/caf%E9/a.pdf")


async def test_todos_are_kept_for_as_long_as_a_client_is_connected(tmp_path):
    async with client(tmp_path) as made:
        await made.call_tool("todo", {"newTodos": ["one", "two"]})
        listed = await made.call_tool("todo", {"completedTodos": [0]})
        unknown = await made.call_tool("todo", {"completedTodos": [7]})
        left = await made.call_tool("attemptCompletion", {})
        await made.call_tool("clearTodo", {})
        done = await made.call_tool("attemptCompletion", {})
    todos = [
        {"id": 0, "title": "one", "completed": True},
        {"id": 1, "title": "two", "completed": False},
    ]
    assert said(listed) == {"todos": todos}
    assert unknown.is_error
    assert said(left) == {"remainingTodos": todos[1:]}
    assert said(done) == {}
    async with client(tmp_path) as made:
        assert said(await made.call_tool("todo", {})) == {"todos": []}


async def test_five_megabytes_go_both_ways(tmp_path):
    text = "0123456789abcde\n" * (5 * 65536)
    async with client(tmp_path) as made:
        await made.call_tool("writeTextFile", {"path": "big.txt", "text": text})
        read = await made.call_tool("readTextFile", {"path": "big.txt"})
    assert (tmp_path / "big.txt").read_text() == text
    assert said(read)["content"] == text


PATIENT = """
import sys, perstack.base.directories as directories
from perstack.cli import main
directories._BATCH = 1
sys.argv = ["perstack", "base"]
main()
"""
"""A server whose deleteDirectory takes turns with other calls after each name."""


async def test_changes_are_made_in_the_order_they_were_asked_for(tmp_path):
    (tmp_path / "old").mkdir()
    for number in range(400):
        (tmp_path / f"old/{number}").touch()
    async with raw_client(tmp_path, command=(sys.executable, "-c", PATIENT)) as raw:
        await raw.shake_hands()
        begun = [raw.call("todo", newTodos=["x"]), raw.call("attemptCompletion")]
        await raw.send(
            *begun,
            raw.call("deleteDirectory", path="old", recursive=True),
            early := raw.exec("sh", "-c", "ls old 2>/dev/null | wc -l"),
            raw.call("writeTextFile", path="old/new.txt", text=""),
            *(raw.call("appendTextFile", path="old/new.txt", text=f"{n} ") for n in range(20)),
            late := raw.exec("sh", "-c", "ls old; cat old/new.txt"),
        )
        answers = await raw.answers(26)
    assert not any(answer["result"]["isError"] for answer in answers.values())
    assert int(json_of(answers[early["id"]])["output"]) <= 1
    listed = json_of(answers[late["id"]])["output"].split()
    assert listed == ["new.txt", *map(str, range(20))]
    assert "remainingTodos" in json_of(answers[begun[1]["id"]])


async def test_other_calls_are_answered_while_a_command_runs(tmp_path):
    os.mkfifo(tmp_path / "go")
    async with raw_client(tmp_path) as raw:
        await raw.shake_hands()
        command, write = raw.exec("cat", "go"), raw.call("writeTextFile", path="a", text="")
        await raw.send(command, write, ping := raw.request("ping"))
        first = await raw.answers(2)
        assert first.keys() == {write["id"], ping["id"]}
        (tmp_path / "go").write_text("gone")
        assert (await raw.answer())["id"] == command["id"]


@pytest.mark.parametrize("version", ["2024-11-05", "2025-06-18", "2025-11-25"])
async def test_versions_with_a_handshake_are_spoken(version, tmp_path):
    async with raw_client(tmp_path) as raw:
        hello = (await raw.shake_hands(version))["result"]
        assert hello["protocolVersion"] == version
        assert hello["serverInfo"]["name"] == "@perstack/base"
        assert str(tmp_path.resolve()) in hello["instructions"]
        await raw.send(raw.request("tools/list"), raw.call("healthCheck"))
        listed, called = [(await raw.answer())["result"] for _ in range(2)]
        assert len(listed["tools"]) == len(BASE_TOOLS)
        assert listed["tools"][0].keys() >= {"name", "description", "inputSchema"}
        assert called["isError"] is False


async def test_the_version_without_a_handshake_is_spoken(tmp_path):
    async with raw_client(tmp_path) as raw:
        call = raw.call("healthCheck")
        call["params"]["_meta"] = MODERN
        await raw.send(raw.request("server/discover", {"_meta": MODERN}), call)
        found, called = [(await raw.answer())["result"] for _ in range(2)]
    assert found["supportedVersions"] == ["2026-07-28"]
    assert called["resultType"] == "complete"
    assert called["isError"] is False


HOSTILE = {
    "garbage": b"hello",
    "half a message": b'{"jsonrpc": "2.0", "id": 1, "meth',
    "no UTF-8": b'{"jsonrpc": "2.0", "id": 1, "method": "\xff\xfe"}',
    "half a character": b'{"jsonrpc": "2.0", "id": 1, "method": "\\ud800"}',
    "NUL": b"\0" * 100,
    "a batch": b'[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]',
    "depth": b'{"a":' * 100_000,
    "a deep message": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":' + b"[" * 100_000,
    "a huge id": b'{"jsonrpc": "2.0", "id": ' + b"9" * 5000 + b', "method": "ping"}',
    "10 MB": b"x" * 10_000_000,
    "more than fits": b"x" * LONG,
    "a message that is too long": b'{"jsonrpc":"2.0","method":"ping","id":"' + b"x" * LONG + b'"}',
}


async def test_what_is_no_message_is_refused_and_the_next_one_is_answered(tmp_path):
    async with raw_client(tmp_path) as raw:
        await raw.shake_hands()
        for line in HOSTILE.values():
            await raw.send(line, ping := raw.request("ping"))
            answers = await raw.answers(2)
            assert answers[None]["error"]["code"] in (-32600, -32700)
            assert answers[ping["id"]]["result"] == {}
        assert peak_of(raw.process.pid) < 300_000


BIG = 8 * 1024 * 1024
"""The largest text that can be written, in bytes."""

EXPENSIVE = {
    "empty lists": b"[" + b"[]," * 4_000_000 + b"[]]",
    "strings": b"[" + b'"a",' * 3_000_000 + b'"a"]',
    "strings without commas": b'""' * 5_000_000,
    "objects": b"[" + b'{"a":{}},' * 1_500_000 + b"0]",
    "an open string behind them": b"[" + b"[]," * 300_000 + b'"' + b'\\"' * 5_000_000,
}


@pytest.mark.parametrize("value", EXPENSIVE.values(), ids=EXPENSIVE.keys())
async def test_a_message_of_too_many_values_is_refused_before_it_is_built(value, tmp_path):
    head = b'{"jsonrpc":"2.0","id":"mine","method":"tools/call","params":{"name":"exec","a":'
    async with raw_client(tmp_path) as raw:
        await raw.shake_hands()
        await raw.send(head + value + b"}}", ping := raw.request("ping"))
        refused, answered = [await raw.answer() for _ in range(2)]
        assert refused["id"] in ("mine", None)
        assert refused["error"]["code"] in (-32600, -32700)
        assert answered["id"] == ping["id"]
        assert peak_of(raw.process.pid) < 200_000


async def test_a_message_of_too_many_values_is_refused_by_its_id(tmp_path):
    async with raw_client(tmp_path) as raw:
        await raw.shake_hands()
        await raw.send(raw.call("exec", args=["a"] * 100_001))
        refused = await raw.answer()
    assert refused["id"] == 2
    assert refused["error"]["message"] == (
        "A message has at most 200000 strings, commas and brackets in all."
    )


@pytest.mark.parametrize("text", [",[{" * (BIG // 3), '",\\' * (BIG // 3), "\n" * BIG])
async def test_the_largest_text_may_have_any_characters(text, tmp_path):
    async with raw_client(tmp_path) as raw:
        await raw.shake_hands()
        await raw.send(raw.call("writeTextFile", path="a", text=text))
        assert (await raw.answer())["result"]["isError"] is False
    assert (tmp_path / "a").read_text() == text


TIGHT = """
import sys, perstack.base.line as line, perstack.base.server as server
from perstack.cli import main
line.MOST_ASKED, server.MOST_WAITING = 1, 2 * 1024 * 1024
sys.argv = ["perstack", "base"]
main()
"""
"""A server that has room for one request at a time."""

FEW_ANSWERS = TIGHT.replace("= 1,", "= 1024 * 1024,")
"""A server that has room for many requests, and for the answers of a few."""


async def test_answers_that_are_not_read_hold_back_the_calls_behind_them(tmp_path):
    (tmp_path / "a.pdf").write_bytes(PDF + bytes(1_000_000))
    async with raw_client(tmp_path, command=(sys.executable, "-c", FEW_ANSWERS)) as raw:
        await raw.shake_hands()
        calls = [raw.call("readPdfFile", path="a.pdf") for _ in range(8)]
        cancel = {"method": "notifications/cancelled", "params": {"requestId": calls[-1]["id"]}}
        await raw.send(*calls, {"jsonrpc": "2.0", **cancel}, ping := raw.request("ping"))
        answered = [(await raw.answer())["id"] for _ in calls]
    assert answered.index(ping["id"]) < len(calls) - 1
    answered.remove(ping["id"])
    assert answered == [each["id"] for each in calls[:-1]]


async def test_an_answer_larger_than_all_the_room_is_given(tmp_path):
    (tmp_path / "a.pdf").write_bytes(PDF + bytes(3_000_000))
    async with raw_client(tmp_path, command=(sys.executable, "-c", TIGHT)) as raw:
        await raw.shake_hands()
        await raw.send(*(raw.call("readPdfFile", path="a.pdf") for _ in range(3)))
        assert all("result" in answer for answer in (await raw.answers(3)).values())


async def test_requests_that_are_too_much_at_once_are_read_one_after_another(tmp_path):
    async with raw_client(tmp_path, command=(sys.executable, "-c", TIGHT)) as raw:
        await raw.shake_hands()
        async with waiting_command(tmp_path, raw):
            await raw.send(raw.request("ping"), raw.request("ping"))
            os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
            assert [(await raw.answer())["id"] for _ in range(3)] == [2, 3, 4]


async def test_an_endless_line_takes_no_more_memory_than_a_long_one(tmp_path):
    async with raw_client(tmp_path) as raw:
        await raw.shake_hands()
        await raw.send(b"x" * 40_000_000, ping := raw.request("ping"))
        await raw.answers(2)
        before = peak_of(raw.process.pid)
        for _ in range(4):
            await raw.write(b"x" * 40_000_000)
        await raw.send(b"", ping)
        await raw.answers(2)
        assert peak_of(raw.process.pid) < before + 30_000


async def test_a_request_that_is_none_is_refused_by_its_id(tmp_path):
    async with raw_client(tmp_path) as raw:
        await raw.shake_hands()
        await raw.send(b"  ", {"jsonrpc": "2.0", "id": "mine", "method": 5})
        assert (await raw.answer()) == {
            "jsonrpc": "2.0",
            "id": "mine",
            "error": {"code": -32600, "message": "This is no message of JSON-RPC 2.0."},
        }
        unasked = {"jsonrpc": "2.0", "id": 9, "error": {"code": 1, "message": "no"}}
        await raw.send(unasked, ping := raw.request("ping"))
        assert (await raw.answer())["id"] == ping["id"]


async def test_a_client_may_ask_a_lot_before_it_reads_an_answer(tmp_path):
    async with raw_client(tmp_path) as raw:
        await raw.shake_hands()
        asked = [raw.request("tools/list") for _ in range(400)]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(raw.send, *asked)
            assert (await raw.answers(400)).keys() == {each["id"] for each in asked}


async def test_what_was_asked_is_answered_after_the_last_line(tmp_path):
    (tmp_path / "old").mkdir()
    for number in range(100):
        (tmp_path / f"old/{number}").touch()
    async with raw_client(tmp_path, command=(sys.executable, "-c", PATIENT)) as raw:
        await raw.shake_hands()
        await raw.send(raw.call("deleteDirectory", path="old", recursive=True))
        assert raw.process.stdin is not None
        await raw.process.stdin.aclose()
        assert json_of(await raw.answer()) == {"path": str(tmp_path.resolve() / "old")}
        assert await raw.ended() == 0


async def test_a_closed_input_ends_it_and_its_commands(tmp_path):
    async with raw_client(tmp_path) as raw:
        await raw.shake_hands()
        async with waiting_command(tmp_path, raw) as command:
            assert raw.process.stdin is not None
            await raw.process.stdin.aclose()
            assert await raw.ended() == 0
            assert has_ended(command)


def test_a_client_that_vanishes_ends_it_and_its_commands(tmp_path):
    os.mkfifo(tmp_path / "told")
    raw = Requests()
    with subprocess.Popen(
        COMMAND, cwd=tmp_path, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(lines(raw.hello(), READY, raw.exec("sh", "-c", WAITS)))
        process.stdin.flush()
        (tmp_path / "told").read_text()
        command = os.pidfd_open(int((tmp_path / "pid").read_text()))
        process.stdout.close()
        process.stdin.write(lines(raw.request("ping")))
        process.stdin.flush()
        assert process.wait(SECONDS) == 0
        assert has_ended(command)
        os.close(command)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_ends_it_and_its_commands(number, tmp_path):
    async with raw_client(tmp_path) as raw:
        await raw.shake_hands()
        async with waiting_command(tmp_path, raw) as command:
            raw.process.send_signal(number)
            assert await raw.ended() == 128 + number
            assert has_ended(command)
            assert raw.process.stderr is not None
            with pytest.raises(anyio.EndOfStream):
                assert not await raw.process.stderr.receive()


@pytest.mark.skipif(sys.platform != "linux", reason="a watcher needs /proc")
async def test_a_killed_server_leaves_no_command_behind(tmp_path):
    async with raw_client(tmp_path) as raw:
        await raw.shake_hands()
        async with waiting_command(tmp_path, raw) as command:
            raw.process.kill()
            assert has_ended(command)


async def test_a_cancelled_call_ends_its_command_and_is_not_answered(tmp_path):
    async with raw_client(tmp_path) as raw:
        await raw.shake_hands()
        async with waiting_command(tmp_path, raw) as command:
            asked = raw.request("ping")["id"] - 1
            cancel = {"method": "notifications/cancelled", "params": {"requestId": asked}}
            await raw.send({"jsonrpc": "2.0", **cancel})
            assert has_ended(command)
            await raw.send(ping := raw.request("ping"))
            assert (await raw.answer())["id"] == ping["id"]


NARROW = """
import sys, perstack.base.line as line
from perstack.cli import main
line.MOST_AT_ONCE = 1
sys.argv = ["perstack", "base"]
main()
"""


async def test_a_place_is_free_again_once_a_call_is_answered_or_cancelled(tmp_path):
    async with raw_client(tmp_path, command=(sys.executable, "-c", NARROW)) as raw:
        await raw.shake_hands()
        await raw.send(*(raw.request("ping") for _ in range(5)))
        assert len(await raw.answers(5)) == 5
        async with waiting_command(tmp_path, raw):
            asked = raw.request("ping")["id"] - 1
            cancel = {"method": "notifications/cancelled", "params": {"requestId": asked}}
            await raw.send({"jsonrpc": "2.0", **cancel}, ping := raw.request("ping"))
            assert (await raw.answer())["id"] == ping["id"]


async def test_a_client_that_leaves_while_it_waits_for_a_place_is_noticed(tmp_path):
    async with raw_client(tmp_path, command=(sys.executable, "-c", NARROW)) as raw:
        await raw.shake_hands()
        async with waiting_command(tmp_path, raw) as command:
            await raw.send(raw.request("ping"))
            assert raw.process.stdin is not None
            await raw.process.stdin.aclose()
            assert await raw.ended() == 0
            assert has_ended(command)


PRINTS = """
import atexit, sys
from perstack.cli import main
sys.argv = ["perstack", "base"]
atexit.register(print, "stray")
main()
"""


def run(*words: str, cwd: Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env=ENVIRONMENT,
        input=stdin,
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )


def test_what_is_printed_by_accident_does_not_reach_the_client(tmp_path):
    ended = run("-c", PRINTS, cwd=tmp_path, stdin=b"nonsense\n")
    assert ended.returncode == 0
    assert [json.loads(line)["error"]["code"] for line in ended.stdout.splitlines()] == [-32700]
    assert ended.stderr == b"stray\n"


def test_without_the_extra_it_says_what_to_install(tmp_path):
    missing = "import sys; sys.modules['mcp'] = None; sys.argv[1:] = ['base']\n"
    ended = run("-c", missing + "from perstack.cli import main; main()", cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.decode().startswith("perstack: perstack base needs the extra `mcp`")
    assert "pip install 'perstack[mcp]'" in ended.stderr.decode()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--workspace", "nowhere"), "nowhere cannot be opened: No such file or directory"),
        (("--workspace", ""), "--workspace is empty"),
        (("--workspace", "file"), "file cannot be opened: Not a directory"),
        (("--pick", "readTextFil"), '"readTextFil"; did you mean "readTextFile"?'),
        (("--omit", "x"), '--omit: there is no base tool "x"'),
    ],
)
def test_an_option_that_cannot_be_honoured_is_one_message(words, message, tmp_path):
    (tmp_path / "file").touch()
    ended = run("-m", "perstack", "base", *words, cwd=tmp_path)
    assert ended.returncode == 2
    assert message in ended.stderr.decode()
    assert len(ended.stderr.splitlines()) == 1
    assert not ended.stdout


@pytest.mark.parametrize("words", [["--help"], ["base", "--help"], ["schema"]])
def test_the_sdk_is_loaded_by_no_other_command(words, tmp_path):
    program = (
        "import sys\nfrom perstack.cli import run_command\n"
        f"run_command({words!r})\n"
        "assert not {'mcp', 'mcp_types', 'pydantic'} & set(sys.modules)"
    )
    ended = run("-c", program, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr


async def test_a_command_sees_no_secret_of_the_server(tmp_path):
    env = {"ANTHROPIC_API_KEY": "sk-canary-77", "PLAIN": "canary-88"}
    async with raw_client(tmp_path, env=env) as raw:
        await raw.shake_hands()
        await raw.send(raw.exec("sh", "-c", "env; cat /proc/$PPID/environ | tr '\\0' '\\n'"))
        shown = json.dumps(await raw.answer())
    assert "PATH=" in shown
    assert "sk-canary-77" not in shown
