"""From options, the file and the environment to one request."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from perstack.config.load import parse_config
from perstack.config.request import Options, RunRequest
from perstack.config.resolve import _default_env_paths, _sent_away, resolve
from perstack.errors import ConfigurationError, UsageError
from perstack.schema.settings import ProviderSettings, Settings

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, text: str, name: str = "perstack.toml") -> None:
    (folder / name).write_text(text)


def usage_error(folder: Path, **options: Any) -> str:
    with pytest.raises(UsageError) as caught:
        resolve(Options(**options), folder, {})
    return caught.value.message


def test_nothing_given_means_the_defaults(tmp_path: Path) -> None:
    request = resolve(Options(), tmp_path, {"HOME": "/h"})
    assert request == RunRequest(
        expert_key=None,
        query=None,
        project=None,
        settings=Settings(),
        workspace=tmp_path.resolve(),
        environ=request.environ,
    )
    assert dict(request.environ) == {"HOME": "/h"}
    assert request.settings.model == "claude-sonnet-5-5"


def test_the_file_wins_over_the_default_and_an_option_over_the_file(tmp_path: Path) -> None:
    write(
        tmp_path,
        'model = "file"\nreasoningBudget = "high"\nmaxSteps = 2\nmaxRetries = 0\ntimeout = 3\n'
        'runtime = "docker"\nperstackBaseSkillCommand = ["b"]\n',
    )
    from_file = resolve(Options(runtime="local"), tmp_path, {})
    assert from_file.settings == Settings(
        model="file", reasoning_budget="high", max_steps=2, max_retries=0, timeout=3
    )
    assert from_file.base_skill_command == ("b",)
    options = Options(
        model="option",
        reasoning_budget="0",
        max_steps="7",
        max_retries="8",
        timeout="9",
        runtime="local",
    )
    assert resolve(options, tmp_path, {}).settings == Settings(
        model="option", reasoning_budget=0, max_steps=7, max_retries=8, timeout=9
    )


def test_the_files_provider_settings_count_for_its_own_provider_alone(tmp_path: Path) -> None:
    write(
        tmp_path,
        'model = "m"\n[provider]\nproviderName = "openai"\nsetting = {organization = "o"}',
    )
    ours = ProviderSettings(provider_name="openai", organization="o")
    assert resolve(Options(), tmp_path, {}).settings.provider == ours
    assert resolve(Options(provider="openai"), tmp_path, {}).settings.provider == ours
    other = resolve(Options(provider="google"), tmp_path, {}).settings.provider
    assert other == ProviderSettings(provider_name="google")


def test_a_provider_other_than_anthropic_needs_a_model(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"openai has no default model.*`model`"):
        resolve(Options(provider="openai"), tmp_path, {})
    assert resolve(Options(provider="openai", model="m"), tmp_path, {}).settings.model == "m"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"provider": "opnai"}, '--provider: "opnai" is none of .*did you mean "openai"'),
        ({"provider": ""}, "--provider"),
        ({"model": " "}, "--model must not be blank"),
        ({"model": "m" * 257}, "--model is too long"),
        ({"reasoning_budget": "hgih"}, '--reasoning-budget.*did you mean "high"'),
        ({"reasoning_budget": "-1"}, "--reasoning-budget"),
        ({"reasoning_budget": "1000001"}, "--reasoning-budget"),
        ({"max_steps": "0"}, '--max-steps: "0" is no whole number from 1 to'),
        ({"max_steps": "ten"}, "--max-steps"),
        ({"max_steps": "1_0"}, "--max-steps"),
        ({"max_steps": "\uff11"}, "--max-steps"),
        ({"max_steps": " 1"}, "--max-steps"),
        ({"max_steps": "+1"}, "--max-steps"),
        ({"max_steps": "9" * 5000}, "--max-steps"),
        ({"max_retries": "-1"}, "--max-retries"),
        ({"timeout": "0.5"}, "--timeout"),
        ({"timeout": ""}, "--timeout"),
        ({"runtime": "locl"}, '--runtime: "locl" is no runtime; did you mean "local"'),
        ({"runtime": "docker"}, "--runtime: docker is not in this version yet"),
        ({"runtime": "gemini"}, "--runtime: gemini is not in this version;"),
        ({"workspace": "none"}, '--workspace: "none" is not a folder'),
        ({"workspace": ""}, "--workspace"),
        ({"workspace": "a\0b"}, "--workspace"),
        ({"workspace": "/etc/passwd"}, "--workspace"),
        ({"expert_key": "A B"}, "is not an Expert key"),
        ({"query": " \n"}, "QUERY is empty"),
        ({"query": "a\udcff"}, "QUERY is not valid UTF-8"),
        ({"requires_query": True, "expert_key": "a"}, "QUERY is missing"),
        ({"continue_latest": True, "continue_job": "j"}, "exclude each other"),
        ({"continue_latest": True, "job_id": "j"}, "--job-id names a new job"),
        ({"continue_job": "j", "job_id": "k"}, "--job-id names a new job"),
        ({"resume_from": "c"}, "--resume-from needs --continue or --continue-job"),
        ({"interactive": True, "query": "a"}, "-i answers a job's call"),
        ({"interactive": True, "continue_latest": True}, "-i needs the answer"),
        ({"env": ("NOT_THERE",)}, "--env NOT_THERE: there is no such variable"),
        ({"env": ("A=x\ny",)}, "--env A: the value holds a line break"),
        ({"env": ("A=x\0y",)}, "--env A: the value holds"),
    ],
)
def test_a_bad_option_is_a_usage_error(
    tmp_path: Path, options: dict[str, Any], expected: str
) -> None:
    assert re.search(expected, usage_error(tmp_path, **options))


def test_a_runtime_in_the_file_that_is_not_in_this_version_is_a_configuration_error(
    tmp_path: Path,
) -> None:
    write(tmp_path, 'runtime = "docker"')
    with pytest.raises(ConfigurationError, match="docker is not in this version yet") as caught:
        resolve(Options(), tmp_path, {})
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "options",
    [
        {"continue_latest": True},
        {"continue_job": "j", "query": "go on"},
        {"continue_latest": True, "resume_from": "c"},
        {"continue_job": "j", "resume_from": "c"},
        {"continue_job": "j", "interactive": True, "query": "yes"},
    ],
)
def test_options_that_go_together_are_kept(tmp_path: Path, options: dict[str, Any]) -> None:
    request = resolve(Options(requires_query=True, **options), tmp_path, {})
    assert request.is_continuation
    assert {name: getattr(request, name) for name in options} == options


@pytest.mark.hostile
@pytest.mark.parametrize("option", ["continue_job", "job_id", "resume_from"])
@pytest.mark.parametrize(
    "value", ["../../x", "/etc", "a/b", "", ".", "-a", "a\0", "a\n", "..%2fx", "é", "a" * 10_000]
)
def test_row_69_an_id_that_is_none_is_refused_at_the_command_line(
    tmp_path: Path, option: str, value: str
) -> None:
    options: dict[str, Any] = {option: value}
    if option == "resume_from":
        options["continue_latest"] = True
    message = usage_error(tmp_path, **options)
    assert f"(--{option.replace('_', '-')})" in message
    assert message.isprintable()
    assert len(message) < 400


def test_the_config_option_names_a_file_and_its_folder_means_nothing(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    write(tmp_path / "other", 'model = "x"')
    write(tmp_path / "other", "A=1", ".env")
    request = resolve(Options(config="other/perstack.toml"), tmp_path, {})
    assert request.settings.model == "x"
    assert request.workspace == tmp_path.resolve()
    assert dict(request.environ) == {}
    with pytest.raises(ConfigurationError, match=r"none\.toml does not exist"):
        resolve(Options(config="none.toml"), tmp_path, {})


@pytest.mark.parametrize(
    "url",
    [
        "http://raw.githubusercontent.com/a/b/main/perstack.toml",
        "https://example.com/perstack.toml",
        "https://raw.githubusercontent.com.evil.example/x",
        "https://raw.githubusercontent.com@evil.example/x",
        "https://raw.githubusercontent.com:8443/x",
        "file:///etc/passwd",
    ],
)
def test_a_config_url_elsewhere_is_refused_before_any_network(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigurationError, match="--config takes a file, or a URL that begins"):
        resolve(Options(config=url), tmp_path, {})


def test_the_workspace_is_an_option_or_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "link").symlink_to("w")
    assert resolve(Options(), tmp_path, {}).workspace == tmp_path.resolve()
    assert resolve(Options(workspace="link"), tmp_path, {}).workspace == (tmp_path / "w").resolve()


def test_variables_come_from_the_process_then_from_the_files(tmp_path: Path) -> None:
    write(tmp_path, "A=env\nB=env\nC=env\n", ".env")
    write(tmp_path, "C=local\nD=local\n", ".env.local")
    request = resolve(Options(), tmp_path, {"A": "process"})
    assert dict(request.environ) == {"A": "process", "B": "env", "C": "env", "D": "local"}


def test_env_path_of_the_file_replaces_the_defaults_and_one_missing_is_a_warning(
    tmp_path: Path,
) -> None:
    write(tmp_path, 'envPath = ["gone.env", "one.env"]')
    write(tmp_path, "A=1", "one.env")
    write(tmp_path, "B=1", ".env")
    request = resolve(Options(), tmp_path, {})
    assert dict(request.environ) == {"A": "1"}
    (warning,) = request.warnings
    assert "gone.env does not exist" in warning


def test_env_path_options_replace_the_files_and_must_exist(tmp_path: Path) -> None:
    write(tmp_path, 'envPath = ["one.env"]')
    write(tmp_path, "A=1", "one.env")
    write(tmp_path, "B=1", "two.env")
    assert dict(resolve(Options(env_path=("two.env",)), tmp_path, {}).environ) == {"B": "1"}
    with pytest.raises(ConfigurationError, match=r"three\.env does not exist"):
        resolve(Options(env_path=("two.env", "three.env")), tmp_path, {})


def test_env_sets_a_variable_or_passes_one_on(tmp_path: Path) -> None:
    options = Options(env=("A=1=2", "B", "C="))
    request = resolve(options, tmp_path, {"A": "0", "B": "b"})
    assert dict(request.environ) == {"A": "1=2", "B": "b", "C": ""}
    assert request.passed_env == {"A", "B", "C"}


@pytest.mark.hostile
@pytest.mark.parametrize(
    "option", ["LD_PRELOAD=canary", "bash_env=canary", "BASH_FUNC_x%%=canary", "PYTHONPATH"]
)
def test_row_33_env_refuses_variables_that_load_code(tmp_path: Path, option: str) -> None:
    message = usage_error(tmp_path, env=(option,))
    assert "foreign code" in message
    assert "canary" not in message


@pytest.mark.hostile
@pytest.mark.parametrize("option", ["", "=canary", "A B=canary", "A\nB=canary", "1=canary"])
def test_row_34_env_refuses_names_that_are_none(tmp_path: Path, option: str) -> None:
    message = usage_error(tmp_path, env=(option,))
    assert "--env takes NAME or NAME=VALUE" in message
    assert "canary" not in message


def test_storage_and_registry_come_from_their_variables(tmp_path: Path) -> None:
    write(tmp_path, 'perstackApiBaseUrl = "https://file.example.com"')
    request = resolve(Options(), tmp_path, {"PERSTACK_STORAGE_PATH": "store"})
    assert request.storage_path == tmp_path / "store"
    assert request.api_base_url == "https://file.example.com"
    environ = {"PERSTACK_API_BASE_URL": "http://registry:8080", "PERSTACK_STORAGE_PATH": ""}
    request = resolve(Options(), tmp_path, environ)
    assert request.storage_path is None
    assert request.api_base_url == "http://registry:8080"
    with pytest.raises(ConfigurationError, match=r"PERSTACK_API_BASE_URL must") as caught:
        resolve(Options(), tmp_path, {"PERSTACK_API_BASE_URL": "https://me:canary@x.y"})
    assert "canary" not in caught.value.message


def test_warnings_of_the_file_name_the_file(tmp_path: Path) -> None:
    write(tmp_path, "modle = 1")
    (warning,) = resolve(Options(), tmp_path, {}).warnings
    assert warning.startswith(f"{tmp_path / 'perstack.toml'}: modle: ")


@pytest.mark.hostile
def test_row_81_a_request_shows_and_gives_away_no_variable(tmp_path: Path) -> None:
    options = Options(env=("KEY=canary",))
    assert "canary" not in repr(options)
    request = resolve(options, tmp_path, {})
    assert request.environ["KEY"] == "canary"
    assert "canary" not in repr(request)
    for write_down in (msgspec.json.encode, pickle.dumps, dataclasses.asdict, copy.deepcopy):
        with pytest.raises(TypeError):
            write_down(request)


def test_resolving_a_file_loads_no_network_and_no_event_loop(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\n"
        "from perstack.config.request import Options\nfrom perstack.config.resolve import resolve\n"
        "assert 'tomllib' not in sys.modules\n"
        f"resolve(Options(), Path({str(tmp_path)!r}), {{}})\n"
        "print(*sorted({'httpx2', 'anyio', 'asyncio', 'ssl', 'difflib', 'concurrent.futures'}"
        " & set(sys.modules)))\n"
    )
    write(tmp_path, 'model = "m"')
    shown = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False
    )
    assert (shown.stdout, shown.stderr) == ("\n", "")


def test_a_file_from_the_web_reads_no_secrets_and_says_where_keys_are_sent(tmp_path: Path) -> None:
    write(tmp_path, "A=1", "secret.env")
    text = (
        'envPath = ["secret.env"]\nperstackApiBaseUrl = "https://r.example.com"\n'
        'provider = {providerName = "openai", setting = {baseUrl = "https://p.example.com"}}'
    )
    from_web = parse_config(text, "https://raw.githubusercontent.com/a/b/perstack.toml")
    warnings: list[str] = []
    paths = _default_env_paths(from_web, tmp_path, warnings)
    assert [path.name for path in paths] == [".env", ".env.local"]
    assert "envPath is ignored" in warnings[0]
    assert [line.rpartition(" ")[2] for line in _sent_away(from_web)] == [
        "https://p.example.com",
        "https://r.example.com",
    ]
    assert _sent_away(parse_config(text, "perstack.toml")) == []


def test_with_somebody_to_tell_all_that_is_wrong_is_told_and_the_rest_is_resolved(
    tmp_path: Path,
) -> None:
    write(tmp_path, 'runtime = "docker"\n[provider]\nproviderName = "openai"\n')
    write(tmp_path, "no variable", ".env")
    told: list[tuple[str, str]] = []
    request = resolve(
        Options(),
        tmp_path,
        {"PERSTACK_API_BASE_URL": "x", "HOME": "/h"},
        lambda stage, problem: told.append((stage, problem.message)),
    )
    assert [stage for stage, _ in told] == ["runtime", "variables", "model", "registry"]
    assert request.settings.provider.provider_name == "openai"
    assert (request.settings.model, request.api_base_url) == ("", None)
    assert request.environ["HOME"] == "/h"


def test_a_file_that_cannot_be_read_is_told_and_taken_for_none(tmp_path: Path) -> None:
    write(tmp_path, "no toml")
    told: list[str] = []
    request = resolve(Options(), tmp_path, {}, lambda stage, _: told.append(stage))
    assert (told, request.project) == (["file"], None)
    with pytest.raises(UsageError):
        resolve(Options(provider="nope"), tmp_path, {}, lambda stage, _: told.append(stage))
