"""What a command finds in its environment."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from base.kit import PLAIN, calls_in
from perstack.base.environment import DEFAULT_PATH, exec_environment, refused_name

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.anyio, pytest.mark.hostile]

CANARY = "canary-8c1f-key"
SECRETS = [
    *("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GOOGLE_GENERATIVE_AI_API_KEY", "DEEPSEEK_API_KEY"),
    *("AZURE_API_KEY", "PERSTACK_API_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    *("AWS_SESSION_TOKEN", "GOOGLE_APPLICATION_CREDENTIALS", "GITHUB_TOKEN", "GH_TOKEN"),
    *("NPM_TOKEN", "PYPI_TOKEN", "DATABASE_URL", "REDIS_URL", "SENTRY_DSN", "STRIPE_KEY"),
    *("SSH_AUTH_SOCK", "GPG_AGENT_INFO", "KUBECONFIG", "DOCKER_HOST", "VAULT_TOKEN"),
    *("SLACK_TOKEN", "HF_TOKEN", "NETRC", "PGPASSWORD", "MYSQL_PWD", "TWILIO_AUTH", "LC_API_KEY"),
]
INHERITED = {
    "PATH": PLAIN["PATH"],
    "HOME": "/nowhere",
    "LANG": "C",
    "LC_ALL": "C",
    "TERM": "dumb",
    "TMPDIR": "/tmp",
    "HTTPS_PROXY": "http://proxy.example:3128",
    "no_proxy": "localhost",
}


async def test_row_32_a_command_finds_exactly_the_documented_variables(tmp_path: Path):
    environ = INHERITED | dict.fromkeys(SECRETS, CANARY)
    async with calls_in(tmp_path, environ=environ) as call:
        said = await call.exec("env", env={"MINE": "yes"})
    found = dict(line.split("=", 1) for line in said.data["output"].splitlines())
    assert found.pop("PERSTACK_EXEC")
    assert found == INHERITED | {"MINE": "yes"}


@pytest.mark.parametrize("name", ["LANG", "HOME", "PATH", "TERM", "HTTPS_PROXY", "SSL_CERT_FILE"])
def test_row_32_a_key_is_not_passed_on_under_another_name(name: str):
    environ = {"ANTHROPIC_API_KEY": CANARY, name: f"x{CANARY}"}
    assert CANARY not in str(exec_environment(environ, {}))


@pytest.mark.parametrize("url", ["http://user:pass@proxy:3128", "user@proxy", "http://[::1", "@"])
def test_row_32_a_proxy_with_a_password_is_not_passed_on(url: str):
    passed = exec_environment({"HTTPS_PROXY": url, "http_proxy": url}, {})
    assert passed == ({"PATH": DEFAULT_PATH})


@pytest.mark.parametrize(
    ("path", "passed"),
    [
        ("bin:/usr/bin::.", "/usr/bin"),
        (":/bin:", "/bin"),
        ("bin:.:", DEFAULT_PATH),
        ("", DEFAULT_PATH),
    ],
)
def test_row_32_no_relative_folder_stands_in_the_path_of_a_command(path: str, passed: str):
    assert exec_environment({"PATH": path}, {}) == {"PATH": passed}


REFUSED = [
    *("LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH", "GCONV_PATH", "DYLD_INSERT_LIBRARIES"),
    *("NODE_OPTIONS", "NODE_PATH", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PERL5OPT"),
    *("RUBYOPT", "BASH_ENV", "ENV", "IFS", "PROMPT_COMMAND", "JAVA_TOOL_OPTIONS"),
    *("GIT_SSH_COMMAND", "GIT_EXEC_PATH", "GIT_CONFIG_COUNT", "BASH_FUNC_x%%", "npm_config_prefix"),
    *("PIP_INDEX_URL", "UV_INDEX_URL", "PERL5LIB", "PERL5DB", "RUBYLIB", "_JAVA_OPTIONS"),
    *(
        "JDK_JAVA_OPTIONS",
        "SHELLOPTS",
        "PS4",
        "GLIBC_TUNABLES",
        "PYTHONINSPECT",
        "PYTHONBREAKPOINT",
    ),
    *("GIT_PAGER", "LESSOPEN", "PAGER", "PERSTACK_EXEC", "PERSTACK_API_KEY", "OPENSSL_CONF"),
]


@pytest.mark.parametrize("name", REFUSED)
async def test_row_33_names_that_redirect_programs_are_refused(tmp_path: Path, name: str):
    async with calls_in(tmp_path) as call:
        for spelled in {name, name.lower(), name.upper(), name.title(), name.swapcase()}:
            said = await call.sh("touch made", env={"FINE": "1", spelled: "x"})
            assert said.is_error
            assert spelled in said.message
    assert not (tmp_path / "made").exists()


async def test_row_33_a_marker_module_is_not_loaded(tmp_path: Path):
    (tmp_path / "sitecustomize.py").write_text("open('made', 'w')")
    (tmp_path / "rc").write_text("touch made")
    python = f"{sys.executable} -c pass"
    async with calls_in(tmp_path) as call:
        for name, value, script in (
            ("PYTHONPATH", str(tmp_path), python),
            ("BASH_ENV", str(tmp_path / "rc"), "bash -c true"),
            ("ENV", str(tmp_path / "rc"), "true"),
        ):
            assert (await call.sh(script, env={name: value})).is_error
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "name", ["GREETING", "CI", "DEBUG", "PYTHONUNBUFFERED", "GIT_AUTHOR_NAME", "ENVIRONMENT", "_x1"]
)
def test_row_33_harmless_names_are_allowed(name: str):
    assert refused_name(name) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("A=B", "x"), ("A\nB", "x"), ("", "x"), ("A B", "x"), ("1A", "x"), ("\u00c4", "x")),
        *(("A\0", "x"), ("A", "x\0y"), ("A", "x\ny"), ("A", "x\ry"), ("A" * 300 + "-", "x")),
    ],
)
async def test_row_34_odd_names_and_values_are_refused_before_the_start(
    tmp_path: Path, name: str, value: str
):
    async with calls_in(tmp_path) as call:
        said = await call.exec("touch", "made", env={name: value})
    assert said.is_error
    assert "env" in said.message
    assert "\0" not in said.message
    assert "\n" not in said.message
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("env", [{"A": 1}, {"A": None}, ["A=B"], "A=B"])
async def test_row_34_values_that_are_no_text_are_refused(tmp_path: Path, env: object):
    async with calls_in(tmp_path) as call:
        assert "env" in (await call.exec("true", env=env)).message
