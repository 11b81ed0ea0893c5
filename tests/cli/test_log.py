"""`perstack log`: what happened in a job, from the command line."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cli.process import PERSTACK, QUIET, Ended, perstack
from cli.server import serving
from cli.terminal import told_on_a_terminal
from perstack.assembly.prices import price_of
from perstack.schema.usage import Usage
from perstack.views.cost import Asked

CONFIG = """\
[experts.lead]
instruction = "You are lead."
delegates = ["helper"]

[experts.helper]
description = "Helps."
instruction = "You are helper."
"""

SCENARIO: dict[str, Any] = {
    "rules": [
        {"system": "You are helper", "by": "turn", "replies": [{"text": "Helped."}]},
        {
            "system": "You are lead",
            "by": "turn",
            "replies": [
                {
                    "text": "I look.",
                    "inputTokens": 100,
                    "outputTokens": 7,
                    "calls": [
                        {"name": "readTextFile", "args": {"path": "missing.txt"}},
                        {"name": "healthCheck", "args": {}},
                    ],
                },
                {"calls": [{"name": "helper", "args": {"query": "Help me."}}]},
                {"text": "All done."},
            ],
        },
    ]
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """A workspace in which a job was run, and how that ended."""
    folder = tmp_path_factory.mktemp("workspace")
    (folder / "perstack.toml").write_text(CONFIG)
    with serving(SCENARIO, tmp_path_factory.mktemp("server")) as env:
        ended = perstack("run", "lead", "Do it.", cwd=folder, env=env)
    assert ended.code == 0, ended.stderr
    return folder, ended


def shown(folder: Path, *words: str, env: dict[str, str] | None = None) -> Ended:
    ended = perstack("log", *words, cwd=folder, env=env)
    assert ended.code == 0, ended.stderr
    return ended


def words_in(ended: Ended) -> list[str]:
    """What each line is about."""
    return re.findall(r"^[0-9:.]{12} .{24}[ 0-9]{4}  (\w+)", ended.stdout, re.MULTILINE)


def ids(events: list[dict[str, Any]]) -> list[str]:
    return [event["id"] for event in events]


def test_the_newest_job_is_told_in_lines_for_a_person(place: tuple[Path, Ended]) -> None:
    ended = shown(place[0])
    first, *lines = ended.stdout.splitlines()
    assert re.fullmatch(
        r"Job \w{16} of lead: completed, 4 steps, 400 tokens in, \d+ out, begun 20..-..-.. .*",
        first,
    ), first
    told = "\n".join(lines)
    for words in (
        "#1 lead                    1  query     Do it.",
        "#1 lead                    1  says      I look.",
        '#1 lead                    1  calls     readTextFile {"path":"missing.txt"}',
        "delegates to helper, run ",
        "#2 helper                  3  query     Help me.",
        "completed Helped.",
        "completed All done.",
    ):
        assert words in told, words
    assert re.search(r"1  failed    readTextFile in \d+ ms: .*does not exist", told)
    assert "startGeneration" not in told
    assert "\x1b" not in ended.stdout
    assert ended.stderr == ""


def test_as_json_the_events_are_the_lines_of_the_run(place: tuple[Path, Ended]) -> None:
    folder, run = place
    live = {json.loads(line)["id"]: line for line in run.stdout.splitlines() if '"seq"' in line}
    read = shown(folder, "--json").stdout.splitlines()
    assert {json.loads(line)["id"]: line for line in read} == live
    assert shown(folder, "--json", "--take", "0").stdout.splitlines() == read
    pretty = shown(folder, "--json", "--pretty", "--take", "1").stdout
    assert pretty.startswith("{\n  ")
    assert json.loads(pretty) == json.loads(read[-1])


def test_take_and_offset_choose_a_page(place: tuple[Path, Ended]) -> None:
    every = ids(shown(place[0], "--json").events)
    assert ids(shown(place[0], "--json", "--take", "3").events) == every[-3:]
    assert ids(shown(place[0], "--json", "--take", "3", "--offset", "0").events) == every[:3]
    assert ids(shown(place[0], "--json", "--offset", "5").events) == every[5:]
    assert ids(shown(place[0], "--json", "--take", "0", "--offset", "7").events) == every[7:]
    assert "older ones are left out" in shown(place[0], "--take", "3").stdout


def test_options_choose_events_and_all_of_them_must_fit(place: tuple[Path, Ended]) -> None:
    folder, _ = place
    every = shown(folder, "--json").events
    [run_id] = {event["runId"] for event in every if event.get("expertKey") == "helper"}
    [stopped] = [event for event in every if event["type"] == "stopRunByDelegate"]

    def types(*words: str) -> list[str]:
        return shown(folder, "--json", *words).types

    assert types("--errors") == ["completeToolCall"]
    assert types("--type", "retry", "--type", "completeRun") == ["completeRun", "completeRun"]
    assert set(types("--tools")) >= {"callTools", "startToolCall", "completeToolCall"}
    assert types("--tools", "--type", "completeRun") == []
    assert types("--run", run_id)[-1] == "completeRun"
    steps = shown(folder, "--json", "--step", ">=3").events
    assert {event["stepNumber"] for event in steps} == {3, 4, 5}
    assert types("--delegations") == ["callDelegate", "stopRunByDelegate", "startRun", "startRun"]
    assert types("--filter", '.expertKey == "helper" and .type == "completeRun"') == ["completeRun"]
    checkpoint = shown(folder, "--json", "--checkpoint", stopped["checkpoint"]["id"]).events
    assert checkpoint[0]["id"] == stopped["checkpoint"]["id"]
    assert checkpoint[-1]["id"] == stopped["id"]
    assert types("--job", every[0]["jobId"], "--take", "1") == ["completeRun"]


def test_errors_are_shown_with_what_is_around_them(place: tuple[Path, Ended]) -> None:
    every = shown(place[0], "--json").events
    [at] = [
        index for index, event in enumerate(every) if event.get("toolResult", {}).get("isError")
    ]
    around = shown(place[0], "--json", "--errors", "--context", "2").events
    assert ids(around) == ids(every)[at - 2 : at + 3]
    told = words_in(shown(place[0], "--errors", "--context", "1"))
    assert told == ["replied", "says", "calls", "calls", "failed", "answered"]


def test_nothing_that_fits_is_said(place: tuple[Path, Ended]) -> None:
    ended = shown(place[0], "--type", "retry")
    assert ended.stderr == "No event fits.\n"
    assert len(ended.stdout.splitlines()) == 1


def test_everything_is_told_with_verbose(place: tuple[Path, Ended]) -> None:
    told = shown(place[0], "--verbose").stdout
    for event in shown(place[0], "--json").events:
        assert f"{event['type']} {event['id']}" in told


def test_delegations_are_a_tree_with_durations_and_usage(place: tuple[Path, Ended]) -> None:
    _, lead, query, helper, asked = shown(place[0], "--delegations").stdout.splitlines()
    took = r"\d+(?:\.\d)? m?s"
    assert re.fullmatch(
        rf"lead completed: 3 steps, 2 calls, {took}, \d+ tokens in, \d+ out, unknown cost, run \w+",
        lead,
    )
    assert query == "│  Do it."
    assert re.fullmatch(
        rf"└─ helper completed: 1 step, 0 calls, {took}, \d+ tokens in, \d+ out, "
        r"unknown cost, run \w+",
        helper,
    )
    assert asked == "      Help me."


def test_a_summary_is_for_people_and_for_programs(place: tuple[Path, Ended]) -> None:
    assert "Result\nAll done." in shown(place[0], "--summary").stdout
    [told] = shown(place[0], "--summary", "--json").events
    assert (told["status"], told["text"], len(told["runs"])) == ("completed", "All done.", 2)


def test_messages_are_the_conversation_up_to_a_checkpoint(place: tuple[Path, Ended]) -> None:
    folder, _ = place
    told = shown(folder, "--messages").stdout
    assert told.index("## User\n\nDo it.") < told.index("I look.") < told.index("All done.")
    every = shown(folder, "--json").events
    first = next(event for event in every if event["type"] == "continueToNextStep")
    words = ("--messages", "--json", "--checkpoint")
    messages = shown(folder, *words, first["checkpoint"]["id"]).events
    assert [message["type"] for message in messages] == [
        "instructionMessage",
        "userMessage",
        "expertMessage",
        "toolMessage",
    ]
    [run_id] = {event["runId"] for event in every if event.get("expertKey") == "helper"}
    assert "Help me." in shown(folder, "--messages", "--run", run_id).stdout


MISTAKES = {
    "take": (("--take", "-1"), "--take"),
    "offset": (("--offset", "x"), "--offset"),
    "step": (("--step", "five"), "--step"),
    "type": (("--type", "completRun"), 'did you mean "completeRun"?'),
    "filter": (("--filter", ".type = 1"), "--filter, character 7"),
    "pretty": (("--pretty",), "--json"),
    "two forms": (("--summary", "--messages"), "exclude"),
    "follow": (("--follow", "--offset", "3"), "--offset does not go with it"),
    "run": (("--run", "other"), "has no run other"),
    "run id": (("--run", "../x"), "is not a run id"),
    "job": (("--job", "other"), "There is no job other"),
    "job id": (("--job", "../x"), "is not a job id"),
    "checkpoint": (("--checkpoint", "other"), "no checkpoint other"),
    "workspace": (("--workspace", "nowhere"), "--workspace"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_an_option_that_cannot_be_is_a_usage_error(place: tuple[Path, Ended], mistake: str) -> None:
    words, said = MISTAKES[mistake]
    ended = perstack("log", *words, cwd=place[0])
    assert ended.code == 2
    assert said in ended.stderr
    assert ended.stdout == ""


def test_jobs_are_where_run_keeps_them(place: tuple[Path, Ended], tmp_path: Path) -> None:
    folder, _ = place
    assert "All done." in shown(tmp_path, "--workspace", str(folder)).stdout
    storage = {"PERSTACK_STORAGE_PATH": str(folder / "perstack")}
    assert "All done." in shown(tmp_path, env=storage).stdout
    (tmp_path / "here.env").write_text(f"PERSTACK_STORAGE_PATH={folder}/perstack\n")
    assert "All done." in shown(tmp_path, "--env-path", "here.env").stdout
    inside = perstack("log", cwd=folder, env={"PERSTACK_STORAGE_PATH": "other"})
    assert inside.code == 2
    assert "inside the workspace" in inside.stderr
    none = perstack("log", cwd=tmp_path)
    assert none.code == 2
    assert "There is no job in" in none.stderr


def test_a_file_without_a_model_that_fits_is_no_reason_not_to_read(
    place: tuple[Path, Ended], tmp_path: Path
) -> None:
    config = tmp_path / "perstack.toml"
    config.write_text('runtime = "docker"\n[provider]\nproviderName = "openai"\n')
    words = ("--config", str(config), "--workspace", str(place[0]))
    assert "All done." in shown(tmp_path, *words).stdout


@pytest.fixture
def copy(place: tuple[Path, Ended], tmp_path: Path) -> Path:
    """The logs of the coordinator's run, to be damaged."""
    folder = tmp_path / "copy"
    subprocess.run(["cp", "-r", place[0], folder], check=True)
    [log] = [
        path for path in folder.rglob("events.jsonl") if b'"query":"Do it."' in path.read_bytes()
    ]
    return log


@pytest.mark.parametrize("form", [(), ("--json",), ("--take", "0"), ("--delegations",)])
def test_of_a_damaged_log_the_good_part_is_shown_and_the_rest_told(
    copy: Path, form: tuple[str, ...]
) -> None:
    lines = copy.read_bytes().splitlines()
    copy.write_bytes(b"\n".join([*lines[:4], b"{", *lines[5:]]) + b"\n")
    ended = perstack("log", *form, cwd=copy.parents[5])
    assert ended.code == 1
    assert f"{copy}, line 5: it is no event" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert "Do it." in ended.stdout
    assert "All done." in ended.stdout or form == ("--delegations",)


@pytest.mark.parametrize("form", [(), ("--json",), ("--take", "0")])
def test_a_torn_last_line_is_told_and_is_no_error(copy: Path, form: tuple[str, ...]) -> None:
    content = copy.read_bytes()
    copy.write_bytes(content[:-30])
    ended = perstack("log", *form, cwd=copy.parents[5])
    assert ended.code == 0
    number = content.count(b"\n")
    assert ended.stderr == (
        f"{copy}, line {number}: it is unfinished; it is dropped when the job goes on\n"
    )
    assert "Helped." in ended.stdout


@pytest.mark.hostile
def test_row_79_a_line_that_was_edited_is_harmless_as_json(copy: Path) -> None:
    content = copy.read_bytes()
    copy.write_bytes(content.replace(b"I look.", "I \u202e\x9b2J\u200b look.".encode()))
    told = perstack("log", "--json", cwd=copy.parents[5])
    assert told.code == 0
    assert not re.search("[\x80-\x9f\u200b\u202e]", told.stdout)
    texts = [
        part
        for e in told.events
        if e["type"] == "callTools"
        for part in e["newMessage"]["contents"]
    ]
    assert any(part.get("text") == "I \u202e\x9b2J\u200b look." for part in texts)


def on_a_terminal(folder: Path, *words: str, env: dict[str, str] | None = None) -> str:
    """What `perstack log` writes on a terminal of 80 columns."""
    size = {"COLUMNS": "80", "TERM": "xterm"}
    code, told = told_on_a_terminal("log", *words, cwd=folder, env=size | (env or {}))
    assert code == 0
    return told


def test_a_terminal_has_colours_and_its_width(place: tuple[Path, Ended]) -> None:
    told = on_a_terminal(place[0])
    assert "\x1b[31mfailed   \x1b[0m" in told
    bare = re.sub(r"\x1b\[[0-9;]+m", "", told)
    assert "\x1b" not in bare
    assert max(len(line) for line in bare.splitlines()[1:]) == 80


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_whose_user_wants_no_colours_has_none(
    place: tuple[Path, Ended], env: dict[str, str]
) -> None:
    assert "\x1b" not in on_a_terminal(place[0], env=env)


def test_a_reader_that_has_seen_enough_is_no_error(place: tuple[Path, Ended]) -> None:
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [str(PERSTACK), "log", "--json"],
        cwd=place[0],
        env=QUIET,
        stdout=writing,
        stderr=subprocess.PIPE,
    )
    os.close(writing)
    os.close(reading)
    assert process.communicate(timeout=30)[1] == b""
    assert process.returncode == 0


SLOW: dict[str, Any] = {
    "policy": {
        "steps": 3,
        "reply": {"calls": [{"name": "healthCheck", "args": {}}], "latencyMs": 400},
        "final": {"text": "At last.", "latencyMs": 400},
    }
}


def started(words: list[str], folder: Path, env: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [str(PERSTACK), *words],
        bufsize=0,  # a line is read without those behind it
        cwd=folder,
        env=QUIET | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("form", [["--json"], []])
def test_a_job_is_followed_until_it_rests(tmp_path: Path, form: list[str]) -> None:
    workspace, server = tmp_path / "w", tmp_path / "s"
    workspace.mkdir()
    server.mkdir()
    (workspace / "perstack.toml").write_text(CONFIG)
    with serving(SLOW, server) as env:
        run = started(["run", "lead", "Go.", "--job-id", "j1"], workspace, env)
        assert run.stdout is not None
        run.stdout.readline()
        follower = started(["log", "--follow", "--job", "j1", *form], workspace, {})
        rest, _ = run.communicate(timeout=30)
        told, said = follower.communicate(timeout=30)
    assert run.returncode == follower.returncode == 0
    assert said == b""
    if form:
        live = [line for line in rest.splitlines() if b'"seq"' in line]
        assert told.splitlines()[1:] == live
    else:
        assert told.decode().splitlines()[-1].endswith("completed At last.")
        assert told.count(b"healthCheck in ") == 3


def test_ctrl_c_ends_following_quietly(tmp_path: Path) -> None:
    (tmp_path / "perstack.toml").write_text(CONFIG)
    hanging = {"policy": {"steps": 0, "reply": {"text": "x"}, "final": {"trouble": "hang"}}}
    server = tmp_path / "s"
    server.mkdir()
    with serving(hanging, server) as env:
        run = started(["run", "lead", "Go.", "--job-id", "j1"], tmp_path, env)
        assert run.stdout is not None
        run.stdout.readline()
        follower = started(["log", "--follow"], tmp_path, {})
        assert follower.stdout is not None
        assert b"Job j1 of lead: running" in follower.stdout.readline()
        follower.send_signal(signal.SIGINT)
        _, said = follower.communicate(timeout=30)
        assert (follower.returncode, said) == (130, b"")
        assert run.poll() is None, "the run is not disturbed"
        run.kill()
        run.communicate()
    ended = perstack("log", "--follow", cwd=tmp_path)
    assert ended.code == 0, "nobody works on it, so that nothing comes any more"
    assert "Job j1 of lead: interrupted" in ended.stdout


def test_a_summary_says_what_is_not_known_to_cost_nothing(place: tuple[Path, Ended]) -> None:
    [summary] = shown(place[0], "--summary", "--json").events
    assert summary["cost"] == {"usd": None, "unknownReplies": 4}
    assert [run["cost"]["unknownReplies"] for run in summary["runs"]] == [3, 1]
    assert "unknown cost" in shown(place[0], "--summary").stdout


@pytest.fixture
def priced(place: tuple[Path, Ended], tmp_path: Path) -> Path:
    """A workspace with the same job, as if the vendor had been asked."""
    shutil.copytree(place[0] / "perstack", tmp_path / "perstack")
    for log in (tmp_path / "perstack").rglob("*.jsonl"):
        text = log.read_text()
        log.write_text(re.sub(r',"providerAddress":"[^"]*"', "", text))
    return tmp_path


def test_each_reply_has_a_line_with_its_cost_and_its_tokens(
    place: tuple[Path, Ended], priced: Path
) -> None:
    told = re.findall(r"replied +(.*)", shown(place[0]).stdout)
    assert len(told) == 4
    assert all(re.fullmatch(r"unknown cost, 100 tokens in, \d+ out", line) for line in told)
    told = re.findall(r"replied +(.*)", shown(priced).stdout)
    assert all(re.fullmatch(r"\$0\.0\d{3}, 100 tokens in, \d+ out", line) for line in told), told
    cut = re.findall(r"replied +\x1b\[0m \x1b\[2m([^,]+), 100", on_a_terminal(priced))
    assert cut == [line.partition(",")[0] for line in told]
    last = shown(priced, "--take", "1").stdout.splitlines()[-2:]
    assert last[0].endswith(told[-1]), "the event that names the model is not on this page"
    [child] = {
        event["runId"]
        for event in shown(priced, "--json").events
        if event.get("expertKey") == "helper"
    }
    assert told[2] in shown(priced, "--run", child).stdout


def test_json_events_say_nothing_of_costs(priced: Path) -> None:
    assert "cost" not in shown(priced, "--json", "--take", "0").stdout


def test_a_summary_has_the_published_price_of_each_reply(
    place: tuple[Path, Ended], priced: Path
) -> None:
    copy = priced
    [model] = {e["model"] for e in shown(copy, "--json", "--take", "0").events if "model" in e}
    [summary] = shown(copy, "--summary", "--json").events
    price = price_of(Asked("anthropic", None, model), Usage(input_tokens=100, output_tokens=7), 0)
    assert price is not None
    assert summary["cost"]["unknownReplies"] == 0
    assert summary["cost"]["usd"] > price
    told = shown(copy, "--delegations").stdout
    assert len(re.findall(r"out, \$0\.\d{4}", told)) == 2
    [child] = [run["runId"] for run in summary["runs"] if run["expertKey"] == "helper"]
    [alone] = shown(copy, "--summary", "--json", "--run", child).events
    assert alone["cost"] == next(run["cost"] for run in summary["runs"] if run["runId"] == child)
