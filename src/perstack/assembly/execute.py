"""One request, carried out."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from perstack.assembly.continuation import job_id_of, play, step_limit_of
from perstack.assembly.experts import Experts
from perstack.assembly.jobs_path import jobs_path
from perstack.assembly.model import open_model
from perstack.assembly.parts import OUR_OWN, Parts
from perstack.assembly.tools import check_requirements, started_at_once, toolboxes
from perstack.assembly.vendor import DEMO, vendor_of
from perstack.base.custody import keepers_ahead
from perstack.errors import ConfigurationError
from perstack.providers import LoadsClient
from perstack.providers.models import context_window
from perstack.runtime.environment import Environment, StepBudget
from perstack.runtime.job import open_job

if TYPE_CHECKING:
    from perstack.assembly.outcome import Outcome
    from perstack.config.request import RunRequest
    from perstack.providers import Provider
    from perstack.runtime.environment import Listener, Stop
    from perstack.schema.expert import Definition
    from perstack.storage import Store


def open_store(request: RunRequest) -> Store:
    """Where the request's jobs are kept.

    Raises:
        ConfigurationError: the path lies in the workspace, where tools could reach it.
    """
    from perstack.storage.files import FilesStore

    return FilesStore(jobs_path(request))


async def execute(
    request: RunRequest, stop: Stop, listeners: list[Listener], parts: Parts = OUR_OWN
) -> Outcome:
    """Begin or continue a job, and carry it on until it rests or is stopped.

    Raises:
        UsageError: the request does not fit the job.
        ConfigurationError: something it needs is missing.
        StorageError: its facts cannot be read or kept.
    """
    experts = Experts(request, parts.lock)
    definition = experts.definition(request.expert_key or "")
    check_requirements(definition.expert, request)
    async with keepers_ahead(started_at_once(definition.expert, parts.lock)):
        return await _carry_out(request, stop, listeners, parts, experts, definition)


async def _carry_out(
    request: RunRequest,
    stop: Stop,
    listeners: list[Listener],
    parts: Parts,
    experts: Experts,
    definition: Definition,
) -> Outcome:
    older = parts.lock.warning(request.project, definition.expert.key) if parts.lock else None
    provider, notice = (parts.open_model or open_model)(request, definition.expert)
    store = parts.store or open_store(request)
    settings = request.settings
    if notice is not None:
        settings = replace(settings, model="demo-player")
    try:
        job_id = await job_id_of(request, store)
        settings = replace(settings, max_steps=await step_limit_of(job_id, request, store))
        env = Environment(
            store=store,
            provider=provider,
            settings=settings,
            resolve=experts.resolve,
            open_toolbox=toolboxes(
                request, parts.tools, parts.lock, partial(_load_client, provider)
            ),
            listeners=listeners,
            on_listener_error=parts.on_listener_error,
            should_continue=parts.should_continue,
            stop=stop,
            steps=StepBudget(settings.max_steps),
            notice=_together(notice, older),
            context_window=context_window(settings.provider.provider_name, settings.model),
            vendor=_vendor(request, parts, is_demo=notice is not None),
        )
        async with open_job(job_id, env) as job:
            return await play(job, request, definition)
    finally:
        if parts.open_model is None:
            await provider.aclose()


def _vendor(request: RunRequest, parts: Parts, *, is_demo: bool) -> tuple[str | None, str | None]:
    """Whose model it is: a program's own may be anybody's."""
    if is_demo:
        return DEMO, None
    return (None, None) if parts.is_foreign_model else vendor_of(request)


def _load_client(provider: Provider) -> None:
    """Let the provider load its client, while tool servers start."""
    if isinstance(provider, LoadsClient):
        with suppress(ConfigurationError):  # which the first request tells of
            provider.load_client()


def _together(*notices: str | None) -> str | None:
    """What a person must know, a line each."""
    return "\n".join(notice for notice in notices if notice) or None
