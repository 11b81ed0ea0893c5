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
_SENDABLE = re.compile(r"(?=.{1,8192}\Z)[!-~](?:[ -~]*[!-~])?")
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
        return f"Address({self.shown!r}, headers={sorted(self.headers)!r})"

    @property
    def secrets(self) -> dict[str, str]:
        """By the names of their variables, values that nobody but the server may see."""
        return {
            variable: self.headers[header].removeprefix(_BEARER)
            for header, variable in self.variables.items()
        }

    @property
    def shown(self) -> str:
        """The URL without its query, which may hold a key."""
        return self.url.partition("?")[0]


def variables_of(skill: McpSseSkill) -> tuple[str, ...]:
    """The names of the variables that a skill's headers come from."""
    bearer = (skill.bearer_token_env,) if skill.bearer_token_env else ()
    return (*bearer, *skill.headers_env.values())


def address_of(
    skill: McpSseSkill, environ: Mapping[str, str], network: Mapping[str, str] = _NOTHING
) -> Address:
    """The address of a skill, its headers taken from the variables that it names.

    `network` says which proxy and which certificates are used. It is the process's own
    environment, and not `environ`, which also has what a .env file says: an Expert may
    write such a file, and must not send a token through a machine of its choice.

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
        environ=network,
        variables=variables,
    )


def _value(variable: str, environ: Mapping[str, str]) -> str:
    value = environ.get(variable, "")
    if not value:
        raise ConfigurationError(
            f"{variable} is not set. Export it, put it in .env, or pass --env {variable}=..."
        )
    if _SENDABLE.fullmatch(value) is None:
        raise ConfigurationError(
            f"The value of {variable} cannot be sent as a header: it must be printable ASCII "
            "on one line, with no space before or after it, of at most 8192 characters."
        )
    return value
