"""Perstack for Python: run Experts, with every step recorded.

The public API. What stands here is loaded on first use::

    from perstack import Expert, run

    result = await run(Expert("greeter", "Greet whoever asks."), "I am Ada.")
    print(result.text)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from perstack._version import __version__

if TYPE_CHECKING:
    from perstack.config.project import Project
    from perstack.embedding.api import run, run_sync, stream
    from perstack.embedding.event import Event
    from perstack.embedding.expert import Expert
    from perstack.embedding.requests import load_config, load_env
    from perstack.embedding.result import Result
    from perstack.embedding.runtime import Runtime
    from perstack.embedding.stream import Stream
    from perstack.errors import (
        CannotContinue,
        ConfigurationError,
        JobInUse,
        NoSuchCheckpoint,
        NoSuchJob,
        PerstackError,
        StorageError,
        UnknownExpert,
        UsageError,
    )
    from perstack.providers import Provider
    from perstack.schema.settings import ProviderSettings
    from perstack.skills.functions import FunctionTool
    from perstack.storage import Store
    from perstack.storage.files import FilesStore
    from perstack.storage.memory import MemoryStore

__all__ = [
    "CannotContinue",
    "ConfigurationError",
    "Event",
    "Expert",
    "FilesStore",
    "FunctionTool",
    "JobInUse",
    "MemoryStore",
    "NoSuchCheckpoint",
    "NoSuchJob",
    "PerstackError",
    "Project",
    "Provider",
    "ProviderSettings",
    "Result",
    "Runtime",
    "StorageError",
    "Store",
    "Stream",
    "UnknownExpert",
    "UsageError",
    "__version__",
    "load_config",
    "load_env",
    "run",
    "run_sync",
    "stream",
]

_PLACES = {
    "CannotContinue": "perstack.errors",
    "ConfigurationError": "perstack.errors",
    "Event": "perstack.embedding.event",
    "Expert": "perstack.embedding.expert",
    "FilesStore": "perstack.storage.files",
    "FunctionTool": "perstack.skills.functions",
    "JobInUse": "perstack.errors",
    "MemoryStore": "perstack.storage.memory",
    "NoSuchCheckpoint": "perstack.errors",
    "NoSuchJob": "perstack.errors",
    "PerstackError": "perstack.errors",
    "Project": "perstack.config.project",
    "Provider": "perstack.providers",
    "ProviderSettings": "perstack.schema.settings",
    "Result": "perstack.embedding.result",
    "Runtime": "perstack.embedding.runtime",
    "StorageError": "perstack.errors",
    "Store": "perstack.storage",
    "Stream": "perstack.embedding.stream",
    "UnknownExpert": "perstack.errors",
    "UsageError": "perstack.errors",
    "load_config": "perstack.embedding.requests",
    "load_env": "perstack.embedding.requests",
    "run": "perstack.embedding.api",
    "run_sync": "perstack.embedding.api",
    "stream": "perstack.embedding.api",
}


def __getattr__(name: str) -> object:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(place), name)
    globals()[name] = found
    return found
