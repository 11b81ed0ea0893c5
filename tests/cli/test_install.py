"""`perstack install`, over real files and real servers."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from cli.process import Ended, perstack

SERVERS = Path(__file__).parents[1] / "skills/mcp"


def skill(server: str, *args: str, expert: str = "worker", name: str = "tools", more: str = ""):
    """The table of a skill that is one of the test servers."""
    words = json.dumps([str(SERVERS / server), *args])
    return (
        f'\n[experts.{expert}.skills.{name}]\ntype = "mcpStdioSkill"\n'
        f"command = {json.dumps(sys.executable)}\nargs = {words}\n{more}\n"
    )


def expert(name: str, *skills: str, more: str = "") -> str:
    return f'[experts.{name}]\ninstruction = "Work."\n{more}\n' + "".join(skills)


def install(folder: Path, *words: str, env: dict[str, str] | None = None) -> Ended:
    return perstack("install", *words, cwd=folder, env=env)


def write(folder: Path, text: str) -> None:
    (folder / "perstack.toml").write_text(text)


def locked(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "perstack.lock").read_text())["experts"]


def tools(folder: Path, name: str, of: str) -> list[str]:
    definitions = locked(folder)[name]["toolDefinitions"]
    return [tool["name"] for tool in definitions if tool["skillName"] == of]


def test_every_expert_is_locked_with_its_delegates_and_what_its_skills_offer(
    tmp_path: Path,
) -> None:
    picked = skill("hostile_server.py", more='pick = ["echo", "slow", "fail"]\nomit = ["fail"]')
    base = '[experts.worker.skills."@perstack/base"]\ntype = "mcpStdioSkill"\ncommand = "npx"\n'
    narrow = base + 'packageName = "@perstack/base"\npick = ["todo", "exec"]\n'
    write(tmp_path, expert("worker", picked, narrow, more='delegates = ["fitness-assistant"]'))

    ended = install(tmp_path)

    assert (ended.code, ended.stdout) == (0, ""), ended.stderr
    path = tmp_path / "perstack.lock"
    assert ended.stderr == f"Wrote {path}: 3 Experts, 38 tools\n"
    assert list(locked(tmp_path)) == ["fitness-assistant", "pro-trainer", "worker"]
    assert tools(tmp_path, "worker", "tools") == ["echo", "slow"]
    assert tools(tmp_path, "worker", "@perstack/base") == ["todo", "exec"]
    assert len(tools(tmp_path, "pro-trainer", "@perstack/base")) == 17
    assert {each.name for each in tmp_path.iterdir()} == {"perstack.toml", "perstack.lock"}


def test_a_base_skill_from_elsewhere_is_locked_with_what_it_serves(tmp_path: Path) -> None:
    words = [sys.executable, str(SERVERS / "hostile_server.py"), "names"]
    same = skill("hostile_server.py", "names")
    command = f"perstackBaseSkillCommand = {json.dumps(words)}\n"
    write(tmp_path, command + expert("worker", same))

    ended = install(tmp_path)

    assert ended.code == 0, ended.stderr
    served, own = tools(tmp_path, "worker", "tools"), ["attemptCompletion", "todo", "clearTodo"]
    assert "attemptCompletion" in served
    base = tools(tmp_path, "worker", "@perstack/base")
    assert base == [*own, *(name for name in served if name != "attemptCompletion")]
    assert install(tmp_path, "--frozen").code == 0
    write(tmp_path, expert("worker", same))
    assert "skill @perstack/base: tool echo removed" in install(tmp_path, "--frozen").stderr


def test_installing_again_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    write(tmp_path, expert("worker", skill("hostile_server.py")))
    install(tmp_path)
    path = tmp_path / "perstack.lock"
    before, when = path.read_bytes(), path.stat().st_mtime_ns

    ended = install(tmp_path)

    assert ended.stderr.startswith(f"Nothing changed in {path}: 1 Expert,")
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (before, when)


def test_a_change_of_the_project_is_locked(tmp_path: Path) -> None:
    write(tmp_path, expert("worker"))
    install(tmp_path)
    write(tmp_path, expert("worker", more='tags = ["new"]'))
    assert install(tmp_path).stderr.startswith("Wrote ")
    assert locked(tmp_path)["worker"]["tags"] == ["new"]


def test_declarations_that_are_alike_are_started_once(tmp_path: Path) -> None:
    count = tmp_path / "starts"
    same = [
        expert(
            name,
            skill("changing_server.py", str(count), expert=name, name=f"of-{name}", more=more),
        )
        for name, more in (("a", ""), ("b", 'rule = "Mind."\ntrusted = true'), ("c", ""))
    ]
    write(tmp_path, "".join(same))

    ended = install(tmp_path)

    assert ended.code == 0, ended.stderr
    assert count.read_text() == "1"
    for name in ("a", "b", "c"):
        offered = ["starts", "die", "leave", "turn", "sulk", "sly", "brief"]
        assert tools(tmp_path, name, f"of-{name}") == offered


def test_all_problems_are_told_together_and_nothing_is_written(tmp_path: Path) -> None:
    token = 'requiredEnv = ["TOKEN_A", "TOKEN_B"]'
    write(
        tmp_path,
        expert("asker", more='delegates = ["nobody", "@acme/one@1.0.0"]')
        + expert("needy", skill("hostile_server.py", expert="needy", more=token))
        + expert("dead", skill("hostile_server.py", "exit", expert="dead"))
        + expert("gone", skill("hostile_server.py", expert="gone").replace("python", "pithon")),
    )
    (tmp_path / "perstack.lock").write_text("what was there")

    ended = install(tmp_path)

    assert (ended.code, ended.stdout) == (2, "")
    told = ended.stderr.splitlines()
    assert told[0].endswith("perstack.toml cannot be locked as it is:")
    for words in (
        ("asker has a delegate", '"nobody"'),
        ("asker has a delegate", '"@acme/one@1.0.0"'),
        ("needy", "skill tools needs TOKEN_A", "skill tools needs TOKEN_B", ".env"),
        ("dead: the skill tools did not start.", "status 3"),
        ("gone: the skill tools did not start.", "There is no program"),
    ):
        assert [line for line in told if all(word in line for word in words)], (words, told)
    assert any("fatal: no such thing" in line for line in told)
    assert (tmp_path / "perstack.lock").read_text() == "what was there"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_skill_has_the_variables_it_requires(tmp_path: Path) -> None:
    write(tmp_path, expert("worker", skill("hostile_server.py", more='requiredEnv = ["TOKEN"]')))
    assert install(tmp_path).code == 2
    assert install(tmp_path, "--env", "TOKEN=x").code == 0
    (tmp_path / "other.env").write_text("TOKEN=y\n")
    assert install(tmp_path, "--env-path", "other.env").code == 0
    assert install(tmp_path, env={"TOKEN": "zzz-secret"}).code == 0
    assert "zzz-secret" not in (tmp_path / "perstack.lock").read_text()


def test_the_key_of_the_models_provider_is_handed_to_no_skill(tmp_path: Path) -> None:
    key = 'requiredEnv = ["ANTHROPIC_API_KEY"]'
    write(tmp_path, expert("worker", skill("hostile_server.py", more=key)))
    ended = install(tmp_path, env={"ANTHROPIC_API_KEY": "sk-canary-1234"})
    assert ended.code == 2
    assert "--env NAME" in ended.stderr
    assert "sk-canary-1234" not in ended.stderr


def test_what_a_skill_picks_and_does_not_have_is_warned_of(tmp_path: Path) -> None:
    write(tmp_path, expert("worker", skill("hostile_server.py", more='pick = ["echoo"]')))
    ended = install(tmp_path)
    assert ended.code == 0
    assert "warning: worker: the skill tools: There is no tool 'echoo'" in ended.stderr
    assert "tools" in locked(tmp_path)["worker"]["toolIntegrity"]


@pytest.mark.hostile
def test_names_that_move_a_terminals_cursor_are_shown_as_what_they_are(tmp_path: Path) -> None:
    write(tmp_path, expert("worker"))
    install(tmp_path)
    write(tmp_path, expert("worker", skill("hostile_server.py", "names")))
    ended = install(tmp_path, "--frozen")
    assert "\\x1b[31mred" in ended.stderr
    assert "\x1b" not in ended.stderr


@pytest.mark.hostile
def test_a_link_in_its_place_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    outside = tmp_path / "outside"
    outside.write_text("precious")
    write(tmp_path / "project", expert("worker"))
    (tmp_path / "project/perstack.lock").symlink_to(outside)

    assert install(tmp_path / "project").code == 0

    assert outside.read_text() == "precious"
    assert not (tmp_path / "project/perstack.lock").is_symlink()
    assert list(locked(tmp_path / "project")) == ["worker"]


@pytest.mark.parametrize("content", [b"version = ", b'version = "2"', b"\xff", b""])
def test_a_lock_that_cannot_be_read_is_replaced(tmp_path: Path, content: bytes) -> None:
    write(tmp_path, expert("worker"))
    (tmp_path / "perstack.lock").write_bytes(content)
    assert install(tmp_path).code == 0
    assert list(locked(tmp_path)) == ["worker"]


def test_a_folder_in_its_place_is_an_error_that_leaves_nothing_behind(tmp_path: Path) -> None:
    write(tmp_path, expert("worker"))
    (tmp_path / "perstack.lock").mkdir()
    ended = install(tmp_path)
    assert ended.code == 1
    assert f"Cannot write {tmp_path / 'perstack.lock'}" in ended.stderr
    assert len(list(tmp_path.iterdir())) == 2


def test_the_lock_stands_beside_the_file_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    write(tmp_path / "below", expert("worker"))
    assert install(tmp_path, "--config", "below/perstack.toml").code == 0
    assert list(locked(tmp_path / "below")) == ["worker"]
    assert not (tmp_path / "perstack.lock").exists()


def test_without_a_file_there_is_nothing_to_lock(tmp_path: Path) -> None:
    ended = install(tmp_path)
    assert ended.code == 2
    assert "There is no perstack.toml here or in a folder above" in ended.stderr


@pytest.mark.hostile
def test_what_a_server_tells_of_its_secret_is_not_locked(tmp_path: Path) -> None:
    leaky = skill("hostile_server.py", "leak", more='requiredEnv = ["SERVICE_KEY"]')
    write(tmp_path, expert("worker", leaky))
    ended = install(tmp_path, env={"SERVICE_KEY": 'a-"secret"-of-mine'})
    assert ended.code == 0
    text = (tmp_path / "perstack.lock").read_text()
    assert "Uses [SERVICE_KEY]" in text
    assert "of-mine" not in text + ended.stderr
    assert install(tmp_path, "--frozen", env={"SERVICE_KEY": "another-of-mine"}).code == 0
