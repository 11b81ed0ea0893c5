import json
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import Any

import anyio
import httpx2
import msgspec
import pytest

import perstack.testing
from perstack.providers import GenerateRequest
from perstack.providers.table import open_provider
from perstack.schema.history import History
from perstack.schema.message import Message, user_message
from perstack.schema.settings import ProviderSettings
from perstack.testing import call, say, serve_model
from perstack.testing.model_server import main
from perstack.testing.scenario import CallSpec, Policy, ReplySpec, Rule, Scenario, load_scenario

pytestmark = pytest.mark.anyio


async def answer(url: str, *messages: Message, instruction: str = "") -> Any:
    provider = open_provider(ProviderSettings(base_url=url), {"ANTHROPIC_API_KEY": "k" * 9})
    request = GenerateRequest(
        model="claude-sonnet-4-5",
        instruction=instruction,
        messages=History(messages or (user_message("0", "go"),)),
    )
    try:
        return [piece async for piece in provider.generate(request)][-1]
    finally:
        await provider.aclose()


async def text(url: str, *messages, instruction: str = "") -> str:
    return (await answer(url, *messages, instruction=instruction)).message.text


def conversation(turns: int, first: str = "go") -> list[Message]:
    messages: list[Message] = [user_message("0", first)]
    for turn in range(turns):
        messages.append(msgspec.structs.replace(call("t", id=f"{turn}").message, id=f"e{turn}"))
        messages.append(user_message(f"u{turn}", "more"))
    return messages


async def test_replies_come_in_order_and_then_there_are_none():
    async with serve_model([ReplySpec(text="one"), ReplySpec(text="two")]) as server:
        assert [await text(server.url), await text(server.url)] == ["one", "two"]
        assert (await answer(server.url)).error.status_code == 400
        assert len(server.requests) == 3


async def test_each_conversation_has_its_own_replies():
    scenario = Scenario(
        rules=(
            Rule(system="poet", replies=(ReplySpec(text="verse 1"), ReplySpec(text="verse 2"))),
            Rule(user="count", by="turn", replies=(ReplySpec(text="0"), ReplySpec(text="1"))),
        ),
        replies=(ReplySpec(text="other"),),
    )
    async with serve_model(scenario) as server:
        assert await text(server.url, instruction="You are a poet.") == "verse 1"
        assert await text(server.url) == "other"
        assert await text(server.url, instruction="You are a poet.") == "verse 2"
        assert await text(server.url, user_message("0", "please count")) == "0"
        counted = [*conversation(1), user_message("9", "now count")]
        assert [await text(server.url, *counted) for _ in range(2)] == ["1", "1"]


POLICY = Policy(
    steps=2,
    reply=ReplySpec(calls=(CallSpec(name="writeTextFile", args={"path": "file-{n}.txt"}),)),
    final=ReplySpec(text="Done after {n}."),
)


async def test_a_policy_depends_on_the_history_alone():
    async with serve_model(Scenario(policy=POLICY)) as server:
        for _ in range(2):
            for turn in (1, 0, 2):
                reply = await answer(server.url, *conversation(turn))
                if turn == 2:
                    assert reply.message.text == "Done after 2."
                else:
                    (made,) = reply.message.calls
                    assert made.args == {"path": f"file-{turn}.txt"}
                    assert made.tool_call_id == f"toolu_{turn}_0"


async def test_latency_is_waited_for_before_an_answer():
    async with serve_model([ReplySpec(text="late", latency_ms=60)]) as server:
        began = anyio.current_time()
        assert (await answer(server.url)).message.text == "late"
        assert anyio.current_time() - began >= 0.06


async def test_an_unknown_path_is_not_found():
    async with serve_model([ReplySpec(text="never")]) as server:
        assert (await answer(server.url + "/elsewhere")).error.status_code == 404


async def test_a_body_that_is_no_request_is_answered_and_the_server_lives():
    async with serve_model([ReplySpec(text="one")]) as server:
        async with httpx2.AsyncClient(trust_env=False) as client:
            response = await client.post(f"{server.url}/v1/messages", content=b"nonsense")
        assert response.status_code == 400
        assert await text(server.url) == "one"


@contextmanager
def program(*arguments: str):
    command = [sys.executable, "-m", "perstack.testing.model_server", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip(), process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=10)


async def test_as_a_program_it_prints_its_address_and_logs_requests(tmp_path):
    scenario = tmp_path / "scenario.json"
    scenario.write_bytes(msgspec.json.encode(Scenario(policy=POLICY)))
    log = tmp_path / "requests.jsonl"
    with program(str(scenario), "--log", str(log)) as (url, _):
        assert url.startswith("http://127.0.0.1:")
        assert (await answer(url)).message.calls
        assert await text(url, *conversation(2)) == "Done after 2."
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [len(line["body"]["messages"]) for line in lines] == [1, 5]
    assert lines[0]["at"] <= lines[1]["at"]


def test_a_scenario_file_is_checked(tmp_path):
    wrong = tmp_path / "scenario.json"
    wrong.write_text('{"replies": [{"txet": "x"}]}')
    with pytest.raises(msgspec.ValidationError, match="txet"):
        load_scenario(wrong)


def test_the_public_names_are_all_there_and_nothing_is_loaded_before():
    assert all(hasattr(perstack.testing, name) for name in perstack.testing.__all__)
    assert say("x").message.text == "x"
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = perstack.testing.no_such_name
    code = "import sys, perstack.testing; assert 'msgspec' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


@pytest.mark.parametrize("content", ["{", '{"polcy": {}}', None])
def test_a_scenario_that_is_none_is_one_message(content, tmp_path, capsys):
    path = tmp_path / "scenario.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SystemExit) as ended:
        main([str(path)])
    assert ended.value.code == 2
    assert "is no scenario" in capsys.readouterr().err
