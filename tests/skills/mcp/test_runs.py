"""MCP skills in runs that a program embeds."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from perstack import load_config, run, stream
from perstack.assembly.install import survey
from perstack.assembly.lock_file import write_lock
from perstack.config.request import Options
from perstack.config.resolve import resolve
from perstack.schema.event import (
    RunCompleted,
    SkillConnected,
    SkillDisconnected,
    ToolCallCompleted,
)
from perstack.testing import Playbook, ScriptedModel, call, say, together

pytestmark = pytest.mark.anyio

SERVER = Path(__file__).with_name("hostile_server.py")
WIDTH = 30

SKILL = f"""
[experts.EXPERT.skills.tools]
type = "mcpStdioSkill"
command = "{sys.executable}"
args = ["{SERVER}"]
"""


def project(folder: Path, text: str):
    path = folder / "perstack.toml"
    path.write_text(text)
    return load_config(path)


async def test_a_program_that_embeds_a_run_has_the_skills_of_its_expert(tmp_path: Path):
    text = '[experts.worker]\ninstruction = "Work."\n' + SKILL.replace("EXPERT", "worker")
    config = project(tmp_path, text)
    model = ScriptedModel([call("echo", {"x": 1}), say("Done.")])
    result = await run("worker", "Go", config=config, provider=model, workspace=tmp_path)
    assert result.text == "Done."
    [answer] = [e.detail for e in result.events if isinstance(e.detail, ToolCallCompleted)]
    assert answer.tool_result.text == '{"x": 1}'


async def test_a_stream_tells_of_the_end_of_a_server_behind_the_end_of_its_run(tmp_path: Path):
    text = '[experts.worker]\ninstruction = "Work."\n' + SKILL.replace("EXPERT", "worker")
    config = project(tmp_path, text)
    model = ScriptedModel([say("Done.")])
    kinds: list[type] = []
    async with stream("worker", "Go", config=config, provider=model, workspace=tmp_path) as events:
        kinds.extend([type(event.detail) async for event in events])
    assert kinds.index(RunCompleted) < kinds.index(SkillDisconnected)


async def test_a_program_reads_the_lock_beside_the_file_that_it_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    text = '[experts.worker]\ninstruction = "Work."\n' + SKILL.replace("EXPERT", "worker")
    config = project(tmp_path, text)
    request = resolve(Options(), tmp_path, dict(os.environ))
    found = await survey(request, lambda _expert, _skill: None)
    write_lock(found.lock, found.path)
    for script, starts in (([say("Done.")], 0), ([call("echo", {"x": 1}), say("Done.")], 1)):
        model = ScriptedModel(script)
        result = await run("worker", "Go", config=config, provider=model, workspace=tmp_path)
        assert result.text == "Done."
        started = [event for event in result.events if isinstance(event.detail, SkillConnected)]
        assert len(started) == starts
        assert "echo" in [tool.name for tool in model.requests[0].tools]


@pytest.mark.slow
async def test_thirty_delegates_at_once_have_a_server_each(tmp_path: Path):
    """That none is left is for the fixture which looks after every test."""
    names = ", ".join(f'"d{number}"' for number in range(WIDTH))
    lead = f'[experts.lead]\ninstruction = "Lead."\ndelegates = [{names}]\n'
    helpers = "".join(
        f'[experts.d{number}]\ninstruction = "Help."\n' + SKILL.replace("EXPERT", f"d{number}")
        for number in range(WIDTH)
    )
    config = project(tmp_path, lead + helpers)
    asked = together(*(call(f"d{number}", {"query": "Go"}) for number in range(WIDTH)))
    script = {"lead": [asked, say("Led.")]}
    script |= {f"d{number}": [call("echo"), say("Helped.")] for number in range(WIDTH)}
    result = await run(
        "lead", "Go", config=config, provider=Playbook(script).model(), workspace=tmp_path
    )
    assert result.text == "Led."
    started = [event for event in result.events if isinstance(event.detail, SkillConnected)]
    assert len(started) == WIDTH
    ended = [event for event in result.events if isinstance(event.detail, SkillDisconnected)]
    assert len(ended) == WIDTH
