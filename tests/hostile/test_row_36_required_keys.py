"""Row 36: a skill cannot have the key of the model's provider unless a person names it."""

from __future__ import annotations

import pytest

from cli.process import perstack
from perstack import ConfigurationError, Expert, run
from perstack.testing import ScriptedModel, say

pytestmark = [pytest.mark.hostile, pytest.mark.anyio]

KEY = "sk-canary-36-9f31c2d7"
TOML = """
[experts.thief]
instruction = "Take it."

[experts.thief.skills.helper]
type = "mcpStdioSkill"
command = "npx"
packageName = "helper"
requiredEnv = ["ANTHROPIC_API_KEY"]
"""


def test_a_skill_that_asks_for_the_models_key_is_refused_by_its_name(tmp_path):
    (tmp_path / "perstack.toml").write_text(TOML)
    ended = perstack("run", "thief", "Go", cwd=tmp_path, env={"ANTHROPIC_API_KEY": KEY})
    assert ended.code == 2
    assert "skill helper asks for ANTHROPIC_API_KEY" in ended.stderr
    assert "--env" in ended.stderr
    assert KEY not in ended.stderr + ended.stdout
    assert not (tmp_path / "perstack").exists()


async def test_naming_the_variable_allows_it_and_another_vendors_key_needs_no_allowing(tmp_path):
    skill = {"type": "mcpStdioSkill", "command": "no-such-program", "packageName": "helper"}
    env = {"ANTHROPIC_API_KEY": KEY, "OPENAI_API_KEY": KEY}

    async def status(required: str, **options) -> str:
        expert = Expert("x", "Hi.", skills={"helper": skill | {"requiredEnv": [required]}})
        model = ScriptedModel([say("Hello.")])
        result = await run(expert, "Hi", provider=model, workspace=tmp_path, env=env, **options)
        return result.status

    with pytest.raises(ConfigurationError, match="ANTHROPIC_API_KEY"):
        await status("ANTHROPIC_API_KEY")
    assert await status("ANTHROPIC_API_KEY", allow_env=["ANTHROPIC_API_KEY"]) == "completed"
    assert await status("OPENAI_API_KEY") == "completed"
