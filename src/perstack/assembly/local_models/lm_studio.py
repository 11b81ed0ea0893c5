"""LM Studio, by its own API, of which there are two versions.

https://lmstudio.ai/docs/developer/rest
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from perstack.assembly.local_models.host import size
from perstack.schema.local_model import LocalModel, LocalServer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perstack.assembly.local_models.host import Host

_EMBEDDING = ("embedding", "embeddings")


class _Config(msgspec.Struct):
    context_length: int | None = None


class _Instance(msgspec.Struct):
    config: _Config | None = None


class _Abilities(msgspec.Struct):
    trained_for_tool_use: bool | None = None


class _Model(msgspec.Struct):
    """Of version 1, since 0.4.0."""

    key: str
    type: str
    loaded_instances: list[_Instance]
    max_context_length: int | None = None
    capabilities: _Abilities | None = None


class _Models(msgspec.Struct):
    models: list[_Model]


class _OlderModel(msgspec.Struct):
    """Of version 0, since 0.3.6. An ability that is not named may be there."""

    id: str
    type: str
    state: str
    max_context_length: int | None = None
    loaded_context_length: int | None = None
    capabilities: list[str] | None = None


class _OlderModels(msgspec.Struct):
    data: list[_OlderModel]


async def lm_studio(host: Host) -> LocalServer | None:
    """The server, if it is one. Asking loads no model."""
    found = await host.ask("/api/v1/models", _Models)
    if found is not None:
        return _server(
            host, [_model(model) for model in found.models if model.type not in _EMBEDDING]
        )
    older = await host.ask("/api/v0/models", _OlderModels)
    if older is None:
        return None
    return _server(
        host, [_older_model(model) for model in older.data if model.type not in _EMBEDDING]
    )


def _server(host: Host, models: Sequence[LocalModel]) -> LocalServer:
    by_name = {model.name: model for model in models}
    names, left_out = host.listed(by_name)
    return LocalServer(
        kind="lmStudio",
        provider="openai",
        base_url=f"{host.url}/v1",
        models=tuple(by_name[name] for name in names),
        left_out=left_out,
    )


def _model(model: _Model) -> LocalModel:
    contexts = [
        instance.config.context_length
        for instance in model.loaded_instances
        if instance.config is not None and instance.config.context_length is not None
    ]
    return LocalModel(
        name=model.key,
        takes_tools=model.capabilities.trained_for_tool_use if model.capabilities else None,
        context_window=size(min(contexts, default=None)),
        max_context_window=size(model.max_context_length),
    )


def _older_model(model: _OlderModel) -> LocalModel:
    return LocalModel(
        name=model.id,
        takes_tools="tool_use" in (model.capabilities or ()) or None,
        context_window=size(model.loaded_context_length),
        max_context_window=size(model.max_context_length),
    )
