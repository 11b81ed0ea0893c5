"""Interactive skills as tools: calls that a person answers."""

from __future__ import annotations

import msgspec

from perstack.schema.expert import Expert
from perstack.schema.message import Json
from perstack.schema.skill import InteractiveSkill
from perstack.schema.tool import ToolDefinition


def interactive_tools(expert: Expert) -> tuple[ToolDefinition, ...]:
    """One tool for each tool of each interactive skill, in the order they are declared."""
    return tuple(
        ToolDefinition(
            skill_name=skill_name,
            name=name,
            description=tool.description or skill.description or "Ask the user.",
            input_schema=_schema(tool.input_json_schema),
            effect="none",
            is_interactive=True,
        )
        for skill_name, skill in expert.skills.items()
        if isinstance(skill, InteractiveSkill)
        for name, tool in skill.tools.items()
    )


def _schema(text: str) -> Json:
    return msgspec.json.decode(text, type=dict[str, object])
