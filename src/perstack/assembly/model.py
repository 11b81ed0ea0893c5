"""Which model answers, or what stands in for one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from perstack.config.starting_model import KEY_VARIABLES
from perstack.errors import ConfigurationError

if TYPE_CHECKING:
    from perstack.config.request import RunRequest
    from perstack.providers import Provider
    from perstack.schema.expert import Expert


def open_model(request: RunRequest, expert: Expert) -> tuple[Provider, str | None]:
    """The provider, and a notice where no AI model stands behind it.

    The demo player stands in for exactly the definitions it knows, and only where
    nothing says which model to use.

    Raises:
        ConfigurationError: no key is set, or the provider's settings cannot be used.
    """
    from perstack.providers.table import open_provider

    if not is_model_configured(request) and (demo := demo_of(expert)) is not None:
        from perstack.providers.demo import NOTICE

        return demo, NOTICE
    provider = request.settings.provider
    try:
        return open_provider(provider, request.environ), None
    except ConfigurationError as problem:
        variable = KEY_VARIABLES.get(provider.provider_name)
        if variable is None or f"set {variable} " not in problem.message:
            raise
        lines = (problem.message, *_way_out(request))
        raise ConfigurationError("\n".join(lines)) from None


def demo_of(expert: Expert) -> Provider | None:
    """The demo player that knows this definition; none in a container made to run an Expert.

    There this is the first process of all, and a missing key is a mistake that must show.
    """
    from perstack.providers.demo import demo_for
    from perstack.schema.digest import digest

    return None if is_all_of_a_container() else demo_for(digest(expert))


def _way_out(request: RunRequest) -> tuple[str, ...]:
    """What to do without the key of the provider that is chosen."""
    for provider, variable in KEY_VARIABLES.items():
        if request.environ.get(variable, "").strip():
            return (f"{variable} is set: to use it, give --provider {provider} and --model.",)
    if is_all_of_a_container():
        return ()
    return ('To see a run without a key: perstack run tic-tac-toe "Let\'s play!"',)


def is_all_of_a_container() -> bool:
    """Whether this is the first process of all, as the entrypoint of a container is."""
    return os.getpid() == 1


def is_model_configured(request: RunRequest) -> bool:
    """Whether anything says which model to use: an option, the file, or a key."""
    return request.names_model or any(
        request.environ.get(variable) for variable in KEY_VARIABLES.values()
    )
