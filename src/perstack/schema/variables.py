"""Names of environment variables: which are well formed, and which are refused.

A variable that makes a program load code, or run another program, before it does
anything of its own gives whoever names it the program's powers. Such names never
come from a file or an option.
"""

from __future__ import annotations

import re

MAX_NAME_LENGTH = 255
NAME_PATTERN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_DANGEROUS = re.compile(
    r"""
      LD_.* | DYLD_.* | GCONV_PATH | GLIBC_TUNABLES | LOCPATH | NLSPATH | HOSTALIASES
    | BASH_ENV | BASH_FUNC_.* | BASHOPTS | SHELLOPTS | ENV | IFS | PS4 | PROMPT_COMMAND | ZDOTDIR
    | NODE_OPTIONS | NODE_PATH | NODE_REPL_EXTERNAL_MODULE | ELECTRON_RUN_AS_NODE | BUN_OPTIONS
    | NPM_CONFIG_.* | YARN_.* | PNPM_.* | PIP_.* | UV_.*
    | PYTHON(?!(?:UNBUFFERED|IOENCODING|UTF8|HASHSEED|DONTWRITEBYTECODE|FAULTHANDLER|DEVMODE
               |TRACEMALLOC)$).*
    | PERL5OPT | PERL5LIB | PERLLIB | PERL5DB | RUBYOPT | RUBYLIB | LUA_INIT.* | LUA_PATH.*
    | LUA_CPATH.* | PHPRC | PHP_INI_SCAN_DIR | JAVA_TOOL_OPTIONS | _?JAVA_OPTIONS
    | JDK_JAVA_OPTIONS | DOTNET_STARTUP_HOOKS | CORECLR_.* | COR_.* | RUSTC_WRAPPER
    | GIT_SSH | GIT_SSH_COMMAND | GIT_EXEC_PATH | GIT_CONFIG.* | GIT_ASKPASS | GIT_EDITOR
    | GIT_SEQUENCE_EDITOR | GIT_PAGER | GIT_PROXY_COMMAND | GIT_EXTERNAL_DIFF | GIT_TEMPLATE_DIR
    | SSH_ASKPASS | EDITOR | VISUAL | PAGER | MANPAGER | LESSOPEN | LESSCLOSE | BROWSER
    | OPENSSL_CONF | OPENSSL_ENGINES | OPENSSL_MODULES | SSLKEYLOGFILE
    """,
    re.VERBOSE | re.IGNORECASE,
)


_SECRET = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """Whether the variable is named as those that hold keys and passwords are."""
    return _SECRET.search(name) is not None


def is_dangerous(name: str) -> bool:
    """Whether the variable could make a program run somebody else's code; any letter case."""
    return _DANGEROUS.fullmatch(name) is not None


def variable_problem(name: str) -> str | None:
    """Why `name` may not name a variable. The name is shown only when it is harmless."""
    if len(name) > MAX_NAME_LENGTH or NAME_PATTERN.fullmatch(name) is None:
        dangerous = name.upper().startswith("BASH_FUNC_")
        if not dangerous:
            return "must be a variable's name: letters, digits and '_', no digit first"
    if is_dangerous(name):
        return f"may not be {name[:80]!a}: that variable can make a program load foreign code"
    return None
