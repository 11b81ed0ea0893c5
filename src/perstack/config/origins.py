"""What a .env file that merely lies in the folder may not decide."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from perstack.config.findings import quoted
from perstack.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

STORAGE_VARIABLE = "PERSTACK_STORAGE_PATH"
KEY_PREFIXES = {
    "anthropic": "ANTHROPIC",
    "openai": "OPENAI",
    "google": "GOOGLE_GENERATIVE_AI",
    "deepseek": "DEEPSEEK",
    "azure-openai": "AZURE",
}
"""Provider to how the names of its key's and its base URL's variables begin."""


class Access(NamedTuple):
    """The variables that say where a provider is, and as whom it is asked.

    `keys` are what would be sent there. `is_ambient`: credentials may also lie on the
    machine, where no variable tells of them, or a variable only says where.
    """

    addresses: tuple[str, ...]
    keys: tuple[str, ...]
    is_ambient: bool = False


ACCESS = {
    name: Access((f"{prefix}_BASE_URL",), (f"{prefix}_API_KEY",))
    for name, prefix in (*KEY_PREFIXES.items(), ("ollama", "OLLAMA"))
} | {
    "azure-openai": Access(("AZURE_BASE_URL", "AZURE_RESOURCE_NAME"), ("AZURE_API_KEY",)),
    "google-vertex": Access(("GOOGLE_VERTEX_BASE_URL",), (), is_ambient=True),
    "amazon-bedrock": Access(
        ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL"),
        ("AWS_ACCESS_KEY_ID", "AWS_BEARER_TOKEN_BEDROCK"),
        is_ambient=True,
    ),
}
"""By provider. Of "pydantic-ai", which has many vendors behind it, the names alone tell."""

_ADDRESS = re.compile(r"([A-Z0-9]+)_(?:[A-Z0-9_]+_)?(?:URL|URI|ENDPOINT|HOST|API_BASE)(?:_\w+)?")
_KEY = re.compile(r"([A-Z0-9]+)_(?:[A-Z0-9_]+_)?(?:KEY|KEY_ID|TOKEN|SECRET|CREDENTIALS)(?:_\w+)?")


def check_origins(
    provider: str, merged: dict[str, str], known: AbstractSet[str], warnings: list[str]
) -> None:
    """Hold variables of the file against those that are `known` without it.

    An Expert can write such a file. It must not send the key of the process
    environment to a host of its choice, nor move the jobs.

    Raises:
        ConfigurationError: the file says where the model is, and the key is not its own.
    """
    told = [name for name in merged if name not in known]
    for address, key in _redirections(provider, told, known):
        where = quoted(merged[address])
        if not key:
            raise ConfigurationError(
                f"{address} comes from a .env file: the credentials of this machine would go to "
                f"{where}. Export {address}, or name the file with --env-path"
            )
        raise ConfigurationError(
            f"{address} comes from a .env file, and {key} from the environment: the key would "
            f"go to {where}. Export {address} as well, name the file with "
            "--env-path, or put both into it"
        )
    if STORAGE_VARIABLE in told:
        del merged[STORAGE_VARIABLE]
        warnings.append(f"{STORAGE_VARIABLE} is ignored in a .env file: export it, or use --env")


def _redirections(
    provider: str, told: list[str], known: AbstractSet[str]
) -> Iterable[tuple[str, str]]:
    """Each address of the file's, with a key that is not; an empty one lies on the machine."""
    access = ACCESS.get(provider)
    if access is None:
        for address in told:
            for key in sorted(known):
                if _are_one_vendors(address, key):
                    yield address, key
        return
    outside = [key for key in access.keys if key in known]
    if access.is_ambient and not outside and not any(key in told for key in access.keys):
        outside = [""]
    for address in access.addresses:
        if address in told and outside:
            yield address, outside[0]


def _are_one_vendors(address: str, key: str) -> bool:
    there, here = _ADDRESS.fullmatch(address), _KEY.fullmatch(key)
    return there is not None and here is not None and there[1] == here[1]
