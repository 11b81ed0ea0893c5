"""Run as a program: an MCP server over stdio that misbehaves as its arguments say.

Arguments: modes, as MODES and GENERATIONS below name them; without any, it behaves well.
Standard library only. It ends at the end of its standard input.

Tools of every mode: `echo` (gives back its arguments), `slow` (answers when it is called
off or `release` is called, and tells "started"), `release`, `fail`, `image`, `structured`,
`odd` (a refusal of the protocol), `env` (its environment), `told` (methods it has been told),
`pid` (its own and a detached child's process ids, as structured data).
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

GENERATIONS = {
    "legacy": "speaks the handshake of 2025 and ends at anything that comes before it",
    "modern": "speaks the stateless revision only",
    "old": "speaks 2024-11-05",
    "future": "answers the handshake with a revision nobody knows",
}
MODES = {
    "hang-initialize": "never answers initialize",
    "hang-list": "never answers tools/list",
    "hang-call": "never answers a call",
    "hang-shutdown": "ignores the end of its input and SIGTERM",
    "deaf": "reads nothing after tools/list, and lives",
    "closed": "closes its standard output on a call, and lives",
    "exit": "ends at once, with status 3 and a complaint",
    "closed-in": "closes its standard input on a call, and lives",
    "haunt": "ends when it is called, and leaves a child elsewhere that floods its output",
    "heavy-ids": "asks 64 times for a ping, with numbers of 15 MB, reading nothing",
    "heavy-log": "logs 15 MB before the answer to a call",
    "heavy-refusal": "refuses a call with a reason of 15 MB",
    "crowded-log": "logs 7,000,000 values before the answer to a call",
    "crowded-tools": "lists 5,000,000 tools that are none",
    "crowded-schema": "has four tools of 30,000 values each",
    "crowded-content": "answers a call with 5,000,000 parts",
    "crowded-data": "answers a call with 7,000,000 values beside its text",
    "crowded-alone": "answers a call with 7,000,000 values and no text",
    "exit-call": "ends when it is called, with status 7 and a complaint",
    "orphan": "leaves a child in a session of its own that holds its pipes",
    "naked": "leaves one of a session and a parent that ended, with an empty environment",
    "stderr-flood": "prints 200 MB on its standard error before it answers initialize",
    "stderr-chat": "prints 5000 lines on its standard error before it answers initialize",
    "long-line": "answers a call with one line of 100 MB",
    "endless-line": "answers a call with a line that never ends",
    "garbage": "sends ten lines that are no messages before every answer",
    "garbage-storm": "sends such lines for ever when it is called",
    "bom": "begins every message with a byte order mark",
    "crlf": "ends every message with CR LF",
    "nan": "answers calls with structured data that has a NaN in it",
    "surrogate": "answers calls with half a surrogate pair",
    "deep": "sends an answer of 100,000 brackets, and of another id, before the right one",
    "deep-call": "answers calls with 2,000 brackets",
    "duplicate-keys": "repeats the keys of every answer, the right ones last",
    "huge-int": "answers with numbers of many digits in structured data",
    "wrong-id": "sends answers of other ids, of strings and of none before the right one",
    "twice": "sends every answer twice",
    "early": "sends answers to requests that are still to come",
    "no-result": "answers calls with something that is no result",
    "no-tools": "answers tools/list with something that is no list",
    "batch": "sends its answers in an array first",
    "storm": "sends 1,000,000 notifications before the answer to a call",
    "log": "logs before the answer to a call",
    "progress": "tells how far a call has come",
    "ask": "asks for ping, roots, sampling and elicitation; the answers are the call's answer",
    "ask-storm": "asks 100,000 times for a ping, reading nothing, before it answers a call",
    "changed": "says that its tools have changed before it answers a call",
    "many": "has 10,000 tools on one page",
    "pages": "has endless pages of one tool",
    "big-tool": "describes one tool in 5 MB",
    "big-tools": "describes 50 tools in 200 KB each",
    "schemas": "has a tool for each of SCHEMAS, `schema0` and on; the last is a sound one",
    "arguments": "its tool `echo` has arguments of odd names",
    "names": "has tools of odd names, some of base tools, and one twice",
    "not-tools": "has entries in its list that are no tools",
    "input": "wants input for every call",
    "evil": "tells EVIL, which is no text for a terminal, wherever it can, as `leak` does",
    "late": "answers what was called off as well",
    "leak": "tells the value of SERVICE_KEY wherever it can; its tool `leak` does, as `how` says",
}
ODD_NAMES = [
    "with space", "\x1b[31mred", "ex\u0435c", "n" * 300, "__proto__", "", "exec", "readTextFile",
    "attemptCompletion", "twin", "twin", "a/b", "é", "ünï", "..",
]  # fmt: skip
SCHEMAS: list[Any] = [
    {"type": "object", "properties": 7},
    {"type": "object", "properties": {"a": {"type": "objekt"}}},
    {"type": "object", "required": "a"},
    {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}},
    {"anyOf": [{"properties": {"a": {"type": "string"}}, "required": ["a"]}]},
]
ARGUMENTS = ["$filter", "_filter", "page[size]", "n" * 65, "ok.-_1", ""]
GARBAGE = [
    b"starting up...", b"\x00\xff\xfe\x80", b"{", b"[]", b"null", b"17", b'"text"', b"{}",
    b'{"jsonrpc":"1.0","id":1,"result":{}}', b'{"jsonrpc":"2.0"}', b'{"jsonrpc":"2.0","id":{}}',
]  # fmt: skip
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PLAIN = ("echo", "slow", "release", "fail", "image", "structured", "odd", "env", "told", "pid")
MODERN = "2026-07-28"

EVIL = "\x1b[2J\x1b]0;title\x07 \x9b31m over\rwritten \x7f \u202egnp.exe \u200b\u2028 \ufeff"
modes = set(sys.argv[1:])
KEY = EVIL if "evil" in modes else os.environ.get("SERVICE_KEY", "")
if "evil" in modes:
    modes.add("leak")
told: list[str] = []
waiting: list[Any] = []
child: list[int] = []


def raw(data: bytes) -> None:
    """Write a line as it is."""
    line = (b"\xef\xbb\xbf" if "bom" in modes else b"") + data
    line += b"\r\n" if "crlf" in modes else b"\n"
    view = memoryview(line)
    while view:
        view = view[os.write(1, view) :]


def send(message: object) -> None:
    raw(json.dumps(message).encode())


def answer(number: Any, result: Any = None, error: Any = None) -> None:
    """Answer as the modes want it."""
    body = {"result": result} if error is None else {"error": error}
    right = {"jsonrpc": "2.0", "id": number, **body}
    wrong = {"content": [{"type": "text", "text": "wrong"}]}
    if "garbage" in modes:
        for line in GARBAGE[:10]:
            raw(line)
    if "deep" in modes:
        raw(b'{"jsonrpc":"2.0","id":%d,"result":' % (number + 1000) + DEEP + b"}")
    if "wrong-id" in modes:
        for other in (number + 1000, str(number), None, -1, 0):
            send({"jsonrpc": "2.0", "id": other, "result": wrong})
    if "early" in modes:
        send({"jsonrpc": "2.0", "id": number + 1, "result": wrong})
    if "batch" in modes:
        send([{"jsonrpc": "2.0", "id": number, "result": wrong}])
    if "duplicate-keys" in modes:
        start = b'{"jsonrpc":"2.0","id":99,"id":%d,"result":%s,' % (
            number,
            json.dumps(wrong).encode(),
        )
        raw(start + json.dumps(body).encode()[1:])
        return
    send(right)
    if "twice" in modes:
        send({"jsonrpc": "2.0", "id": number, "result": wrong})


def text(value: object, **more: object) -> dict[str, Any]:
    said = value if isinstance(value, str) else json.dumps(value)
    return {"content": [{"type": "text", "text": said}], **more}


def tool(name: str, **more: object) -> dict[str, Any]:
    return {
        "name": name,
        "description": f"The tool {name}.",
        "inputSchema": {"type": "object"},
        **more,
    }


def listed(params: dict[str, Any]) -> dict[str, Any]:
    """A page of tools."""
    tools = [tool(name) for name in PLAIN]
    if "many" in modes:
        tools = [tool(f"t{number}") for number in range(10_000)]
    if "big-tool" in modes:
        tools.append(tool("big", description="x" * 5_000_000))
    if "big-tools" in modes:
        tools = [tool(f"t{number}", description="x" * 200_000) for number in range(50)]
    if "arguments" in modes:
        properties = {name: {"type": "string"} for name in ARGUMENTS}
        named = {"type": "object", "properties": properties, "required": ARGUMENTS}
        tools = [tool("echo", inputSchema=named), *tools[1:]]
    if "names" in modes:
        tools += [tool(name) for name in ODD_NAMES]
    if "schemas" in modes:
        tools += [tool(f"schema{n}", inputSchema=one) for n, one in enumerate(SCHEMAS)]
    if "not-tools" in modes:
        tools[:0] = [None, 1, {}, {"name": 7}, [], {"name": "x", "inputSchema": 1}]  # type: ignore[list-item]
    if "crowded-schema" in modes:
        crowd = {"type": "object", "enum": [1] * 30_000}
        tools = [tool(f"t{number}", inputSchema=crowd) for number in range(4)]
    if "crowded-tools" in modes:
        return {"tools": [1] * 5_000_000}
    if "leak" in modes:
        schema = {"type": "object", "properties": {KEY: {"type": "string", "enum": [KEY]}}}
        tools += [tool("leak", description=f"Uses {KEY}", inputSchema=schema), tool(f"x{KEY}")]
        tools += [tool("x" * 95 + KEY, inputSchema={"type": KEY})]
    if "pages" in modes:
        page = int(params.get("cursor", "0"))
        return {"tools": [tool(f"t{page}")], "nextCursor": str(page + 1)}
    if "no-tools" in modes:
        return {"tools": "none"}
    half = len(tools) // 2
    if "cursor" in params:
        return {"tools": tools[half:]}
    return (
        {"tools": tools}
        if modes & {"many", "big-tools"}
        else {"tools": tools[:half], "nextCursor": "2"}
    )


def obstruct(number: int) -> None:
    """What keeps a call from its answer."""
    if "exit-call" in modes:
        sys.stderr.write("fatal: out of cheese\n")
        sys.stderr.flush()
        os._exit(7)
    if "haunt" in modes:
        script = "import os\nwhile True: os.write(1, b'x' * 65536)"
        arguments = [sys.executable, "-I", "-S", "-c", script]
        child.append(subprocess.Popen(arguments, start_new_session=True).pid)
        sys.stderr.write("fatal: out of body\n")
        os._exit(7)
    if "closed-in" in modes:
        os.close(0)
        send({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "deaf"}})
        time.sleep(1000)
    if "closed" in modes:
        os.close(1)
        time.sleep(1000)
    if "hang-call" in modes:
        sys.stdin.readline()
        time.sleep(1000)
    if "garbage-storm" in modes:
        while True:
            raw(GARBAGE[0])
    if "long-line" in modes:
        pad(b'{"jsonrpc":"2.0","id":%d,"result":{"content":[{"type":"text","text":"' % number, 100)
        raw(b'"}]}}')
    if "endless-line" in modes:
        pad(
            b'{"jsonrpc":"2.0","id":%d,"result":{"content":[{"type":"text","text":"' % number,
            1 << 40,
        )


DEEP = b"[" * 100_000 + b"]" * 100_000
CROWD = b"[" + b"1," * 7_000_000 + b"1]"


def overload() -> None:
    """Notes and questions of about 15 MB."""
    if "heavy-ids" in modes:
        for _ in range(64):
            raw(b'{"jsonrpc":"2.0","method":"ping","id":"' + b"x" * 15_000_000 + b'"}')
    note = b'{"jsonrpc":"2.0","method":"notifications/message","params":{"data":%s}}'
    if "heavy-log" in modes:
        raw(note % (b'"' + b"x" * 15_000_000 + b'"'))
    if "crowded-log" in modes:
        raw(note % CROWD)


def chat(params: dict[str, Any]) -> None:
    """Notes and questions ahead of the answer to a call."""
    overload()
    if "storm" in modes:
        note = {"jsonrpc": "2.0", "method": "notifications/message"}
        line = json.dumps({**note, "params": {"level": "info", "data": "again"}}).encode()
        for _ in range(1000):
            raw(b"\n".join([line] * 1000))
    if "log" in modes:
        for level, data in (("info", "one"), ("error", {"two": 2})):
            send(
                {
                    "jsonrpc": "2.0",
                    "method": "notifications/message",
                    "params": {"level": level, "data": data},
                }
            )
    if "leak" in modes:
        for data in (*escaped(KEY), {"key": KEY}, "l" * 1990 + KEY, "l" * 7990 + KEY):
            about = {"level": f"x{KEY}", "data": data}
            send({"jsonrpc": "2.0", "method": "notifications/message", "params": about})
    if "progress" in modes:
        token = params["_meta"]["progressToken"]
        half = {"progressToken": token, "progress": 1, "total": 2, "message": "half"}
        for about in (half, {"progressToken": 999, "progress": 9}):
            send({"jsonrpc": "2.0", "method": "notifications/progress", "params": about})
    if "changed" in modes:
        send({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
    if "ask-storm" in modes:
        ping = b'{"jsonrpc":"2.0","id":"p","method":"ping"}'
        for _ in range(100):
            raw(b"\n".join([ping] * 1000))


def pad(start: bytes, megabytes: int) -> None:
    """The beginning of a line, and no end."""
    block = b"x" * 1_000_000
    os.write(1, start)
    for _ in range(megabytes):
        view = memoryview(block)
        while view:
            view = view[os.write(1, view) :]


def questioned() -> dict[str, Any]:
    """Ask the client for everything, and give back what it says."""
    asked: list[Any] = []
    for method in ("ping", "roots/list", "sampling/createMessage", "elicitation/create"):
        send({"jsonrpc": "2.0", "id": f"q-{method}", "method": method, "params": {}})
        asked.append(json.loads(sys.stdin.readline()))
    return text("asked", structuredContent={"answers": asked})


ODD_RESULTS: dict[str, Callable[[], Any]] = {
    "no-result": lambda: ["not", "a", "result"],
    "input": lambda: {"resultType": "input_required", "requestState": "x"},
    "nan": lambda: text("ok", structuredContent={"value": float("nan")}),
    "surrogate": lambda: text("half \ud83d pair"),
    "huge-int": lambda: text("ok", structuredContent={"value": 10**100}),
    "ask": questioned,
}
CROWDED: dict[str, Callable[[], bytes]] = {
    "crowded-content": lambda: b'"result":{"content":[' + b"{}," * 5_000_000 + b"{}]}",
    "crowded-data": lambda: (
        b'"result":{"structuredContent":' + CROWD + b',"content":[{"type":"text","text":"ok"}]}'
    ),
    "crowded-alone": lambda: b'"result":{"structuredContent":' + CROWD + b"}",
    "deep-call": lambda: b'"result":' + b"[" * 2000 + b"]" * 2000,
    "heavy-refusal": lambda: b'"error":{"code":-1,"message":"' + b"x" * 15_000_000 + b'"}',
}


def escaped(value: str) -> list[str]:
    """A value as it stands in other things."""
    coded = base64.b64encode(f"user:{value}".encode()).decode()
    return [
        value,
        json.dumps(value),
        json.dumps({"inner": json.dumps(value)}),
        "".join(f"\\u{ord(letter):04X}" for letter in value),
        "".join(f"%{byte:02x}" for byte in value.encode()),
        value[:3] + "".join(f"\\x{ord(letter):02x}" for letter in value[3:]),
        value.encode().hex().upper(),
        coded,
    ]


def leaked(args: dict[str, Any]) -> Any:
    """An answer that holds the key."""
    everywhere = "\n".join(escaped(KEY))
    link = {"type": "resource_link", "uri": f"x:{KEY}", "name": KEY}
    told = {"uri": "y" * 1990 + KEY, "text": everywhere}
    blob = {"uri": "z:", "mimeType": "text/plain", "blob": base64.b64encode(KEY.encode()).decode()}
    return {
        "text": lambda: text(everywhere),
        "structured": lambda: {"content": [], "structuredContent": {KEY: [everywhere]}},
        "parts": lambda: {
            "content": [
                link,
                {"type": "resource", "resource": told},
                {"type": "resource", "resource": blob},
                {"type": "audio", "mimeType": f"audio/{KEY}", "data": "!"},
                {"type": "a" * 95 + KEY},
            ]
        },
        "middle": lambda: text("m" * (131_072 - 20) + KEY + "m" * 300_000),
        "middle-after": lambda: text("m" * 300_000 + KEY + "m" * (131_072 - 20)),
        "fail": lambda: text(everywhere, isError=True),
    }[args["how"]]()


RESULTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "leak": leaked,
    "echo": text,
    "fail": lambda _: text("it failed", isError=True),
    "image": lambda _: {"content": [{"type": "image", "data": PIXEL, "mimeType": "image/png"}]},
    "structured": lambda _: text("{}", structuredContent={"a": [1, None, {"b": "ü"}]}),
    "env": lambda _: text("", structuredContent=dict(os.environ)),
    "told": lambda _: text(told),
    "pid": lambda _: text("", structuredContent={"pids": [os.getpid(), *child]}),
}


def called(number: int, name: str, args: dict[str, Any]) -> None:
    """Answer a call."""
    crowd = [form for mode, form in CROWDED.items() if mode in modes]
    odd = [result for mode, result in ODD_RESULTS.items() if mode in modes]
    if crowd:
        raw(b'{"jsonrpc":"2.0","id":%d,%s}' % (number, crowd[0]()))
    elif odd:
        answer(number, odd[0]())
    elif args.get("how") == "refuse":
        answer(number, error={"code": -32000, "message": "r" * 3990 + KEY})
    elif args.get("how") == "die":
        os.write(2, ("d" * 1990 + KEY + "\n" + "d" * 7990 + KEY + "\n" + KEY).encode())
        os._exit(4)
    elif name == "slow":
        waiting.append(number)
        send({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "started"}})
    elif name == "release":
        for one in waiting:
            answer(one, text("released"))
        waiting.clear()
        answer(number, text("done"))
    elif name in RESULTS:
        answer(number, RESULTS[name](args))
    else:
        answer(number, error={"code": -32602, "message": f"Unknown tool: {name}"})


def greeted(number: int, params: dict[str, Any]) -> None:
    """Answer initialize."""
    if "hang-initialize" in modes:
        return
    if "modern" in modes:
        data = {"supported": [MODERN], "requested": params.get("protocolVersion")}
        answer(
            number, error={"code": -32022, "message": "Unsupported protocol version", "data": data}
        )
        return
    version = (
        "2024-11-05" if "old" in modes else "2099-01-01" if "future" in modes else "2025-11-25"
    )
    about = {"name": "hostile", "version": "1.0"}
    if "leak" in modes:
        about = {"name": f"hostile {KEY}", "version": "v" * 190 + KEY}
    answer(number, {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": about})


def discovered(number: int) -> None:
    """Answer server/discover."""
    about = {"io.modelcontextprotocol/serverInfo": {"name": "hostile", "version": "2.0"}}
    result = {"supportedVersions": [MODERN], "capabilities": {"tools": {}}, "_meta": about}
    answer(number, {"resultType": "complete", **result, "ttlMs": 0, "cacheScope": "private"})


def take(message: dict[str, Any]) -> None:
    """One message of the client."""
    method, number, params = message.get("method"), message.get("id"), message.get("params", {})
    told.append(str(method))
    modern = "io.modelcontextprotocol/protocolVersion" in params.get("_meta", {})
    if "legacy" in modes and told == ["server/discover"]:
        sys.exit("expected initialize")
    if method == "notifications/cancelled":
        if "late" not in modes:
            waiting.remove(params["requestId"])
    elif number is None:
        return
    elif method == "initialize":
        greeted(number, params)
    elif "modern" in modes and not modern:
        answer(number, error={"code": -32602, "message": "no protocol version"})
    elif method == "server/discover" and "modern" in modes:
        discovered(number)
    elif method == "tools/list":
        if "hang-list" not in modes:
            answer(number, listed(params))
        if "deaf" in modes and "cursor" in params:
            time.sleep(1000)
    elif method == "tools/call":
        obstruct(number)
        chat(params)
        called(number, params["name"], params.get("arguments", {}))
    else:
        answer(number, error={"code": -32601, "message": "Method not found"})


def main() -> None:
    unknown = modes - MODES.keys() - GENERATIONS.keys()
    if unknown:
        sys.exit(f"unknown modes: {unknown}")
    if "exit" in modes:
        sys.exit(complain(3))
    if "orphan" in modes:
        script = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(1000)"]
        child.append(subprocess.Popen(script, start_new_session=True).pid)
    if "naked" in modes:
        script = "setsid sleep 1000 >/dev/null 2>&1 </dev/null & echo $!"
        shell = ["env", "-i", "/bin/sh", "-c", f"PATH=/usr/bin:/bin; unset PWD; {script}"]
        child.append(int(subprocess.check_output(shell, start_new_session=True)))
    if "leak" in modes:
        os.write(2, "\n".join(escaped(KEY)).encode() + b"\n")
    if "stderr-flood" in modes:
        for _ in range(200):
            os.write(2, b"noise noise\n" * 83_000)
    if "stderr-chat" in modes:
        for number in range(5000):
            os.write(2, b"line %d\n" % number)
    if "hang-shutdown" in modes:
        import signal

        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for line in sys.stdin:
        take(json.loads(line))
    if "hang-shutdown" in modes:
        time.sleep(1000)


def complain(status: int) -> int:
    sys.stderr.write(f"fatal: no such thing {KEY}".rstrip() + "\n")
    return status


if __name__ == "__main__":
    main()
