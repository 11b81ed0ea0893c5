"""What the model servers on this machine mean for a run."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from perstack.assembly.local_models.host import HERE
from perstack.assembly.local_models.ollama import OLLAMA_HERE
from perstack.assembly.model import is_model_configured
from perstack.assembly.vendor import address
from perstack.config.origins import ACCESS
from perstack.providers.address import OLLAMA_URL
from perstack.schema.diagnosis import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perstack.assembly.local_models import Search
    from perstack.config.request import RunRequest
    from perstack.schema.local_model import LocalModel, LocalServer

LEAST_CONTEXT = 16_384
"""Tokens below which an Expert has little room beside its instruction and tools."""


def local_findings(request: RunRequest, search: Search) -> Iterator[Finding]:
    """Whether the server of this machine that a run would ask is there, and can do its part."""
    if not is_model_configured(request):
        yield from _unused(search.servers)
        return
    port = port_here(request)
    is_ollama = request.settings.provider.provider_name == "ollama"
    if port in search.closed:
        start = "Start it (`ollama serve`)" if is_ollama else "Start the model server"
        yield Finding(
            severity="problem",
            topic="model",
            message=f"Nothing listens at port {port} of this machine, where the model is asked",
            advice=f"{start}, or name another address or provider.",
        )
    there = [server for server in search.servers if urlsplit(server.base_url).port == port]
    for server in there:
        yield from _about_model(request.settings.model, server)
    if is_ollama and port is not None and port not in search.closed and not there:
        yield Finding(
            severity="warning",
            topic="model",
            message=f"What listens at port {port} of this machine, where the model is asked, "
            "does not answer as Ollama does",
            advice="See what it is, or name another address or provider.",
        )


def _unused(servers: Sequence[LocalServer]) -> Iterator[Finding]:
    """A server that could be asked, where nothing says what is."""
    for server in servers:
        if server.fit:
            yield Finding(
                severity="warning",
                topic="model",
                message=f"A model server runs on this machine, and nothing says to use it: "
                f"{server.base_url}",
                advice=_way_to(server, server.fit[0].name),
            )


def _way_to(server: LocalServer, name: str) -> str:
    model = quote(name)
    if server.base_url == OLLAMA_HERE:
        return f"To use it: --provider ollama --model {model}, or the same in perstack.toml."
    [variable] = ACCESS[server.provider].addresses
    return (
        f"To use it: set {variable} to {server.base_url}, and give --provider {server.provider} "
        f"--model {model}."
    )


def port_here(request: RunRequest) -> int | None:
    """The port of 127.0.0.1 where the provider is asked; None where it is elsewhere."""
    told, _ = address(request)
    if told is None and request.settings.provider.provider_name == "ollama":
        told = OLLAMA_URL
    try:
        parts = urlsplit(told or "")
        return parts.port if parts.hostname in (HERE, "localhost") else None
    except ValueError:
        return None


def _about_model(name: str, server: LocalServer) -> Iterator[Finding]:
    model = _named(name, server)
    if model is None:
        if server.kind == "ollama" and not name.endswith("cloud"):
            there = f" It has: {_names(server)}." if server.fit else ""
            yield Finding(
                severity="problem",
                topic="model",
                message=f"The Ollama server has no model {name}",
                advice=f"Fetch it with `ollama pull {quote(name)}`, or name another one.{there}",
            )
        return
    if model.takes_tools is False:
        yield Finding(
            severity="problem",
            topic="model",
            message=f"The model {name} cannot call tools, and an Expert works by them",
            advice=f"Name one that can: {_names(server)}." if server.fit else "Fetch one that can.",
        )
    if model.context_window is not None and model.context_window < LEAST_CONTEXT:
        most = model.max_context_window
        could = f" It could have {most:,}." if most and most > model.context_window else ""
        yield Finding(
            severity="warning",
            topic="model",
            message=f"The model {name} has a context of {model.context_window:,} tokens, which "
            "leaves an Expert little room",
            advice=f"Set a longer one in the model server's settings.{could}",
        )


def _named(name: str, server: LocalServer) -> LocalModel | None:
    """A model by the name that a run gives. Ollama takes one without a tag for the latest."""
    names = {name, f"{name}:latest"} if server.kind == "ollama" else {name}
    return next((model for model in server.models if model.name in names), None)


def _names(server: LocalServer) -> str:
    return ", ".join(model.name for model in server.fit[:5])
