"""`perstack testing serve-model`, in a process of its own."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.process import PERSTACK, QUIET, perstack
from perstack.testing import CallSpec, ReplySpec, Scenario, load_scenario
from perstack.testing import variables as told
from perstack.testing.scenario import parse_scenario
from perstack.testing.variables import variables_for

if TYPE_CHECKING:
    from collections.abc import Iterator

EXPERT = """
[experts.greeter]
instruction = "Greet whoever asks."
"""
SHORT = '["Hello", {"calls": [{"name": "healthCheck"}]}, "Done."]'


@contextmanager
def serving(*words: str, cwd: Path, stdin: str = "") -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [str(PERSTACK), "testing", "serve-model", *words],
        cwd=cwd,
        env=QUIET,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(stdin)
        process.stdin.close()
        try:
            yield process
        finally:
            process.kill()


def exports(process: subprocess.Popen[str], count: int) -> dict[str, str]:
    """The variables it tells people to set."""
    assert process.stderr is not None
    told = [process.stderr.readline().removeprefix("export ").strip() for _ in range(count)]
    return dict(line.split("=", 1) for line in told)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("anthropic", "claude-sonnet-4-5"),
        ("openai", "gpt-5"),
        ("azure-openai", "gpt-5"),
        ("deepseek", "deepseek-flash"),
        ("ollama", "llama3"),
        ("google", "gemini-2.5-flash"),
        ("amazon-bedrock", "eu.amazon.nova-pro-v1:0"),
    ],
)
def test_a_run_with_the_variables_it_tells_is_played_by_it(provider, model, tmp_path):
    (tmp_path / "perstack.toml").write_text(EXPERT)
    (tmp_path / "scenario.json").write_text(SHORT.replace('"Hello", ', ""))
    with serving("scenario.json", "--log", "log.jsonl", cwd=tmp_path) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        variables = exports(process, len(variables_for(url)))
        words = ("run", "greeter", "Hi", "--provider", provider, "--model", model)
        ended = perstack(*words, cwd=tmp_path, env=variables)
    assert variables == variables_for(url)
    assert ended.code == 0, ended.stderr
    assert ended.events[-1]["text"] == "Done."
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [sorted(json.loads(line)) for line in lines] == [["at", "body"]] * 2


def test_ctrl_c_ends_it_without_a_traceback(tmp_path):
    with serving("-", cwd=tmp_path, stdin=SHORT) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        url = process.stdout.readline().strip()
        exports(process, len(variables_for(url)))
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr.read().strip() == ""


def test_a_port_can_be_named_and_one_that_is_taken_is_one_message(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = perstack(
            "testing", "serve-model", "-", "--port", str(port), cwd=tmp_path, stdin="[]"
        )
    assert ended.code == 2
    assert f"--port {port}: " in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    with serving("-", "--port", str(port), cwd=tmp_path, stdin="[]") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"http://127.0.0.1:{port}\n"


@pytest.mark.parametrize(
    ("words", "stdin", "message"),
    [
        (("-",), '{"replies": [{"calls": [{"nme": "x"}]}]}', "`nme` - at `$.replies[0].calls[0]`"),
        (("-",), '["Hello", {"txet": "x"}]', "`txet` - at `$[1]`"),
        (("-",), '["Hello", 3]', "got `int` - at `$[1]`"),
        (("-",), "", "standard input is no scenario"),
        (("-",), "{", "standard input is no scenario"),
        (("none.json",), "", "none.json cannot be read: No such file or directory"),
        (("-", "--log", "no/log"), "[]", "--log no/log: No such file or directory"),
    ],
)
def test_a_wrong_scenario_is_one_message_that_names_the_place(words, stdin, message, tmp_path):
    ended = perstack("testing", "serve-model", *words, cwd=tmp_path, stdin=stdin)
    assert ended.code == 2
    assert message in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_list_stands_for_replies_in_order(tmp_path):
    path = tmp_path / "scenario.json"
    path.write_text(SHORT)
    calls = (CallSpec(name="healthCheck"),)
    replies = (ReplySpec(text="Hello"), ReplySpec(calls=calls), ReplySpec(text="Done."))
    assert load_scenario(path) == Scenario(replies=replies)
    assert parse_scenario(b"[]") == Scenario()


def test_only_wires_that_the_server_speaks_have_variables(monkeypatch):
    assert "ANTHROPIC_BASE_URL" in variables_for("http://127.0.0.1:1")
    monkeypatch.setattr(told, "dialect_of", lambda path: path == "/v1/messages" or None)
    assert variables_for("http://127.0.0.1:1") == {
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:1",
        "ANTHROPIC_API_KEY": "scripted",
    }
