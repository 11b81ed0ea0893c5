"""Finding a model for a person at a terminal who has named none, or whose cannot be asked."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from perstack.assembly.local_models import PORTS, local_servers
from perstack.assembly.model import demo_of, is_all_of_a_container, is_model_configured
from perstack.assembly.model_choice import model_problems
from perstack.config.starting_model import KEY_VARIABLES, MODELS
from perstack.schema.settings import ProviderSettings
from perstack.tui.session import Choice

if TYPE_CHECKING:
    from textual.screen import ModalScreen

    from perstack.cli.choices import Offer
    from perstack.cli.wanted import Here, Wanted
    from perstack.config.request import RunRequest
    from perstack.schema.diagnosis import Finding
    from perstack.schema.expert import Expert

Ask: TypeAlias = "Callable[[ModalScreen[str | None]], Awaitable[str | None]]"
"""Shows a screen to the person, and gives what it ends with."""

DEMO = "demo"

DEMO_INSTEAD = """\
To see a run without a model:

     perstack start tic-tac-toe "Let's play!"

"""


async def with_model(
    wanted: Wanted, request: RunRequest, expert: Expert, ask: Ask, ports: Sequence[int] = PORTS
) -> RunRequest | None:
    """The request, once a model can be asked, or a demo player; None for a person who leaves.

    What an option, the file or a key names comes first. Where nothing does, servers are
    looked for at `ports` of this machine, and used after one question.
    """
    while True:
        if is_model_configured(request):
            problems = model_problems(request)
            if not problems:
                return request
            text = advice_on(problems)
        else:
            from perstack.cli.choices import offers_of

            offers = offers_of((await local_servers(ports)).servers)
            has_demo = demo_of(expert) is not None
            if offers:
                return await _offered(wanted, offers, ask, has_demo=has_demo)
            if has_demo:
                return request
            text = advice_without_any()
        from perstack.tui.advice import Advice

        if await ask(Advice("No model can be asked yet", text)) is None:
            return None
        request = wanted.request()


async def _offered(
    wanted: Wanted, offers: list[Offer], ask: Ask, *, has_demo: bool
) -> RunRequest | None:
    """The request for what a person chooses of the models on this machine."""
    from perstack.cli.choices import offer_choices
    from perstack.tui.menu import Menu

    choices = offer_choices(offers)
    if has_demo:
        about = "A script in a model's place, for this Expert alone."
        choices = (*choices, Choice(DEMO, about, "", "no model", "Without a model"))
    heading = "No key is set, but a model server runs on this machine. Which model?"
    picked = await ask(Menu(heading, choices))
    if picked is None:
        return None
    if picked != DEMO:
        server, model = offers[int(picked)]
        provider = ProviderSettings(provider_name=server.provider, base_url=server.base_url)
        others = tuple(
            Choice(other.model.name, "", choice.origin, group="On this machine")
            for other, choice in zip(offers, choices, strict=False)
            if other.server is server
        )
        wanted.ask_here(provider, model.name, others)
    return wanted.request()


def advice_on(problems: Sequence[Finding]) -> str:
    """What keeps the model that is named from being asked, and what to do about it."""
    told = [f"{problem.message}.\n\n  {problem.advice}" for problem in problems]
    return "\n\n".join([*told, "`perstack doctor` tells more."])


def advice_without_any() -> str:
    """What to set, where there is neither a key nor a model server."""
    width = max(map(len, KEY_VARIABLES.values())) + 2
    keys = "\n".join(
        f"       {KEY_VARIABLES[name] + '=…':<{width}}  asks {model}"
        for name, model in MODELS.items()
    )
    return (
        "Nothing names a model, no key is set, and no model server runs on this machine. "
        "Do one of these:\n\n"
        "  1. Put a key into .env in this folder, one of:\n"
        f"{keys}\n\n"
        "  2. Start a model server on this machine: Ollama (ollama serve), LM Studio or\n"
        "     llama.cpp, with a model that can call tools.\n\n"
        "  3. Name another provider with --provider and --model, or in perstack.toml.\n\n"
        f"{'' if is_all_of_a_container() else DEMO_INSTEAD}`perstack doctor` tells more."
    )


def kept_by(here: Here) -> str:
    """How to keep a model on this machine that was chosen here."""
    provider, model = here
    return (
        f"{model} at {provider.base_url} is asked. To keep it, put into perstack.toml:\n"
        f"model = {json.dumps(model, ensure_ascii=False)}\n"  # a name in quotes is the same in TOML
        f'[provider]\nproviderName = "{provider.provider_name}"\n'
        f'[provider.setting]\nbaseUrl = "{provider.base_url}"'
    )
