"""The command a server is started with, and the environment it finds."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from perstack.schema.skill import McpStdioSkill
from perstack.skills.mcp import ServerGone
from perstack.skills.mcp.command import arguments_of, command_of
from perstack.skills.mcp.environment import secrets_of, server_environment

PREFIX = ("--prefix", "/dev/null")


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("npx", "uvx", "server"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("skill", "words"),
    [
        (McpStdioSkill(command="npx", package_name="exa@1"), (*PREFIX, "-y", "--", "exa@1")),
        (McpStdioSkill(command="npx", args=("exa",)), (*PREFIX, "-y", "exa")),
        (McpStdioSkill(command="npx", args=("--yes", "exa")), (*PREFIX, "--yes", "exa")),
        (McpStdioSkill(command="uvx", package_name="mcp-server-time"), ("--", "mcp-server-time")),
        (McpStdioSkill(command="/opt/npx", package_name="exa"), (*PREFIX, "-y", "--", "exa")),
        (McpStdioSkill(command="bunx", package_name="exa"), ("exa",)),
        (McpStdioSkill(command="python3", args=("-I", "x.py")), ("-I", "x.py")),
        (McpStdioSkill(command="npm", args=("exec", "exa")), (*PREFIX, "-y", "exec", "exa")),
        (McpStdioSkill(command="npm", args=("x", "--", "exa")), (*PREFIX, "-y", "x", "--", "exa")),
        (
            McpStdioSkill(command="/opt/npm", args=("--silent", "exec", "--yes", "exa")),
            (*PREFIX, "--silent", "exec", "--yes", "exa"),
        ),
        (McpStdioSkill(command="npm", args=("run", "exec")), ("run", "exec")),
    ],
)
def test_a_package_is_never_an_option_and_npx_is_told_yes(
    skill: McpStdioSkill, words: tuple[str, ...]
):
    assert arguments_of(skill) == words


def test_a_program_is_found_on_the_path_of_the_server(programs: Path, tmp_path: Path):
    skill = McpStdioSkill(command="npx", package_name="exa")
    command = command_of(skill, str(tmp_path), {"PATH": f"/nowhere:{programs}", "KEY": "secret"})
    assert command.program == str(programs / "npx")
    assert command.argv == ("npx", *PREFIX, "-y", "--", "exa")
    assert command.directory == str(tmp_path)
    assert "secret" not in repr(command)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npx") is None, reason="needs Node.js")
def test_what_lies_in_the_workspace_does_not_stand_in_for_a_package(tmp_path: Path):
    planted = tmp_path / "node_modules" / "no-such-package-of-ours"
    planted.mkdir(parents=True)
    (planted / "package.json").write_text(
        '{"name": "no-such-package-of-ours", "version": "9.9.9", "bin": "run.js"}'
    )
    (planted / "run.js").write_text("#!/usr/bin/env node\nconsole.log('planted')\n")
    (planted / "run.js").chmod(0o755)
    (tmp_path / ".npmrc").write_text("registry=http://127.0.0.1:9/\n")
    bin_folder = tmp_path / "node_modules" / ".bin"
    bin_folder.mkdir()
    (bin_folder / "no-such-package-of-ours").symlink_to(planted / "run.js")

    def said(skill: McpStdioSkill, *dropped: str) -> str:
        """What the command prints, without some of its words."""
        command = command_of(skill, str(tmp_path), dict(os.environ))
        words = [word for word in command.argv[1:] if word not in dropped]
        ended = subprocess.run(
            [command.program, *words],
            cwd=tmp_path,
            env=command.env | {"NPM_CONFIG_OFFLINE": "true"},
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        return ended.stdout

    skill = McpStdioSkill(command="npx", package_name="no-such-package-of-ours")
    assert "planted" in said(skill, *PREFIX)  # what npx does on its own
    assert "planted" not in said(skill)
    for word in ("exec", "x"):
        skill = McpStdioSkill(command="npm", args=(word, "--", "no-such-package-of-ours"))
        assert "planted" in said(skill, *PREFIX)
        assert "planted" not in said(skill)


def test_a_program_of_the_workspace_is_found_only_by_its_path(programs: Path, tmp_path: Path):
    by_path = McpStdioSkill(command="bin/server")
    assert command_of(by_path, str(tmp_path), {}).program == str(programs / "server")
    for path in ("bin", ".", ""):
        with pytest.raises(ServerGone, match="no program 'server' on the PATH"):
            command_of(McpStdioSkill(command="server"), str(tmp_path), {"PATH": path})


@pytest.mark.parametrize(
    ("command", "words"), [("npx", "nodejs.org"), ("uvx", "docs.astral.sh/uv"), ("x", "`command`")]
)
def test_a_missing_program_is_named_with_the_way_to_get_it(command: str, words: str):
    with pytest.raises(ServerGone, match=words) as caught:
        command_of(McpStdioSkill(command=command), "/", {"PATH": "/nowhere"})
    assert repr(command) in str(caught.value)


def test_a_server_gets_the_documented_variables_and_what_it_requires():
    passed = {
        "PATH": "/bin", "HOME": "/h", "LANG": "C", "LC_ALL": "C", "TERM": "xterm",
        "https_proxy": "http://proxy:1", "NO_PROXY": "local", "SSL_CERT_FILE": "/ca",
        "NODE_EXTRA_CA_CERTS": "/ca", "NPM_CONFIG_REGISTRY": "https://mirror",
        "npm_config_registry": "https://mirror", "NPM_CONFIG_CAFILE": "/ca",
        "PIP_INDEX_URL": "https://mirror", "UV_DEFAULT_INDEX": "https://mirror",
        "UV_INDEX_URL": "https://mirror",
    }  # fmt: skip
    withheld = {
        "ANTHROPIC_API_KEY": "sk-1234567890", "SERVICE_KEY": "1234567890", "LD_PRELOAD": "/x.so",
        "NODE_OPTIONS": "--require x", "PYTHONPATH": "/x", "HTTP_PROXY": "http://me:word@proxy",
        "UV_PUBLISH_TOKEN": "t", "NPM_CONFIG_SCRIPT_SHELL": "/x", "PERSTACK_STORAGE_PATH": "/s",
        "EDITOR": "has 1234567890 in it",
    }  # fmt: skip
    assert environment_of("python3", passed | withheld) == passed
    required = ("SERVICE_KEY", "HTTP_PROXY", "NOT_SET")
    asked = {name: withheld[name] for name in ("SERVICE_KEY", "HTTP_PROXY")}
    assert environment_of("python3", passed | withheld, *required) == passed | asked


def environment_of(command: str, environ: dict[str, str], *required: str) -> dict[str, str]:
    skill = McpStdioSkill(command=command, args=(), required_env=required)
    return server_environment(environ, skill, ("ANTHROPIC_API_KEY",))


SETTINGS_WITH_SECRETS = {
    "NPM_CONFIG_HTTPS_PROXY": "http://me:word@proxy", "npm_config_proxy": "me:word@proxy",
    "PIP_INDEX_URL": "https://me:word@mirror/simple", "UV_INDEX": "own=https://me:word@mirror",
    "PIP_EXTRA_INDEX_URL": "https://mirror https://me:word@other",
    "NPM_CONFIG_REGISTRY": "https://mirror/t0ken-of-mine/npm",
}  # fmt: skip
MINE = {"MIRROR_TOKEN": "t0ken-of-mine", "ANTHROPIC_API_KEY": "sk-0123456789", "PATH": "/bin"}


def test_a_package_setting_with_a_secret_reaches_only_what_fetches_packages():
    environ = SETTINGS_WITH_SECRETS | MINE
    assert environment_of("python3", environ) == {"PATH": "/bin"}
    for command in ("npx", "/usr/bin/uvx", "npm", "pipx"):
        assert environment_of(command, environ) == SETTINGS_WITH_SECRETS | {"PATH": "/bin"}


@pytest.mark.parametrize("value", ["sk-0123456789", "https://me:sk-0123456789@mirror"])
@pytest.mark.parametrize("command", ["npx", "python3"])
def test_a_package_setting_with_the_key_of_a_provider_reaches_nobody(command: str, value: str):
    assert environment_of(command, MINE | {"UV_INDEX_URL": value}) == {"PATH": "/bin"}


def test_the_password_of_a_package_setting_is_a_secret_of_the_server():
    env = environment_of("npx", {"PIP_INDEX_URL": "https://me:pass%2Fword@mirror/simple", **MINE})
    values = {value for _, value in secrets_of(env, ())}
    assert {"pass%2Fword", "pass/word"} <= values
    token = environment_of("npx", {"UV_INDEX_URL": f"https://{'t' * 40}@mirror", **MINE})
    assert ("UV_INDEX_URL", "t" * 40) in secrets_of(token, ())


def test_a_server_without_a_path_gets_the_usual_one():
    assert environment_of("x", {})["PATH"].startswith("/usr/local/bin")


@pytest.mark.parametrize("required", [(), ("PATH",)])
def test_no_relative_folder_stands_in_the_path_of_a_server(required: tuple[str, ...]):
    environ = {"PATH": "bin:/usr/bin::.:~/bin:/bin:../x"}
    assert environment_of("x", environ, *required)["PATH"] == "/usr/bin:/bin"
    assert environment_of("x", {"PATH": "bin::."})["PATH"].startswith("/usr/local/bin")
