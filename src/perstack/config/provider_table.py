"""`[provider]`: which settings each provider takes, and the rule for each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from perstack.config.addresses import base_url_problem
from perstack.config.checks import anything, boolean, choice, mapping, record, text
from perstack.config.rules import matching, one_line
from perstack.schema.settings import PROVIDER_NAMES

if TYPE_CHECKING:
    from perstack.config.checks import Check
    from perstack.config.findings import Place

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_CREDENTIAL_HEADER = re.compile(r".*(?:auth|cookie|key|secret|token).*", re.IGNORECASE)


def header_name(value: str) -> str | None:
    """A key of `headers`."""
    return None if _HEADER_NAME.fullmatch(value) else "is not the name of an HTTP header"


def header_value(value: str) -> str | None:
    """A value of `headers`."""
    fine = value.isascii() and (value.isprintable() or not value)
    return None if fine else "must be plain characters on one line"


def http_url(value: str) -> str | None:
    """A base URL that may be plain http anywhere."""
    return base_url_problem(value, "anywhere")


def _headers(value: object, place: Place) -> object:
    cleaned = mapping(header_name, text(rule=header_value))(value, place)
    for name in cast("dict[str, object]", value) if isinstance(value, dict) else ():
        if _CREDENTIAL_HEADER.fullmatch(name):
            place.at(name).warn("is written into each run's log; credentials do not belong here")
    return cleaned


_LINE: Check = text(256, one_line)
_API: Check = choice(("responses", "chat"))
_COMMON: dict[str, Check] = {"baseUrl": text(rule=base_url_problem), "headers": _headers}

PROVIDER_SETTINGS: dict[str, dict[str, Check]] = {
    "anthropic": _COMMON,
    "google": _COMMON,
    "openai": {**_COMMON, "organization": _LINE, "project": _LINE, "name": _LINE, "api": _API},
    "ollama": {**_COMMON, "baseUrl": text(rule=http_url)},
    "azure-openai": {
        **_COMMON,
        "resourceName": text(256, matching(re.compile(r"[A-Za-z0-9-]+"), "a resource's name")),
        "apiVersion": text(256, matching(re.compile(r"[A-Za-z0-9.-]+"), "an API version")),
        "useDeploymentBasedUrls": boolean,
        "api": _API,
    },
    "amazon-bedrock": {
        "region": text(256, matching(re.compile(r"[a-z0-9-]+"), "a region such as us-east-1"))
    },
    "google-vertex": {
        **_COMMON,
        "project": text(256, matching(re.compile(r"[a-z0-9.:-]+"), "a project's id")),
        "location": text(256, matching(re.compile(r"[a-z0-9-]+"), "a location")),
    },
    "deepseek": _COMMON,
    "pydantic-ai": {},
}
"""Each provider's own settings."""

PROVIDER_FIELDS: dict[str, Check] = {
    "providerName": choice(PROVIDER_NAMES),
    "setting": anything,  # the provider's own table says what
}


def _setting(provider: dict[str, object], place: Place) -> None:
    name = cast("str", provider["providerName"])
    setting = provider.get("setting", {})
    provider["setting"] = record(PROVIDER_SETTINGS[name])(setting, place.at("setting"))


PROVIDER: Check = record(PROVIDER_FIELDS, ("providerName",), _setting)
