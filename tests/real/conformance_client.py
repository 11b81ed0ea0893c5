"""The client that the conformance suite starts: a run whose only skill is the suite's server.

usage: python conformance_client.py [--echo] URL

The scripted model calls what the suite wants called, which it says in the environment;
else each tool that it is shown, once. With --echo there is no run: the skill itself tells
the suite which schema it heard. What a model is shown is drawn together for vendors.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from perstack import run
from perstack.config.load import parse_config
from perstack.schema.message import ExpertMessage
from perstack.schema.skill import McpSseSkill
from perstack.skills.mcp import Surroundings
from perstack.skills.mcp.skills import McpSkills
from perstack.testing import ScriptedModel, call, say, together

if TYPE_CHECKING:
    from perstack.providers import GenerateRequest, Reply
    from perstack.schema.event import RuntimeEvent

SKILL = "server"
CONFIG = """\
[experts.client]
instruction = "Call the tools."
[experts.client.skills.server]
type = "mcpSseSkill"
endpoint = {endpoint}
allowLoopback = true
"""
SAMPLES: dict[str, object] = {"integer": 2, "number": 2, "string": "two", "boolean": True}
"""An argument for each type of JSON Schema that the suite's tools require."""


def calls(schemas: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Names and arguments, for tools with these schemas."""
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
    if "toolCalls" in context:
        for asked in context["toolCalls"]:
            yield asked["name"], asked["arguments"]
    else:
        for name, schema in schemas.items():
            needed = schema.get("required", ())
            yield name, {key: SAMPLES.get(schema["properties"][key].get("type")) for key in needed}


def answer(request: GenerateRequest) -> Reply:
    """All calls in the first reply, and then the end."""
    schemas = {tool.name: tool.input_schema for tool in request.tools if tool.skill_name == SKILL}
    asked = [call(name, args) for name, args in calls(schemas)]
    if not asked or any(isinstance(message, ExpertMessage) for message in request.messages):
        return say("Done.")
    return together(*asked)


async def main(url: str) -> None:
    config = parse_config(CONFIG.format(endpoint=json.dumps(url)), "the suite")
    with tempfile.TemporaryDirectory() as workspace:
        await run(
            "client",
            "Go",
            config=config,
            provider=ScriptedModel(answer),
            workspace=workspace,
            env={},
        )


async def echo(url: str) -> None:
    async def ignore(_: RuntimeEvent) -> None:
        """Keep no log."""

    skill = McpSseSkill(endpoint=url, allow_loopback=True)
    around = Surroundings(Path.cwd(), {}, ignore)
    async with McpSkills({SKILL: skill}, around, taken=()) as source:
        heard = {tool.name: tool.input_schema for tool in source.skills[SKILL].offer.tools}
        await source.call("json_schema_echo", {"schema": heard["json_schema_2020_12_tool"]})


if __name__ == "__main__":
    anyio.run(echo if "--echo" in sys.argv else main, sys.argv[-1])
