"""Ollama, by its own API: https://docs.ollama.com/api."""

from __future__ import annotations

import re
from functools import partial

import anyio
import msgspec

from perstack.assembly.local_models.host import DETAIL_SECONDS, Host, size
from perstack.schema.local_model import LocalModel, LocalServer

PORT = 11434

OLLAMA_HERE = Host(PORT).url
"""Where it is asked also where nothing says so."""

AT_ONCE = 4
"""Models that are asked about side by side."""

_CONTEXT = re.compile(r"^num_ctx\s+([0-9]{1,12})\s*$", re.MULTILINE)


class _Version(msgspec.Struct):
    version: str


class _Model(msgspec.Struct):
    name: str
    context_length: int | None = None  # of one that is loaded


class _Models(msgspec.Struct):
    models: list[_Model]


class _Shown(msgspec.Struct):
    capabilities: list[str] | None = None
    model_info: dict[str, object] | None = None
    parameters: str | None = None


async def ollama(host: Host) -> LocalServer | None:
    """The server, if it is one. Asking loads no model."""
    version = await host.ask("/api/version", _Version)
    there = await host.ask("/api/tags", _Models) if version is not None else None
    if version is None or there is None:
        return None
    names, left_out = host.listed(model.name for model in there.models)
    shown: dict[str, _Shown] = {}
    loaded: dict[str, int | None] = {}
    with anyio.move_on_after(DETAIL_SECONDS):
        limiter = anyio.CapacityLimiter(AT_ONCE)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_loaded, host, loaded)
            for name in names:
                tasks.start_soon(partial(_show, host, name, shown, limiter))
    return LocalServer(
        kind="ollama",
        provider="ollama",
        base_url=host.url,
        version=version.version[:80],
        models=tuple(
            _model(name, shown.get(name, _Shown()), loaded.get(name))
            for name in names
            if host.is_wanted(name)
            or (about := shown.get(name)) is None
            or about.capabilities != ["embedding"]
        ),
        left_out=left_out,
    )


async def _loaded(host: Host, loaded: dict[str, int | None]) -> None:
    """The context of each model that is in memory."""
    running = await host.ask("/api/ps", _Models)
    if running is not None:
        loaded.update((model.name, model.context_length) for model in running.models)


async def _show(
    host: Host, name: str, shown: dict[str, _Shown], limiter: anyio.CapacityLimiter
) -> None:
    async with limiter:
        about = await host.ask("/api/show", _Shown, {"model": name})
    if about is not None:
        shown[name] = about


def _model(name: str, about: _Shown, loaded: int | None) -> LocalModel:
    told = about.capabilities
    info = about.model_info or {}
    most = info.get(f"{info.get('general.architecture')}.context_length")
    chosen = _CONTEXT.search(about.parameters or "")
    return LocalModel(
        name=name,
        takes_tools="tools" in told if told is not None else None,
        context_window=size(loaded or (int(chosen[1]) if chosen else None)),
        max_context_window=size(most) if isinstance(most, int) and most is not True else None,
    )
