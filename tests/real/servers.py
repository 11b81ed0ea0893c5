"""The servers that scripts/servers installs, and how a skill starts them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from perstack.schema.skill import McpStdioSkill
from perstack.skills.mcp.environment import server_environment

ROOT = Path(__file__).resolve().parents[2]
PINS = Path(__file__).parent
EVERYTHING = "@modelcontextprotocol/server-everything"
FILESYSTEM = "@modelcontextprotocol/server-filesystem"


@dataclass(frozen=True)
class Servers:
    """An installation. `environ` holds all that a run needs to start its servers offline."""

    folder: Path
    environ: dict[str, str]

    def program(self, name: str) -> str:
        """A program that a package of npm brings, by its path."""
        return str(self.folder / "node_modules/.bin" / name)


def install_servers() -> Servers:
    """What is installed, once it is."""
    script = [sys.executable, str(ROOT / "scripts/servers")]
    ended = subprocess.run(script, capture_output=True, text=True, check=False)
    if ended.returncode:
        pytest.fail(f"scripts/servers ended with {ended.returncode}:\n{ended.stderr}", False)
    folder = ROOT / ".servers"
    own = {
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "NPM_CONFIG_CACHE": str(folder / "npm"),
        "NPM_CONFIG_OFFLINE": "true",
        "UV_CACHE_DIR": str(folder / "uv"),
        "UV_OFFLINE": "1",
        "UV_PYTHON": sys.executable,
    }
    return Servers(folder, server_environment(os.environ, McpStdioSkill(command="npx")) | own)


def npm(name: str) -> str:
    """A package of npm with its version."""
    pins: dict[str, str] = json.loads((PINS / "package.json").read_text())["dependencies"]
    return f"{name}@{pins[name]}"


def pypi(name: str) -> str:
    """A package of PyPI with its version."""
    pins = (PINS / "requirements.txt").read_text().split()
    return next(pin for pin in pins if pin.startswith(f"{name}=="))


def everything(more: str = "") -> str:
    """A skill that shows every feature of the protocol, started by npx."""
    return stdio_skill("everything", "npx", package=npm(EVERYTHING), more=more)


def exa(more: str = "") -> str:
    """A skill that searches the web, which needs a key for that and none to be started."""
    return stdio_skill("web", "npx", package=npm("exa-mcp-server"), more=more)


def files(folder: Path) -> str:
    """A skill that works in a folder. It gets an argument, and its package is one as well."""
    return stdio_skill("files", "npx", npm(FILESYSTEM), str(folder))


def docs(servers: Servers) -> str:
    """A skill on the newer library of npm. It is a program that is installed, by its path."""
    return stdio_skill("docs", servers.program("context7-mcp"))


def browser(servers: Servers) -> str:
    """The skill that most people use, without the browser that it needs."""
    return stdio_skill("browser", servers.program("playwright-mcp"), "--executable-path", "/none")


def clock() -> str:
    """A skill of PyPI, which speaks the revision of the protocol without a handshake as well."""
    return stdio_skill("clock", "uvx", package=pypi("mcp-server-time"))


def history() -> str:
    """A skill of PyPI that reads repositories."""
    return stdio_skill("history", "uvx", package=pypi("mcp-server-git"))


def paged() -> str:
    """A skill whose tools come a few at a time, by the official library of Python."""
    return stdio_skill("paged", sys.executable, str(PINS / "paging_server.py"))


def stdio_skill(name: str, command: str, *args: str, package: str = "", more: str = "") -> str:
    """The table of a skill of the Expert `worker`."""
    words = f"packageName = {json.dumps(package)}" if package else f"args = {json.dumps(args)}"
    return (
        f'\n[experts.worker.skills.{name}]\ntype = "mcpStdioSkill"\n'
        f"command = {json.dumps(command)}\n{words}\n{more}\n"
    )
