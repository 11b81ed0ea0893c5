"""`perstack skills`: what an Expert is offered, and what is in the way of a skill."""

from __future__ import annotations

import json
import re
import shlex
import socket
import sys
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from cli.process import PERSTACK, QUIET, Ended, perstack
from perstack.schema.inventory import Inventory
from perstack.schema.tool import BASE_TOOLS, OWN_TOOLS
from perstack.testing import serve_model
from perstack.testing.scenario import ReplySpec

SERVERS = Path(__file__).parents[1] / "skills/mcp"

OTHERS = """
[experts.worker]
description = "Works."
instruction = "Work."
delegates = ["helper"]

[experts.worker.skills.people]
type = "interactiveSkill"
[experts.worker.skills.people.tools.askUser]
description = "Ask."
inputJsonSchema = '{"type":"object"}'

[experts.worker.skills."@perstack/base"]
type = "mcpStdioSkill"
command = "npx"
packageName = "@perstack/base"
pick = ["attemptCompletion", "exec", "nothing"]
omit = ["exec"]

[experts.helper]
instruction = "Help."
description = "Helps."
"""


def skill(name: str, *args: str, more: str = "", expert: str = "worker") -> str:
    """The table of a skill that is one of the test servers."""
    words = json.dumps([str(SERVERS / "hostile_server.py"), *args])
    return (
        f'\n[experts.{expert}.skills.{name}]\ntype = "mcpStdioSkill"\n'
        f"command = {json.dumps(sys.executable)}\nargs = {words}\n{more}\n"
    )


def config(*skills: str) -> str:
    return '[experts.worker]\ninstruction = "Work."\n' + "".join(skills)


def listed(folder: Path, text: str, *words: str, env: dict[str, str] | None = None) -> Ended:
    """`perstack skills` in a folder with this configuration."""
    (folder / "perstack.toml").write_text(text)
    return perstack("skills", *words, cwd=folder, env=env)


def document(ended: Ended) -> dict[str, Any]:
    """The skills of the only Expert, by name."""
    [expert] = json.loads(ended.stdout)["experts"]
    return {entry["name"]: entry for entry in expert["skills"]}


def names(entry: dict[str, Any]) -> list[str]:
    return [tool["name"] for tool in entry["tools"]]


def test_an_expert_is_shown_with_all_its_tools_and_where_they_are_from(tmp_path: Path):
    ended = listed(tmp_path, OTHERS + skill("tools"), "worker", "--json")
    assert ended.code == 0, ended.stdout
    skills = document(ended)
    assert list(skills) == ["@perstack/base", "people", "tools", "@perstack/delegate"]
    kinds = [entry["type"] for entry in skills.values()]
    assert kinds == ["base", "interactiveSkill", "mcpStdioSkill", "delegates"]
    assert names(skills["@perstack/base"]) == ["attemptCompletion"]
    assert names(skills["people"]) == ["askUser"]
    assert names(skills["tools"])[:3] == ["echo", "slow", "release"]
    assert names(skills["@perstack/delegate"]) == ["helper"]
    assert skills["tools"]["server"] == {"name": "hostile", "version": "1.0"}
    assert skills["tools"]["command"] == [sys.executable, str(SERVERS / "hostile_server.py")]
    assert skills["tools"]["tools"][0]["inputSchema"] == {"type": "object"}


@pytest.mark.anyio
async def test_its_tools_are_those_that_a_run_shows_its_model(tmp_path: Path):
    text = OTHERS + skill("first") + skill("second", "names", more='omit = ["fail"]')
    ended = listed(tmp_path, text, "worker", "--json")
    async with serve_model([ReplySpec(text="Done.")]) as server:
        with anyio.fail_after(60):
            await anyio.run_process(
                [str(PERSTACK), "run", "worker", "Go"],
                cwd=tmp_path,
                env=QUIET | server.variables,
            )
    offered: Any = server.requests[0].json["tools"]
    shown = [tool for entry in document(ended).values() for tool in entry["tools"]]
    assert {tool["name"] for tool in shown} == {tool["name"] for tool in offered}
    schemas = {tool["name"]: tool["input_schema"] for tool in offered}
    assert {tool["name"]: tool["inputSchema"] for tool in shown} == schemas


def test_the_document_has_the_documented_form(tmp_path: Path):
    ended = listed(tmp_path, OTHERS + skill("tools"), "--json")
    inventory = msgspec.json.decode(ended.stdout, type=Inventory)
    assert inventory.version == 1
    assert inventory.config == str(tmp_path / "perstack.toml")
    assert inventory.is_working
    assert [expert.key for expert in inventory.experts] == ["worker", "helper"]


def test_how_long_a_start_took_is_told_by_its_phases(tmp_path: Path):
    ended = listed(tmp_path, config(skill("tools")), "--json")
    cost = document(ended)["tools"]["startUp"]
    assert cost.keys() == {"spawnMs", "handshakeMs", "discoveryMs", "totalMs"}
    assert cost["handshakeMs"] > 0
    phases = cost["spawnMs"] + cost["handshakeMs"] + cost["discoveryMs"]
    assert phases == pytest.approx(cost["totalMs"], abs=1)
    shown = listed(tmp_path, config(skill("tools"))).stdout
    assert re.search(r"^    up in \d.*s \(start .*, handshake .*, tools .*\)$", shown, re.MULTILINE)
    assert "  tools: 10 tools, hostile 1.0\n" in shown


def test_what_is_left_out_is_told_with_its_reason(tmp_path: Path):
    picked = skill("one", more='pick = ["echo", "fail", "no-such"]\nomit = ["fail"]')
    skills = document(listed(tmp_path, config(picked, skill("two", "names")), "--json"))
    reasons = {left["tool"]: left["reason"] for left in skills["one"]["leftOut"]}
    assert names(skills["one"]) == ["echo"]
    assert reasons.pop("fail") == "omit names it"
    assert reasons.pop("no-such") == "pick or omit names it, and the server has no such tool"
    assert set(reasons.values()) == {"pick does not name it"}
    assert "slow" in reasons
    assert {"tool": "", "reason": "it has no name"} in skills["two"]["leftOut"]
    assert "leftOut" not in skills["two"]["tools"][0]


def test_the_base_tools_that_are_left_out_are_told(tmp_path: Path):
    base = document(listed(tmp_path, OTHERS, "worker", "--json"))["@perstack/base"]
    reasons = {left["tool"]: left["reason"] for left in base["leftOut"]}
    assert reasons["exec"] == "omit names it"
    assert reasons["todo"] == "pick does not name it"
    assert reasons["nothing"] == "pick or omit names it, and there is no such base tool"


def test_a_base_skill_from_elsewhere_is_shown_with_its_server_and_what_is_ours(tmp_path: Path):
    command = f"perstackBaseSkillCommand = {json.dumps([str(PERSTACK), 'base'])}\n"
    narrow = OTHERS.replace('pick = ["attemptCompletion", "exec", "nothing"]', 'pick = ["exec"]')
    ended = listed(tmp_path, command + narrow.replace('omit = ["exec"]', ""), "worker", "--json")
    base = document(ended)["@perstack/base"]
    assert base["type"] == "mcpStdioSkill"
    assert base["command"] == [str(PERSTACK), "base"]
    assert base["server"]["name"] == "@perstack/base"
    assert names(base) == ["exec"]
    whole = document(listed(tmp_path, command + config(), "--json"))["@perstack/base"]
    assert names(whole) == list(BASE_TOOLS)
    effects = {tool["name"]: tool["effect"] for tool in whole["tools"]}
    assert (effects["todo"], effects["readTextFile"]) == ("none", "unknown")
    left = {each["tool"] for each in whole["leftOut"] if each["reason"] == "Perstack has its own"}
    assert left == OWN_TOOLS


def test_a_base_skill_that_does_not_start_leaves_what_is_ours(tmp_path: Path):
    ended = listed(tmp_path, 'perstackBaseSkillCommand = ["/nowhere"]\n' + config(), "--json")
    assert ended.code == 1
    base = document(ended)["@perstack/base"]
    assert not base["isWorking"]
    assert set(names(base)) == OWN_TOOLS


def test_a_tool_that_bears_another_name_is_shown_with_its_own(tmp_path: Path):
    text = config(skill("first"), skill("second"))
    skills = document(listed(tmp_path, text, "--json"))
    assert names(skills["second"])[0] == "second__echo"
    assert skills["second"]["tools"][0]["tool"] == "echo"
    assert "second__echo        [echo] The tool echo." in listed(tmp_path, text).stdout


def test_a_variable_that_is_missing_is_a_finding_and_other_skills_are_shown(tmp_path: Path):
    text = config(skill("web", more='requiredEnv = ["EXA_API_KEY"]'), skill("tools"))
    ended = listed(tmp_path, text)
    assert ended.code == 1
    assert "web: DOES NOT WORK" in ended.stdout
    assert "A variable that it needs is not set: EXA_API_KEY." in ended.stdout
    assert "or put it in .env" in ended.stdout
    assert "tools: 10 tools" in ended.stdout
    assert "1 skill does not work (worker: web)." in ended.stdout
    assert document(listed(tmp_path, text, "--json"))["web"]["missingEnv"] == ["EXA_API_KEY"]
    (tmp_path / ".env").write_text("EXA_API_KEY=a-key-of-nobody\n")
    assert listed(tmp_path, text).code == 0


def test_a_skill_that_asks_for_the_models_key_is_told_how_to_get_it(tmp_path: Path):
    text = config(skill("greedy", more='requiredEnv = ["ANTHROPIC_API_KEY"]'))
    env = {"ANTHROPIC_API_KEY": "a-key-of-nobody"}
    ended = listed(tmp_path, text, env=env)
    assert ended.code == 1
    assert "the key of the model's provider" in ended.stdout
    assert "allow it with --env ANTHROPIC_API_KEY" in ended.stdout
    assert listed(tmp_path, text, "--env", "ANTHROPIC_API_KEY", env=env).code == 0


def test_a_missing_program_is_named_with_the_way_to_get_it(tmp_path: Path):
    text = config('\n[experts.worker.skills.web]\ntype = "mcpStdioSkill"\ncommand = "npx"\n')
    ended = listed(tmp_path, text + 'packageName = "x"\n', env={"PATH": "/nowhere"})
    assert ended.code == 1
    assert "There is no program 'npx' on the PATH" in ended.stdout
    assert "https://nodejs.org" in ended.stdout
    assert "by hand" not in ended.stdout


def test_a_server_that_ends_is_told_with_its_last_words_and_how_to_try_it(tmp_path: Path):
    ended = listed(tmp_path, config(skill("broken", "exit"), skill("tools")))
    assert ended.code == 1
    assert "! The server ended with status 3." in ended.stdout
    assert "! fatal: no such thing" in ended.stdout
    command = shlex.join([sys.executable, str(SERVERS / "hostile_server.py"), "exit"])
    assert "Try it by hand in the workspace, where it should wait" in ended.stdout
    assert f"standard output: {command}\n" in ended.stdout
    assert "tools: 10 tools" in ended.stdout


def test_what_a_server_prints_of_its_secret_is_not_shown(tmp_path: Path):
    program = "import os, sys; sys.exit('the token is ' + os.environ['TOKEN'])"
    text = config(
        f'\n[experts.worker.skills.a]\ntype = "mcpStdioSkill"\nrequiredEnv = ["TOKEN"]\n'
        f"command = {json.dumps(sys.executable)}\nargs = {json.dumps(['-c', program])}\n"
    )
    for form in ((), ("--json",)):
        ended = listed(tmp_path, text, *form, env={"TOKEN": "canary-0123456789"})
        assert "the token is [TOKEN]" in ended.stdout
        assert "canary" not in ended.stdout + ended.stderr


def test_a_server_none_of_whose_tools_is_offered_does_not_work(tmp_path: Path):
    ended = listed(tmp_path, config(skill("tools", more='pick = ["ehco"]')))
    assert ended.code == 1
    assert "none of its tools is offered" in ended.stdout
    assert "Correct pick and omit." in ended.stdout
    assert "ehco" in ended.stdout


def test_a_server_at_an_address_where_nobody_is_does_not_work(tmp_path: Path):
    text = '\n[experts.worker.skills.far]\ntype = "mcpSseSkill"\nallowLoopback = true\n'
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    ended = listed(tmp_path, config(text + f'endpoint = "http://127.0.0.1:{port}/mcp?key=abc"\n'))
    assert ended.code == 1
    assert f"http://127.0.0.1:{port}/mcp\n" in ended.stdout
    assert "key=abc" not in ended.stdout
    assert "no connection: connection refused" in ended.stdout


def test_a_token_that_cannot_be_sent_is_a_finding_and_other_skills_are_shown(tmp_path: Path):
    far = '\n[experts.worker.skills.far]\ntype = "mcpSseSkill"\nbearerTokenEnv = "TOKEN"\n'
    text = config(far + 'endpoint = "https://mcp.example.com/mcp"\n', skill("tools"))
    ended = listed(tmp_path, text, env={"TOKEN": "canary\nof two lines"})
    assert ended.code == 1, ended.stderr
    assert "! The value of TOKEN cannot be sent as a header" in ended.stdout
    assert "> Correct the variable's value" in ended.stdout
    assert "tools: 10 tools" in ended.stdout
    assert "canary" not in ended.stdout + ended.stderr


def test_a_delegate_that_nobody_defines_is_told_of(tmp_path: Path):
    ended = listed(tmp_path, OTHERS.replace('["helper"]', '["helpre"]'), "worker")
    assert ended.code == 1
    assert 'There is no Expert "helpre". Did you mean helper?' in ended.stdout


def test_warnings_of_a_server_about_its_tools_are_shown(tmp_path: Path):
    ended = listed(tmp_path, config(skill("tools", "many")))
    assert ended.code == 0, ended.stdout
    assert "warning: Only the first 512 tools were taken." in ended.stdout


def test_without_an_expert_all_of_the_project_are_shown(tmp_path: Path):
    text = OTHERS.replace(', "nothing"', "") + skill("tools", expert="helper")
    ended = listed(tmp_path, text)
    assert ended.code == 0
    assert re.findall(r"^(\w+): ", ended.stdout, re.MULTILINE) == ["worker", "helper"]
    assert ended.stdout.endswith("All skills work.\n")
    assert ended.stderr == ""


def test_an_expert_that_ships_with_the_package_is_shown(tmp_path: Path):
    ended = perstack("skills", "fitness-assistant", cwd=tmp_path)
    assert ended.code == 0
    assert "pro-trainer" in ended.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "There is no perstack.toml here or in a folder above"),
        (["nobody"], 'There is no Expert "nobody"'),
        (["a", "b"], "unexpected extra argument"),
        (["--config", "missing.toml"], "missing.toml does not exist"),
    ],
)
def test_what_cannot_be_shown_is_an_error_of_usage(words: list[str], said: str, tmp_path: Path):
    ended = perstack("skills", *words, cwd=tmp_path)
    assert ended.code == 2
    assert said in ended.stderr
    assert ended.stdout == ""
