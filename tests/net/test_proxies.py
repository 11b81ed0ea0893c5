import pytest

from perstack.net.proxies import proxy_of
from perstack.net.urls import parse_url

PROXY = "http://proxy.example.com:3128"


def proxy(url: str, **environ: str) -> str | None:
    found = proxy_of(parse_url(url, allow_loopback=True), environ)
    return None if found is None else found.url


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
def test_a_proxy_is_found_in_either_letter_case(variable):
    assert proxy("https://a.example.com/", **{variable: PROXY}) == PROXY


def test_small_letters_win():
    assert proxy("https://a.example.com/", https_proxy=PROXY, HTTPS_PROXY="http://b") == PROXY


def test_a_proxy_without_a_scheme_speaks_http():
    assert proxy("https://a.example.com/", https_proxy="proxy:3128") == "http://proxy:3128"


@pytest.mark.parametrize(
    "url",
    ["http://localhost/", "https://localhost/", "https://127.0.0.1/", "https://[::1]:8443/"],
)
def test_this_machine_has_no_proxy(url):
    assert proxy(url, HTTPS_PROXY=PROXY, http_proxy=PROXY, ALL_PROXY=PROXY) is None


def test_the_proxy_for_plain_http_is_not_the_one_for_https():
    assert proxy("https://a.example.com/", http_proxy=PROXY, HTTP_PROXY=PROXY) is None


@pytest.mark.parametrize(
    ("url", "exceptions"),
    [
        ("https://a.example.com/", "*"),
        ("https://a.example.com/", "a.example.com"),
        ("https://a.example.com/", "b.example.com, A.Example.Com"),
        ("https://a.example.com/", "example.com"),
        ("https://a.example.com/", ".example.com"),
        ("https://a.example.com/", "*.example.com"),
        ("https://a.example.com/", "b c example.com."),
        ("https://a.example.com/", "example.com:443"),
        ("https://a.example.com:8443/", "example.com:8443"),
        ("https://8.8.8.8/", "8.8.8.8"),
        ("https://8.8.8.8/", "8.8.0.0/16"),
        ("https://[2606:4700::1]/", "2606:4700::1"),
        ("https://[2606:4700::1]/", "[2606:4700::1]:443"),
        ("https://[2606:4700::1]/", "2606:4700::/32"),
    ],
)
@pytest.mark.parametrize("variable", ["no_proxy", "NO_PROXY"])
def test_what_no_proxy_names_has_none(url, exceptions, variable):
    assert proxy(url, HTTPS_PROXY=PROXY, **{variable: exceptions}) is None


@pytest.mark.parametrize(
    ("url", "exceptions"),
    [
        ("https://a.example.com/", ""),
        ("https://a.example.com/", ",, ."),
        ("https://a.example.com/", "ample.com"),
        ("https://a.example.com/", "b.a.example.com"),
        ("https://a.example.com/", "example.com:8443"),
        ("https://8.8.8.8/", "8.8.8.80 8.8.9.0/24 .8"),
        ("https://[2606:4700::1]/", "2606:4700::2, ::1, [2606:4700::1]:8443"),
    ],
)
def test_what_no_proxy_does_not_name_has_one(url, exceptions):
    assert proxy(url, HTTPS_PROXY=PROXY, NO_PROXY=exceptions) == PROXY


def test_a_proxy_shows_no_credentials():
    url = parse_url("https://a.example.com/", allow_loopback=False)
    assert "pass" not in repr(proxy_of(url, {"HTTPS_PROXY": "http://me:pass@proxy"}))
