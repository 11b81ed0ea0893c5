"""A conversation of any length, and the tools it is held with, as each client wants them."""

from __future__ import annotations

import json
from typing import Any

INSTRUCTION = "You read files."
QUESTION = "Read them all."
SAID = "I am going to read one more of the files that are left. " * 3
READ = f"{'A line of forty characters, all in all.':<39}\n" * 5
TOOLS = ("readTextFile", "writeTextFile", "listDirectory", "exec")
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"path": {"type": "string", "description": "Where it is."}},
    "required": ["path"],
}


def described(tool: str) -> str:
    """What a tool is for."""
    return f"What {tool} does, in a sentence of a usual length that says it all."


def turns(messages: int) -> list[tuple[str, dict[str, str]]]:
    """The calls that lie between the question and now: ids and arguments."""
    return [(f"call_{n}", {"path": f"file-{n}.txt"}) for n in range((messages - 1) // 2)]


def anthropic_messages(messages: int) -> list[dict[str, Any]]:
    """For the Messages API."""
    told: list[dict[str, Any]] = [{"role": "user", "content": QUESTION}]
    for call_id, args in turns(messages):
        call = {"type": "tool_use", "id": call_id, "name": TOOLS[0], "input": args}
        result = {"type": "tool_result", "tool_use_id": call_id, "content": READ}
        told.append({"role": "assistant", "content": [{"type": "text", "text": SAID}, call]})
        told.append({"role": "user", "content": [result]})
    return told


def responses_input(messages: int) -> list[dict[str, Any]]:
    """For the Responses API."""
    told: list[dict[str, Any]] = [{"role": "user", "content": QUESTION}]
    for call_id, args in turns(messages):
        call = {"type": "function_call", "call_id": call_id, "name": TOOLS[0]}
        result = {"type": "function_call_output", "call_id": call_id, "output": READ}
        told.append({"role": "assistant", "content": SAID})
        told += [call | {"arguments": json.dumps(args)}, result]
    return told


def chat_messages(messages: int) -> list[dict[str, Any]]:
    """For the Chat Completions API."""
    told: list[dict[str, Any]] = [
        {"role": "system", "content": INSTRUCTION},
        {"role": "user", "content": QUESTION},
    ]
    for call_id, args in turns(messages):
        function = {"name": TOOLS[0], "arguments": json.dumps(args)}
        call = {"id": call_id, "type": "function", "function": function}
        told.append({"role": "assistant", "content": SAID, "tool_calls": [call]})
        told.append({"role": "tool", "tool_call_id": call_id, "content": READ})
    return told
