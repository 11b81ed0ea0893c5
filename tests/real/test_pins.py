"""What pins the servers of others: exact versions, from whichever registry a machine uses."""

from __future__ import annotations

import json
import re

from real.servers import PINS


def test_each_package_of_npm_is_pinned_and_names_no_registry():
    wanted = json.loads((PINS / "package.json").read_text())["dependencies"]
    locked = json.loads((PINS / "package-lock.json").read_text())["packages"]
    assert locked[""]["dependencies"] == wanted
    assert all(re.fullmatch(r"\d[\w.-]+", version) for version in wanted.values())
    packages = [package for name, package in locked.items() if name]
    assert all(package["integrity"] for package in packages)
    assert not [package for package in packages if "resolved" in package]


def test_each_package_of_pypi_is_pinned():
    pins = (PINS / "requirements.txt").read_text().split()
    assert all(re.fullmatch(r"[a-z-]+==[\d.]+", pin) for pin in pins)
