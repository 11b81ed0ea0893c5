"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

MEASURED_PACKAGES = (
    "perstack",
    "anyio",
    "click",
    "h11",
    "httpcore2",
    "httpx2",
    "idna",
    "markdown_it",
    "mdurl",
    "msgspec",
    "platformdirs",
    "pygments",
    "rich",
    "textual",
    "truststore",
    "typing_extensions",
)


def describe() -> str:
    """CPU, cores, kernel and Python, in one line."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    cores = f"{os.cpu_count()} cores"
    return ", ".join(
        (_processor(), cores, f"{platform.system()} {platform.release()}", f"{python} ({_build()})")
    )


def load() -> str:
    """The load averages over 1, 5 and 15 minutes."""
    return " ".join(f"{average:.2f}" for average in os.getloadavg())


def compile_packages() -> bool:
    """Make bytecode for Perstack and what it imports, as an installer does. Whether all has it.

    Without it the first start after an installation is measured, and in a folder that
    cannot be written to, every start. A process of its own does it: see `processes`.
    """
    specs = [find_spec(name) for name in MEASURED_PACKAGES]
    origins = [Path(spec.origin) for spec in specs if spec and spec.origin]
    places = [str(origin.parent if origin.name == "__init__.py" else origin) for origin in origins]
    command = [sys.executable, "-m", "compileall", "-qq", *places]
    return subprocess.run(command, check=False).returncode == 0


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _build() -> str:
    """The optimisations that CPython was built with, which matter most."""
    from sysconfig import get_config_var

    told = str(get_config_var("CONFIG_ARGS") or "")
    names = {"--enable-optimizations": "PGO", "--with-lto": "LTO"}
    found = [name for option, name in names.items() if option in told]
    return " ".join([*found, sys.platform]) if found else f"plain build, {sys.platform}"
