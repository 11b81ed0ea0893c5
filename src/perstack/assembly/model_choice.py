"""Which model a run would ask, who says so, and what keeps it from being asked.

Nothing of a provider is loaded and nobody is asked: what a vendor would say of a key is
found out by a run.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from perstack.assembly.known_model import unknown_model
from perstack.assembly.model import is_all_of_a_container, is_model_configured
from perstack.assembly.vendor import address, shown
from perstack.config.origins import ACCESS
from perstack.config.starting_model import KEY_VARIABLES, starting_model
from perstack.errors import ConfigurationError
from perstack.providers.address import api_key, checked_url, is_openai
from perstack.providers.extras import require_packages
from perstack.schema.diagnosis import Finding, ModelChoice
from perstack.schema.settings import DEFAULT_PROVIDER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perstack.config.request import Options, RunRequest
    from perstack.schema.diagnosis import Reason

UNTIL_THEN = (
    " Until then the catalogue's tic-tac-toe alone can be run, with a demo player in the "
    "model's place: perstack run tic-tac-toe \"Let's play!\""
)


def model_choice(options: Options, request: RunRequest) -> ModelChoice:
    """What would be asked."""
    settings = request.settings
    name = settings.provider.provider_name
    variable = KEY_VARIABLES.get(name) or next(iter(_keys_of(name)), "")
    return ModelChoice(
        provider=name,
        provider_by=_provider_by(options, request),
        model=settings.model or None,
        model_by=_model_by(options, request),
        key=variable if request.environ.get(variable, "").strip() else None,
        address=shown(address(request)[0]),
    )


def model_findings(request: RunRequest) -> list[Finding]:
    """What keeps the model from being asked, or is odd about it."""
    found: list[Finding] = []
    if not is_model_configured(request):
        found.append(
            Finding(
                severity="problem",
                topic="model",
                message="No key of a model's provider is set",
                advice=f"Set {', '.join(KEY_VARIABLES.values())} or another provider's, in the "
                f"environment or in .env.{'' if is_all_of_a_container() else UNTIL_THEN}",
            )
        )
    elif (problem := _problem(request)) is not None:
        found.append(problem)
    if request.settings.model and (warning := unknown_model(request)) is not None:
        found.append(
            Finding(
                severity="warning",
                topic="model",
                message=warning,
                advice="Correct the name, unless it is newer than this version.",
            )
        )
    return found


def model_problems(request: RunRequest) -> list[Finding]:
    """Those of them that stand in the way of a run."""
    return [finding for finding in model_findings(request) if finding.severity == "problem"]


def _provider_by(options: Options, request: RunRequest) -> Reason:
    if options.provider is not None:
        return "option"
    if request.project is not None and request.project.provider is not None:
        return "perstack.toml"
    default = KEY_VARIABLES[DEFAULT_PROVIDER]
    if request.chosen_by is not None or request.environ.get(default, "").strip():
        return "environment"
    return "default" if is_model_configured(request) else "demo"


def _model_by(options: Options, request: RunRequest) -> Reason:
    if options.model is not None:
        return "option"
    if request.project is not None and request.project.model is not None:
        return "perstack.toml"
    return "default" if is_model_configured(request) else "demo"


def _problem(request: RunRequest) -> Finding | None:
    """The first thing that the provider would be refused for."""
    name = request.settings.provider.provider_name
    try:
        require_packages(name)
        _check_address(request)
        if _needs_key(request):
            api_key(request.environ, KEY_VARIABLES[name], name)
    except ConfigurationError as problem:
        message, _, advice = problem.message.partition(": ")
        advice = advice or "correct it where it is set."
        return Finding(
            severity="problem",
            topic="model",
            message=message.rstrip("."),
            advice=f"{advice[0].upper()}{advice[1:]}{_other_key(request)}",
        )
    missing = _missing_setting(request)
    return missing and Finding(
        severity="problem",
        topic="model",
        message=f"The provider {name} needs {missing[0]}",
        advice=missing[1],
    )


def _other_key(request: RunRequest) -> str:
    """What else could be asked, where its key is there."""
    other = starting_model(request.environ)
    if other is None or other.provider == request.settings.provider.provider_name:
        return ""
    return (
        f" Or use {other.provider}, since {other.variable} is set: --provider {other.provider} "
        f"--model {other.model}, or the same in perstack.toml."
    )


def _needs_key(request: RunRequest) -> bool:
    name = request.settings.provider.provider_name
    if name == "openai":
        told, _ = address(request)
        return told is None or is_openai(told)
    return name in KEY_VARIABLES


def _check_address(request: RunRequest) -> None:
    told, place = address(request)
    if told is not None:
        checked_url(told, place)


def _missing_setting(request: RunRequest) -> tuple[str, str] | None:
    """What else a provider cannot do without, and where it is set."""
    provider, environ = request.settings.provider, request.environ
    match provider.provider_name:
        case "pydantic-ai" if ":" not in request.settings.model:
            return "a model that names its vendor", "Name it as VENDOR:MODEL, such as groq:NAME."
        case "azure-openai" if not (
            address(request)[0] or provider.resource_name or environ.get("AZURE_RESOURCE_NAME")
        ):
            return "a resource", "Set resourceName in [provider.setting], or AZURE_RESOURCE_NAME."
        case "google-vertex" if not (provider.location or environ.get("GOOGLE_VERTEX_LOCATION")):
            return "a location", "Set location in [provider.setting], or GOOGLE_VERTEX_LOCATION."
        case "google-vertex" if not (
            provider.project
            or environ.get("GOOGLE_VERTEX_PROJECT")
            or environ.get("GOOGLE_APPLICATION_CREDENTIALS")  # the file may name one
        ):
            return "a project", "Set project in [provider.setting], or GOOGLE_VERTEX_PROJECT."
        case "amazon-bedrock" if not (
            provider.region
            or environ.get("AWS_REGION")
            or environ.get("AWS_DEFAULT_REGION")
            or _has_aws_files(environ)
        ):
            return "a region", "Set region in [provider.setting], or AWS_REGION."
        case _:
            return None


def _has_aws_files(environ: Mapping[str, str]) -> bool:
    """Whether AWS's own settings are there, which may have all that is needed."""
    told = environ.get("AWS_CONFIG_FILE")
    return Path(told or Path(environ.get("HOME", "/"), ".aws", "config")).is_file()


def _keys_of(provider: str) -> tuple[str, ...]:
    access = ACCESS.get(provider)
    return access.keys if access is not None else ()
