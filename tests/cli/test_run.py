"""`perstack run` as a person meets it: what works, and what each mistake is answered."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from cli.process import PERSTACK, QUIET, perstack
from cli.server import serving

CONFIG = """
[experts.helper]
description = "Helps"
instruction = "Help with {what}."

[experts.lead]
instruction = "Lead."
delegates = ["helper"]

[experts.asker]
instruction = "Ask."
[experts.asker.skills.people]
type = "interactiveSkill"
[experts.asker.skills.people.tools.askUser]
inputJsonSchema = '{"type": "object"}'

[experts.searcher]
instruction = "Search."
[experts.searcher.skills.web]
type = "mcpStdioSkill"
command = "npx"
packageName = "exa-mcp-server"
requiredEnv = ["EXA_API_KEY"]
"""

SCENARIO = {
    "rules": [
        {
            "system": "Lead.",
            "by": "turn",
            "replies": [
                {"calls": [{"name": "helper", "args": {"query": "go"}}]},
                {"text": "Led."},
            ],
        },
        {
            "system": "Ask twice.",
            "by": "turn",
            "replies": [
                {"calls": [{"name": "askUser", "args": {"question": "A?"}, "id": "q1"}]},
                {"calls": [{"name": "askUser", "args": {"question": "B?"}, "id": "q2"}]},
            ],
        },
        {
            "system": "Ask.",
            "by": "turn",
            "replies": [
                {"calls": [{"name": "askUser", "args": {"question": "Which?"}, "id": "q1"}]},
                {"text": "Thanks."},
            ],
        },
        {
            "user": "unauthorised",
            "replies": [{"status": 401, "error": ["authentication_error", "bad key"]}],
        },
        {
            "user": "for ever",
            "by": "turn",
            "replies": [{"calls": [{"name": "listDirectory", "args": {"path": "."}}]}],
        },
        {"replies": [{"text": "Helped."}]},
    ]
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Generator[dict[str, str]]:
    with serving(SCENARIO, tmp_path_factory.mktemp("model")) as env:
        yield env


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "perstack.toml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


def test_a_run_puts_events_on_stdout_and_words_on_stderr(
    project: Path, model: dict[str, str]
) -> None:
    ended = perstack("run", "helper", "Hello", cwd=project, env=model)

    assert ended.code == 0, ended.stderr
    assert ended.types == ["initializeRuntime", "startRun", "startGeneration", "completeRun"]
    assert ended.events[-1]["text"] == "Helped."
    assert ended.stderr == "Helped.\ncompleted; the job has taken 1 step\n"


def test_a_lone_dash_reads_the_query_from_standard_input(
    project: Path, model: dict[str, str]
) -> None:
    ended = perstack("run", "helper", "-", cwd=project, env=model, stdin="From a pipe")

    assert ended.code == 0
    assert ended.events[0]["query"] == "From a pipe"


@pytest.mark.parametrize("words", [["\udcff"], ["-"]])
def test_a_query_that_is_no_text_is_refused(words: list[str], project: Path) -> None:
    env = {"ANTHROPIC_API_KEY": "sk-test"}
    ended = perstack("run", "helper", *words, cwd=project, env=env, stdin=b"\xff")

    assert ended.code == 2
    assert "UTF-8" in ended.stderr


def test_delegates_and_their_coordinator_share_one_stream(
    project: Path, model: dict[str, str]
) -> None:
    ended = perstack("run", "lead", "Go", cwd=project, env=model)

    assert ended.code == 0
    assert [(e["expertKey"], e["type"]) for e in ended.events if e["type"] == "completeRun"] == [
        ("helper", "completeRun"),
        ("lead", "completeRun"),
    ]


def test_a_question_exits_with_0_and_its_answer_goes_on_in_the_same_run(
    project: Path, model: dict[str, str]
) -> None:
    asked = perstack("run", "asker", "Go", cwd=project, env=model)
    answered = perstack("run", "asker", "--continue", "-i", "This", cwd=project, env=model)

    assert (asked.code, answered.code) == (0, 0), answered.stderr
    assert 'perstack run asker --continue -i "YOUR ANSWER"' in asked.stderr
    assert asked.events[-1]["runId"] == answered.events[-1]["runId"]
    assert answered.types[1:4] == ["startRun", "finishAllToolCalls", "continueToNextStep"]


def test_continue_with_a_query_begins_a_run_on_the_checkpoint_of_the_last_one(
    project: Path, model: dict[str, str]
) -> None:
    first = perstack("run", "helper", "One", cwd=project, env=model)
    second = perstack("run", "helper", "--continue", "Two", cwd=project, env=model)

    assert second.code == 0
    start = second.events[1]
    closed = first.events[-1]["checkpoint"]
    assert start["base"] == {"runId": closed["runId"], "checkpointId": closed["id"]}
    assert start["stepNumber"] == first.events[-1]["stepNumber"] + 1
    assert start["jobId"] == first.events[0]["jobId"]


def test_resume_from_forks_at_the_checkpoint_and_says_that_files_stay(
    project: Path, model: dict[str, str]
) -> None:
    first = perstack("run", "helper", "One", cwd=project, env=model)
    perstack("run", "helper", "--continue", "Two", cwd=project, env=model)
    checkpoint = first.events[-1]["checkpoint"]["id"]
    forked = perstack(
        "run", "helper", "--continue", "--resume-from", checkpoint, "Other", cwd=project, env=model
    )

    assert forked.code == 0, forked.stderr
    assert forked.events[1]["base"]["checkpointId"] == checkpoint
    assert "not rolled back" in forked.stderr


def test_a_checkpoint_that_waits_for_delegates_is_refused_with_the_nearest_before_it(
    project: Path, model: dict[str, str]
) -> None:
    first = perstack("run", "lead", "Go", cwd=project, env=model)
    rests = next(event for event in first.events if event["type"] == "stopRunByDelegate")
    words = ("run", "lead", "--continue", "--resume-from", rests["checkpoint"]["id"], "Again")
    ended = perstack(*words, cwd=project, env=model)

    assert ended.code == 2
    assert "waits for delegates" in ended.stderr
    assert "none in this run" in ended.stderr


def test_a_job_at_its_limit_takes_no_step_until_the_limit_is_higher(
    project: Path, model: dict[str, str]
) -> None:
    limit = ("--max-steps", "1")
    first = perstack("run", "helper", "One", *limit, cwd=project, env=model)
    second = perstack("run", "helper", "--continue", "Two", *limit, cwd=project, env=model)
    third = perstack(
        "run", "helper", "--continue", "Three", "--max-steps", "2", cwd=project, env=model
    )

    assert (first.code, second.code, third.code) == (0, 3, 0)
    assert second.types == ["initializeRuntime", "startRun", "stopRunByExceededMaxSteps"]


def test_delegates_at_the_limit_are_carried_on_first_once_it_is_higher(
    project: Path, model: dict[str, str]
) -> None:
    first = perstack("run", "lead", "Go", "--max-steps", "1", cwd=project, env=model)
    again = perstack("run", "lead", "--continue", "--max-steps", "1", cwd=project, env=model)
    later = perstack("run", "lead", "--continue", "--max-steps", "9", cwd=project, env=model)

    assert (first.code, again.code, later.code) == (3, 2, 0), again.stderr
    assert "--max-steps" in again.stderr
    assert first.types[-1] == "stopRunByExceededMaxSteps"
    assert [(e["expertKey"], e["text"]) for e in later.events if e["type"] == "completeRun"] == [
        ("helper", "Helped."),
        ("lead", "Led."),
    ]


def test_a_second_process_on_a_job_is_refused(project: Path, model: dict[str, str]) -> None:
    perstack("run", "helper", "One", cwd=project, env=model)
    (lock,) = project.glob("perstack/jobs/*/lock")
    with lock.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        ended = perstack("run", "helper", "--continue", "Two", cwd=project, env=model)

    assert ended.code == 1
    assert "is being worked on" in ended.stderr


def test_the_full_form_has_whole_histories_and_nothing_of_ours(
    project: Path, model: dict[str, str]
) -> None:
    ended = perstack("run", "helper", "Hello", "--events", "full", cwd=project, env=model)

    assert ended.events[-1]["checkpoint"]["messages"][0]["type"] == "instructionMessage"
    assert all("seq" not in event for event in ended.events)


def test_verbose_tells_on_stderr_what_happens(project: Path, model: dict[str, str]) -> None:
    quiet = perstack("run", "lead", "Go", cwd=project, env=model)
    told = perstack("run", "lead", "Go", "--verbose", cwd=project, env=model)

    assert len(told.stderr.splitlines()) > len(quiet.stderr.splitlines()) + 2


def test_a_delegate_that_nobody_defines_is_told_of_at_the_start(
    project: Path, model: dict[str, str]
) -> None:
    config = project / "perstack.toml"
    text = config.read_text(encoding="utf-8").replace('["helper"]', '["helper", "nobody"]')
    config.write_text(text, encoding="utf-8")
    ended = perstack("run", "lead", "Go", cwd=project, env=model)

    assert ended.code == 0
    assert 'its delegate nobody: There is no Expert "nobody"' in ended.stderr


def test_a_changed_definition_is_named_when_a_job_goes_on(
    project: Path, model: dict[str, str]
) -> None:
    perstack("run", "helper", "One", cwd=project, env=model)
    config = project / "perstack.toml"
    config.write_text(config.read_text(encoding="utf-8").replace("{what}", "all"), encoding="utf-8")
    ended = perstack("run", "helper", "--continue", "Two", cwd=project, env=model)

    assert ended.events[1]["changes"] == ["instruction"]
    assert "instruction" in ended.stderr


def test_the_providers_own_error_ends_the_run_with_exit_code_1(
    project: Path, model: dict[str, str]
) -> None:
    ended = perstack("run", "helper", "unauthorised", cwd=project, env=model)

    assert ended.code == 1
    assert ended.events[-1]["error"]["name"] == "authentication_error"
    assert ended.events[-1]["error"]["statusCode"] == 401
    assert "authentication_error (401): bad key" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_step_limit_exits_with_3_and_a_higher_one_goes_on(
    project: Path, model: dict[str, str]
) -> None:
    ended = perstack("run", "helper", "for ever", "--max-steps", "3", cwd=project, env=model)

    assert ended.code == 3
    assert ended.types[-1] == "stopRunByExceededMaxSteps"
    assert "--max-steps" in ended.stderr
    later = perstack(
        "run", "helper", "--continue", "and stop", "--max-steps", "9", cwd=project, env=model
    )
    assert later.code == 0


def test_a_continued_job_keeps_its_step_limit_unless_an_option_says_otherwise(
    project: Path, model: dict[str, str]
) -> None:
    first = perstack("run", "helper", "for ever", "--max-steps", "3", cwd=project, env=model)
    kept = perstack("run", "helper", "--continue", "One more", cwd=project, env=model)

    assert first.code == 3
    assert "--max-steps 6" in first.stderr
    assert kept.code == 3
    assert kept.events[0]["maxSteps"] == 3


def test_json_that_names_a_call_badly_is_refused_and_not_taken_for_words(
    project: Path, model: dict[str, str]
) -> None:
    perstack("run", "asker", "Go", cwd=project, env=model)
    for unclear in ('[{"toolCallId": "q1", "text": 5}]', '{"toolCallId": "q1"}', '{"toolCallId":'):
        ended = perstack("run", "asker", "--continue", "-i", unclear, cwd=project, env=model)
        assert ended.code == 2
        assert "toolCallId, text" in ended.stderr
    twice = '[{"toolCallId": "q1", "text": "a"}, {"toolCallId": "q1", "text": "b"}]'
    assert perstack("run", "asker", "--continue", "-i", twice, cwd=project, env=model).code == 2


def test_a_question_of_an_older_job_prints_the_command_that_answers_it(
    project: Path, model: dict[str, str]
) -> None:
    (project / "perstack.toml").write_text(
        CONFIG.replace('"Ask."', '"Ask. Ask twice."'), encoding="utf-8"
    )
    perstack("run", "asker", "Go", "--job-id", "OLD", cwd=project, env=model)
    newest = perstack("run", "asker", "Go", "--job-id", "NEW", cwd=project, env=model)
    again = perstack("run", "asker", "--continue-job", "OLD", "-i", "x", cwd=project, env=model)

    assert "run asker --continue -i" in newest.stderr
    assert "run asker --continue-job OLD -i" in again.stderr


def test_an_env_file_cannot_send_the_key_of_the_environment_elsewhere(project: Path) -> None:
    (project / ".env").write_text("ANTHROPIC_BASE_URL=http://127.0.0.1:9\n", encoding="utf-8")
    env = {"ANTHROPIC_API_KEY": "sk-test"}
    refused = perstack("run", "helper", "x", cwd=project, env=env)
    named = perstack(
        "run", "helper", "x", "--env-path", ".env", "--max-retries", "0", cwd=project, env=env
    )

    assert refused.code == 2
    assert "the key would go to" in refused.stderr
    assert named.code == 1, "a file that is named is trusted"


def test_a_base_skill_from_elsewhere_serves_a_run(tmp_path: Path) -> None:
    command = json.dumps([str(PERSTACK), "base"])
    config = f'perstackBaseSkillCommand = {command}\n[experts.worker]\ninstruction = "Work."\n'
    (tmp_path / "perstack.toml").write_text(config, encoding="utf-8")
    write = {"name": "writeTextFile", "args": {"path": "a.txt", "text": "served"}}
    replies = [{"calls": [write]}, {"calls": [{"name": "attemptCompletion"}]}, {"text": "Done."}]
    scenario = {"rules": [{"system": "Work.", "by": "turn", "replies": replies}]}
    with serving(scenario, tmp_path) as env:
        ended = perstack("run", "worker", "Go", cwd=tmp_path, env=env)

    assert ended.code == 0, ended.stderr
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "served"
    [connected] = [event for event in ended.events if event["type"] == "skillConnected"]
    assert connected["skillName"] == "@perstack/base"


ENDPOINT = """
[experts.helper.skills."@perstack/base"]
type = "mcpSseSkill"
endpoint = "https://example.com/mcp"
"""


def test_a_project_with_two_base_skills_is_refused(project: Path) -> None:
    config = project / "perstack.toml"
    text = config.read_text(encoding="utf-8")
    command = 'perstackBaseSkillCommand = ["node", "base.js"]\n'
    config.write_text(command + text + ENDPOINT, encoding="utf-8")
    ended = perstack("run", "helper", "x", cwd=project, env={"ANTHROPIC_API_KEY": "sk-test"})

    assert ended.code == 2
    assert "the skill @perstack/base is no program. Leave one of them out" in ended.stderr


def test_a_delegates_checkpoint_is_no_place_for_its_coordinator_to_begin(
    project: Path, model: dict[str, str]
) -> None:
    first = perstack("run", "lead", "Go", cwd=project, env=model)
    of_helper = next(e for e in first.events if e["type"] == "completeRun")["checkpoint"]["id"]
    words = ("run", "lead", "--continue", "--resume-from", of_helper, "x")
    ended = perstack(*words, cwd=project, env=model)

    assert ended.code == 2
    assert "delegate's run (helper)" in ended.stderr


def test_the_record_of_a_running_job_has_every_field(project: Path, model: dict[str, str]) -> None:
    perstack("run", "helper", "One", cwd=project, env=model)
    (path,) = project.glob("perstack/jobs/*/job.json")
    record = json.loads(path.read_text(encoding="utf-8"))

    assert record["status"] == "completed"
    assert record["totalSteps"] == 1
    assert record["coordinatorExpertKey"] == "helper"


MISTAKES: dict[str, tuple[list[str], str]] = {
    "an unknown Expert": (["run", "helpr", "x"], "helper"),
    "a bad key": (["run", "UPPER CASE", "x"], "Expert key"),
    "a bad job id": (["run", "helper", "x", "--job-id", "../../x"], "job id"),
    "a bad continued id": (["run", "helper", "--continue-job", "a/b"], "a/b"),
    "a bad checkpoint id": (["run", "helper", "--continue", "--resume-from", "..", "x"], ".."),
    "a missing query": (["run", "helper"], "QUERY"),
    "an unknown provider": (["run", "helper", "x", "--provider", "antropic"], "anthropic"),
    "a provider of a later version": (
        ["run", "helper", "x", "--provider", "openai", "--model", "m"],
        "openai",
    ),
    "a bad budget": (["run", "helper", "x", "--reasoning-budget", "lots"], "lots"),
    "a bad number": (["run", "helper", "x", "--max-steps", "-1"], "--max-steps"),
    "an unknown option": (["run", "helper", "x", "--max-step", "1"], "--max-steps"),
    "an unknown form": (["run", "helper", "x", "--events", "fat"], "lean"),
    "an unknown command": (["rnu"], "run"),
    "a command of a later version": (["publish", "helper"], "not in this version yet"),
    "a runtime of a later version": (["run", "helper", "x", "--runtime", "docker"], "docker"),
    "a missing workspace": (["run", "helper", "x", "--workspace", "nowhere"], "nowhere"),
    "a missing configuration": (["run", "helper", "x", "--config", "nowhere.toml"], "nowhere.toml"),
    "a missing .env file": (["run", "helper", "x", "--env-path", "nowhere.env"], "nowhere.env"),
    "a dangerous variable": (["run", "helper", "x", "--env", "LD_PRELOAD=x"], "LD_PRELOAD"),
    "a missing required variable": (["run", "searcher", "x"], "EXA_API_KEY"),
    "nothing to continue": (["run", "helper", "--continue"], "no job"),
    "an unknown job": (["run", "helper", "--continue-job", "nowhere"], "nowhere"),
    "two ways to continue": (
        ["run", "helper", "--continue", "--continue-job", "x"],
        "--continue-job",
    ),
    "a fork of nothing": (["run", "helper", "x", "--resume-from", "abc"], "--resume-from"),
    "an answer to nothing": (["run", "helper", "-i", "x"], "-i"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gets_one_message_that_names_it_and_exit_code_2(
    mistake: str, project: Path
) -> None:
    words, named = MISTAKES[mistake]
    ended = perstack(*words, cwd=project, env={"ANTHROPIC_API_KEY": "sk-test"})

    assert ended.code == 2, ended.stderr
    assert named in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    assert not (project / "perstack" / "jobs").exists(), "a mistake leaves nothing behind"


def test_a_storage_path_that_tools_could_reach_is_refused(project: Path) -> None:
    env = {"ANTHROPIC_API_KEY": "sk-test", "PERSTACK_STORAGE_PATH": str(project / "state")}
    ended = perstack("run", "helper", "x", cwd=project, env=env)

    assert ended.code == 2
    assert "PERSTACK_STORAGE_PATH" in ended.stderr


def test_a_storage_path_outside_holds_the_jobs(
    project: Path, model: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "state"
    env = model | {"PERSTACK_STORAGE_PATH": str(outside)}
    perstack("run", "helper", "One", cwd=project, env=env)
    ended = perstack("run", "helper", "--continue", "Two", cwd=project, env=env)

    assert ended.code == 0, ended.stderr
    assert len(list(outside.glob("jobs/*/runs/*/events.jsonl"))) == 2
    assert not (project / "perstack").exists()


def test_a_missing_key_says_which_variable_to_set(project: Path) -> None:
    ended = perstack("run", "helper", "x", cwd=project)

    assert ended.code == 2
    assert "ANTHROPIC_API_KEY" in ended.stderr


def test_all_problems_of_a_file_are_told_together(project: Path) -> None:
    text = '[experts.a]\ndescription = 3\n[experts.b]\ninstruction = ""\ndelegates = "x"\n'
    (project / "perstack.toml").write_text(text, encoding="utf-8")
    ended = perstack("run", "a", "x", cwd=project)

    assert ended.code == 2
    assert 'experts."a".description' in ended.stderr
    assert 'experts."b".delegates' in ended.stderr


def test_a_job_of_another_expert_is_refused(project: Path, model: dict[str, str]) -> None:
    perstack("run", "helper", "One", cwd=project, env=model)
    ended = perstack("run", "asker", "--continue", "Two", cwd=project, env=model)

    assert ended.code == 2
    assert "helper" in ended.stderr


def test_a_foreign_checkpoint_is_refused(project: Path, model: dict[str, str]) -> None:
    first = perstack("run", "helper", "One", cwd=project, env=model)
    perstack("run", "helper", "Another job", cwd=project, env=model)
    checkpoint = first.events[-1]["checkpoint"]["id"]
    words = ("run", "helper", "--continue", "--resume-from", checkpoint, "x")
    ended = perstack(*words, cwd=project, env=model)

    assert ended.code == 2
    assert checkpoint in ended.stderr


def test_a_waiting_job_needs_its_answer_and_names_the_call(
    project: Path, model: dict[str, str]
) -> None:
    perstack("run", "asker", "Go", cwd=project, env=model)
    ended = perstack("run", "asker", "--continue", "Something else", cwd=project, env=model)
    unknown = '{"toolCallId": "q9", "text": "x"}'
    wrong = perstack("run", "asker", "--continue", "-i", unknown, cwd=project, env=model)

    assert (ended.code, wrong.code) == (2, 2)
    assert "askUser (q1)" in ended.stderr
    assert "askUser (q1)" in wrong.stderr


def test_a_job_at_rest_needs_a_query(project: Path, model: dict[str, str]) -> None:
    perstack("run", "helper", "One", cwd=project, env=model)
    ended = perstack("run", "helper", "--continue", cwd=project, env=model)

    assert ended.code == 2
    assert "query" in ended.stderr


def test_an_edited_log_is_refused_with_file_and_line(project: Path, model: dict[str, str]) -> None:
    perstack("run", "helper", "One", cwd=project, env=model)
    (log,) = project.glob("perstack/jobs/*/runs/*/events.jsonl")
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
    edited = json.loads(lines[1]) | {"extra": 1}
    log.write_text(lines[0] + json.dumps(edited) + "\n" + "".join(lines[2:]), encoding="utf-8")
    ended = perstack("run", "helper", "--continue", "Two", cwd=project, env=model)

    assert ended.code == 1
    assert "events.jsonl" in ended.stderr
    assert "line 2" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="a full disk is mounted, which takes root")
def test_a_full_disk_is_one_message_and_what_was_recorded_stays(
    project: Path, model: dict[str, str]
) -> None:
    script = (
        "mount -t tmpfs -o size=64k none perstack && head -c 40000 /dev/zero > perstack/fill; "
        '"$@"; code=$?; cat perstack/jobs/*/runs/*/events.jsonl >&2; exit $code'
    )
    (project / "perstack").mkdir()
    words = ["run", "helper", "for ever", "--max-steps", "90"]
    ended = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(PERSTACK), *words],
        cwd=project,
        env=QUIET | model,
        capture_output=True,
        check=False,
        timeout=30,
    )
    stderr = ended.stderr.decode()
    if "mount:" in stderr or "unshare:" in stderr:
        pytest.skip("nothing can be mounted here")

    assert ended.returncode == 1, stderr
    assert "the disk is full" in stderr
    assert "Traceback" not in stderr
    assert '"type":"startRun"' in stderr


def test_a_workspace_that_cannot_be_written_is_one_message(
    project: Path, model: dict[str, str]
) -> None:
    (project / "perstack").write_text("a file where a folder must be", encoding="utf-8")
    ended = perstack("run", "helper", "x", cwd=project, env=model)

    assert ended.code == 1
    assert "perstack" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which takes root")
def test_a_command_of_the_same_user_cannot_read_the_keys_of_its_runtime(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    look = {"command": "sh", "args": ["-c", "cat /proc/$PPID/environ"], "env": {}, "cwd": "."}
    scenario = {
        "policy": {
            "steps": 1,
            "reply": {"calls": [{"name": "exec", "args": look | {"stdout": True, "stderr": True}}]},
        }
    }
    folder = tmp_path_factory.mktemp("model")
    program = (
        "import os, sys\n"
        "from perstack.cli import run_command\n"
        "words = ['run', 'helper', 'x', '--config', sys.argv[1]]\n"
        "run_command([*words, '--workspace', sys.argv[2]])\n"  # loads all there is to load
        "os.setgid(65534)\n"
        "os.setuid(65534)\n"
        "sys.exit(run_command([*words, '--workspace', sys.argv[3]]))\n"
    )
    with tempfile.TemporaryDirectory() as other, serving(scenario, folder) as env:
        shutil.chown(other, 65534)
        config = Path(other, "perstack.toml")
        config.write_text(CONFIG, encoding="utf-8")
        ended = subprocess.run(
            [sys.executable, "-c", program, str(config), str(folder), other],
            cwd="/",
            env=QUIET | env | {"ANTHROPIC_API_KEY": "sk-canary-of-the-runtime"},
            capture_output=True,
            check=False,
            timeout=30,
        )
    as_root, _, as_other = ended.stdout.partition(b"completeRun")
    assert b"ANTHROPIC_API_KEY=***" in as_root, "root sees that there is a key, and no key"
    assert b"Permission denied" in as_other, ended.stderr
    assert b"sk-canary" not in ended.stdout
