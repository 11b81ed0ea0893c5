"""`perstack init`: a project in the folder one stands in, whose Expert runs."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import anyio
import pytest

from cli.process import PERSTACK, QUIET, perstack
from perstack.assembly.new_project import NAMELESS, expert_name, write_new
from perstack.assembly.project_texts import config_text, ignore_text, variables_text
from perstack.config.dotenv import parse_env
from perstack.config.load import load_config, parse_config
from perstack.config.starting_model import KEY_VARIABLES, MODELS, StartingModel, starting_model
from perstack.errors import StorageError
from perstack.providers.models import model_info
from perstack.testing import serve_model
from perstack.testing.scenario import ReplySpec

FILES = {"perstack.toml", ".env.example", ".gitignore", "AGENTS.md"}
STARTS = [StartingModel(name, KEY_VARIABLES[name], model) for name, model in MODELS.items()]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_it_writes_a_project_whose_expert_is_called_like_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "Müller's Notes"
    folder.mkdir()
    ended = perstack("init", cwd=folder)
    assert (ended.code, ended.stdout) == (0, "")
    assert names(folder) == FILES
    project = load_config(folder / "perstack.toml")
    assert list(project.experts) == ["muller-s-notes"]
    assert project.warnings == ()
    assert 'perstack start muller-s-notes "' in ended.stderr
    assert "No key" in ended.stderr


@pytest.mark.parametrize("start", [None, *STARTS], ids=str)
@pytest.mark.parametrize("name", ["worker", "@team/worker"])
def test_what_it_writes_is_taken_as_it_is_and_with_its_comments_taken_away(
    name: str, start: StartingModel | None
) -> None:
    text = config_text(name, start)
    project = parse_config(text, "perstack.toml")
    assert project.warnings == ()
    assert list(project.experts) == [name]
    assert project.model == (start.model if start else None)
    assert (project.provider and project.provider.provider_name) == (start and start.provider)

    more = parse_config(re.sub(r"(?m)^# (?=\w+ = |\[)", "", text), "perstack.toml")
    assert more.warnings == ()
    assert list(more.experts) == [name, "proofreader"]
    assert more.experts[name].delegates == ("proofreader",)
    assert list(more.experts[name].skills) == ["@perstack/base", "time"]
    assert more.model is not None


@pytest.mark.parametrize("start", [None, *STARTS], ids=str)
def test_the_example_of_variables_names_all_keys_and_sets_one(start: StartingModel | None) -> None:
    text = variables_text(start)
    assert parse_env(text, ".env") == {start.variable if start else "ANTHROPIC_API_KEY": ""}
    assert all(variable in text for variable in KEY_VARIABLES.values())


@pytest.mark.parametrize("start", STARTS, ids=str)
def test_the_model_that_is_proposed_is_known(start: StartingModel) -> None:
    assert model_info(start.provider, start.model) is not None


def test_the_first_provider_with_a_key_is_taken() -> None:
    keys = dict.fromkeys(KEY_VARIABLES.values(), "sk")
    for start in STARTS:
        assert starting_model(keys) == start
        keys[start.variable] = "  "
    assert starting_model(keys) is None  # nothing can be proposed where models are one's own


def test_a_key_of_the_environment_or_of_an_env_file_chooses_the_provider(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DEEPSEEK_API_KEY=sk-secret-of-a-file\n")
    ended = perstack("init", "worker", cwd=tmp_path)
    assert "DEEPSEEK_API_KEY is set: the provider is deepseek" in ended.stderr
    project = load_config(tmp_path / "perstack.toml")
    assert project.provider is not None
    assert (project.provider.provider_name, project.model) == ("deepseek", MODELS["deepseek"])
    written = "".join((tmp_path / name).read_text() for name in FILES)
    assert "sk-secret" not in written + ended.stderr


@pytest.mark.anyio
@pytest.mark.parametrize("provider", list(MODELS))
async def test_the_expert_that_was_written_runs(tmp_path: Path, provider: str) -> None:
    async with serve_model([ReplySpec(text="There is nothing in it.")]) as server:
        prefix = KEY_VARIABLES[provider].removesuffix("_API_KEY")
        env = {n: v for n, v in server.variables.items() if n.startswith(prefix)}
        for words in (["init", "worker"], ["run", "worker", "What is in this folder?"]):
            with anyio.fail_after(60):
                ended = await anyio.run_process(
                    [str(PERSTACK), *words], cwd=tmp_path, env=QUIET | env, check=False
                )
            assert ended.returncode == 0, ended.stderr.decode()
        assert b"There is nothing in it." in ended.stdout
        [request] = server.requests
        asked = request.body.decode()
        assert "What is in this folder?" in asked
        assert "Name the file that a statement rests on" in asked
        assert "readTextFile" in asked
        assert '"exec"' not in asked


def test_the_tools_of_the_expert_that_was_written_can_be_shown(tmp_path: Path) -> None:
    assert perstack("init", "worker", cwd=tmp_path).code == 0
    ended = perstack("skills", "--json", cwd=tmp_path)
    assert ended.code == 0
    document: Any = json.loads(ended.stdout)
    assert (document["isWorking"], document["warnings"]) == (True, [])


def test_what_is_there_is_kept_byte_for_byte(tmp_path: Path) -> None:
    text = '[experts.mine]\ninstruction = "Mine."\n'
    for name in FILES:
        (tmp_path / name).write_text(text)
    ended = perstack("init", cwd=tmp_path)
    assert ended.code == 0
    assert {(tmp_path / name).read_text() for name in FILES} == {text}
    assert names(tmp_path) == FILES
    assert all(f"kept {name}" in ended.stderr for name in FILES)
    assert "add to it, each on a line: perstack/ .env .env.local" in ended.stderr


def test_what_is_missing_beside_a_project_is_written(tmp_path: Path) -> None:
    (tmp_path / "perstack.toml").write_text('[experts.mine]\ninstruction = "Mine."\n')
    (tmp_path / ".gitignore").write_text("# ours\n/perstack\n.env*\n")
    ended = perstack("init", cwd=tmp_path)
    assert ended.code == 0
    assert ended.stderr.splitlines() == [
        "kept perstack.toml",
        "wrote .env.example",
        "kept .gitignore",
        "wrote AGENTS.md",
    ]


def test_a_second_time_nothing_changes_and_that_is_no_failure(tmp_path: Path) -> None:
    assert perstack("init", "worker", cwd=tmp_path).code == 0
    before = {name: (tmp_path / name).read_bytes() for name in FILES}
    ended = perstack("init", "worker", cwd=tmp_path)
    assert ended.code == 0
    assert ended.stderr.splitlines()[0] == "kept perstack.toml"
    assert {name: (tmp_path / name).read_bytes() for name in FILES} == before


@pytest.mark.parametrize("text", ['[experts.mine]\ninstruction = "Mine."\n', "no toml"])
def test_an_expert_that_could_not_be_added_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "perstack.toml").write_text(text)
    ended = perstack("init", "worker", cwd=tmp_path)
    assert ended.code == 1
    assert "kept perstack.toml: it has no Expert worker" in ended.stderr
    assert (tmp_path / "perstack.toml").read_text() == text


@pytest.mark.hostile
def test_no_link_is_followed(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    folder.mkdir()
    for name in FILES:
        (folder / name).symlink_to(elsewhere / name)
    (folder / f".AGENTS.md.{os.getpid()}").symlink_to(elsewhere)
    ended = perstack("init", cwd=folder)
    assert ended.code == 0
    assert not elsewhere.exists()
    assert all((folder / name).is_symlink() for name in FILES)


@pytest.mark.hostile
def test_a_link_where_a_file_is_made_ready_is_replaced_and_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / f".AGENTS.md.{os.getpid()}").symlink_to(elsewhere)
    assert write_new(tmp_path / "AGENTS.md", "guide")
    assert (tmp_path / "AGENTS.md").read_text() == "guide"
    assert not elsewhere.exists()
    assert names(tmp_path) == {"AGENTS.md"}


@pytest.mark.parametrize("has_rename", [True, False])
def test_a_file_that_comes_in_between_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_rename: bool
) -> None:
    path = tmp_path / "AGENTS.md"
    real = write_new.__globals__["rename_new"]

    def late(*places: object) -> None:
        path.write_text("theirs")
        if not has_rename:
            raise OSError(38, "not here")
        real(*places)

    monkeypatch.setitem(write_new.__globals__, "rename_new", late)
    assert not write_new(path, "ours")
    assert path.read_text() == "theirs"
    assert names(tmp_path) == {"AGENTS.md"}


def test_a_system_without_the_call_links_the_file_into_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*places: object) -> None:
        raise OSError(38, "not here")

    monkeypatch.setitem(write_new.__globals__, "rename_new", missing)
    assert write_new(tmp_path / "AGENTS.md", "ours")
    assert (tmp_path / "AGENTS.md").read_text() == "ours"
    assert names(tmp_path) == {"AGENTS.md"}


def test_a_file_that_cannot_be_written_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"Cannot write .*gone/AGENTS\.md: No such file"):
        write_new(tmp_path / "gone" / "AGENTS.md", "ours")
    assert names(tmp_path) == set()


@pytest.mark.parametrize("name", ["Worker", "a b", "worker@1.0.0", "worker@latest", "../x", ""])
def test_a_name_that_no_expert_may_have_is_refused_before_anything_is_written(
    tmp_path: Path, name: str
) -> None:
    ended = perstack("init", name, cwd=tmp_path)
    assert ended.code == 2
    assert ended.stderr.startswith("perstack: ")
    assert names(tmp_path) == set()


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("/home/ann/My App 2", "my-app-2"),
        ("/home/ann/__init__", "init"),
        ("/home/ann/日本", NAMELESS),
        ("/", NAMELESS),
        ("/home/ann/" + "x" * 255, "x" * 255),
    ],
)
def test_a_folders_name_becomes_one_that_an_expert_may_have(folder: str, name: str) -> None:
    assert expert_name(None, Path(folder)) == name
    assert expert_name(name, Path(folder)) == name


def test_git_ignores_what_must_not_be_committed() -> None:
    assert {"perstack/", ".env", ".env.local"} <= set(ignore_text().splitlines())
