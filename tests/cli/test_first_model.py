"""Finding a model for a person who named none: keys, then servers here, then the demo player."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembly.local_server import LM_STUDIO, OLLAMA, serving
from assembly.test_local_models import free_port
from perstack.assembly.experts import Experts
from perstack.cli.first_model import kept_by, with_model
from perstack.cli.wanted import Here, Wanted
from perstack.config.load import parse_config
from perstack.config.request import Options, RunRequest
from perstack.config.starting_model import KEY_VARIABLES
from perstack.schema.settings import ProviderSettings
from perstack.tui.advice import Advice
from perstack.tui.menu import Menu

if TYPE_CHECKING:
    from textual.screen import ModalScreen

pytestmark = pytest.mark.anyio

HELPER = '[experts.helper]\ndescription = "Helps."\ninstruction = "Help."\n'
KEY = "sk-" + "k" * 40


class Person:
    """Ends each screen with what the test says, and keeps what was shown."""

    def __init__(self, *answers: str | None) -> None:
        self.shown: list[ModalScreen[str | None]] = []
        self._answers = [*answers]

    async def ask(self, screen: ModalScreen[str | None]) -> str | None:
        self.shown.append(screen)
        return self._answers.pop(0)

    @property
    def menu(self) -> Menu:
        [menu] = self.shown
        assert isinstance(menu, Menu)
        return menu


class Writer(Person):
    """Puts a key into .env when told what to set."""

    def __init__(self, folder: Path) -> None:
        super().__init__("again")
        self._folder = folder

    async def ask(self, screen: ModalScreen[str | None]) -> str | None:
        (self._folder / ".env").write_text(f"OPENAI_API_KEY={KEY}\n")
        return await super().ask(screen)


@pytest.fixture(autouse=True)
def project(tmp_path: Path) -> Path:
    (tmp_path / "perstack.toml").write_text(HELPER)
    return tmp_path


def wanted(folder: Path, key: str = "helper", **environ: str) -> Wanted:
    options = Options(expert_key=key, workspace=str(folder))
    return Wanted(options, folder, {"PATH": "/usr/bin", **environ})


async def found(mine: Wanted, person: Person, port: int) -> RunRequest | None:
    request = mine.request()
    expert = Experts(request).expert(request.expert_key or "")
    return await with_model(mine, request, expert, person.ask, [port])


def asked(request: RunRequest | None) -> tuple[str, str]:
    assert request is not None
    return request.settings.provider.provider_name, request.settings.model


async def test_a_key_comes_before_a_server_and_nobody_is_asked(project: Path) -> None:
    person = Person()
    async with serving(OLLAMA) as served:
        request = await found(wanted(project, DEEPSEEK_API_KEY=KEY), person, served.port)

    assert asked(request) == ("deepseek", "deepseek-v4-pro")
    assert served.asked == []


async def test_a_server_is_used_after_one_question(project: Path) -> None:
    person, mine = Person("0"), wanted(project)
    async with serving(OLLAMA) as served:
        request = await found(mine, person, served.port)

    assert asked(request) == ("ollama", "qwen3:8b")
    assert request is not None
    assert request.settings.provider.base_url == f"http://127.0.0.1:{served.port}"
    assert mine.words[2:] == ("--provider", "ollama", "--model", "qwen3:8b")
    assert mine.address == ("OLLAMA_BASE_URL", f"http://127.0.0.1:{served.port}")
    [model] = [choice.name for choice in person.menu.choices]
    assert model == "qwen3:8b", "the others cannot call tools, or are no models to talk to"
    assert "context 8,192 tokens" in person.menu.choices[0].description


async def test_what_is_said_about_keeping_it_is_a_file_that_asks_it(project: Path) -> None:
    mine = wanted(project)
    async with serving(LM_STUDIO) as served:
        first = await found(mine, Person("0"), served.port)
    assert mine.here is not None
    told = kept_by(mine.here).partition("\n")[2]
    (project / "perstack.toml").write_text(f"{told}\n{HELPER}")

    again = wanted(project).request()
    assert asked(again) == asked(first) == ("openai", "qwen/qwen3-8b")
    assert again.settings.provider == mine.here.provider
    assert parse_config(told, "perstack.toml").warnings == ()


@pytest.mark.parametrize("name", ['q"\n[provider]\nproviderName = "evil', "üñ😀\\n", "plain:8b"])
def test_no_name_of_a_model_writes_another_line_into_the_file(name: str) -> None:
    provider = ProviderSettings(provider_name="ollama", base_url="http://127.0.0.1:1")
    told = kept_by(Here(provider, name)).partition("perstack.toml:\n")[2]

    assert tomllib.loads(told)["model"] == name
    assert tomllib.loads(told)["provider"]["providerName"] == "ollama"


@pytest.mark.parametrize(("answer", "is_left"), [("demo", False), (None, True)])
async def test_where_there_is_a_demo_it_is_offered_beside_a_server(
    project: Path, answer: str | None, *, is_left: bool
) -> None:
    person, mine = Person(answer), wanted(project, "tic-tac-toe")
    async with serving(OLLAMA) as served:
        request = await found(mine, person, served.port)

    assert (request is None) == is_left
    assert mine.here is None
    assert person.menu.choices[-1].key == "demo"


async def test_without_key_and_server_the_demo_plays_what_it_can(project: Path) -> None:
    request = await found(wanted(project, "tic-tac-toe"), Person(), free_port())

    assert request is not None
    assert not request.names_model


async def test_otherwise_one_screen_says_what_to_set_and_looks_again(project: Path) -> None:
    person = Writer(project)
    request = await found(wanted(project), person, free_port())

    assert asked(request) == ("openai", "gpt-6.2-sol")
    [advice] = person.shown
    assert isinstance(advice, Advice)
    assert all(name in advice.text for name in KEY_VARIABLES.values() if "AZURE" not in name)


async def test_a_provider_that_is_named_and_has_no_key_is_said_with_what_to_set(
    project: Path,
) -> None:
    named = 'model = "gpt-9"\n[provider]\nproviderName = "openai"\n'
    (project / "perstack.toml").write_text(named + HELPER)
    person = Person(None)
    async with serving(OLLAMA) as served:
        request = await found(wanted(project), person, served.port)

    assert request is None
    assert served.asked == [], "a provider is named: nothing else is looked for"
    [advice] = person.shown
    assert isinstance(advice, Advice)
    assert "OPENAI_API_KEY" in advice.text


async def test_a_model_of_the_server_is_asked_there_whatever_it_is_called(project: Path) -> None:
    [model, *_] = LM_STUDIO["/api/v1/models"]["models"]
    models = [model | {"key": key} for key in ("openai/gpt-oss-20b", "google/gemma-3")]
    mine = wanted(project)
    async with serving({"/api/v1/models": {"models": models}}) as served:
        await found(mine, Person("0"), served.port)
    here = mine.request().settings.provider

    assert asked(mine.ask_model("google/gemma-3")) == ("openai", "google/gemma-3")
    assert mine.request().settings.provider == here
    (project / ".env").write_text(f"DEEPSEEK_API_KEY={KEY}\n")
    assert asked(mine.ask_model("deepseek/deepseek-v4-pro")) == ("deepseek", "deepseek-v4-pro")
    assert asked(mine.ask_model("openai/gpt-oss-20b")) == ("openai", "openai/gpt-oss-20b")
    assert mine.request().settings.provider == here


async def test_a_model_that_is_only_named_is_of_the_provider_whose_key_is_set(
    project: Path,
) -> None:
    mine = wanted(project, OPENAI_API_KEY=KEY)

    assert asked(mine.request()) == ("openai", "gpt-6.2-sol")
    assert asked(mine.ask_model("gpt-9")) == ("openai", "gpt-9")
    assert "--provider" in mine.words
