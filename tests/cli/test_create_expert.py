"""The catalogue's `create-expert`: asks, writes, has its file checked, and what it wrote runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import anyio
import pytest

from cli.process import PERSTACK, QUIET, Ended, perstack
from perstack.config.load import load_config, parse_config
from perstack.registry.catalogue import catalogue_experts
from perstack.testing import serve_model
from perstack.testing.model_server import ModelServer
from perstack.testing.scenario import CallSpec, ReplySpec

pytestmark = pytest.mark.anyio

BARE = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
"""A PATH that does not name the environment which `perstack` is installed in."""

WRONG = """\
[experts."greeter"]
description = "Greets a person. Needs the name."
instruction = "Greet the person, and let `translator` put it into French."
delegates = ["translater"]

[experts."translator"]
description = "Translates into French. Needs the text."
instruction = "Translate what you are given into French. Answer with the translation alone."
"""

THEIRS = """\
# Ours: do not touch.
maxSteps   = 12      # enough

[experts . reviewer]
instruction = '''
Review the draft.'''   # short

[experts."editor"]
description = "Edits."
instruction = "Edit the draft."
# the end, without a line end"""


def call(name: str, **args: object) -> ReplySpec:
    return ReplySpec(calls=(CallSpec(name=name, args=args),))


def check() -> ReplySpec:
    words = ["check", "--config", "perstack.toml"]
    return call("exec", command="perstack", args=words, env={}, cwd=".", stdout=True, stderr=True)


def told(text: str) -> tuple[ReplySpec, ReplySpec]:
    return call("attemptCompletion"), ReplySpec(text=text)


async def run(folder: Path, server: ModelServer, *words: str) -> Ended:
    with anyio.fail_after(120):
        ended = await anyio.run_process(
            [str(PERSTACK), "run", *words],
            cwd=folder,
            env=QUIET | server.variables | BARE,
            check=False,
        )
    return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())


def checks_of(ended: Ended) -> list[dict[str, Any]]:
    """What each call of `exec` answered."""
    return [
        json.loads(event["toolResult"]["result"][0]["text"])
        for event in ended.events
        if event["type"] == "completeToolCall" and event["toolResult"]["toolName"] == "exec"
    ]


async def test_it_asks_writes_and_mends_until_the_check_is_clean_and_what_it_wrote_runs(
    tmp_path: Path,
) -> None:
    question = "Which language does it greet in?"
    replies = [
        call("readTextFile", path="./perstack.toml"),
        call("askUser", question=question, choices=["French", "German"]),
        call("writeTextFile", path="./perstack.toml", text=WRONG),
        check(),
        call("editTextFile", path="perstack.toml", oldText="translater", newText="translator"),
        check(),
        *told('Run it: perstack run greeter "Ann"'),
    ]
    async with serve_model(replies) as server:
        asked = await run(tmp_path, server, "create-expert", "An Expert that greets")
        assert asked.code == 0, asked.stderr
        assert asked.types[-1] == "stopRunByInteractiveTool"
        assert f"question: {question}\n" in asked.stderr
        assert "choices: French, German\n" in asked.stderr
        assert not (tmp_path / "perstack.toml").exists()
        done = await run(tmp_path, server, "create-expert", "--continue", "-i", "French")
        requests = server.requests
    assert (done.code, done.types[-1]) == (0, "completeRun"), done.stderr
    assert "French" in requests[2].body.decode()

    wrong, right = checks_of(done)
    file = f"{tmp_path}/perstack.toml"
    assert wrong["error"] == "Command exited with status 2."
    assert (
        f'{file}: experts."greeter".delegates[0]: There is no Expert "translater"'
        in (wrong["stderr"])
    )
    assert right == {"output": f"{file} is right: greeter, translator\n"}
    assert load_config(tmp_path / "perstack.toml").warnings == ()

    bonjour = [call("translator", query="Hello, Ann!"), *told("Bonjour, Ann !")]
    async with serve_model([*bonjour, *told("Bonjour, Ann !")]) as server:
        greeted = await run(tmp_path, server, "greeter", "Ann")
    assert (greeted.code, greeted.types[-1]) == (0, "completeRun"), greeted.stderr
    assert "Bonjour, Ann !" in greeted.stderr


async def test_an_expert_that_is_improved_leaves_every_other_byte_as_it_was(
    tmp_path: Path,
) -> None:
    path = tmp_path / "perstack.toml"
    path.write_bytes(THEIRS.encode())
    old, new = '"Edit the draft."', '"Edit the draft. Keep its length."'
    replies = [
        call("readTextFile", path="perstack.toml"),
        call("editTextFile", path="perstack.toml", oldText=old, newText=new),
        check(),
        *told("editor keeps the length now."),
    ]
    async with serve_model(replies) as server:
        ended = await run(tmp_path, server, "create-expert", "editor: keep the length of drafts")
        seen = server.requests[1].body.decode()
    assert (ended.code, ended.types[-1]) == (0, "completeRun"), ended.stderr
    assert path.read_bytes() == THEIRS.replace(old, new).encode()
    assert "Ours: do not touch." in seen
    assert checks_of(ended) == [{"output": f"{path} is right: reviewer, editor\n"}]


async def test_a_further_expert_goes_behind_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "perstack.toml"
    path.write_bytes(THEIRS.encode())
    more = '\n\n[experts."counter"]\ninstruction = "Count the words of the draft."\n'
    replies = [
        call("readTextFile", path="perstack.toml"),
        call("appendTextFile", path="perstack.toml", text=more),
        check(),
        *told("There is a counter now."),
    ]
    async with serve_model(replies) as server:
        ended = await run(tmp_path, server, "create-expert", "one that counts words")
    assert ended.code == 0, ended.stderr
    assert path.read_bytes() == (THEIRS + more).encode()
    assert checks_of(ended) == [{"output": f"{path} is right: reviewer, editor, counter\n"}]


async def test_a_model_is_offered_what_its_instruction_speaks_of(tmp_path: Path) -> None:
    async with serve_model([ReplySpec(text="Nothing to do.")]) as server:
        await run(tmp_path, server, "create-expert", "Nothing")
        [request] = server.requests
    tools: Any = request.json["tools"]
    offered = {tool["name"] for tool in tools}
    base = catalogue_experts()["create-expert"].skills["@perstack/base"]
    assert offered == {*getattr(base, "pick", ()), "askUser"}
    instruction = catalogue_experts()["create-expert"].instruction
    assert all(f"`{name}`" in instruction for name in offered)


def test_the_example_in_its_instruction_is_taken_as_it_is() -> None:
    instruction = catalogue_experts()["create-expert"].instruction
    example = re.findall(r"```toml\n(.*?)```", instruction, re.DOTALL)
    project = parse_config("".join(example), "example")
    assert project.warnings == ()
    assert list(project.experts) == ["news-desk", "proofreader"]


def test_without_a_model_it_says_what_is_missing(tmp_path: Path) -> None:
    ended = perstack("run", "create-expert", "An Expert that greets", cwd=tmp_path)
    assert (ended.code, ended.stdout) == (2, "")
    assert "ANTHROPIC_API_KEY" in ended.stderr
