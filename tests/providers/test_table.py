import subprocess
import sys

import pytest

from perstack.errors import ConfigurationError
from perstack.providers.table import WIRES, open_provider
from perstack.schema.settings import PROVIDER_NAMES, ProviderSettings

KEYED = {"ANTHROPIC_API_KEY": "sk-ant-canary-4f1d9c27"}


def refused(environ=KEYED, **settings) -> str:
    with pytest.raises(ConfigurationError) as caught:
        open_provider(ProviderSettings(**settings), environ)
    return caught.value.message


@pytest.mark.parametrize("environ", [{}, {"ANTHROPIC_API_KEY": ""}, {"ANTHROPIC_API_KEY": " \n"}])
def test_a_missing_key_is_named_with_the_way_out(environ):
    message = refused(environ)
    assert "ANTHROPIC_API_KEY" in message
    assert ".env" in message


@pytest.mark.parametrize("key", ["sk-\x00bad", "sk-a\r\nx: y", "sk-ä", "sk- two"])
def test_a_key_that_cannot_be_sent_is_refused_without_being_shown(key):
    message = refused({"ANTHROPIC_API_KEY": key})
    assert "ANTHROPIC_API_KEY" in message
    assert "sk-" not in message


def test_a_key_may_end_with_the_newline_of_its_file():
    open_provider(ProviderSettings(), {"ANTHROPIC_API_KEY": "sk-ant-1\n"})


def test_every_provider_that_can_be_configured_has_a_wire():
    assert set(WIRES) == set(PROVIDER_NAMES)


def test_an_unknown_provider_is_unknown():
    message = refused(provider_name="antropic")
    assert "is unknown" in message
    assert "anthropic, " in message


@pytest.mark.parametrize(
    "url",
    [
        "api.test",
        "ftp://api.test",
        "https://",
        "https://user:hunter2@api.test",
        "https://api.test?x=1",
        "https://api.test#x",
        "https://[::1",
        "https://api.test:port",
        "https://a b.test",
        "https://a.test\\@b.test",
        "https://a.test/\x1b[2J",
    ],
)
def test_an_address_that_cannot_be_asked_is_refused_with_its_place(url):
    told = refused(base_url=url)
    assert "baseUrl" in told or repr(url) in told or url in told
    assert refused({**KEYED, "ANTHROPIC_BASE_URL": url})
    assert "hunter2" not in told


@pytest.mark.parametrize(
    ("name", "value"), [("x y", "1"), ("x", "a\r\nb: c"), ("x:", "1"), ("x", "ä"), ("", "1")]
)
def test_a_header_that_cannot_be_sent_is_refused_without_its_value(name, value):
    message = refused(headers={name: value})
    assert repr(name) in message
    assert value == "1" or value not in message


def test_a_header_of_the_connection_is_not_the_users_to_set():
    assert "Content-Length" in refused(headers={"Content-Length": "3"})


def test_the_table_loads_no_wire_until_one_is_opened():
    code = (
        "import sys, perstack.providers.table\n"
        "assert 'httpx2' not in sys.modules and 'anyio' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
