"""Each example of the embedding API runs as its README says, over a real model API."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from cli.process import QUIET
from cli.server import serving
from perstack.testing import CallSpec, ReplySpec, Rule, Scenario, serve_model

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples/embedding"
LEAVES_NOTHING = QUIET | {"PYTHONDONTWRITEBYTECODE": "1"}
PATIENCE_SECONDS = 30

FINISH = CallSpec(name="attemptCompletion")


def called(*calls: dict[str, Any]) -> dict[str, Any]:
    return {"calls": list(calls)}


def python(
    script: Path, *words: str, cwd: Path, env: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(script), *words],
        cwd=cwd,
        env=LEAVES_NOTHING | env,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def facts(workspace: Path, job: str) -> list[dict[str, Any]]:
    """The facts of a job's only run."""
    [log] = workspace.glob(f"perstack/jobs/{job}/runs/*/events.jsonl")
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


# The script

SCRIPT = EXAMPLES / "script/storekeeper.py"
STORE: dict[str, Any] = {
    "rules": [
        {
            "system": "You keep a store",
            "user": "30",
            "by": "turn",
            "replies": [
                called({"name": "count", "args": {"item": "bolt"}}),
                called({"name": "count", "args": {"item": "M4 bolt"}}),
                called({"name": "order", "args": {"item": "M4 bolt", "amount": 40}}),
                {"text": "There were 200, and 40 more are ordered."},
            ],
        },
        {
            "system": "You keep a store",
            "user": "50",
            "replies": [{"text": "200 of the 400 are missing."}],
        },
    ]
}


def test_the_script_calls_its_functions_and_goes_on_with_the_job(tmp_path: Path) -> None:
    with serving(STORE, tmp_path) as env:
        first = python(SCRIPT, "Enough for 30 shelves?", cwd=tmp_path, env=env)
        [job] = [line[4:] for line in first.stderr.splitlines() if line.startswith("job ")]
        second = python(SCRIPT, "--continue", job, "And for 50?", cwd=tmp_path, env=env)

    assert first.returncode == 0, first.stderr
    assert first.stdout == "There were 200, and 40 more are ordered.\n"
    assert [line for line in first.stderr.splitlines() if line.startswith("  ")] == [
        "  count {'item': 'bolt'}",
        "  -> LookupError: 'bolt' is none of M4 bolt, shelf board",
        "  count {'item': 'M4 bolt'}",
        "  -> 200",
        "  order {'item': 'M4 bolt', 'amount': 40}",
        "  -> Ordered 40 of 'M4 bolt'.",
    ]
    assert second.stdout == "200 of the 400 are missing.\n"
    assert second.stderr.splitlines() == [f"job {job}", "5 steps, 600 tokens"]


def test_the_script_is_interrupted_and_carried_on_without_its_query(tmp_path: Path) -> None:
    with serving({"replies": [{"trouble": "hang"}]}, tmp_path) as env:
        script = subprocess.Popen(
            [sys.executable, str(SCRIPT), "How many bolts?"],
            cwd=tmp_path,
            env=LEAVES_NOTHING | env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert script.stderr is not None
        job = script.stderr.readline().removeprefix("job ").strip()
        script.send_signal(signal.SIGINT)
        _, words = script.communicate(timeout=PATIENCE_SECONDS)
    stopped = facts(tmp_path, job)[-1]
    with serving({"replies": [{"text": "There are 200."}]}, tmp_path) as env:
        carried_on = python(SCRIPT, "--continue", job, cwd=tmp_path, env=env)

    assert script.returncode == 130
    assert "--continue" in words
    assert (stopped["type"], stopped["error"]["name"]) == ("stopRunByError", "Interrupted")
    assert (carried_on.returncode, carried_on.stdout) == (0, "There are 200.\n")


def test_the_script_says_what_is_wrong_with_its_call(tmp_path: Path) -> None:
    ended = python(SCRIPT, "How many?", cwd=tmp_path, env={})

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "ANTHROPIC_API_KEY" in ended.stderr
    assert "Traceback" not in ended.stderr


# The web service

RAIN = Rule(
    system="children of ten",
    user="rain",
    by="turn",
    replies=(ReplySpec(calls=(FINISH,)), ReplySpec(text="Water rises, and falls.")),
)
CLOUDS = Rule(
    system="children of ten",
    user="clouds",
    replies=(
        ReplySpec(calls=(FINISH,)),
        ReplySpec(text="Clouds are water.", text_pieces=2, trouble="stall"),
        ReplySpec(text="Clouds are water, in drops."),
    ),
)


@asynccontextmanager
async def web_service(workspace: Path, env: dict[str, str]) -> AsyncGenerator[httpx2.AsyncClient]:
    """A client of the example's service, which is told to end with the block and then does."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        (workspace / "uvicorn.log").open("ab") as log,
    ):
        number = listening.fileno()
        command = [sys.executable, "-m", "uvicorn", "--app-dir", str(EXAMPLES / "fastapi-sse")]
        async with await anyio.open_process(
            [*command, "--fd", str(number), "app:app"],
            cwd=workspace,
            env=LEAVES_NOTHING | env,
            pass_fds=[number],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
        ) as service:
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            try:
                async with httpx2.AsyncClient(base_url=url, timeout=PATIENCE_SECONDS) as client:
                    yield client
            finally:
                service.terminate()
                with anyio.fail_after(PATIENCE_SECONDS, shield=True):
                    await service.wait()


@pytest.mark.anyio
async def test_the_web_service_streams_a_job_and_says_at_once_what_it_cannot_do(
    tmp_path: Path,
) -> None:
    async with (
        serve_model(Scenario(rules=(RAIN,))) as model,
        web_service(tmp_path, model.variables) as client,
    ):
        async with client.sse("/ask", params={"q": "Why does it rain?"}) as source:
            events = [event async for event in source]
        job = events[0].id
        again = await client.get("/ask", params={"q": "rain"}, headers={"Last-Event-ID": job})
        nothing = await client.get("/ask")
        unknown = await client.get("/ask", params={"job": "nothing-here"})
        followed = await client.get("/ask", params={"job": job, "q": "And why rain?"})

    assert {event.id for event in events} == {job}
    assert [event.event for event in events if event.event != "streamRunResult"] == [
        "initializeRuntime",
        "startGeneration",
        "callTools",
        "attemptCompletion",
        "startStreamingRunResult",
        "completeStreamingRunResult",
        "completeRun",
        "result",
    ]
    assert all(json.loads(event.data)["type"] == event.event for event in events[:-1])
    assert events[-1].json() == {"status": "completed", "text": "Water rises, and falls."}
    assert (again.status_code, again.content) == (204, b"")
    assert (nothing.status_code, nothing.json()) == (400, {"error": "UsageError"})
    assert (unknown.status_code, unknown.json()) == (404, {"error": "NoSuchJob"})
    assert f"id: {job}\n" in followed.text


@pytest.mark.anyio
async def test_a_client_that_leaves_interrupts_its_job_and_it_goes_on_when_it_is_back(
    tmp_path: Path,
) -> None:
    async with serve_model(Scenario(rules=(CLOUDS,))) as model:
        async with web_service(tmp_path, model.variables) as client:
            async with client.sse("/ask", params={"q": "What are clouds?"}) as source:
                events = aiter(source)
                while (event := await anext(events)).event != "streamRunResult":
                    pass
            with anyio.fail_after(PATIENCE_SECONDS):
                await model.hangups.wait()  # the service gave the model's reply up
        stopped = facts(tmp_path, event.id)[-1]
        async with web_service(tmp_path, model.variables) as client:
            back = {"Last-Event-ID": event.id}
            async with client.sse("/ask", params={"q": "What are clouds?"}, headers=back) as source:
                told = [event async for event in source]

    assert (stopped["type"], stopped["error"]["name"]) == ("stopRunByError", "Interrupted")
    assert told[-1].json() == {"status": "completed", "text": "Clouds are water, in drops."}
    assert len(model.requests) == 3  # the first reply was not asked for again


# The management command

TICKETS: dict[str, Any] = {
    "rules": [
        {
            "system": "the support team's questions",
            "by": "turn",
            "replies": [called({"name": "tickets"}), {"text": "Of invoices: 1 and 3."}],
        }
    ]
}


def test_the_management_command_asks_an_expert_that_reads_the_database(tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(EXAMPLES / "django-command", project)
    manage = project / "manage.py"
    with serving(TICKETS, tmp_path) as env:
        for words in (["migrate"], ["loaddata", "tickets"]):
            prepared = python(manage, *words, cwd=tmp_path, env=env)
            assert prepared.returncode == 0, prepared.stderr
        asked = python(manage, "ask", "support", "What is new?", cwd=tmp_path, env=env)
        job = asked.stderr.partition("--job ")[2].strip()
        told = facts(project, job)
        further = python(manage, "ask", "support", "Sure?", "--job", job, cwd=tmp_path, env=env)
        wrong = python(manage, "ask", "suport", "What is new?", cwd=tmp_path, env=env)

    assert (asked.returncode, asked.stdout) == (0, "Of invoices: 1 and 3.\n"), asked.stderr
    [answer] = [fact for fact in told if fact["type"] == "completeToolCall"]
    [text] = answer["toolResult"]["result"]
    assert json.loads(text["text"]) == [
        "1: The invoice is in the wrong currency",
        "3: Second invoice for one order",
    ]
    assert (further.returncode, job in further.stderr) == (0, True)
    assert (wrong.returncode, "Did you mean support?" in wrong.stderr) == (2, True)


def test_the_project_has_every_migration_it_needs(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / "django-command", tmp_path, dirs_exist_ok=True)
    words = ["makemigrations", "--check", "--dry-run"]
    checked = python(tmp_path / "manage.py", *words, cwd=tmp_path, env={})

    assert checked.returncode == 0, checked.stdout


# The notebook

NOTEBOOK = EXAMPLES / "notebook/analyst.ipynb"
CLIMATE: dict[str, Any] = {
    "rules": [
        {
            "system": "the climate of cities",
            "user": "warmer",
            "by": "turn",
            "replies": [
                called(
                    {"name": "temperatures", "args": {"city": "Oslo"}},
                    {"name": "temperatures", "args": {"city": "Rome"}},
                ),
                {"text": "In Rome."},
            ],
        },
        {
            "system": "the climate of cities",
            "user": "how much",
            "replies": [
                called({"name": "temperatures", "args": {"city": "Rome"}}),
                called({"name": "attemptCompletion"}),
                {"text": "By 9 degrees."},
            ],
        },
    ]
}


def test_the_notebook_runs_to_its_end_in_a_real_kernel(tmp_path: Path) -> None:
    shutil.copy(NOTEBOOK, tmp_path)
    folders = {
        "IPYTHONDIR": "ipython",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTER_DATA_DIR": "data",
    }
    with serving(CLIMATE, tmp_path) as env:
        ended = subprocess.run(
            [
                Path(sys.executable).with_name("jupyter-execute"),
                "--output=out.ipynb",
                NOTEBOOK.name,
            ],
            cwd=tmp_path,
            env=LEAVES_NOTHING
            | env
            | {name: str(tmp_path / folder) for name, folder in folders.items()},
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    assert ended.returncode == 0, ended.stderr
    cells = json.loads((tmp_path / "out.ipynb").read_text(encoding="utf-8"))["cells"]
    printed = ["".join(out["text"]) for cell in cells for out in cell.get("outputs", ())]
    assert printed == [
        "In Rome.\n240 tokens in 2 steps\n",
        "temperatures [7,8,11,14]\nBy 9 degrees.",
    ]


def test_the_notebook_is_kept_without_what_a_run_left_in_it() -> None:
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_every_example_says_how_to_run_it() -> None:
    folders = sorted(path.name for path in EXAMPLES.iterdir())

    assert folders == ["django-command", "fastapi-sse", "notebook", "script"]
    for folder in folders:
        page = (EXAMPLES / folder / "README.md").read_text(encoding="utf-8")
        assert "ANTHROPIC_API_KEY" in page
        assert "```sh\npip install ../../.." in page
