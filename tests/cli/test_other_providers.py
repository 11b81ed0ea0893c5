"""`perstack run` with providers other than the default one, as real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.process import perstack
from cli.server import serving

KEY = "sk-canary-5d1b7e6c02f94a"

CONFIG = """
[experts.writer]
instruction = "Write."
"""

SCENARIO = {
    "replies": [
        {
            "status": 503,
            "headers": {"retry-after-ms": "1"},
            "error": ["server_error", f"Busy, {KEY}."],
        },
        {
            "thinking": "Where to?",
            "calls": [
                {"name": "writeTextFile", "args": {"path": "hello.txt", "text": "Hello."}},
                {"name": "listDirectory", "args": {"path": "."}},
            ],
        },
        {"text": "Written.", "textPieces": 3},
    ]
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "perstack.toml").write_text(CONFIG, encoding="utf-8")
    return folder


def everything_in(folder: Path) -> str:
    return "".join(
        path.read_text(encoding="utf-8", errors="replace")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    )


@pytest.mark.parametrize(
    ("provider", "model", "base", "variables"),
    [
        ("openai", "gpt-x", "OPENAI_BASE_URL", {"OPENAI_API_KEY": KEY}),
        ("openai", "local-model", "OPENAI_BASE_URL", {}),
        ("ollama", "qwen3", "OLLAMA_BASE_URL", {}),
        ("deepseek", "deepseek-flash", "DEEPSEEK_BASE_URL", {"DEEPSEEK_API_KEY": KEY}),
        ("azure-openai", "deployment", "AZURE_BASE_URL", {"AZURE_API_KEY": KEY}),
    ],
)
def test_a_run_is_completed_and_the_key_is_nowhere(
    project: Path, tmp_path: Path, provider: str, model: str, base: str, variables: dict[str, str]
) -> None:
    with serving(SCENARIO, tmp_path) as told:
        env = variables | {base: told["ANTHROPIC_BASE_URL"]}
        words = ("run", "writer", "Go", "--provider", provider, "--model", model, "--verbose")
        ended = perstack(*words, cwd=project, env=env)

    assert ended.code == 0, ended.stderr
    assert ended.types[-1] == "completeRun"
    assert "Written." in ended.stdout
    assert "Where to?" in ended.stdout
    assert (project / "hello.txt").read_text(encoding="utf-8") == "Hello."
    seen = ended.stdout + ended.stderr + everything_in(project)
    assert f'"providerName":"{provider}"' in seen.replace(" ", "")
    if variables:
        assert KEY not in seen
        assert KEY[:12] not in seen


def test_a_key_of_another_vendor_is_named_as_a_way_out(project: Path) -> None:
    words = ("run", "writer", "Go", "--model", "claude-sonnet-5-5")
    ended = perstack(*words, cwd=project, env={"OPENAI_API_KEY": KEY})

    assert ended.code == 2
    assert "set ANTHROPIC_API_KEY" in ended.stderr
    assert "OPENAI_API_KEY is set: to use it, give --provider openai" in ended.stderr
    assert KEY not in ended.stderr


def test_where_nothing_names_a_model_the_key_that_is_set_does(
    project: Path, tmp_path: Path
) -> None:
    with serving(SCENARIO, tmp_path) as told:
        env = {"DEEPSEEK_API_KEY": KEY, "DEEPSEEK_BASE_URL": told["ANTHROPIC_BASE_URL"]}
        ended = perstack("run", "writer", "Go", cwd=project, env=env)

    assert ended.code == 0, ended.stderr
    assert "DEEPSEEK_API_KEY is set: deepseek-v4-pro of deepseek is asked" in ended.stderr
    assert '"provider":"deepseek"' in ended.stdout


def test_a_vendor_without_its_key_says_which_variable_to_set(project: Path) -> None:
    words = ("run", "writer", "Go", "--provider", "openai", "--model", "gpt-5")
    ended = perstack(*words, cwd=project)

    assert ended.code == 2
    assert "set OPENAI_API_KEY" in ended.stderr
    assert "perstack run tic-tac-toe" in ended.stderr
