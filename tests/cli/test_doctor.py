"""`perstack doctor`: how a run would be resolved, and what is in its way."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cli.process import PERSTACK, QUIET, Ended, perstack
from perstack._version import __version__
from perstack.schema.diagnosis import Diagnosis

KEY = "sk-ant-never-to-be-shown"
WORKER = '[experts.worker]\ninstruction = "Work."\n'
TWO_BASES = (
    '\n[experts.worker.skills."@perstack/base"]\ntype = "mcpSseSkill"\n'
    'endpoint = "https://mcp.example.com/base"\n'
)
"""Beside a `perstackBaseSkillCommand`."""
UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u202e\u2028]")


def examined(folder: Path, *words: str, env: dict[str, str] | None = None) -> dict[str, Any]:
    """The document, for a folder where a run would ask Claude unless told otherwise."""
    ended = perstack("doctor", "--json", *words, cwd=folder, env=env or {"ANTHROPIC_API_KEY": KEY})
    assert ended.stderr == ""
    assert ended.code in {0, 1}
    document = json.loads(ended.stdout)
    assert document["isReady"] == (ended.code == 0)
    return document


def messages(document: dict[str, Any], severity: str = "problem") -> list[str]:
    return [
        finding["message"] for finding in document["findings"] if finding["severity"] == severity
    ]


def advice(document: dict[str, Any]) -> str:
    """What to do about the only problem."""
    [found] = [each for each in document["findings"] if each["severity"] == "problem"]
    return found["advice"]


def test_where_nothing_is_in_the_way_it_says_so_and_exits_with_0(tmp_path: Path) -> None:
    (tmp_path / "perstack.toml").write_text(WORKER)
    ended = perstack("doctor", cwd=tmp_path, env={"ANTHROPIC_API_KEY": KEY})
    assert (ended.code, ended.stderr) == (0, "")
    assert ended.stdout.endswith("\nNothing stands in the way of a run.\n")
    assert "anthropic, by its key, which is set" in ended.stdout
    assert "claude-sonnet-5-5, by default" in ended.stdout
    assert "this version uses none yet" in ended.stdout


def test_the_document_has_the_documented_form(tmp_path: Path) -> None:
    (tmp_path / "perstack.toml").write_text(WORKER)
    ended = perstack("doctor", "--json", cwd=tmp_path, env={"ANTHROPIC_API_KEY": KEY})
    diagnosis = msgspec.json.decode(ended.stdout, type=Diagnosis)
    assert diagnosis.version == 1
    assert diagnosis.is_ready
    assert diagnosis.software.perstack == __version__
    assert diagnosis.software.executable == str(Path(sys.executable).with_name("python"))
    assert diagnosis.places.config == str(tmp_path / "perstack.toml")
    assert diagnosis.places.workspace == str(tmp_path)
    assert diagnosis.places.jobs == str(tmp_path / "perstack")
    assert [expert.key for expert in diagnosis.experts] == ["worker"]
    assert diagnosis.sandbox.used is None
    assert diagnosis.findings == ()


def test_nothing_is_changed_by_looking(tmp_path: Path) -> None:
    (tmp_path / "perstack.toml").write_text(WORKER)
    perstack("doctor", cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["perstack.toml"]


@pytest.mark.parametrize("command", ["doctor", "check"])
def test_no_lock_is_kept_in_the_cache_by_looking(tmp_path: Path, command: str) -> None:
    (tmp_path / "perstack.toml").write_text(WORKER)
    assert perstack("install", cwd=tmp_path).code == 0
    home = tmp_path / "home"
    home.mkdir()
    env = {"ANTHROPIC_API_KEY": KEY, "HOME": str(home)}
    assert perstack(command, cwd=tmp_path, env=env).code == 0
    assert not [*home.iterdir()]


def test_without_a_key_the_demo_player_alone_is_left_and_that_is_a_problem(tmp_path: Path) -> None:
    document = examined(tmp_path, env={"PLAIN": "x"})
    assert (document["model"]["providerBy"], document["model"]["key"]) == ("demo", None)
    assert messages(document) == ["No key of a model's provider is set"]
    assert "Set ANTHROPIC_API_KEY, OPENAI_API_KEY" in advice(document)
    demo = re.search(r'perstack run (\S+) "([^"]+)"', advice(document))
    assert demo is not None
    assert perstack("run", demo[1], demo[2], cwd=tmp_path).code == 0


@pytest.mark.parametrize(
    ("text", "words", "env", "provider", "model"),
    [
        ("", (), {"ANTHROPIC_API_KEY": KEY}, "environment", "default"),
        ("", ("--model", "claude-opus-5"), {"ANTHROPIC_API_KEY": KEY}, "environment", "option"),
        ('model = "claude-opus-5"\n', (), {}, "default", "perstack.toml"),
        ('[provider]\nproviderName = "anthropic"\n', (), {}, "perstack.toml", "default"),
        (
            'model = "x"\n[provider]\nproviderName = "openai"\n',
            ("--provider", "deepseek"),
            {},
            "option",
            "perstack.toml",
        ),
        ("", (), {"OPENAI_API_KEY": KEY}, "environment", "default"),
        ("", ("--model", "x"), {"OPENAI_API_KEY": KEY}, "default", "option"),
    ],
)
def test_it_says_what_chose_the_provider_and_the_model(
    tmp_path: Path,
    text: str,
    words: tuple[str, ...],
    env: dict[str, str],
    provider: str,
    model: str,
) -> None:
    (tmp_path / "perstack.toml").write_text(text)
    found = examined(tmp_path, *words, env={"PLAIN": "x"} | env)["model"]
    assert (found["providerBy"], found["modelBy"]) == (provider, model)


def test_what_it_names_is_what_a_run_asks(tmp_path: Path) -> None:
    (tmp_path / "perstack.toml").write_text(
        'model = "mine"\n[provider]\nproviderName = "ollama"\n[provider.setting]\n'
        f'baseUrl = "http://127.0.0.1:1"\n{WORKER}'
    )
    found = examined(tmp_path)["model"]
    ended = perstack("run", "worker", "Go", "--max-retries", "0", cwd=tmp_path)
    [started] = [event for event in ended.events if event["type"] == "initializeRuntime"]
    assert (found["provider"], found["model"]) == ("ollama", started["model"]) == ("ollama", "mine")
    assert found["address"] == "http://127.0.0.1:1"


def test_a_key_alone_chooses_its_provider(tmp_path: Path) -> None:
    document = examined(tmp_path, env={"OPENAI_API_KEY": KEY})
    assert messages(document) == []
    assert document["isReady"]
    assert (document["model"]["provider"], document["model"]["key"]) == ("openai", "OPENAI_API_KEY")


def test_another_vendors_key_is_pointed_to_with_the_options_that_use_it(tmp_path: Path) -> None:
    words = ("--model", "claude-opus-5")
    document = examined(tmp_path, *words, env={"OPENAI_API_KEY": KEY})
    assert messages(document) == ["The provider anthropic needs a key"]
    options = re.search(r"--provider \S+ --model [^\s,]+", advice(document))
    assert options is not None
    assert messages(examined(tmp_path, *options[0].split(), env={"OPENAI_API_KEY": KEY})) == []


@pytest.mark.parametrize(
    ("words", "env", "problem", "way_out"),
    [
        (("--provider", "openai"), {}, "no default model", "Give --model"),
        (
            ("--provider", "openai", "--model", "gpt-5"),
            {"OPENAI_BASE_URL": "ftp://h"},
            "OPENAI_BASE_URL must be an http or https URL",
            "Correct it",
        ),
        (("--provider", "deepseek", "--model", "x"), {}, "needs a key", "Set DEEPSEEK_API_KEY"),
        (("--model", "x"), {"ANTHROPIC_API_KEY": "a b"}, "characters that no key has", "Copy it"),
        (
            ("--provider", "azure-openai", "--model", "x"),
            {"AZURE_API_KEY": KEY},
            "needs a resource",
            "AZURE_RESOURCE_NAME",
        ),
        (("--provider", "pydantic-ai", "--model", "x"), {}, "names its vendor", "VENDOR:MODEL"),
        (("--provider", "google-vertex", "--model", "x"), {}, "needs a location", "LOCATION"),
        (
            ("--provider", "google-vertex", "--model", "x"),
            {"GOOGLE_VERTEX_LOCATION": "here"},
            "needs a project",
            "PROJECT",
        ),
        (("--provider", "amazon-bedrock", "--model", "x"), {}, "needs a region", "AWS_REGION"),
    ],
)
def test_what_keeps_a_model_from_being_asked_is_told_with_what_to_do(
    tmp_path: Path, words: tuple[str, ...], env: dict[str, str], problem: str, way_out: str
) -> None:
    document = examined(tmp_path, *words, env={"OPENAI_API_KEY": KEY} | env)
    assert problem in messages(document)[0]
    assert way_out in advice(document)


@pytest.mark.parametrize(
    ("words", "env"),
    [
        (("--provider", "ollama", "--model", "x"), {}),
        (("--provider", "openai", "--model", "x"), {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}),
        (("--provider", "amazon-bedrock", "--model", "arn:x"), {"AWS_REGION": "us-east-1"}),
        (("--provider", "pydantic-ai", "--model", "groq:x"), {}),
    ],
)
def test_a_provider_that_needs_no_key_is_not_said_to_need_one(
    tmp_path: Path, words: tuple[str, ...], env: dict[str, str]
) -> None:
    document = examined(tmp_path, *words, env={"PLAIN": "x"} | env)
    assert not any("key" in message for message in messages(document))


def test_an_unknown_model_is_a_warning_with_the_nearest_known_one(tmp_path: Path) -> None:
    document = examined(tmp_path, "--model", "claude-sonet-5")
    assert document["isReady"]
    [warning] = messages(document, "warning")
    assert 'did you mean "claude-sonnet-5"' in warning


@pytest.mark.hostile
def test_keys_are_named_with_where_they_are_from_and_never_shown(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"DEEPSEEK_API_KEY={KEY}-file\n")
    (tmp_path / "perstack.toml").write_text(
        f'{WORKER}[experts.worker.skills.s]\ntype = "mcpStdioSkill"\ncommand = "true"\n'
        'args = ["x"]\nrequiredEnv = ["TOKEN"]\n'
    )
    env = {"ANTHROPIC_API_KEY": KEY, "TOKEN": KEY, "PERSTACK_API_KEY": KEY, "PERSTACK_X": KEY}
    words = ("--env", f"OPENAI_API_KEY={KEY}")
    document = examined(tmp_path, *words, env=env)
    assert {found["name"]: found["source"] for found in document["keys"]} == {
        "ANTHROPIC_API_KEY": "environment",
        "OPENAI_API_KEY": "option",
        "DEEPSEEK_API_KEY": "file",
    }
    shown = perstack("doctor", *words, cwd=tmp_path, env=env)
    assert KEY not in json.dumps(document) + shown.stdout + shown.stderr
    assert "DEEPSEEK_API_KEY, from an .env file" in shown.stdout


def test_variables_of_ours_are_listed_and_a_misspelt_one_is_told(tmp_path: Path) -> None:
    jobs = tmp_path / "jobs"
    (tmp_path / "work").mkdir()
    env = {
        "ANTHROPIC_API_KEY": KEY,
        "PERSTACK_STORAGE_PATH": str(jobs),
        "PERSTACK_STORAGE_PTH": "x",
    }
    document = examined(tmp_path / "work", env=env)
    assert {found["name"]: found["isKnown"] for found in document["variables"]} == {
        "PERSTACK_STORAGE_PATH": True,
        "PERSTACK_STORAGE_PTH": False,
    }
    assert document["places"]["jobs"] == str(jobs)
    [warning] = messages(document, "warning")
    assert 'did you mean "PERSTACK_STORAGE_PATH"' in warning


def test_a_file_that_does_not_parse_is_a_finding_with_all_its_problems(tmp_path: Path) -> None:
    (tmp_path / "perstack.toml").write_text('maxSteps = "x"\ntimeout = 0\nmodle = "y"\n')
    ended = perstack("doctor", "--json", cwd=tmp_path, env={"ANTHROPIC_API_KEY": KEY})
    assert (ended.code, ended.stderr) == (1, "")
    document = json.loads(ended.stdout)
    assert document["model"] is None
    [found] = document["findings"]
    assert found["topic"] == "configuration"
    assert found["message"] == f"{tmp_path / 'perstack.toml'} has 2 problems"
    assert [line.partition(":")[0] for line in found["details"]][:2] == ["maxSteps", "timeout"]
    shown = perstack("doctor", cwd=tmp_path, env={"ANTHROPIC_API_KEY": KEY}).stdout
    assert "cannot be told before the configuration is in order" in shown
    assert "      maxSteps: must be an integer" in shown


@pytest.mark.parametrize(
    ("files", "words", "env", "topic", "message"),
    [
        ({}, ("--config", "gone.toml"), {}, "configuration", "gone.toml does not exist"),
        ({"perstack.toml": 'runtime = "docker"'}, (), {}, "configuration", "not in this version"),
        ({".env": "no variable"}, (), {}, "variables", ".env:1 is no NAME=value"),
        ({}, ("--env-path", "gone"), {}, "variables", "gone does not exist"),
        (
            {".env": "ANTHROPIC_BASE_URL=http://h"},
            (),
            {},
            "variables",
            "ANTHROPIC_BASE_URL comes from a .env file",
        ),
        ({}, (), {"PERSTACK_API_BASE_URL": "x"}, "variables", "PERSTACK_API_BASE_URL must be"),
    ],
)
def test_what_is_wrong_in_files_and_variables_is_a_finding(
    tmp_path: Path,
    files: dict[str, str],
    words: tuple[str, ...],
    env: dict[str, str],
    topic: str,
    message: str,
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    document = examined(tmp_path, *words, env={"ANTHROPIC_API_KEY": KEY} | env)
    [found] = document["findings"]
    assert (found["severity"], found["topic"]) == ("problem", topic)
    assert message in found["message"]
    assert found["advice"].endswith(".")
    assert "line" not in found["advice"]


def test_unknown_keys_are_warnings_and_a_list_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "perstack.toml").write_text(f'modle = "x"\n{WORKER}instrution = "y"\n')
    document = examined(tmp_path)
    assert document["isReady"]
    assert document["unknownKeys"] == ["modle", 'experts."worker".instrution']
    assert len(messages(document, "warning")) == 2


def skill(name: str, command: str, *required: str) -> str:
    return (
        f'[experts.worker.skills.{name}]\ntype = "mcpStdioSkill"\ncommand = "{command}"\n'
        f'args = ["x"]\nrequiredEnv = {json.dumps(required)}\n'
    )


def test_variables_and_programs_that_skills_lack_are_told_of_each_expert(tmp_path: Path) -> None:
    others = '[experts.other]\ninstruction = "x"\ndelegates = ["nobody"]\n'
    (tmp_path / "perstack.toml").write_text(
        WORKER + skill("one", "no-such-program", "TOKEN") + skill("two", "true", "PATH") + others
    )
    document = examined(tmp_path)
    worker, other = document["experts"]
    assert worker == {
        "key": "worker",
        "isReady": False,
        "missingEnv": [{"skill": "one", "name": "TOKEN"}],
        "missingPrograms": [{"skill": "one", "command": "no-such-program"}],
    }
    assert other["isReady"]
    assert messages(document) == [
        "worker: the skill one needs TOKEN, which is not set",
        "worker: the skill one is started with no-such-program, which is not there",
    ]
    assert "other: its delegate nobody: There is no Expert" in messages(document, "warning")[0]


def test_the_program_of_a_base_skill_command_that_is_not_there_is_told(tmp_path: Path) -> None:
    command = 'perstackBaseSkillCommand = ["no-such-program", "base"]\n'
    (tmp_path / "perstack.toml").write_text(command + WORKER)
    document = examined(tmp_path)
    [worker] = document["experts"]
    assert worker["missingPrograms"] == [{"skill": "@perstack/base", "command": "no-such-program"}]
    assert advice(document) == "Install it, or correct perstackBaseSkillCommand."
    (tmp_path / "perstack.toml").write_text(command.replace("no-such-program", "true") + WORKER)
    assert examined(tmp_path)["isReady"]


def test_a_program_that_comes_with_another_is_named_with_it(tmp_path: Path) -> None:
    (tmp_path / "perstack.toml").write_text(WORKER + skill("one", "npx"))
    document = examined(tmp_path, env={"ANTHROPIC_API_KEY": KEY, "PATH": str(tmp_path)})
    assert advice(document) == "Install Node.js, which it comes with."


@pytest.mark.parametrize(
    ("more", "message", "way_out"),
    [
        (
            skill("one", "true", "ANTHROPIC_API_KEY"),
            "would hand the key of the model's provider to a skill",
            "--env NAME",
        ),
        (
            TWO_BASES,
            "starts a base skill, and the skill @perstack/base is no program",
            "Leave one of them out",
        ),
    ],
)
def test_what_a_run_would_refuse_is_told(
    tmp_path: Path, more: str, message: str, way_out: str
) -> None:
    first = 'perstackBaseSkillCommand = ["npx", "base"]\n' if more == TWO_BASES else ""
    (tmp_path / "perstack.toml").write_text(first + WORKER + more)
    document = examined(tmp_path)
    assert message in messages(document)[0]
    assert way_out in advice(document)
    assert perstack("run", "worker", "Go", cwd=tmp_path, env={"ANTHROPIC_API_KEY": KEY}).code == 2


def test_a_lock_is_current_older_or_cannot_be_read(tmp_path: Path) -> None:
    config, lock = tmp_path / "perstack.toml", tmp_path / "perstack.lock"
    config.write_text(WORKER)
    assert examined(tmp_path)["places"]["lockState"] == "none"
    assert perstack("install", cwd=tmp_path).code == 0
    places = examined(tmp_path)["places"]
    assert (places["lockState"], places["lock"]) == ("current", str(lock))

    config.write_text(WORKER.replace("Work.", "Work more."))
    document = examined(tmp_path)
    assert (document["places"]["lockState"], document["isReady"]) == ("older", True)
    [warning] = messages(document, "warning")
    assert warning == "perstack.lock is older than perstack.toml: worker changed since"

    lock.write_text(lock.read_text().replace("Work.", "Hack."))
    document = examined(tmp_path)
    assert document["places"]["lockState"] == "unreadable"
    assert "perstack install" in advice(document)

    lock.write_text("no lock")
    assert "\n" not in messages(examined(tmp_path))[0]


@pytest.mark.parametrize("name", ["perstack", "perstack/jobs"])
@pytest.mark.parametrize("kind", ["a file", "a link"])
def test_a_place_where_no_job_can_be_kept_is_told(tmp_path: Path, kind: str, name: str) -> None:
    place = tmp_path / name
    place.parent.mkdir(exist_ok=True)
    if kind == "a file":
        place.write_text("")
    else:
        (tmp_path / "elsewhere").mkdir()
        place.symlink_to(tmp_path / "elsewhere")
    document = examined(tmp_path)
    assert "is a link or a file where a real folder must be" in messages(document)[0]
    assert name in messages(document)[0]
    (tmp_path / "perstack.toml").write_text(WORKER)
    ended = perstack("run", "worker", "Go", cwd=tmp_path, env={"ANTHROPIC_API_KEY": KEY})
    assert ended.code == 1
    assert ended.stdout == ""


def test_a_path_for_jobs_that_leads_round_in_a_circle_is_told(tmp_path: Path) -> None:
    loop, workspace = tmp_path / "loop", tmp_path / "workspace"
    loop.symlink_to(loop)
    workspace.mkdir()
    env = {"ANTHROPIC_API_KEY": KEY, "PERSTACK_STORAGE_PATH": str(loop / "jobs")}
    document = examined(workspace, env=env)
    assert messages(document) == [
        f"Jobs cannot be kept in {loop}/jobs: Too many levels of symbolic links"
    ]
    ended = perstack("jobs", cwd=workspace, env=env)
    assert ended.code == 1
    assert "Cannot open" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_jobs_in_the_workspace_but_not_in_their_folder_are_refused(tmp_path: Path) -> None:
    env = {"ANTHROPIC_API_KEY": KEY, "PERSTACK_STORAGE_PATH": str(tmp_path / "jobs")}
    document = examined(tmp_path, env=env)
    assert document["places"]["jobs"] is None
    assert "inside the workspace" in messages(document)[0]
    assert "Name a folder outside" in advice(document)


def test_places_are_whole_paths(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "perstack.toml").write_text(WORKER)
    (tmp_path / ".env.local").write_text("")
    env = {"ANTHROPIC_API_KEY": KEY, "XDG_CACHE_HOME": "/caches"}
    places = examined(tmp_path, "--config", "perstack.toml", "--workspace", "work", env=env)[
        "places"
    ]
    assert places["config"] == str(tmp_path / "perstack.toml")
    assert places["workspace"] == str(tmp_path / "work")
    assert places["envFiles"] == [str(tmp_path / ".env.local")]
    assert places["cache"] == "/caches/perstack/locks"


def test_a_name_of_a_folder_may_be_no_unicode(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"odd\xff")
    folder.mkdir()
    (folder / "perstack.toml").write_text(WORKER)
    assert examined(folder)["places"]["workspace"] == rf"{tmp_path}/odd\udcff"
    assert rf"{tmp_path}/odd\udcff" in perstack("doctor", cwd=folder, env={}).stdout


def test_what_the_locale_cannot_show_is_spelled_out(tmp_path: Path) -> None:
    (tmp_path / "perstack.toml").write_text(f'"ключ\U0001f511" = 1\n{WORKER}', encoding="utf-8")
    env = {"ANTHROPIC_API_KEY": KEY, "PYTHONIOENCODING": "ascii"}
    assert r'"\u043a\u043b\u044e\u0447\U0001f511": is not a known key' in (
        perstack("doctor", cwd=tmp_path, env=env).stdout
    )
    assert examined(tmp_path, env=env)["unknownKeys"] == ['"ключ\U0001f511"']


@pytest.mark.parametrize(
    "words",
    [
        ("doctor",),
        ("check",),
        ("log",),
        ("jobs",),
        ("init",),
        ("install",),
        ("skills", "worker"),
        ("run", "worker", "Go"),
        ("base",),
    ],
)
def test_a_working_directory_that_is_gone_is_a_usage_error(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    ended = subprocess.run(
        ["sh", "-c", 'rmdir "$PWD" && exec "$0" "$@"', str(PERSTACK), *words],
        cwd=gone,
        env=QUIET,
        capture_output=True,
        text=True,
        check=False,
    )
    told = "perstack: The working directory is not there any more: go to another one\n"
    assert (ended.returncode, ended.stderr, ended.stdout) == (2, told, "")


def test_a_node_that_answers_slowly_strangely_or_never_is_no_hindrance(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    node = programs / "node"
    for script, version in (
        ("printf v20.1; printf '.2\\n'", "20.1.2"),
        ("env >&2; yes", None),
        ("exit 3", None),
        ("kill -STOP $$", None),
    ):
        node.write_text(f"#!/bin/sh\n{script}\n")
        node.chmod(0o755)
        env = {"ANTHROPIC_API_KEY": KEY, "PATH": f"{programs}:{os.environ['PATH']}"}
        document = examined(tmp_path, env=env)
        assert document["programs"][0] == {
            "name": "node",
            "path": str(node),
            "version": version,
        }


@pytest.mark.hostile
def test_a_program_that_is_asked_for_its_version_sees_no_key(tmp_path: Path) -> None:
    node = tmp_path / "node"
    node.write_text(f"#!{shutil.which('sh')}\nenv > {tmp_path}/seen; echo v1.2.3\n")
    node.chmod(0o755)
    env = {"ANTHROPIC_API_KEY": KEY, "PATH": f"{tmp_path}:.:{os.environ['PATH']}"}
    assert examined(tmp_path, env=env)["programs"][0]["version"] == "1.2.3"
    seen = (tmp_path / "seen").read_text()
    assert "PATH=" in seen
    assert KEY not in seen
    assert ":.:" not in seen


@pytest.mark.hostile
@pytest.mark.parametrize("words", [(), ("--json",)], ids=["text", "json"])
def test_nothing_that_files_say_moves_or_hides_text(tmp_path: Path, words: tuple[str, ...]) -> None:
    evil = "\x1b[2J\x9b31m\u202e\u200b\u2028"
    escaped = "".join(f"\\u{ord(character):04X}" for character in evil)
    (tmp_path / "perstack.toml").write_text(
        f'model = "claude-sonnet-5-5"\n"{escaped}" = 1\n[experts.worker]\ninstruction = "x"\n'
        f'[experts.worker.skills.s]\ntype = "mcpStdioSkill"\ncommand = "x"\nargs = []\n'
    )
    folder = tmp_path / "a\x1b[31mb\u202e"
    folder.mkdir()
    env = {"ANTHROPIC_API_KEY": KEY}
    ended: Ended = perstack("doctor", *words, cwd=folder, env=env)
    assert ended.code == 1
    assert not UNSAFE.search(ended.stdout + ended.stderr)
    assert "\\u202e" in ended.stdout


def test_usage_is_an_error_and_no_finding(tmp_path: Path) -> None:
    for words in (["--provider", "nope"], ["--workspace", "gone"], ["--env", "GONE"], ["worker"]):
        ended = perstack("doctor", *words, cwd=tmp_path)
        assert (ended.code, ended.stdout) == (2, "")


def test_neither_a_provider_nor_the_runtime_is_loaded(tmp_path: Path) -> None:
    from cli.test_start_up import NEVER, loaded

    (tmp_path / "perstack.toml").write_text(WORKER + skill("one", "true"))
    modules = loaded(["doctor"], tmp_path, QUIET | {"ANTHROPIC_API_KEY": KEY})
    assert not modules & (NEVER | {"httpx2", "httpcore2", "google.genai", "boto3"})
    assert not modules & {"perstack.runtime.job", "perstack.providers.anthropic"}
