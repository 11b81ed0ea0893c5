from ipaddress import ip_address

import pytest

from perstack.net.addresses import is_here, is_loopback, is_public, literal
from perstack.net.allowed_domains import is_allowed
from perstack.net.dial import MAX_TRIED, _mixed  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(
    "text",
    [
        "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
        "126.255.255.255", "128.0.0.0", "168.63.129.15", "168.63.129.17", "172.15.255.255",
        "172.32.0.0", "192.0.1.0", "192.167.255.255", "192.169.0.0", "198.17.255.255",
        "198.20.0.0", "223.255.255.255", "2001:200::1", "2001:4860:4860::8888",
        "2606:4700:4700::1111", "2a00:1450:4001:80b::200e",
    ],
)  # fmt: skip
def test_what_stands_beside_a_denied_range_is_public(text):
    address = ip_address(text)
    assert is_public(address)
    assert not is_loopback(address)
    assert literal(f"[{text}]" if ":" in text else text) == address


@pytest.mark.parametrize("text", ["127.0.0.1", "127.255.255.254", "::1"])
def test_this_machine_has_its_own_addresses(text):
    assert is_loopback(ip_address(text))


@pytest.mark.parametrize("text", ["0.0.0.0", "::", "::ffff:127.0.0.1", "::1%1", "64:ff9b::7f00:1"])
def test_no_disguise_is_this_machine(text):
    assert not is_loopback(ip_address(text))


@pytest.mark.parametrize("host", ["localhost", "LocalHost", "127.0.0.1", "127.9.9.9", "[::1]"])
def test_this_machine_is_known_by_its_plain_names(host):
    assert is_here(host)


@pytest.mark.parametrize(
    "host",
    ["localhost.", "a.localhost", "0.0.0.0", "127.1", "2130706433", "[::]", "[::ffff:7f00:1]", ""],
)
def test_this_machine_has_no_other_plain_names(host):
    assert not is_here(host)


@pytest.mark.parametrize("host", ["example.com", "a_b.example.com", "xn--bcher-kva.example", "1.a"])
def test_a_name_is_no_address(host):
    assert literal(host) is None


@pytest.mark.parametrize(
    ("host", "pattern"),
    [
        ("api.example.com", "api.example.com"),
        ("API.Example.Com", "api.example.com"),
        ("api.example.com.", "api.example.com"),
        ("api.example.com", "API.example.com."),
        ("a.example.com", "*.example.com"),
        ("a.b.example.com", "*.Example.com"),
    ],
)
def test_a_host_is_allowed_that_a_pattern_names(host, pattern):
    assert is_allowed(host, ["other.example", pattern])


@pytest.mark.parametrize(
    ("host", "pattern"),
    [
        ("example.com", "*.example.com"),
        (".example.com", "*.example.com"),
        ("evilexample.com", "*.example.com"),
        ("api.example.com.evil.example", "api.example.com"),
        ("api.example.com", "example.com"),
        ("api.example.com", "*"),
        ("api.example.com", "*.com"),
        ("api.example.com", "*."),
        ("api.example.com", "a*.example.com"),
        ("api.example.com", ""),
    ],
)
def test_a_host_is_not_allowed_that_no_pattern_names(host, pattern):
    assert not is_allowed(host, [pattern])


def test_both_families_are_tried_by_turns_and_not_all_of_many():
    addresses = [ip_address(f"2606::{n}") for n in range(1, 5)]
    addresses += [ip_address(f"8.8.8.{n}") for n in range(1, 5)]
    tried = [str(address) for address in _mixed(addresses)]
    assert tried == ["2606::1", "8.8.8.1", "2606::2", "8.8.8.2", "2606::3", "8.8.8.3"]
    assert len(tried) == MAX_TRIED
    assert [str(address) for address in _mixed(addresses[4:])] == [
        "8.8.8.1", "8.8.8.2", "8.8.8.3", "8.8.8.4",
    ]  # fmt: skip
