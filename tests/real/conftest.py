"""Servers from npm and PyPI for every test here."""

from __future__ import annotations

import pytest

from real.servers import Servers, install_servers


@pytest.fixture(scope="session")
def servers() -> Servers:
    return install_servers()
