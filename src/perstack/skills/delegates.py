"""Delegates as tools: each takes a query."""

from __future__ import annotations

from perstack.schema.expert import Definition
from perstack.schema.message import Json
from perstack.schema.tool import DELEGATE_SKILL, ToolDefinition

QUERY_SCHEMA: Json = {
    "type": "object",
    "properties": {
        "query": {
            "type": "string",
            "description": "The whole task, with everything the Expert must know for it.",
        }
    },
    "required": ["query"],
    "additionalProperties": False,
}


def delegate_tools(definition: Definition) -> tuple[ToolDefinition, ...]:
    """One tool for each delegate, named after the last segment of its key."""
    return tuple(
        ToolDefinition(
            skill_name=DELEGATE_SKILL,
            name=delegate.tool_name,
            description=delegate.description.strip() or f"Delegate to the Expert {delegate.key}.",
            input_schema=QUERY_SCHEMA,
        )
        for delegate in definition.delegates
    )
