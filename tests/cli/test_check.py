"""`perstack check`: what is wrong with a `perstack.toml`, a line each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cli.process import Ended, perstack
from perstack.registry import catalogue
from perstack.schema.config_report import ConfigReport

GOOD = """\
[experts.writer]
instruction = "Write."
delegates = ["reader", "pro-trainer"]

[experts.reader]
description = "Reads."
instruction = "Read."
"""


def checked(folder: Path, text: str, *words: str, env: dict[str, str] | None = None) -> Ended:
    (folder / "perstack.toml").write_text(text)
    return perstack("check", *words, cwd=folder, env=env)


def test_a_file_that_is_right_is_said_to_be(tmp_path: Path) -> None:
    ended = checked(tmp_path, GOOD)
    assert (ended.code, ended.stdout) == (0, "")
    assert ended.stderr == f"{tmp_path}/perstack.toml is right: writer, reader\n"


def test_every_problem_and_every_warning_is_a_line_that_names_its_place(tmp_path: Path) -> None:
    text = GOOD.replace('"Write."', '" "').replace('"Read."', '"Read."\nversion = "1"\ntag = 1')
    ended = checked(tmp_path, text)
    assert (ended.code, ended.stdout) == (2, "")
    file = f"{tmp_path}/perstack.toml"
    [blank, version, unknown] = ended.stderr.splitlines()
    assert blank == f'{file}: experts."writer".instruction: must not be blank'
    assert version == f'{file}: experts."reader".version: must be a version such as 1.0.0'
    assert unknown.startswith(f'warning: {file}: experts."reader".tag: is not a known key')
    assert unknown.endswith('did you mean "tags"?')


def test_what_is_no_toml_is_one_line_with_its_place(tmp_path: Path) -> None:
    ended = checked(tmp_path, "[experts.writer\n")
    assert ended.code == 2
    [line] = ended.stderr.splitlines()
    assert line.startswith(f"{tmp_path}/perstack.toml is not valid TOML: ")
    assert "line 1" in line


def test_a_delegate_that_is_not_there_is_a_problem_with_the_nearest_name(tmp_path: Path) -> None:
    ended = checked(tmp_path, GOOD.replace('"reader", "pro', '"raeder", "pro'))
    assert ended.code == 2
    [line] = ended.stderr.splitlines()
    assert 'perstack.toml: experts."writer".delegates[0]: There is no Expert "raeder"' in line
    assert "Did you mean reader?" in line


def test_a_delegate_of_another_version_is_a_problem(tmp_path: Path) -> None:
    ended = checked(tmp_path, GOOD.replace("pro-trainer", "pro-trainer@7.0.0"))
    assert ended.code == 2
    assert 'delegates[1]: There is no Expert "pro-trainer@7.0.0", only' in ended.stderr


def test_a_base_skill_that_cannot_be_had_is_a_problem(tmp_path: Path) -> None:
    skill = '[experts.reader.skills."@perstack/base"]\ntype = "mcpSseSkill"\n'
    text = f'perstackBaseSkillCommand = ["x"]\n{GOOD}{skill}endpoint = "https://a.example/mcp"\n'
    ended = checked(tmp_path, text)
    assert ended.code == 2
    assert 'experts."reader": ' in ended.stderr
    assert "perstackBaseSkillCommand" in ended.stderr


def test_one_expert_is_looked_at_with_those_it_may_come_to_ask(tmp_path: Path) -> None:
    text = f'{GOOD}delegates = ["writer"]\n\n[experts.other]\ninstruction = "x"\ndelegates = ["no"]'
    ended = checked(tmp_path, text, "writer", "--json")
    report = msgspec.json.decode(ended.stdout, type=ConfigReport)
    assert (ended.code, report.is_clean) == (0, True)
    assert report.experts == ("writer", "reader")
    assert checked(tmp_path, text).code == 2


def test_warnings_alone_are_no_problem(tmp_path: Path) -> None:
    ended = checked(tmp_path, f'runtime = "docker"\n[provider]\nproviderName = "openai"\n{GOOD}')
    assert ended.code == 0
    assert ended.stderr.count("warning: ") == 2
    assert "runtime: docker is not in this version yet" in ended.stderr
    assert "openai has no default model" in ended.stderr


def test_the_document_has_all_its_fields(tmp_path: Path) -> None:
    right: Any = json.loads(checked(tmp_path, GOOD, "--json").stdout)
    assert right == {
        "version": 1,
        "config": f"{tmp_path}/perstack.toml",
        "isClean": True,
        "experts": ["writer", "reader"],
        "problems": [],
        "warnings": [],
    }
    ended = checked(tmp_path, f"{GOOD}tag = 1\nversion = 1\n", "--json")
    wrong: Any = json.loads(ended.stdout)
    assert (ended.code, ended.stderr, wrong["isClean"], wrong["experts"]) == (2, "", False, [])
    [problem], [warning] = wrong["problems"], wrong["warnings"]
    assert 'experts."reader".version: ' in problem
    assert warning.startswith(f'{tmp_path}/perstack.toml: experts."reader".tag: ')


def test_the_nearest_file_above_is_checked_and_any_with_config(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "other.toml").write_text("[experts.a]\n")
    assert checked(tmp_path, GOOD).code == 0
    assert f"{tmp_path}/perstack.toml is right" in perstack("check", cwd=tmp_path / "sub").stderr
    ended = perstack("check", "--config", "../other.toml", cwd=tmp_path / "sub")
    assert ended.code == 2
    assert 'other.toml: experts."a".instruction: is required' in ended.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "There is no perstack.toml here or in a folder above"),
        (["--config", "gone.toml"], "gone.toml does not exist"),
        (["A b"], "is not an Expert key"),
    ],
)
def test_what_cannot_be_checked_is_one_message(tmp_path: Path, words: list[str], said: str) -> None:
    (tmp_path / "here.toml").write_text(GOOD)
    config = ["--config", "here.toml"] if words == ["A b"] else []
    ended = perstack("check", *words, *config, cwd=tmp_path)
    assert (ended.code, ended.stdout) == (2, "")
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_an_expert_that_is_not_there_is_named(tmp_path: Path) -> None:
    ended = checked(tmp_path, GOOD, "raeder")
    assert ended.code == 2
    assert 'perstack: There is no Expert "raeder". Did you mean reader?' in ended.stderr


def test_a_lock_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "perstack.lock").write_text('version = "7"\n')
    ended = checked(tmp_path, GOOD)
    assert ended.code == 2
    [line] = ended.stderr.splitlines()
    assert "perstack.lock is of version '7'" in line


def test_neither_keys_nor_env_files_matter(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ANTHROPIC_BASE_URL=https://elsewhere.example\nno line\n")
    ended = checked(tmp_path, GOOD, env={"ANTHROPIC_API_KEY": "sk-secret", "PERSTACK_X": "1"})
    assert (ended.code, len(ended.stderr.splitlines())) == (0, 1)


@pytest.mark.hostile
def test_what_a_file_says_moves_nothing_on_a_terminal(tmp_path: Path) -> None:
    ended = checked(tmp_path, '[experts."a\\u001b[2J\\u202e\\nb"]\ninstruction = "x"\n')
    assert ended.code == 2
    assert not set("\x1b\u202e") & set(ended.stderr)
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["create-expert", "fitness-assistant", "tic-tac-toe"])
def test_experts_of_the_catalogue_are_right(name: str, tmp_path: Path) -> None:
    file = Path(catalogue.__file__).with_name(f"{name}.toml")
    ended = perstack("check", "--config", str(file), cwd=tmp_path)
    assert ended.code == 0
    assert ended.stderr == f"{file} is right: {name}\n"


def test_what_is_odd_about_an_expert_and_its_delegates_is_a_warning(tmp_path: Path) -> None:
    asks = (
        '[experts.reader.skills.person]\ntype = "interactiveSkill"\n'
        '[experts.reader.skills.person.tools.askUser]\ndescription = "Asks."\n'
        'inputJsonSchema = \'{"type": "object"}\'\n'
    )
    server = (
        '[experts.writer.skills.web]\ntype = "mcpStdioSkill"\ncommand = "npx"\n'
        'packageName = "web"\nallowedDomains = ["a.example"]\n'
    )
    ended = checked(tmp_path, GOOD.replace('description = "Reads."\n', "") + asks + server)
    assert ended.code == 0
    [domains, description, questions, right] = ended.stderr.splitlines()
    assert "warning: " in domains
    assert 'experts."writer".skills."web".allowedDomains: is not enforced' in domains
    assert "delegates[0]: reader has no description" in description
    assert "delegates[0]: the tools of reader's skill person wait for a person" in questions
    assert "is right" in right
