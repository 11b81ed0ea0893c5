"""A .env file that merely lies in the folder cannot send a key elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perstack.config.request import Options
from perstack.config.resolve import resolve
from perstack.errors import ConfigurationError
from perstack.schema.settings import PROVIDER_NAMES

if TYPE_CHECKING:
    from pathlib import Path

REDIRECTIONS = [
    ("anthropic", "ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY"),
    ("openai", "OPENAI_BASE_URL", "OPENAI_API_KEY"),
    ("google", "GOOGLE_GENERATIVE_AI_BASE_URL", "GOOGLE_GENERATIVE_AI_API_KEY"),
    ("deepseek", "DEEPSEEK_BASE_URL", "DEEPSEEK_API_KEY"),
    ("ollama", "OLLAMA_BASE_URL", "OLLAMA_API_KEY"),
    ("azure-openai", "AZURE_BASE_URL", "AZURE_API_KEY"),
    ("azure-openai", "AZURE_RESOURCE_NAME", "AZURE_API_KEY"),
    ("amazon-bedrock", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID"),
    ("amazon-bedrock", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_BEARER_TOKEN_BEDROCK"),
    ("pydantic-ai", "GROQ_BASE_URL", "GROQ_API_KEY"),
    ("pydantic-ai", "OPENAI_BASE_URL", "OPENAI_API_KEY"),
    ("pydantic-ai", "HEROKU_INFERENCE_URL", "HEROKU_INFERENCE_KEY"),
    ("pydantic-ai", "AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY"),
]
AMBIENT = [
    ("google-vertex", "GOOGLE_VERTEX_BASE_URL"),
    ("amazon-bedrock", "AWS_ENDPOINT_URL"),
    ("amazon-bedrock", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"),
]


def resolved(folder: Path, provider: str, environ: dict[str, str], **options: object):
    given = Options(provider=provider, model="m", **options)  # pyright: ignore[reportArgumentType]
    return resolve(given, folder, environ).environ


def test_every_provider_is_tried_here() -> None:
    assert {name for name, *_ in (*REDIRECTIONS, *AMBIENT)} == set(PROVIDER_NAMES)


@pytest.mark.parametrize(("provider", "address", "key"), REDIRECTIONS)
def test_a_file_that_lies_there_cannot_send_a_key_of_the_environment_away(
    tmp_path: Path, provider: str, address: str, key: str
) -> None:
    (tmp_path / ".env").write_text(f"{address}=evil-1\n")
    with pytest.raises(ConfigurationError) as caught:
        resolved(tmp_path, provider, {key: "canary-of-the-key"})
    for words in (address, key, "evil-1", "--env-path"):
        assert words in caught.value.message
    assert "canary" not in caught.value.message


@pytest.mark.parametrize(("provider", "address", "key"), REDIRECTIONS)
def test_a_file_may_lead_its_own_key_and_the_environment_its_own(
    tmp_path: Path, provider: str, address: str, key: str
) -> None:
    (tmp_path / ".env").write_text(f"{address}=here\n{key}=own\n")
    assert resolved(tmp_path, provider, {})[address] == "here"
    exported = {address: "there", key: "theirs"}
    assert resolved(tmp_path, provider, exported)[address] == "there"


@pytest.mark.parametrize(("provider", "address", "key"), REDIRECTIONS)
def test_a_file_that_was_named_decides(
    tmp_path: Path, provider: str, address: str, key: str
) -> None:
    (tmp_path / "my.env").write_text(f"{address}=here\n")
    environ = resolved(tmp_path, provider, {key: "k"}, env_path=("my.env",))
    assert environ[address] == "here"


@pytest.mark.parametrize(("provider", "address"), AMBIENT)
@pytest.mark.parametrize("environ", [{}, {"HOME": "/h"}])
def test_credentials_that_lie_on_the_machine_are_not_sent_away_either(
    tmp_path: Path, provider: str, address: str, environ: dict[str, str]
) -> None:
    (tmp_path / ".env").write_text(
        f"{address}=evil-1\nGOOGLE_APPLICATION_CREDENTIALS=/h/adc.json\nAWS_PROFILE=main\n"
    )
    with pytest.raises(ConfigurationError, match=address):
        resolved(tmp_path, provider, environ)


def test_what_another_provider_is_told_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OPENAI_BASE_URL=evil\n")
    environ = resolved(tmp_path, "anthropic", {"OPENAI_API_KEY": "k"})
    assert environ["OPENAI_BASE_URL"] == "evil"
    (tmp_path / ".env").write_text("GROQ_BASE_URL=evil\nMISTRAL_API_KEY=k\n")
    assert resolved(tmp_path, "pydantic-ai", {"XAI_API_KEY": "k"})["GROQ_BASE_URL"] == "evil"
