"""URLs, domains, packages and variables: which are taken as they stand."""

from __future__ import annotations

import pytest

from perstack.config.addresses import base_url_problem, domain_problem, endpoint_problem
from perstack.config.skill_table import package_name
from perstack.schema.variables import is_dangerous, variable_problem


@pytest.mark.parametrize(
    "url",
    [
        "https://mcp.example.com",
        "https://mcp.example.com/sse?tenant=a",
        "https://mcp.example.com:443/",
        "https://mcp.example.com:8443/mcp",
        "HTTPS://MCP.EXAMPLE.COM/",
        "https://8.8.8.8/mcp",
        "https://[2606:4700::1111]/mcp",
    ],
)
def test_an_endpoint_is_https_to_a_public_name(url: str) -> None:
    assert endpoint_problem(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mcp.example.com",
        "//mcp.example.com",
        "http://mcp.example.com",
        "ftp://mcp.example.com",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://",
        "https:///x",
        "https:/example.com",
        "https://me:pass@example.com",
        "https://me@example.com",
        "https://example.com@evil.example/",
        "https://example.com:22/",
        "https://example.com:80/",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://example.com:99999/",
        "https://example.com:4 4/",
        "https://example.com:/",
        "https://example.com/#fragment",
        "https://example.com#@evil.example",
        "https://example.com\\@evil.example",
        "https:\\\\example.com",
        "https://exa mple.com",
        "https://example.com/\nx",
        "https://example.com/\0",
        "https://éxample.com",
        "https://\uff45xample.com",
        "https://example\u3002com",
        "https://-example.com",
        "https://localhost/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest",
        "https://127.0.0.1./",
        "https://[::1]/",
        "https://[::]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[fe80::1]/",
        "https://[fe80::1%25eth0]/",
        "https://[fd00::1]/",
        "https://x.localhost/",
        "https://localhost./",
        "https://168.63.129.16/",
        "https://[2002:7f00:1::]/",
        "https://[64:ff9b::7f00:1]/",
        "https://" + "a" * 3000,
    ],
)
def test_any_other_endpoint_is_refused(url: str) -> None:
    assert endpoint_problem(url) is not None


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:3000/mcp",
        "https://localhost/mcp",
        "http://127.0.0.1:80/mcp",
        "http://127.9.9.9:22/",
        "http://[::1]:3000/mcp",
        "https://mcp.example.com/mcp",
    ],
)
def test_an_endpoint_may_be_this_machine_where_that_is_allowed(url: str) -> None:
    assert endpoint_problem(url, allow_loopback=True) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://mcp.example.com/",
        "http://10.0.0.1/",
        "https://10.0.0.1/",
        "https://x.localhost/",
        "http://127.1/",
        "https://[::ffff:127.0.0.1]/",
        "https://0.0.0.0/",
        "http://me@localhost/",
        "http://localhost/#x",
        "ftp://localhost/",
    ],
)
def test_allowing_loopback_allows_nothing_else(url: str) -> None:
    assert endpoint_problem(url, allow_loopback=True) is not None


@pytest.mark.parametrize(
    ("url", "never", "loopback", "anywhere"),
    [
        ("https://api.example.com/v1", True, True, True),
        ("http://localhost:11434", False, True, True),
        ("http://127.0.0.1:1/v1", False, True, True),
        ("http://[::1]:1", False, True, True),
        ("http://ollama:11434", False, False, True),
        ("http://my_ollama:11434", False, False, True),
        ("http://127.0.0.1.evil.example", False, False, True),
        ("http://localhost.evil.example", False, False, True),
        ("http://127.0.0.01", False, False, True),
        ("ws://localhost", False, False, False),
        ("https://a:b@localhost", False, False, False),
        ("https://api.example.com?x=1", False, False, False),
        ("https://api.example.com/#", False, False, False),
    ],
)
def test_a_base_url_may_be_plain_where_it_says(
    url: str, never: bool, loopback: bool, anywhere: bool
) -> None:
    assert (base_url_problem(url, "never") is None) == never
    assert (base_url_problem(url, "loopback") is None) == loopback
    assert (base_url_problem(url, "anywhere") is None) == anywhere


@pytest.mark.parametrize(
    "domain", ["example.com", "API.Example.com", "*.example.com", "*.a.co.uk", "a-b.c1.dev"]
)
def test_a_domain_is_a_name_or_a_wildcard_below_one(domain: str) -> None:
    assert domain_problem(domain) is None


@pytest.mark.parametrize(
    "domain",
    [
        "",
        "*",
        "*.com",
        "*.co.uk",
        "*.github.io",
        "com",
        "localhost",
        "a.*.com",
        "a*.example.com",
        "**.example.com",
        ".example.com",
        "example.com.",
        "example..com",
        "example.com:443",
        "https://example.com",
        "example.com/path",
        "me@example.com",
        "-a.example.com",
        "a_b.example.com",
        "xn--80ak6aa92e.com",
        "a.XN--P1AI",
        "*.xn--p1ai.com",
        "\u0430pple.com",
        "example\u3002com",
        "127.0.0.1",
        "2130706433",
        "0x7f.0x1",
        "a.b\n",
        "a" * 64 + ".com",
        "a." * 130 + "com",
    ],
)
def test_any_other_domain_is_refused(domain: str) -> None:
    assert domain_problem(domain) is not None


@pytest.mark.parametrize(
    "name",
    [
        "exa-mcp-server",
        "@perstack/base",
        "@modelcontextprotocol/server-everything@2025.1.1",
        "mcp-server-time==1.2.3",
        "mcp-server@latest",
        "server@^1.2.0",
        "server[extra,more]==1.0",
        "a_b.c",
    ],
)
def test_a_package_is_a_published_name(name: str) -> None:
    assert package_name(name) is None


@pytest.mark.hostile
@pytest.mark.parametrize(
    "name",
    [
        "",
        "--flag",
        "-y",
        "@/x",
        "@a",
        "@../x",
        "git+ssh://git@example.com/x.git",
        "git@example.com:x",
        "../x",
        "./x",
        "/x",
        "a/b",
        "a/../b",
        "@a/b/c",
        "file:x",
        "http://example.com/x.tgz",
        "https:x",
        "a@npm:b",
        "a@file:../x",
        "a@git+https://example.com",
        "x.tgz",
        "x.tar.gz",
        "x.whl",
        "a;b",
        "a b",
        "a\nb",
        "a\n",
        "a\0",
        "a&b",
        "a|b",
        "a$(b)",
        "a`b`",
        "a>b",
        "a'b",
        'a"b',
        "a*",
        "a\\b",
        "a" * 300,
        "\u0440\u0430ckage",
    ],
)
def test_row_54_any_other_package_is_refused(name: str) -> None:
    assert package_name(name) is not None


DANGEROUS = [
    *("LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH", "GCONV_PATH", "DYLD_INSERT_LIBRARIES"),
    *("NODE_OPTIONS", "NODE_PATH", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PERL5OPT"),
    *("RUBYOPT", "BASH_ENV", "ENV", "IFS", "PROMPT_COMMAND", "JAVA_TOOL_OPTIONS"),
    *("GIT_SSH_COMMAND", "GIT_EXEC_PATH", "npm_config_registry", "PIP_INDEX_URL", "UV_INDEX"),
]


@pytest.mark.hostile
@pytest.mark.parametrize("name", [*DANGEROUS, "BASH_FUNC_x%%"])
def test_row_33_a_variable_that_loads_code_is_refused_in_any_letter_case(name: str) -> None:
    for spelled in (name, name.lower(), name.swapcase(), name.title()):
        assert is_dangerous(spelled)
        problem = variable_problem(spelled)
        assert problem is not None
        assert "foreign code" in problem


@pytest.mark.hostile
@pytest.mark.parametrize("name", ["", "A=B", "A\0", "A\n", "A B", "1A", "É", "A-B", "A" * 256])
def test_row_34_a_name_that_is_none_is_refused(name: str) -> None:
    problem = variable_problem(name)
    assert problem is not None
    assert problem.isprintable()


@pytest.mark.parametrize(
    "name", ["EXA_API_KEY", "A", "_x", "PYTHONUNBUFFERED", "ENVIRONMENT", "PIPELINE", "GIT_TOKEN"]
)
def test_ordinary_variables_are_fine(name: str) -> None:
    assert variable_problem(name) is None
