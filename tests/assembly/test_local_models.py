"""Model servers on this machine: known by their APIs, asked what they have, and no other asked."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest

from assembly.local_server import (
    HANGS,
    LLAMA_CPP,
    LM_STUDIO,
    LM_STUDIO_OLDER,
    OLLAMA,
    SHOWN,
    SOMETHING_ELSE,
    serving,
)
from perstack.assembly import local_models
from perstack.assembly.doctor import Survey, diagnose
from perstack.assembly.local_models import PORTS, host, local_servers
from perstack.assembly.local_models.ollama import ollama
from perstack.config.request import Options
from perstack.schema.diagnosis import Diagnosis
from perstack.schema.local_model import LocalModel, LocalServer
from perstack.views.diagnosis_text import diagnosis_text

pytestmark = pytest.mark.anyio


def free_port() -> int:
    """A port where nothing listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


async def found(answers: Mapping[str, Any]) -> LocalServer | None:
    async with serving(answers) as served:
        search = await local_servers([served.port])
    assert search.closed == frozenset()
    return search.servers[0] if search.servers else None


def models(server: LocalServer | None) -> dict[str, LocalModel]:
    assert server is not None
    return {model.name: model for model in server.models}


def test_the_usual_ports_are_looked_at() -> None:
    assert PORTS == (11434, 1234, 8080)


async def test_ollama_is_asked_what_its_models_can_do_and_how_long_their_context_is() -> None:
    server = await found(OLLAMA)
    assert server is not None
    assert (server.kind, server.provider, server.version) == ("ollama", "ollama", "0.12.3")
    assert server.models == (
        LocalModel(
            name="qwen3:8b", takes_tools=True, context_window=8192, max_context_window=40960
        ),
        LocalModel(
            name="gemma3:latest",
            takes_tools=False,
            context_window=4096,
            max_context_window=131072,
        ),
    )


async def test_lm_studio_is_asked_the_same() -> None:
    server = await found(LM_STUDIO)
    assert server is not None
    assert (server.kind, server.provider) == ("lmStudio", "openai")
    assert server.base_url.endswith("/v1")
    assert server.models == (
        LocalModel(
            name="qwen/qwen3-8b",
            takes_tools=True,
            context_window=20000,
            max_context_window=40960,
        ),
        LocalModel(name="old", takes_tools=False, max_context_window=2048),
    )


async def test_an_older_lm_studio_does_not_say_what_a_model_cannot_do() -> None:
    server = await found(LM_STUDIO_OLDER)
    assert server is not None
    assert server.kind == "lmStudio"
    assert server.models == (
        LocalModel(
            name="qwen3-8b", takes_tools=True, context_window=4096, max_context_window=40960
        ),
        LocalModel(name="plain", takes_tools=None, max_context_window=8192),
    )


async def test_llama_cpp_is_asked_the_same() -> None:
    server = await found(LLAMA_CPP)
    assert server is not None
    assert (server.kind, server.version) == ("llamaCpp", "b9014-d4b0c22f9")
    assert server.models == (
        LocalModel(
            name="qwen3.gguf", takes_tools=True, context_window=16384, max_context_window=40960
        ),
    )


async def test_of_a_llama_cpp_with_several_models_the_properties_are_nobodys() -> None:
    [model] = LLAMA_CPP["/v1/models"]["data"]  # type: ignore[misc]
    several = LLAMA_CPP | {"/v1/models": {"data": [model, {**model, "id": "b", "meta": None}]}}
    found_models = models(await found(several))
    assert found_models["qwen3.gguf"].context_window == 20480
    assert found_models["b"] == LocalModel(name="b")


async def test_servers_are_found_side_by_side_at_whatever_port_they_are() -> None:
    async with AsyncExitStack() as stack:
        kinds = (LLAMA_CPP, SOMETHING_ELSE, LM_STUDIO, OLLAMA)
        ports = [(await stack.enter_async_context(serving(each))).port for each in kinds]
        closed = free_port()
        search = await local_servers([closed, *ports])
    assert [server.kind for server in search.servers] == ["llamaCpp", "lmStudio", "ollama"]
    assert search.closed == {closed}


EVERYTHING = (*OLLAMA, *LM_STUDIO_OLDER, *LLAMA_CPP)


@pytest.mark.parametrize(
    "answers",
    [
        {},
        SOMETHING_ELSE,
        {"/api/version": {"version": "0.1"}},
        {"/api/version": {"version": 1}, "/api/tags": OLLAMA["/api/tags"]},
        {"/v1/models": {"object": "list", "data": []}},
        dict.fromkeys(EVERYTHING, b"<html>It works!</html>"),
        dict.fromkeys(EVERYTHING, b"[" * 100_000),
        dict.fromkeys(EVERYTHING, b"\xff\xfe"),
    ],
    ids=["nothing", "other", "half", "shape", "empty", "html", "deep", "bytes"],
)
async def test_what_merely_listens_there_is_no_model_server(answers: Mapping[str, Any]) -> None:
    assert await found(answers) is None


@pytest.mark.hostile
async def test_a_server_that_does_not_answer_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(local_models, "SECONDS", 1.0)
    silent = dict.fromkeys(EVERYTHING, HANGS)
    async with serving(silent) as first, serving(OLLAMA) as second:
        with anyio.fail_after(20):
            search = await local_servers([first.port, second.port])
    assert [server.kind for server in search.servers] == ["ollama"]


@pytest.mark.hostile
async def test_a_server_that_does_not_tell_of_a_model_is_listed_without_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(ollama.__globals__, "DETAIL_SECONDS", 0.3)
    known = models(await found(OLLAMA | {"/api/show gemma3:latest": HANGS, "/api/ps": HANGS}))
    assert known["qwen3:8b"].takes_tools
    assert known["gemma3:latest"] == LocalModel(name="gemma3:latest")


@pytest.mark.hostile
async def test_what_a_server_tells_is_bounded() -> None:
    names = [*(f"m{number}" for number in range(300)), "x" * 300, ""]
    server = await found(
        {
            "/api/version": {"version": "9" * 5000},
            "/api/tags": {"models": [{"name": name} for name in names]},
        }
    )
    assert server is not None
    assert len(server.models) == host.MAX_MODELS
    assert server.left_out == 300 - host.MAX_MODELS
    assert len(server.version or "") == 80


@pytest.mark.parametrize("told", [0, -1, 1 << 50, True, "8192", None])
async def test_a_size_that_can_be_none_is_not_known(told: object) -> None:
    info = {"general.architecture": "q", "q.context_length": told}
    shown = {"/api/show qwen3:8b": SHOWN | {"model_info": info, "parameters": None}}
    model = models(await found(OLLAMA | shown))["qwen3:8b"]
    assert (model.max_context_window, model.context_window) == (None, None)


@pytest.mark.hostile
async def test_nothing_but_the_loopback_address_is_dialled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dialled: list[str] = []
    real = anyio.connect_tcp

    async def recording(address: str, port: int) -> Any:
        dialled.append(address)
        return await real(address, port)

    monkeypatch.setattr(anyio, "connect_tcp", recording)
    environ = {
        "OLLAMA_HOST": "http://192.0.2.1:11434",
        "OLLAMA_BASE_URL": "http://192.0.2.1:11434",
        "HTTP_PROXY": "http://192.0.2.2:3128",
    }
    async with serving(OLLAMA) as served:
        options = Options(provider="ollama", model="x")
        await diagnose(Survey(options, tmp_path, environ), [served.port, free_port()])
    assert set(dialled) == {"127.0.0.1"}


async def examined(
    folder: Path,
    answers: Mapping[str, Any] | None,
    *,
    provider: str | None = "ollama",
    model: str | None = None,
) -> Diagnosis:
    """A diagnosis where the provider's address is that of a server, or of none."""
    async with AsyncExitStack() as stack:
        port = free_port()
        if answers is not None:
            port = (await stack.enter_async_context(serving(answers))).port
        environ = {"OLLAMA_BASE_URL": f"http://localhost:{port}"} if provider else {}
        survey = Survey(Options(provider=provider, model=model), folder, environ)
        return await diagnose(survey, [port])


async def test_a_model_that_is_there_and_takes_tools_is_no_finding(tmp_path: Path) -> None:
    answers = OLLAMA | {"/api/show qwen3:8b": SHOWN | {"parameters": "num_ctx 32768"}}
    diagnosis = await examined(tmp_path, answers, model="qwen3:8b")
    assert diagnosis.is_ready
    assert diagnosis.findings == ()
    assert diagnosis.local_servers[0].kind == "ollama"
    text = diagnosis_text(diagnosis)
    assert re.search(r"Ollama 0\.12\.3 at http://127\.0\.0\.1:\d+", text)
    assert "qwen3:8b: calls tools, context 32,768 of 40,960 that it could have" in text
    assert "gemma3:latest: CANNOT CALL TOOLS, context 4,096" in text


async def test_a_server_that_is_to_be_asked_and_is_not_there_is_a_problem(tmp_path: Path) -> None:
    diagnosis = await examined(tmp_path, None, model="qwen3:8b")
    assert not diagnosis.is_ready
    [finding] = diagnosis.findings
    assert finding.message.startswith("Nothing listens at port")
    assert "ollama serve" in finding.advice


async def asked_elsewhere(folder: Path, answers: Mapping[str, Any]) -> Diagnosis:
    """A diagnosis that looks at no usual port, of a run that asks a server for a model."""
    async with serving(answers) as served:
        environ = {"OLLAMA_BASE_URL": f"http://127.0.0.1:{served.port}"}
        return await diagnose(Survey(Options(provider="ollama", model="x"), folder, environ), [])


async def test_the_server_that_a_run_would_ask_is_looked_at_wherever_it_is(tmp_path: Path) -> None:
    [finding] = (await asked_elsewhere(tmp_path, OLLAMA)).findings
    assert finding.message == "The Ollama server has no model x"
    environ = {"OLLAMA_BASE_URL": f"http://127.0.0.1:{free_port()}"}
    survey = Survey(Options(provider="ollama", model="x"), tmp_path, environ)
    [finding] = (await diagnose(survey, [])).findings
    assert finding.message.startswith("Nothing listens at port")


async def test_nothing_is_said_of_an_address_that_is_not_looked_at(tmp_path: Path) -> None:
    port = free_port()
    environ = {"OLLAMA_BASE_URL": f"http://[::1]:{port}"}
    survey = Survey(Options(provider="ollama", model="x"), tmp_path, environ)
    assert (await diagnose(survey, [port])).findings == ()


@pytest.mark.parametrize("answers", [SOMETHING_ELSE, {"/api/version": HANGS}])
async def test_what_does_not_answer_as_ollama_does_is_a_warning(
    tmp_path: Path, answers: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_models, "SECONDS", 0.3)
    diagnosis = await asked_elsewhere(tmp_path, answers)
    [finding] = diagnosis.findings
    assert diagnosis.is_ready
    assert finding.message.endswith("where the model is asked, does not answer as Ollama does")


def many(*more: str) -> dict[str, Any]:
    """An Ollama server with thousands of models."""
    names = [*(f"m{number}" for number in range(5000)), *more]
    return OLLAMA | {"/api/tags": {"models": [{"name": name} for name in names]}}


async def test_of_thousands_of_models_the_chosen_one_is_looked_at(tmp_path: Path) -> None:
    answers = many("gemma3:latest")
    diagnosis = await examined(tmp_path, answers, model="gemma3")
    [server] = diagnosis.local_servers
    assert server.models[0].name == "gemma3:latest"
    assert server.left_out == 5001 - host.MAX_MODELS
    assert diagnosis.findings[0].message.startswith("The model gemma3 cannot call tools")


async def test_of_thousands_of_models_a_missing_one_is_missed(tmp_path: Path) -> None:
    [finding] = (await examined(tmp_path, many(), model="gemma3")).findings
    assert finding.message == "The Ollama server has no model gemma3"


async def test_a_chosen_model_that_only_embeds_is_there_and_does_not_fit(tmp_path: Path) -> None:
    [finding] = (await examined(tmp_path, OLLAMA, model="nomic-embed-text")).findings
    assert finding.message.startswith("The model nomic-embed-text cannot call tools")


async def test_a_model_that_is_not_there_is_a_problem_with_those_that_are(tmp_path: Path) -> None:
    [finding] = (await examined(tmp_path, OLLAMA, model="llama; rm -rf")).findings
    assert finding.message == "The Ollama server has no model llama; rm -rf"
    assert "`ollama pull 'llama; rm -rf'`" in finding.advice
    assert finding.advice.endswith("It has: qwen3:8b.")


async def test_a_model_without_a_tag_is_the_latest_one_and_must_take_tools(tmp_path: Path) -> None:
    diagnosis = await examined(tmp_path, OLLAMA, model="gemma3")
    problem, warning = diagnosis.findings
    assert not diagnosis.is_ready
    assert problem.message == "The model gemma3 cannot call tools, and an Expert works by them"
    assert problem.advice == "Name one that can: qwen3:8b."
    assert warning.message.startswith("The model gemma3 has a context of 4,096 tokens")
    assert "It could have 131,072" in warning.advice


async def test_a_server_that_nothing_says_to_use_is_pointed_to(tmp_path: Path) -> None:
    diagnosis = await examined(tmp_path, OLLAMA, provider=None)
    problem, warning = diagnosis.findings
    assert problem.message == "No key of a model's provider is set"
    assert warning.message.startswith("A model server runs on this machine")
    options = re.search(
        r"set (\w+) to (\S+), and give --provider (\S+) --model (\S+)\.", warning.advice
    )
    assert options is not None
    variable, url, provider, model = options.groups()
    async with serving(OLLAMA | {"/api/show qwen3:8b": SHOWN | {"parameters": ""}}) as served:
        environ = {variable: re.sub(r":\d+", f":{served.port}", url)}
        survey = Survey(Options(provider=provider, model=model), tmp_path, environ)
        assert (await diagnose(survey, [served.port])).findings == ()


async def test_a_compatible_server_that_is_not_known_is_left_alone(tmp_path: Path) -> None:
    async with serving(SOMETHING_ELSE) as served:
        environ = {"OPENAI_BASE_URL": f"http://127.0.0.1:{served.port}/v1"}
        survey = Survey(Options(provider="openai", model="gpt"), tmp_path, environ)
        diagnosis = await diagnose(survey, [served.port])
    assert diagnosis.is_ready
    assert diagnosis.local_servers == ()


@pytest.mark.hostile
async def test_nothing_that_a_server_says_moves_or_hides_text(tmp_path: Path) -> None:
    evil = "\x1b[2J\x9b31m\u202e\u200b\n\r\tx"
    answers = {
        "/api/version": {"version": evil},
        "/api/tags": {"models": [{"name": evil}]},
    }
    for provider in ("ollama", None):
        text = diagnosis_text(await examined(tmp_path, answers, provider=provider, model="x"))
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u202e]", text)
        assert r"\x1b[2J" in text
