"""Which variables are set that mean something here. Names and origins, never values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perstack.config.findings import did_you_mean
from perstack.config.origins import ACCESS, STORAGE_VARIABLE
from perstack.schema.diagnosis import Finding, FoundKey, FoundVariable
from perstack.schema.variables import NAME_PATTERN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perstack.config.request import RunRequest
    from perstack.schema.diagnosis import Source

OURS = ("PERSTACK_API_KEY", "PERSTACK_API_BASE_URL", STORAGE_VARIABLE)
"""Variables that people set for this package."""

_SET_BY_US = "PERSTACK_EXEC"
_MORE_KEYS = {
    "AWS_SECRET_ACCESS_KEY": "amazon-bedrock",
    "AWS_PROFILE": "amazon-bedrock",
    "GOOGLE_APPLICATION_CREDENTIALS": "google-vertex",
}
KEYS = {key: provider for provider, access in ACCESS.items() for key in access.keys} | _MORE_KEYS
"""Variable to the provider that it lets one in at."""


def found_keys(request: RunRequest, environ: Mapping[str, str]) -> tuple[FoundKey, ...]:
    """Keys of providers. `environ` is the process's own."""
    return tuple(
        FoundKey(name=name, provider=provider, source=_source(name, request, environ))
        for name, provider in KEYS.items()
        if request.environ.get(name, "").strip()
    )


def found_variables(request: RunRequest, environ: Mapping[str, str]) -> tuple[FoundVariable, ...]:
    """What is named like a variable of ours."""
    return tuple(
        FoundVariable(name=name, is_known=name in OURS, source=_source(name, request, environ))
        for name in sorted(request.environ)
        if name.startswith("PERSTACK_") and NAME_PATTERN.fullmatch(name) and name != _SET_BY_US
    )


def variable_findings(found: tuple[FoundVariable, ...]) -> list[Finding]:
    """What is probably misspelt."""
    return [
        Finding(
            severity="warning",
            topic="variables",
            message=f"{variable.name} is no variable of Perstack{hint}",
            advice="Correct its name, or unset it.",
        )
        for variable, hint in ((each, did_you_mean(each.name, OURS)) for each in found)
        if not variable.is_known
    ]


def _source(name: str, request: RunRequest, environ: Mapping[str, str]) -> Source:
    if name in request.passed_env and request.environ[name] != environ.get(name):
        return "option"
    return "environment" if name in environ else "file"
