"""Every wire, for the tests that hold for all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from perstack.providers import GenerateRequest
from perstack.providers.table import open_provider
from perstack.schema.history import History
from perstack.schema.message import user_message
from perstack.schema.settings import ProviderSettings

if TYPE_CHECKING:
    from perstack.providers import Provider
    from perstack.schema.message import Message

KEY = "sk-canary-4f1d9c27-b83e"
"""The key of every wire here."""


@dataclass(frozen=True, kw_only=True)
class Wire:
    """One wire against the scripted server.

    `open` takes the server's URL. `signs`: thinking comes with a proof that goes back.
    `needs` are modules without which it is skipped.
    """

    name: str
    open: Callable[[str], Provider]
    model: str
    thinks: bool = True
    signs: bool = True
    counts_reasoning: bool = False
    needs: tuple[str, ...] = ()

    def request(self, *messages: Message, **fields: Any) -> GenerateRequest:
        """What to ask this wire; every field has a default."""
        given = {"model": self.model, "instruction": "Be brief.", "timeout": 10_000} | fields
        return GenerateRequest(
            messages=History(messages or (user_message("m1", "Hello"),)), **given
        )


def _anthropic(url: str) -> Provider:
    return open_provider(ProviderSettings(base_url=url), {"ANTHROPIC_API_KEY": KEY})


WIRES = (Wire(name="anthropic", open=_anthropic, model="claude-sonnet-4-5"),)
"""A further wire is a further row."""


@pytest.fixture(params=WIRES, ids=lambda wire: wire.name)
def wire(request: pytest.FixtureRequest) -> Wire:
    """Each wire in turn."""
    wire: Wire = request.param
    for module in wire.needs:
        pytest.importorskip(module)
    return wire
