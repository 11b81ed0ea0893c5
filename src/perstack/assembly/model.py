"""Which model answers, or what stands in for one."""

from __future__ import annotations

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

    if not is_model_configured(request):
        from perstack.providers.demo import NOTICE, demo_for
        from perstack.schema.digest import digest

        demo = demo_for(digest(expert))
        if demo is not None:
            return demo, NOTICE
    provider = request.settings.provider
    try:
        return open_provider(provider, request.environ), None
    except ConfigurationError as problem:
        variable = KEY_VARIABLES.get(provider.provider_name)
        if variable is None or f"set {variable} " not in problem.message:
            raise
        raise ConfigurationError(f"{problem.message}\n{_way_out(request)}") from None


def _way_out(request: RunRequest) -> str:
    """What to do without the key of the provider that is chosen."""
    for provider, variable in KEY_VARIABLES.items():
        if request.environ.get(variable, "").strip():
            return f"{variable} is set: to use it, give --provider {provider} and --model."
    return 'To see a run without a key: perstack run tic-tac-toe "Let\'s play!"'


def is_model_configured(request: RunRequest) -> bool:
    """Whether anything says which model to use: an option, the file, or a key."""
    return request.names_model or any(
        request.environ.get(variable) for variable in KEY_VARIABLES.values()
    )
