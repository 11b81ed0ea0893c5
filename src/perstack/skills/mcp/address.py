"""Where a skill's server is, and what goes along with every request to it."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from perstack.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perstack.schema.skill import McpSseSkill

_BEARER = "Bearer "
_AUTHORIZATION = "Authorization"
_SENDABLE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_NOTHING: Mapping[str, str] = MappingProxyType({})


class Address(NamedTuple):
    """One server over HTTP. `headers` hold secrets, and `environ` may.

    `variables` are the names of the variables that the headers came from, by header.
    `environ` says which proxy and which certificates are used.
    """

    url: str
    headers: Mapping[str, str] = _NOTHING
    allow_loopback: bool = False
    allowed_domains: tuple[str, ...] = ()
    environ: Mapping[str, str] = _NOTHING
    variables: Mapping[str, str] = _NOTHING

    def __repr__(self) -> str:
        """Without the values of headers, and without a query, which may hold a key."""
        return f"Address({self.url.partition('?')[0]!r}, headers={sorted(self.headers)!r})"

    @property
    def secrets(self) -> dict[str, str]:
        """Values that nobody but the server may see, with the variables they came from."""
        return {
            self.headers[header].removeprefix(_BEARER): variable
            for header, variable in self.variables.items()
        }


def address_of(skill: McpSseSkill, environ: Mapping[str, str]) -> Address:
    """The address of a skill, its headers taken from the variables that it names.

    Raises:
        ConfigurationError: a variable is not set, or its value cannot be sent.
    """
    variables = dict(skill.headers_env)
    headers = {header: _value(name, environ) for header, name in variables.items()}
    if skill.bearer_token_env is not None:
        variables[_AUTHORIZATION] = skill.bearer_token_env
        headers[_AUTHORIZATION] = _BEARER + _value(skill.bearer_token_env, environ)
    return Address(
        url=skill.endpoint,
        headers=headers,
        allow_loopback=skill.allow_loopback,
        allowed_domains=skill.allowed_domains,
        environ=environ,
        variables=variables,
    )


def _value(variable: str, environ: Mapping[str, str]) -> str:
    value = environ.get(variable)
    if value is None:
        raise ConfigurationError(
            f"{variable} is not set. Export it, put it in .env, or pass --env {variable}=..."
        )
    if _SENDABLE.fullmatch(value) is None:
        raise ConfigurationError(
            f"The value of {variable} cannot be sent as a header: it must be printable ASCII "
            "on one line, with no space before or after it."
        )
    return value
