"""The server of llama.cpp, by who owns its models and by its properties.

https://github.com/ggml-org/llama.cpp/tree/master/tools/server
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import anyio
import msgspec

from perstack.assembly.local_models.host import DETAIL_SECONDS, size
from perstack.schema.local_model import LocalModel, LocalServer

if TYPE_CHECKING:
    from perstack.assembly.local_models.host import Host


class _Meta(msgspec.Struct):
    n_ctx: int | None = None
    n_ctx_train: int | None = None


class _Model(msgspec.Struct):
    id: str
    owned_by: Literal["llamacpp"]
    meta: _Meta | None = None


class _Models(msgspec.Struct):
    data: list[_Model]


class _Generation(msgspec.Struct):
    n_ctx: int | None = None


class _Template(msgspec.Struct):
    supports_tools: bool | None = None


class _Properties(msgspec.Struct):
    """Of the one model that is loaded; a server that chooses among several has other ones."""

    default_generation_settings: _Generation | None = None
    chat_template_caps: _Template | None = None
    build_info: str | None = None


async def llama_cpp(host: Host) -> LocalServer | None:
    """The server, if it is one and has a model."""
    found = await host.ask("/v1/models", _Models)
    if found is None or not found.data:
        return None
    told: _Properties | None = None
    with anyio.move_on_after(DETAIL_SECONDS):
        told = await host.ask("/props", _Properties)
    told = told or _Properties()
    about = told if len(found.data) == 1 else _Properties()
    by_name = {model.id: model for model in found.data}
    names, left_out = host.listed(by_name)
    return LocalServer(
        kind="llamaCpp",
        provider="openai",
        base_url=f"{host.url}/v1",
        version=told.build_info[:80] if told.build_info else None,
        models=tuple(_model(by_name[name], about) for name in names),
        left_out=left_out,
    )


def _model(model: _Model, about: _Properties) -> LocalModel:
    meta = model.meta or _Meta()
    generation = about.default_generation_settings
    template = about.chat_template_caps
    return LocalModel(
        name=model.id,
        takes_tools=template.supports_tools if template is not None else None,
        context_window=size((generation.n_ctx if generation is not None else None) or meta.n_ctx),
        max_context_window=size(meta.n_ctx_train),
    )
