"""Fakes for testing Experts and the runtime without a model or a key.

What stands here is loaded on first use::

    from perstack.testing import ScriptedModel, call, say

    model = ScriptedModel([call("readTextFile", {"path": "a.txt"}), say("Done.")])
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perstack.providers.scripted import ScriptedModel, call, fail, say, together
    from perstack.testing.crashing_store import Crash, CrashingStore
    from perstack.testing.fake_tools import FakeTools
    from perstack.testing.model_server import ModelServer, serve_model

__all__ = [
    "Crash",
    "CrashingStore",
    "FakeTools",
    "ModelServer",
    "ScriptedModel",
    "call",
    "fail",
    "say",
    "serve_model",
    "together",
]

_PLACES = {
    "Crash": "perstack.testing.crashing_store",
    "CrashingStore": "perstack.testing.crashing_store",
    "FakeTools": "perstack.testing.fake_tools",
    "ModelServer": "perstack.testing.model_server",
    "ScriptedModel": "perstack.providers.scripted",
    "call": "perstack.providers.scripted",
    "fail": "perstack.providers.scripted",
    "say": "perstack.providers.scripted",
    "serve_model": "perstack.testing.model_server",
    "together": "perstack.providers.scripted",
}


def __getattr__(name: str) -> object:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(place), name)
