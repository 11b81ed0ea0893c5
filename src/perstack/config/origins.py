"""What a .env file that merely lies in the folder may not decide."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from perstack.config.findings import quoted
from perstack.errors import ConfigurationError

STORAGE_VARIABLE = "PERSTACK_STORAGE_PATH"
KEY_PREFIXES = {
    "anthropic": "ANTHROPIC",
    "openai": "OPENAI",
    "google": "GOOGLE_GENERATIVE_AI",
    "deepseek": "DEEPSEEK",
    "azure-openai": "AZURE",
}
"""Provider to how the names of its key's and its base URL's variables begin."""


def check_origins(
    provider: str, merged: dict[str, str], known: AbstractSet[str], warnings: list[str]
) -> None:
    """Hold variables of the file against those that are `known` without it.

    An Expert can write such a file. It must not send the key of the process
    environment to a host of its choice, nor move the jobs.

    Raises:
        ConfigurationError: the file says where the model is, and the key is not its own.
    """
    prefix = KEY_PREFIXES.get(provider)
    key, base_url = f"{prefix}_API_KEY", f"{prefix}_BASE_URL"
    if base_url in merged and base_url not in known and key in known:
        raise ConfigurationError(
            f"{base_url} comes from a .env file, and {key} from the environment: the key would "
            f"go to {quoted(merged[base_url])}. Export {base_url} as well, name the file with "
            "--env-path, or put both into it"
        )
    if STORAGE_VARIABLE in merged and STORAGE_VARIABLE not in known:
        del merged[STORAGE_VARIABLE]
        warnings.append(f"{STORAGE_VARIABLE} is ignored in a .env file: export it, or use --env")
