"""Model servers that are none: what they answer to each question, at a port of their own."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import anyio
import anyio.abc

HANGS = "hangs"
"""In place of an answer: the question is taken, and nothing comes."""

SHOWN = {
    "capabilities": ["completion", "tools"],
    "model_info": {"general.architecture": "qwen3", "qwen3.context_length": 40960},
    "parameters": "stop   <|im_end|>\nnum_ctx      8192\ntemperature 0.6",
}
OLLAMA = {
    "/api/version": {"version": "0.12.3"},
    "/api/tags": {
        "models": [
            {"name": "qwen3:8b", "size": 5},
            {"name": "gemma3:latest", "size": 3},
            {"name": "nomic-embed-text:latest", "size": 1},
        ]
    },
    "/api/ps": {"models": [{"name": "gemma3:latest", "context_length": 4096}]},
    "/api/show qwen3:8b": SHOWN,
    "/api/show gemma3:latest": {
        "capabilities": ["completion", "vision"],
        "model_info": {"general.architecture": "gemma3", "gemma3.context_length": 131072},
    },
    "/api/show nomic-embed-text:latest": {"capabilities": ["embedding"]},
}
LM_STUDIO = {
    "/api/v1/models": {
        "models": [
            {
                "type": "llm",
                "key": "qwen/qwen3-8b",
                "loaded_instances": [
                    {"id": "a", "config": {"context_length": 32768}},
                    {"id": "b", "config": {"context_length": 20000}},
                ],
                "max_context_length": 40960,
                "capabilities": {"vision": False, "trained_for_tool_use": True},
            },
            {
                "type": "llm",
                "key": "old",
                "loaded_instances": [],
                "max_context_length": 2048,
                "capabilities": {"vision": False, "trained_for_tool_use": False},
            },
            {"type": "embedding", "key": "nomic", "loaded_instances": []},
        ]
    }
}
LM_STUDIO_OLDER = {
    "/api/v1/models": {"error": "Unexpected endpoint or method. (GET /api/v1/models)"},
    "/api/v0/models": {
        "object": "list",
        "data": [
            {
                "id": "qwen3-8b",
                "object": "model",
                "type": "llm",
                "state": "loaded",
                "max_context_length": 40960,
                "loaded_context_length": 4096,
                "capabilities": ["tool_use"],
            },
            {
                "id": "plain",
                "object": "model",
                "type": "vlm",
                "state": "not-loaded",
                "max_context_length": 8192,
            },
            {"id": "nomic", "object": "model", "type": "embeddings", "state": "not-loaded"},
        ],
    },
}
LLAMA_CPP = {
    "/v1/models": {
        "object": "list",
        "data": [
            {
                "id": "qwen3.gguf",
                "object": "model",
                "owned_by": "llamacpp",
                "meta": {"n_ctx_train": 40960, "n_ctx": 20480},
            }
        ],
    },
    "/props": {
        "default_generation_settings": {"n_ctx": 16384, "params": {"seed": 1}},
        "total_slots": 1,
        "chat_template_caps": {"supports_tools": True, "supports_tool_calls": True},
        "build_info": "b9014-d4b0c22f9",
    },
}
SOMETHING_ELSE = {
    "/v1/models": {"object": "list", "data": [{"id": "gpt", "owned_by": "openai"}]},
    "/api/version": {"version": "1.0"},
    "/props": {},
}


class Served(NamedTuple):
    """The port, and the questions that came."""

    port: int
    asked: list[str]


@asynccontextmanager
async def serving(answers: Mapping[str, Any]) -> AsyncGenerator[Served]:
    """A server that gives these answers, by path and the model that is asked about, else 404."""
    asked: list[str] = []

    async def serve(client: anyio.abc.SocketStream) -> None:
        async with client:
            question = await _question(client)
            if question is None:
                return
            asked.append(question)
            answer = answers.get(question)
            if answer == HANGS:
                await anyio.sleep_forever()
            status = b"200 OK" if answer is not None else b"404 Not Found"
            body = answer if isinstance(answer, bytes) else json.dumps(answer or {}).encode()
            await client.send(b"HTTP/1.1 " + status + b"\r\nX: y\r\n\r\n" + body)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        yield Served(port, asked)
        tasks.cancel_scope.cancel()


async def _question(client: anyio.abc.SocketStream) -> str | None:
    received = b""
    try:
        while b"\r\n\r\n" not in received:
            received += await client.receive()
        head, _, body = received.partition(b"\r\n\r\n")
        path = head.split()[1].decode()
        if not head.startswith(b"POST"):
            return path
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        while len(body) < length:
            body += await client.receive()
        return f"{path} {json.loads(body)['model']}"
    except anyio.EndOfStream:
        return None
