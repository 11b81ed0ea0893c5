"""What a skill's server finds in its environment: a short list of ours, and what it requires."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from perstack.base.environment import (
    exec_environment,
    has_userinfo,
    without_secrets,
)
from perstack.skills.mcp.command import FETCHERS, program_name
from perstack.skills.mcp.pieces import pieces_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from perstack.schema.skill import McpStdioSkill

_SHORTEST_KEY = 8

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


def server_environment(
    environ: Mapping[str, str], skill: McpStdioSkill, keys: Iterable[str] = ()
) -> dict[str, str]:
    """The exact environment of a server: what any command gets, package settings, what it requires.

    A proxy's address that holds a user or password is passed only where it is required.
    A package setting that does so is passed only to programs that fetch packages, which
    need it for a company's mirror; to others none is passed with a secret in it. The
    value of one of `keys`, variables of models' providers, is in none. A required
    variable that is not set is left out: that is checked before any run.
    """
    settings = {name: value for name, value in environ.items() if name.upper() in PACKAGE_SETTINGS}
    withheld = [value for key in keys if len(value := environ.get(key, "")) >= _SHORTEST_KEY]
    settings = {n: v for n, v in settings.items() if not any(key in v for key in withheld)}
    if program_name(skill.command) not in FETCHERS:
        settings = {n: v for n, v in settings.items() if not has_userinfo(v)}
        settings = without_secrets(settings, environ)
    asked = {name: environ[name] for name in skill.required_env if name in environ}
    asked.pop("PATH", None)  # every server gets it, without what is relative
    return exec_environment(environ, {}) | settings | asked


def secrets_of(env: Mapping[str, str], required: Iterable[str]) -> Iterator[tuple[str, str]]:
    """What of a server's environment may not be repeated: (name of the variable, value).

    All that is required is taken for a secret, but what every server gets and the path
    of something that exists. So are the pieces of it that are secrets by themselves, also
    where it is a package setting with a password in its address.
    """
    settings = [n for n, v in env.items() if n.upper() in PACKAGE_SETTINGS and has_userinfo(v)]
    for name in (*required, *settings):
        value = env.get(name, "")
        if name in exec_environment({name: value}, {}) or _is_place(value):
            continue
        yield name, value
        yield from ((name, piece) for piece in pieces_of(value) if not _is_place(piece))


def _is_place(value: str) -> bool:
    try:
        return value.startswith("/") and Path(value).exists()
    except (OSError, ValueError):
        return False
