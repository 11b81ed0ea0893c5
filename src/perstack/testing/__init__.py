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
    from perstack.testing.playbook import Playbook
    from perstack.testing.scenario import CallSpec, ReplySpec, Rule, Scenario, load_scenario

__all__ = [
    "CallSpec",
    "Crash",
    "CrashingStore",
    "FakeTools",
    "ModelServer",
    "Playbook",
    "ReplySpec",
    "Rule",
    "Scenario",
    "ScriptedModel",
    "call",
    "fail",
    "load_scenario",
    "say",
    "serve_model",
    "together",
]

_PLACES = {
    "CallSpec": "perstack.testing.scenario",
    "Crash": "perstack.testing.crashing_store",
    "CrashingStore": "perstack.testing.crashing_store",
    "FakeTools": "perstack.testing.fake_tools",
    "ModelServer": "perstack.testing.model_server",
    "Playbook": "perstack.testing.playbook",
    "ReplySpec": "perstack.testing.scenario",
    "Rule": "perstack.testing.scenario",
    "Scenario": "perstack.testing.scenario",
    "ScriptedModel": "perstack.providers.scripted",
    "call": "perstack.providers.scripted",
    "fail": "perstack.providers.scripted",
    "load_scenario": "perstack.testing.scenario",
    "say": "perstack.providers.scripted",
    "serve_model": "perstack.testing.model_server",
    "together": "perstack.providers.scripted",
}


def __getattr__(name: str) -> object:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(place), name)
