"""An endpoint loads its HTTP client late, and at once where that could be refused."""

from __future__ import annotations

import subprocess
import sys

import pytest

from perstack.errors import ConfigurationError
from perstack.providers import LoadsClient, Provider
from perstack.providers.endpoint import Endpoint
from perstack.providers.table import open_provider
from perstack.schema.settings import ProviderSettings

SCRIPT = """
import sys
from perstack.providers.endpoint import Endpoint

endpoint = Endpoint(sys.argv[1], {}, {}, ())
print("httpx2" in sys.modules)
endpoint.load_client()
print("httpx2" in sys.modules)
"""

linux = pytest.mark.skipif(sys.platform != "linux", reason="the system may have proxies set")


def loaded(url: str, environ: dict[str, str]) -> list[str]:
    """Whether the client was loaded once the endpoint was made, and once that was asked for."""
    command = [sys.executable, "-c", SCRIPT, url]
    return subprocess.run(
        command, env=environ, capture_output=True, text=True, check=True
    ).stdout.split()


@linux
@pytest.mark.parametrize(
    "url",
    ["https://api.vendor.test/v1/messages", "http://localhost:8000/v1", "http://127.0.0.1:1/v1"],
)
def test_the_client_is_loaded_when_that_is_asked_for(url: str):
    assert loaded(url, {}) == ["False", "True"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTPS_PROXY", "http://proxy.test:3128"),
        ("no_proxy", "host.test"),
        ("SSL_CERT_DIR", "/"),
        ("SSLKEYLOGFILE", "/dev/null"),
    ],
)
def test_what_the_environment_says_of_connections_is_looked_at_at_once(name: str, value: str):
    assert loaded("https://api.vendor.test/v1", {name: value}) == ["True", "True"]


@pytest.mark.parametrize(
    "url", ["https://[::1]/v1", "https://bücher.test/v1", "http://a_b.test/v1"]
)
def test_an_address_that_is_not_plain_is_looked_at_at_once(url: str):
    assert loaded(url, {}) == ["True", "True"]


@pytest.mark.parametrize("url", ["https://999.1.1.1/v1", "https://-\udcff.test/"])
def test_what_is_no_url_is_refused_when_the_endpoint_is_made(url: str):
    with pytest.raises(ConfigurationError, match="Nothing can be asked at"):
        Endpoint(url, {}, {}, ())


@pytest.mark.parametrize("name", ["anthropic", "openai", "deepseek", "ollama"])
def test_our_wires_can_be_told_to_load_it(name: str):
    keys = {f"{vendor}_API_KEY": "k" for vendor in ("ANTHROPIC", "OPENAI", "DEEPSEEK")}
    provider: Provider = open_provider(ProviderSettings(provider_name=name), keys)
    assert isinstance(provider, LoadsClient)
    provider.load_client()
    provider.load_client()
