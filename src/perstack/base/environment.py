"""What a command may find in its environment: a short list of ours, and what the call sets."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from perstack.base.answer import Refused
from perstack.schema.variables import is_dangerous, is_secret

if TYPE_CHECKING:
    from collections.abc import Mapping

MARK = "PERSTACK_EXEC"
"""Set for every command to a value of its own, by which what it leaves running is found."""

PASSED = frozenset(
    {
        "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TMPDIR", "TZ",
        "LANG", "LANGUAGE", "LC_ALL", "LC_COLLATE", "LC_CTYPE", "LC_MESSAGES",
        "LC_MONETARY", "LC_NUMERIC", "LC_TIME",
        "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
        "NODE_EXTRA_CA_CERTS",
    }
)  # fmt: skip
"""Variables of the runtime that commands inherit as they are."""

PROXIES = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"})
"""Inherited in either letter case, unless the value holds a user or password."""

DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# Families of variables that steer what other programs run. The dangerous ones among
# them are refused everywhere; from a model, which has no need of the rest, all are.
_STEERING = re.compile(
    r"MALLOC_.*|RES_OPTIONS|PIPX_.*|CONDA_.*|VIRTUALENV_.*|PERL.*|RUBYPATH|GEM_.*|BUNDLE_.*|LUA_.*"
    r"|CDPATH|FPATH|JAVA_OPTS|JAVA_HOME|CLASSPATH|MAVEN_OPTS|GRADLE_OPTS|GIT_.*|SUDO_ASKPASS"
    r"|ERL_.*|ELIXIR_.*|RUSTC_.*|RUSTFLAGS|CARGO_.*|GOFLAGS|MAKEFLAGS|MFLAGS|GNUMAKEFLAGS|CMAKE_.*"
    r"|OPENSSL_.*|TERMINFO|TERMCAP|PERSTACK_.*"
)
_ALLOWED = re.compile(
    r"GIT_(AUTHOR|COMMITTER)_(NAME|EMAIL|DATE)|GIT_TERMINAL_PROMPT|GIT_OPTIONAL_LOCKS"
    r"|CARGO_TERM_COLOR"
)


def exec_environment(environ: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """The exact environment of a command: what is passed on, then what the call sets.

    No value that also stands in a variable named like a secret is passed on, and no
    folder of PATH that is not absolute: what it holds depends on where one stands.

    Raises:
        Refused: the call sets a variable that `refused_name` refuses, or a value
            of more than one line.
    """
    passed = without_secrets({n: v for n, v in environ.items() if _is_passed(n, v)}, environ)
    passed["PATH"] = absolute_path(passed.get("PATH", "")) or DEFAULT_PATH
    for name, value in given.items():
        reason = refused_name(name)
        if reason:
            raise Refused(f"env.{name[:100]!r} {reason}.")
        if "\n" in value or "\r" in value or "\0" in value:
            raise Refused(f"env.{name} has a value of more than one line.")
    return passed | dict(given)


def refused_name(name: str) -> str | None:
    """Why no call may set this variable, whatever the case of its letters; None where it may."""
    if not _NAME.fullmatch(name):
        return "is not a variable's name: letters, digits and '_', no digit first"
    upper = name.upper()
    steers = _STEERING.fullmatch(upper) is not None and _ALLOWED.fullmatch(upper) is None
    if steers or is_dangerous(name):
        return "cannot be set: it makes programs load or run something else"
    return None


def without_secrets(chosen: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """What of `chosen` holds no value of a variable of `environ` that is named like a secret."""
    secrets = {value for name, value in environ.items() if is_secret(name) and len(value) >= 8}
    return {n: v for n, v in chosen.items() if not any(secret in v for secret in secrets)}


def has_userinfo(addresses: str) -> bool:
    """Whether one of the addresses in a value may hold a user or password, or is none."""
    try:
        urlsplit(addresses)
    except ValueError:
        return True
    return "@" in addresses


def absolute_path(path: str) -> str:
    """The absolute folders of a PATH. An empty one would be wherever one stands."""
    return os.pathsep.join(folder for folder in path.split(os.pathsep) if folder.startswith("/"))


def _is_passed(name: str, value: str) -> bool:
    return not has_userinfo(value) if name.upper() in PROXIES else name in PASSED
