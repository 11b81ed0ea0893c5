"""Skills as `perstack.toml` declares them."""

from __future__ import annotations

from typing import TypeAlias

from perstack.schema.base import Data


class McpStdioSkill(Data, tag_field="type", tag="mcpStdioSkill", kw_only=True):
    """An MCP server started as a child process. Either `package_name` or `args`.

    `trusted` (ours): what the server says of its tools' effects is believed.
    """

    command: str
    package_name: str | None = None
    args: tuple[str, ...] = ()
    description: str | None = None
    rule: str | None = None
    pick: tuple[str, ...] = ()
    omit: tuple[str, ...] = ()
    required_env: tuple[str, ...] = ()
    allowed_domains: tuple[str, ...] = ()
    lazy_init: bool = False
    trusted: bool = False


class McpSseSkill(Data, tag_field="type", tag="mcpSseSkill", kw_only=True):
    """An MCP server reached over HTTP: Streamable HTTP, else HTTP with SSE.

    Ours: `bearer_token_env` names the variable whose value is sent as a bearer token,
    `headers_env` those of other headers, by the header's name; `allow_loopback` lets
    the endpoint be on this machine, over plain http if it says so; `trusted` as above.
    """

    endpoint: str
    description: str | None = None
    rule: str | None = None
    pick: tuple[str, ...] = ()
    omit: tuple[str, ...] = ()
    allowed_domains: tuple[str, ...] = ()
    bearer_token_env: str | None = None
    headers_env: dict[str, str] = {}
    allow_loopback: bool = False
    trusted: bool = False


class InteractiveTool(Data, kw_only=True):
    """A tool that a person answers. `input_json_schema` is JSON text."""

    description: str | None = None
    input_json_schema: str


class InteractiveSkill(Data, tag_field="type", tag="interactiveSkill", kw_only=True):
    """Tools that bring the run to rest until a person answers."""

    description: str | None = None
    rule: str | None = None
    tools: dict[str, InteractiveTool]


Skill: TypeAlias = McpStdioSkill | McpSseSkill | InteractiveSkill
