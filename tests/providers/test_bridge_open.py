from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from perstack.errors import ConfigurationError
from perstack.providers.extras import is_installed
from perstack.providers.table import open_provider
from perstack.schema.settings import ProviderSettings

HEAVY = ("pydantic", "pydantic_ai", "google", "boto3", "botocore", "openai")


@pytest.mark.parametrize(
    ("provider", "missing", "extra"),
    [
        ("google", "google.genai", "perstack[google]"),
        ("google-vertex", "google.genai", "perstack[google]"),
        ("amazon-bedrock", "boto3", "perstack[bedrock]"),
        ("amazon-bedrock", "pydantic_ai", "perstack[bedrock]"),
        ("pydantic-ai", "pydantic_ai", "perstack[pydantic-ai]"),
    ],
)
def test_a_missing_extra_says_what_to_install(monkeypatch, provider, missing, extra):
    found = importlib.util.find_spec

    def without(name):
        return None if name == missing else found(name)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    with pytest.raises(ConfigurationError) as caught:
        open_provider(ProviderSettings(provider_name=provider), {})
    assert missing in caught.value.message
    assert extra in caught.value.message


def test_a_module_whose_parent_is_missing_is_missing():
    assert not is_installed("no_such_package.at_all")


def test_nothing_of_the_vendors_is_loaded_before_one_is_opened():
    code = (
        "import sys, perstack.providers.table, perstack.providers.bridge_open\n"
        "from perstack.schema.settings import ProviderSettings\n"
        "open_ = perstack.providers.table.open_provider\n"
        "try:\n    open_(ProviderSettings(provider_name='google'), {})\n"
        "except perstack.errors.ConfigurationError: pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.strip("[]\n").replace("'", "").split(", ")) <= {"", "google"}


@pytest.mark.parametrize(
    "address", ["ftp://h", "https://user:pw@h", "https://h?key=1", "not a url"]
)
@pytest.mark.parametrize("provider", ["google", "google-vertex", "amazon-bedrock"])
def test_an_address_that_cannot_be_used_is_told(provider, address):
    pytest.importorskip("google.genai")
    pytest.importorskip("boto3")
    environ = {"GOOGLE_GENERATIVE_AI_API_KEY": "k" * 20, "AWS_ACCESS_KEY_ID": "a" * 20}
    environ |= {"AWS_SECRET_ACCESS_KEY": "s" * 40, "AWS_REGION": "eu-west-1"}
    settings = ProviderSettings(
        provider_name=provider, base_url=address, project="p", location="global"
    )
    with pytest.raises(ConfigurationError, match="baseUrl"):
        open_provider(settings, environ)
