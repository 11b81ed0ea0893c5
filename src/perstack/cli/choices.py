"""What a person can choose from in the terminal: Experts, jobs, checkpoints, models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from perstack.assembly.job_listing import job_entry
from perstack.assembly.jobs_path import jobs_path
from perstack.config.starting_model import KEY_VARIABLES
from perstack.errors import StorageError
from perstack.providers.models import known_models
from perstack.registry.catalogue import catalogue_experts
from perstack.schema.event import RuntimeInitialized, decode_fact
from perstack.schema.local_model import SERVER_NAMES
from perstack.storage.listing import kept_jobs, kept_runs
from perstack.storage.reading import RunReader
from perstack.tui.session import Choice
from perstack.views.log.event_lines import calendar
from perstack.views.plain import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perstack.config.request import RunRequest
    from perstack.schema.checkpoint import Job
    from perstack.schema.local_model import LocalModel, LocalServer

MOST_JOBS = 30
"""Jobs that are listed, the newest ones."""

MOST_RECENT = 3
"""Experts of the newest jobs that stand above all others."""

STATUSES = {
    "stoppedByInteractiveTool": "waits for an answer",
    "stoppedByMaxSteps": "stopped at the step limit",
    "stoppedByError": "stopped by an error",
}

EXPERT, JOB = "expert:", "job:"
"""What the keys of the first list begin with."""


def first_choices(request: RunRequest) -> tuple[Choice, ...]:
    """The Experts that can be run here, those that were used last above, and the newest jobs."""
    root = jobs_path(request)
    jobs = kept_jobs(root)[:MOST_JOBS]
    experts = {choice.key: choice for choice in _experts(request)}
    used = (EXPERT + job.coordinator_expert_key.partition("@")[0] for job in jobs)
    recent = [key for key in dict.fromkeys(used) if key in experts][:MOST_RECENT]
    return (
        *(replace(experts.pop(key), group="Used last") for key in recent),
        *experts.values(),
        *(_job(root, job) for job in jobs),
    )


def _experts(request: RunRequest) -> Iterator[Choice]:
    project = request.project
    own = project.experts if project is not None else {}
    origin = Path(project.origin).name if project is not None else ""
    for key, expert in own.items():
        yield Choice(EXPERT + key, expert.description, origin, key, "Experts")
    for key, expert in catalogue_experts().items():
        if key not in own:
            yield Choice(EXPERT + key, expert.description, "catalogue", key, "Experts")


def _job(root: Path, job: Job) -> Choice:
    entry = job_entry(root, job, _quietly)
    began = calendar(job.started_at)[:16]
    steps = counted(entry.job.total_steps, "step")
    return Choice(
        JOB + job.id,
        _first_query(root, job.id),
        f"{STATUSES.get(entry.status, entry.status)}, {steps}, begun {began}",
        job.coordinator_expert_key or job.id,
        "Jobs",
    )


def _first_query(root: Path, job_id: str) -> str:
    """What a job was begun with; "" where its logs do not tell."""
    try:
        for run_id in kept_runs(root, job_id)[:1]:
            for entry in RunReader(root, job_id, run_id, _quietly).newer():
                fact = decode_fact(entry.line)
                return (fact.query or "") if isinstance(fact, RuntimeInitialized) else ""
    except (StorageError, ValueError, RecursionError):
        return ""
    return ""


def _quietly(_: str) -> None:
    """`perstack log` tells what of a log is damaged."""


def known_choices(request: RunRequest) -> tuple[Choice, ...]:
    """The models of the provider that is asked, and of those whose keys are set."""
    asked = request.settings.provider.provider_name
    environ = request.environ
    others = [name for name, key in KEY_VARIABLES.items() if environ.get(key, "").strip()]
    return tuple(
        Choice(f"{provider}/{model}", "", f"context {info.context_window:,}", model, provider)
        for provider in dict.fromkeys((asked, *others))
        for model, info in known_models(provider).items()
    )


class Offer(NamedTuple):
    """A model of a server on this machine."""

    server: LocalServer
    model: LocalModel


def offers_of(servers: Sequence[LocalServer]) -> list[Offer]:
    """Models that an Expert can be run with; those that are known to call tools first."""
    offers = [Offer(server, model) for server in servers for model in server.fit]
    return sorted(offers, key=lambda offer: not offer.model.takes_tools)


def offer_choices(offers: Sequence[Offer]) -> tuple[Choice, ...]:
    """The same to choose from; keys are places in the sequence."""
    return tuple(
        Choice(
            str(place),
            _abilities(offer.model),
            f"{SERVER_NAMES[offer.server.kind]} at {offer.server.base_url}",
            offer.model.name,
        )
        for place, offer in enumerate(offers)
    )


def _abilities(model: LocalModel) -> str:
    tools = "calls tools" if model.takes_tools else "does not say whether it calls tools"
    if model.context_window is not None:
        return f"{tools}; context {model.context_window:,} tokens"
    if model.max_context_window is not None:
        return f"{tools}; context up to {model.max_context_window:,} tokens"
    return f"{tools}; its context is not told"
