"""How a run would be resolved, and what is in its way, for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perstack.schema.local_model import SERVER_NAMES
from perstack.views.plain import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from perstack.schema.diagnosis import Diagnosis, Engine, Finding, ModelChoice, Places, Program
    from perstack.schema.local_model import LocalModel, LocalServer

LINE_LIMIT = 500
"""Characters of a line, of which most are paths and messages."""

_COLUMN = 18
_REASONS = {
    "option": "by an option",
    "perstack.toml": "by perstack.toml",
    "environment": "by its key, which is set",
    "demo": "by default, with no key set",
    "default": "by default",
}
_SOURCES = {"option": "--env", "environment": "the environment", "file": "an .env file"}
_LOCKS = {
    "none": "none",
    "current": "up to date",
    "older": "older than perstack.toml",
    "unreadable": "cannot be read",
}
_BACKENDS = {
    "bubblewrap": "bubblewrap",
    "userNamespaces": "user namespaces",
    "landlock": "Landlock",
}


def diagnosis_text(diagnosis: Diagnosis) -> str:
    """A section for each thing, and last what was found. No line end at the end.

    Safe to print, whatever files and programs say.
    """
    sections = (
        ("", _software(diagnosis)),
        ("Model", _model(diagnosis.model)),
        ("Keys and variables", _variables(diagnosis)),
        ("Project", _project(diagnosis)),
        ("Places", _places(diagnosis.places)),
        ("Model servers on this machine", _servers(diagnosis.local_servers)),
        ("Programs", _programs(diagnosis.programs, diagnosis.docker)),
        (_sandbox_head(diagnosis), _sandbox(diagnosis)),
        ("Findings", _findings(diagnosis.findings)),
    )
    blocks = [_block(head, lines) for head, lines in sections]
    return "\n\n".join([*filter(None, blocks), _summary(diagnosis)])


def _block(head: str, lines: Iterable[str]) -> str:
    """A head with its lines below; nothing where there are none."""
    shown = [plain(line, LINE_LIMIT, one_line=True) for line in lines]
    if not shown:
        return ""
    return "\n".join([head, *(f"  {line}" for line in shown)] if head else shown)


def _row(name: str, value: str) -> str:
    return f"{name:<{_COLUMN}}{value}"


def _software(diagnosis: Diagnosis) -> Iterator[str]:
    software = diagnosis.software
    extras = f", extras: {', '.join(software.extras)}" if software.extras else ""
    yield f"perstack {software.perstack}{extras}"
    yield f"Python {software.python} on {software.platform}: {software.executable}"


def _model(model: ModelChoice | None) -> Iterator[str]:
    if model is None:
        yield "cannot be told before the configuration is in order"
        return
    yield _row("provider", f"{model.provider}, {_REASONS[model.provider_by]}")
    if model.address is not None:
        yield _row("asked at", model.address)
    if model.model is not None:
        yield _row("model", f"{model.model}, {_REASONS[model.model_by]}")
    else:
        yield _row("model", "none is named")
    if model.key is not None:
        yield _row("key", model.key)


def _variables(diagnosis: Diagnosis) -> Iterator[str]:
    for found in (*diagnosis.keys, *diagnosis.variables):
        yield f"{found.name}, from {_SOURCES[found.source]}"


def _project(diagnosis: Diagnosis) -> Iterator[str]:
    for expert in diagnosis.experts:
        yield _row(expert.key, "" if expert.is_ready else "CANNOT RUN").rstrip()


def _places(places: Places) -> Iterator[str]:
    yield _row("perstack.toml", places.config or "none here or above")
    for path in places.env_files:
        yield _row("variables", path)
    lock = f"{places.lock}, " if places.lock is not None else ""
    yield _row("lock", f"{lock}{_LOCKS[places.lock_state]}")
    yield _row("workspace", places.workspace)
    yield _row("jobs", places.jobs or "nowhere they may be")
    yield _row("cache", places.cache or "none")


def _servers(servers: Iterable[LocalServer]) -> Iterator[str]:
    for server in servers:
        version = f" {server.version}" if server.version is not None else ""
        yield f"{SERVER_NAMES[server.kind]}{version} at {server.base_url}"
        for model in server.models:
            yield f"  {model.name}: {', '.join(_abilities(model)) or 'nothing known of it'}"
        if server.left_out:
            yield f"  and {server.left_out} more"
        if not server.models:
            yield "  no models"


def _abilities(model: LocalModel) -> Iterator[str]:
    if model.takes_tools is not None:
        yield "calls tools" if model.takes_tools else "CANNOT CALL TOOLS"
    now, most = model.context_window, model.max_context_window
    if now is not None:
        could = f" of {most:,} that it could have" if most and most > now else ""
        yield f"context {now:,}{could}"
    elif most is not None:
        yield f"context at most {most:,}"


def _programs(programs: Iterable[Program], engine: Engine) -> Iterator[str]:
    for program in programs:
        version = f", {program.version}" if program.version is not None else ""
        yield _row(program.name, f"{program.path}{version}" if program.path else "not found")
    yield _row("Docker engine", _engine(engine))


def _engine(engine: Engine) -> str:
    match engine.state:
        case "answers":
            return f"{engine.version} answers at {engine.address}"
        case "silent":
            return f"does not answer at {engine.address}"
        case "notAsked":
            return f"was not asked: {engine.address}"
        case _:
            return "none"


def _sandbox_head(diagnosis: Diagnosis) -> str:
    used = diagnosis.sandbox.used
    return f"Sandboxes ({f'{used} is used' if used else 'this version uses none yet'})"


def _sandbox(diagnosis: Diagnosis) -> Iterator[str]:
    for backend in diagnosis.sandbox.backends:
        there = "yes" if backend.is_available else "no"
        yield _row(_BACKENDS[backend.name], f"{there}: {backend.detail}")


def _findings(findings: Iterable[Finding]) -> Iterator[str]:
    """Problems first; below each its details, and what to do."""
    for finding in sorted(findings, key=lambda finding: finding.severity != "problem"):
        mark = "!" if finding.severity == "problem" else "warning:"
        yield f"{mark} {finding.message}"
        yield from (f"    {line}" for line in finding.details)
        if finding.advice:
            yield f"  > {finding.advice}"


def _summary(diagnosis: Diagnosis) -> str:
    if not diagnosis.is_ready:
        count = sum(finding.severity == "problem" for finding in diagnosis.findings)
        return f"{count} problem{'s stand' if count > 1 else ' stands'} in the way of a run."
    return "Nothing stands in the way of a run."
