"""Opens the providers that are asked through pydantic-ai: checks first, then loads.

Nothing is read from the process's environment that `environ` has: a key of an env file
is in `environ` alone, and is never written anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from perstack.errors import ConfigurationError
from perstack.providers.address import api_key, base_url, checked_url
from perstack.providers.extras import require_packages

if TYPE_CHECKING:
    from perstack.providers import Provider
    from perstack.schema.settings import ProviderSettings

GOOGLE_KEY = "GOOGLE_GENERATIVE_AI_API_KEY"
GOOGLE_URL = "GOOGLE_GENERATIVE_AI_BASE_URL"
GOOGLE_ADDRESS = "https://generativelanguage.googleapis.com"
VERTEX_URL = "GOOGLE_VERTEX_BASE_URL"
VERTEX_CREDENTIALS = "GOOGLE_APPLICATION_CREDENTIALS"
VERTEX_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
GOOGLE_FILES = {
    "authorized_user": ("google.oauth2.credentials.Credentials", "from_authorized_user_info"),
    "external_account": ("google.auth.identity_pool.Credentials", "from_info"),
    "impersonated_service_account": (
        "google.auth.impersonated_credentials.Credentials",
        "from_impersonated_service_account_info",
    ),
    "service_account": (
        "google.oauth2.service_account.Credentials",
        "from_service_account_info",
    ),
}
"""Kinds of credentials files, with the class and the method that read them."""
GOOGLE_SECRETS = ("client_secret", "private_key", "private_key_id", "refresh_token")
"""What is secret in such a file."""

AWS_PATHS = {
    "config_file": "AWS_CONFIG_FILE",
    "credentials_file": "AWS_SHARED_CREDENTIALS_FILE",
    "profile": "AWS_PROFILE",
}
"""What botocore calls them, and their variables."""
AWS_URLS = ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL")
"""Variables of addresses, as botocore ranks them."""


class GoogleCredentials(NamedTuple):
    """What a credentials file gives: google-auth's object, its project and its secrets."""

    loaded: Any = None
    project: str = ""
    secrets: tuple[str, ...] = ()


def open_google(settings: ProviderSettings, environ: Mapping[str, str]) -> Provider:
    """Gemini by an API key.

    Raises:
        ConfigurationError: an extra or the key is missing, or a setting cannot be used.
    """
    require_packages("google")
    key = api_key(environ, GOOGLE_KEY, "google")
    url = _root(settings.base_url, environ.get(GOOGLE_URL), GOOGLE_URL) or GOOGLE_ADDRESS
    from perstack.providers.bridge import BridgedModel
    from perstack.providers.bridge_google import Gemini, GoogleProvider
    from perstack.providers.bridge_transport import STAND_IN, Transport

    transport = Transport(key, settings.headers)
    transport.prepare(url)
    provider = GoogleProvider(api_key=STAND_IN, base_url=url, http_client=transport.client())
    return BridgedModel(Gemini("google", provider, transport, f"set {GOOGLE_KEY}."))


def open_vertex(settings: ProviderSettings, environ: Mapping[str, str]) -> Provider:
    """Gemini on Vertex AI, by a credentials file or by what google-auth finds.

    Raises:
        ConfigurationError: an extra, the project or the location is missing, or the file
            or a setting cannot be used.
    """
    require_packages("google-vertex")
    path = environ.get(VERTEX_CREDENTIALS, "").strip()
    found = _google_credentials(path) if path else GoogleCredentials()
    project = settings.project or environ.get("GOOGLE_VERTEX_PROJECT") or found.project
    location = settings.location or environ.get("GOOGLE_VERTEX_LOCATION")
    for what, told in (("project", project), ("location", location)):
        if not told:
            raise ConfigurationError(
                f"The provider google-vertex needs a {what}: set {what} in [provider], "
                f"or GOOGLE_VERTEX_{what.upper()} in the environment."
            )
    url = _root(settings.base_url, environ.get(VERTEX_URL), VERTEX_URL)
    from perstack.providers.bridge import BridgedModel
    from perstack.providers.bridge_google import Gemini, GoogleCloudProvider
    from perstack.providers.bridge_transport import Transport

    transport = Transport("", settings.headers, found.secrets)
    provider = GoogleCloudProvider(
        credentials=found.loaded,
        project=project,
        location=cast("Any", location),
        base_url=url or None,
        http_client=transport.client(),
    )
    transport.prepare(provider.base_url)
    way_out = f"set {VERTEX_CREDENTIALS} to a credentials file, or log in with gcloud."
    return BridgedModel(Gemini("google-vertex", provider, transport, way_out))


def open_bedrock(settings: ProviderSettings, environ: Mapping[str, str]) -> Provider:
    """Bedrock, by the variables of AWS in `environ`, else by what botocore finds.

    Raises:
        ConfigurationError: an extra or the region is missing, or a setting cannot be used.
    """
    require_packages("amazon-bedrock")
    from perstack.providers.bridge import BridgedModel
    from perstack.providers.bridge_bedrock import Bedrock
    from perstack.providers.bridge_transport import Transport

    bearer = environ.get("AWS_BEARER_TOKEN_BEDROCK", "").strip()
    keys = [
        environ.get(name, "").strip()
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    ]
    transport = Transport(bearer, settings.headers, keys)
    session = import_module("botocore.session").Session()
    for name, variable in AWS_PATHS.items():
        if told := environ.get(variable):
            session.set_config_variable(name, told)
    failures = import_module("botocore.exceptions")
    try:
        region = (
            settings.region
            or environ.get("AWS_REGION")
            or environ.get("AWS_DEFAULT_REGION")
            or session.get_scoped_config().get("region")
        )
        if not region:
            raise ConfigurationError(
                "The provider amazon-bedrock needs a region: set region in [provider], "
                "or AWS_REGION in the environment."
            )
        if keys[0] and keys[1]:
            session.set_credentials(keys[0], keys[1], keys[2] or None)
        url = _aws_address(settings.base_url, environ)
        client = _bedrock_client(session, region, url, is_bearer=bool(bearer))
    except failures.BotoCoreError as error:
        raise ConfigurationError(f"AWS's settings cannot be used: {error}") from None
    transport.prepare(client.meta.endpoint_url)
    way_out = (
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or AWS_BEARER_TOKEN_BEDROCK."
    )
    return BridgedModel(Bedrock(client, transport, way_out, lambda: _aws_secrets(client)))


def open_library(settings: ProviderSettings, environ: Mapping[str, str]) -> Provider:
    """Any vendor that pydantic-ai knows, by a model string such as `groq:…`.

    Raises:
        ConfigurationError: the extra is missing, or a header cannot be sent.
    """
    require_packages("pydantic-ai")
    from perstack.providers.bridge import BridgedModel
    from perstack.providers.bridge_library import Library

    return BridgedModel(Library(settings, environ))


def _root(setting: str | None, variable: str | None, name: str) -> str:
    """The address without its version, which the SDK adds; empty for the vendor's own."""
    told, place = (setting, "The provider's baseUrl") if setting else (variable, name)
    if not told:
        return ""
    bare = told.strip().rstrip("/")
    for version in ("/v1beta1", "/v1beta"):
        bare = bare.removesuffix(version)
    return base_url(bare, place).removesuffix("/v1")


def _google_credentials(path: str) -> GoogleCredentials:
    """The credentials in the file at `path`."""
    auth = import_module("google.auth.exceptions")
    try:
        told = cast("dict[str, Any]", json.loads(Path(path).read_bytes()))
        place, made = GOOGLE_FILES[told["type"]]
        module, _, name = place.rpartition(".")
        make = getattr(getattr(import_module(module), name), made)
        loaded = make(told, scopes=[VERTEX_SCOPE])
    except (auth.GoogleAuthError, OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{VERTEX_CREDENTIALS} names {path}, which holds no usable credentials "
            f"({type(error).__name__}): create a key file anew, or unset the variable."
        ) from None
    secrets = tuple(str(told[name]) for name in GOOGLE_SECRETS if told.get(name))
    return GoogleCredentials(loaded, str(told.get("project_id") or ""), secrets)


def _aws_address(setting: str | None, environ: Mapping[str, str]) -> str | None:
    """Where Bedrock is asked by the settings and `environ`; None leaves it to botocore."""
    if setting:
        return base_url(setting, "The provider's baseUrl").removesuffix("/v1")
    if environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").strip().lower() == "true":
        return None
    for name in AWS_URLS:
        if told := environ.get(name, "").strip():
            return checked_url(told, name)
    return None


def _bedrock_client(session: Any, region: str, url: str | None, *, is_bearer: bool) -> Any:
    config = import_module("botocore.config").Config(
        retries={"total_max_attempts": 1},
        signature_version=import_module("botocore").UNSIGNED if is_bearer else "v4",
    )
    return session.create_client(
        "bedrock-runtime", region_name=region, endpoint_url=url, config=config
    )


def _aws_secrets(client: Any) -> list[str]:
    """What the client signs with, as far as it has been loaded."""
    found = getattr(getattr(client, "_request_signer", None), "_credentials", None)
    names = ("_secret_key", "_token", "secret_key", "token")
    kept = cast("dict[str, object]", getattr(found, "__dict__", {}))
    return [str(kept[name]) for name in names if kept.get(name)]
