"""What a skill's server finds in its environment: a short list of ours, and what it requires."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from perstack.base.environment import exec_environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

PACKAGE_SETTINGS = frozenset(
    {
        "NPM_CONFIG_REGISTRY", "NPM_CONFIG_CAFILE", "NPM_CONFIG_STRICT_SSL",
        "NPM_CONFIG_USERCONFIG", "NPM_CONFIG_GLOBALCONFIG", "NPM_CONFIG_CACHE",
        "NPM_CONFIG_PROXY", "NPM_CONFIG_HTTPS_PROXY", "NPM_CONFIG_NOPROXY", "NPM_CONFIG_OFFLINE",
        "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CERT", "PIP_CONFIG_FILE",
        "UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_CONFIG_FILE",
        "UV_CACHE_DIR", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS", "UV_OFFLINE", "UV_PYTHON",
        "UV_PYTHON_INSTALL_MIRROR",
    }
)  # fmt: skip
"""Settings of npx and uvx that stand for a company's mirror or CA, in either letter case.

No file and no option can set them: `schema.variables` refuses them there.
"""


def server_environment(environ: Mapping[str, str], required: Iterable[str]) -> dict[str, str]:
    """The exact environment of a server: what any command gets, package settings, `required`.

    A proxy's address that holds a user or password is passed only where it is required.
    A required variable that is not set is left out: that is checked before any run.
    """
    settings = {name: value for name, value in environ.items() if name.upper() in PACKAGE_SETTINGS}
    asked = {name: environ[name] for name in required if name in environ}
    return exec_environment(environ, {}) | settings | asked


def secrets_of(env: Mapping[str, str], required: Iterable[str]) -> Iterator[tuple[str, str]]:
    """What of a server's environment may not be repeated: (name of the variable, value).

    All that is required is taken for a secret, but what every server gets and the path
    of something that exists. Of an address the password is one by itself.
    """
    for name in required:
        value = env.get(name, "")
        if name in exec_environment({name: value}, {}) or _is_place(value):
            continue
        yield name, value
        password = _password(value)
        yield from ((name, password), (name, unquote(password)))


def _is_place(value: str) -> bool:
    try:
        return value.startswith("/") and Path(value).exists()
    except (OSError, ValueError):
        return False


def _password(address: str) -> str:
    try:
        return urlsplit(address).password or ""
    except ValueError:
        return ""
