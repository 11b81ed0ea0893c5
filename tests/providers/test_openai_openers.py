"""Which wire and which address the settings and the variables come to."""

from contextlib import aclosing
from typing import Any

import pytest

from perstack.errors import ConfigurationError
from perstack.providers import Failure, GenerateRequest, Reply
from perstack.providers.address import operation_url
from perstack.providers.table import open_provider
from perstack.schema.history import History
from perstack.schema.message import user_message
from perstack.schema.settings import ProviderSettings
from perstack.testing import serve_model
from perstack.testing.scenario import ReplySpec

pytestmark = pytest.mark.anyio

KEY = "sk-canary-71c2d9a80e"
KEYED = {"OPENAI_API_KEY": KEY, "DEEPSEEK_API_KEY": KEY, "AZURE_API_KEY": KEY}


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch):
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name.upper()}_PROXY", raising=False)


def opened(provider: str, environ: dict[str, str] | None = None, **settings: Any) -> str:
    told = ProviderSettings(provider_name=provider, **settings)
    return repr(open_provider(told, KEYED if environ is None else environ))


def refused(provider: str, environ: dict[str, str] | None = None, **settings: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        opened(provider, environ, **settings)
    assert KEY not in caught.value.message
    return caught.value.message


async def asked(provider: str, environ: dict[str, str], model: str = "m", **settings: Any):
    """The one request that a server gets, and what came of it."""
    async with serve_model([ReplySpec(text="Hi")]) as server:
        environ = {name: value.replace("{url}", server.url) for name, value in environ.items()}
        if "base_url" in settings:
            settings["base_url"] = settings["base_url"].replace("{url}", server.url)
        told = ProviderSettings(provider_name=provider, **settings)
        wire = open_provider(told, environ)
        try:
            request = GenerateRequest(
                model=model, instruction="", messages=History([user_message("0", "Hello")])
            )
            async with aclosing(wire.generate(request)) as pieces:
                *_, last = [piece async for piece in pieces]
        finally:
            await wire.aclose()
            await wire.aclose()
        (got,) = server.requests
    assert isinstance(last, Reply | Failure)
    return got, last


def test_openai_itself_is_asked_for_responses_and_others_for_chat_completions():
    assert opened("openai") == "ResponsesModel(Endpoint('https://api.openai.com/v1/responses'))"
    assert "eu.api.openai.com/v1/responses" in opened(
        "openai", base_url="https://eu.api.openai.com"
    )
    assert opened("openai", base_url="https://api.openai.com.evil.test/v1").startswith("ChatModel")
    assert opened("openai", base_url="https://openrouter.ai/api/v1") == (
        "ChatModel(Endpoint('https://openrouter.ai/api/v1/chat/completions'))"
    )


def test_the_api_can_be_chosen():
    assert "https://api.openai.com/v1/chat/completions" in opened("openai", api="chat")
    told = opened("openai", base_url="http://localhost:8000", api="responses")
    assert told == "ResponsesModel(Endpoint('http://localhost:8000/v1/responses'))"


def test_settings_win_over_variables():
    environ = {"OPENAI_BASE_URL": "https://from.test"}
    assert "https://from.test/v1/chat/completions" in opened("openai", environ)
    told = opened("openai", environ, base_url="https://settings.test")
    assert "https://settings.test/v1/chat/completions" in told
    assert "https://api.openai.com/v1" in opened("openai", KEYED | {"OPENAI_BASE_URL": " "})


@pytest.mark.parametrize(
    ("provider", "variable"),
    [
        ("openai", "OPENAI_API_KEY"),
        ("deepseek", "DEEPSEEK_API_KEY"),
        ("azure-openai", "AZURE_API_KEY"),
    ],
)
@pytest.mark.parametrize("key", ["", " \n"])
def test_a_vendor_needs_a_key(provider, variable, key):
    refused(provider, {}, resource_name="r")
    message = refused(provider, {variable: key}, resource_name="r")
    assert variable in message
    assert ".env" in message


@pytest.mark.parametrize("provider", ["openai", "ollama", "deepseek", "azure-openai"])
@pytest.mark.parametrize("key", ["sk-\x00bad", "sk-a\r\nx: y", "sk-ä", "sk- two"])
def test_a_key_that_cannot_be_sent_is_refused_without_being_shown(provider: str, key: str):
    environ = dict.fromkeys((*KEYED, "OLLAMA_API_KEY"), key)
    message = refused(provider, environ, resource_name="r")
    assert "_API_KEY" in message
    assert "sk-" not in message


async def test_a_compatible_server_is_asked_without_a_key_where_there_is_none():
    got, reply = await asked("openai", {"OPENAI_BASE_URL": "{url}"}, name="LM Studio")
    assert isinstance(reply, Reply)
    assert got.path == "/v1/chat/completions"
    assert "authorization" not in got.headers


async def test_a_key_and_the_organization_go_along():
    environ = {
        "OPENAI_BASE_URL": "{url}/v1/",
        "OPENAI_API_KEY": f"{KEY}\n",
        "OPENAI_ORGANIZATION": "org-variable",
        "OPENAI_PROJECT": "proj-variable",
    }
    got, _ = await asked("openai", environ, organization="org-settings", headers={"X-Team": "a"})
    assert got.headers["authorization"] == f"Bearer {KEY}"
    assert got.headers["openai-organization"] == "org-settings"
    assert got.headers["openai-project"] == "proj-variable"
    assert got.headers["x-team"] == "a"


def test_an_organization_that_cannot_be_sent_is_refused():
    for name in ("OPENAI_ORGANIZATION", "OPENAI_PROJECT"):
        assert name in refused("openai", KEYED | {name: "a\r\nb: c"})


async def test_ollama_needs_no_key_and_knows_its_place():
    assert "http://localhost:11434/v1/chat/completions" in opened("ollama", {})
    got, reply = await asked("ollama", {"OLLAMA_BASE_URL": "{url}/api/", **KEYED})
    assert isinstance(reply, Reply)
    assert got.path == "/v1/chat/completions"
    assert "authorization" not in got.headers
    got, _ = await asked("ollama", {"OLLAMA_API_KEY": KEY}, base_url="{url}")
    assert got.headers["authorization"] == f"Bearer {KEY}"


async def test_deepseek_is_asked_at_its_own_address():
    assert "https://api.deepseek.com/v1/chat/completions" in opened("deepseek")
    got, _ = await asked("deepseek", {"DEEPSEEK_API_KEY": KEY, "DEEPSEEK_BASE_URL": "{url}"})
    assert got.headers["authorization"] == f"Bearer {KEY}"


AZURE = "https://r.openai.azure.com/openai"


@pytest.mark.parametrize(
    ("settings", "variables", "url"),
    [
        ({"resource_name": "r"}, {}, f"{AZURE}/v1/responses?api-version=v1"),
        ({}, {"AZURE_RESOURCE_NAME": "r"}, f"{AZURE}/v1/responses?api-version=v1"),
        (
            {"resource_name": "r", "api": "chat", "api_version": "preview"},
            {"AZURE_API_VERSION": "v1"},
            f"{AZURE}/v1/chat/completions?api-version=preview",
        ),
        (
            {"resource_name": "other"},
            {"AZURE_BASE_URL": "https://gateway.test/azure/", "AZURE_API_VERSION": "latest"},
            "https://gateway.test/azure/v1/responses?api-version=latest",
        ),
        (
            {"base_url": f"{AZURE}/v1/"},
            {"AZURE_BASE_URL": "https://gateway.test"},
            f"{AZURE}/v1/responses?api-version=v1",
        ),
        (
            {"base_url": "https://r.services.ai.azure.com"},
            {},
            "https://r.services.ai.azure.com/openai/v1/responses?api-version=v1",
        ),
    ],
)
def test_azure_is_asked_at_its_resource_or_its_base_url(settings, variables, url):
    assert f"Endpoint('{url}')" in opened("azure-openai", KEYED | variables, **settings)


async def test_a_deployment_may_stand_in_the_address():
    got, reply = await asked(
        "azure-openai",
        {"AZURE_API_KEY": KEY},
        model="my deployment/1",
        base_url="{url}/openai",
        use_deployment_based_urls=True,
    )
    assert isinstance(reply, Reply)
    assert got.path == "/openai/deployments/my%20deployment%2F1/chat/completions"
    assert got.headers["api-key"] == KEY
    assert "authorization" not in got.headers


async def test_azures_chat_completions_and_responses_get_the_key_in_its_own_header():
    for api in ("chat", "responses"):
        got, _ = await asked("azure-openai", {"AZURE_API_KEY": KEY}, base_url="{url}", api=api)
        assert got.headers["api-key"] == KEY
        assert "authorization" not in got.headers


def test_azure_without_a_resource_says_what_to_set():
    message = refused("azure-openai")
    for name in ("resourceName", "baseUrl", "AZURE_RESOURCE_NAME", "AZURE_BASE_URL"):
        assert name in message


@pytest.mark.parametrize(
    ("variables", "settings"),
    [
        ({"AZURE_RESOURCE_NAME": "evil.test/x#"}, {}),
        ({"AZURE_BASE_URL": "https://a b"}, {}),
        ({"AZURE_RESOURCE_NAME": "r", "AZURE_API_VERSION": "v1&x=y"}, {}),
        ({"AZURE_RESOURCE_NAME": "r"}, {"api": "responses", "use_deployment_based_urls": True}),
        ({"AZURE_RESOURCE_NAME": "r"}, {"headers": {"x y": "1"}}),
        (
            {"AZURE_RESOURCE_NAME": "r"},
            {"headers": {"x y": "1"}, "use_deployment_based_urls": True},
        ),
    ],
)
def test_what_cannot_be_used_at_azure_is_told_before_the_run(variables, settings):
    refused("azure-openai", KEYED | variables, **settings)


@pytest.mark.parametrize("provider", ["openai", "deepseek", "ollama", "azure-openai"])
@pytest.mark.parametrize(
    "url",
    ["api.test", "ftp://a.test", "https://u:hunter2@a.test", "https://a.test?x=1", "http://[1"],
)
def test_an_address_that_cannot_be_asked_is_refused_with_its_place(provider, url):
    message = refused(provider, base_url=url)
    assert "baseUrl" in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://h:1234", "http://h:1234/v1/chat/completions"),
        ("http://h/v1/", "http://h/v1/chat/completions"),
        ("https://h/api/v1", "https://h/api/v1/chat/completions"),
        ("https://h/v1beta/openai/", "https://h/v1beta/openai/chat/completions"),
        ("https://h/api/paas/v4", "https://h/api/paas/v4/chat/completions"),
        (
            "https://h/v1/account/gateway/openai",
            "https://h/v1/account/gateway/openai/chat/completions",
        ),
        ("https://h/proxy", "https://h/proxy/v1/chat/completions"),
        ("https://v2.h/vault", "https://v2.h/vault/v1/chat/completions"),
        ("https://h/inference/chat/completions", "https://h/inference/chat/completions"),
        (" https://h/v1 ", "https://h/v1/chat/completions"),
    ],
)
def test_a_base_url_is_taken_with_and_without_its_version_or_whole(base, url):
    assert operation_url(base, "here", "chat/completions") == url
