"""The small records beside the logs: job.json and run.json."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Annotated

import msgspec

from perstack.errors import StorageError
from perstack.schema.base import Data
from perstack.schema.checkpoint import Job
from perstack.schema.keys import is_id
from perstack.schema.line import json_line
from perstack.schema.settings import Settings
from perstack.storage.folders import names_in, open_folder, replace_file, small_file
from perstack.storage.log import LOG_NAME

if TYPE_CHECKING:
    from pathlib import Path

MAX_RECORD = 1024 * 1024
"""Bytes of the largest record that is read."""
UNKNOWN_INDEX = 1 << 31
"""Stands for the index of a run whose record is missing or damaged: after all others."""


class RunRecord(Data, kw_only=True):
    """run.json: the run's place among the job's runs, from 1, and what it was made with."""

    index: int
    settings: Settings


class _Place(msgspec.Struct):
    index: Annotated[int, msgspec.Meta(ge=1, lt=UNKNOWN_INDEX)]


def keep_run(place: Path, folder: int, index: int, settings: Settings, known: bytes) -> bool:
    """Write the run.json of the run at `place`, without the secrets settings may hold.

    False where `known`, the record as it is, already says the same.
    """
    record = json_line(RunRecord(index=index, settings=without_secrets(settings)))
    if record != known:
        replace_file(place / "run.json", folder, record, durable=False)
    return record != known


def run_record(place: Path, folder: int) -> bytes:
    """What the run.json of the run at `place` holds; nothing where there is none."""
    try:
        return small_file(place / "run.json", folder, MAX_RECORD)
    except FileNotFoundError:
        return b""


def index_in(record: bytes) -> int:
    """The run's place among the job's runs, or `UNKNOWN_INDEX`."""
    try:
        return msgspec.json.decode(record, type=_Place).index
    except (ValueError, RecursionError):
        return UNKNOWN_INDEX


def run_indexes(path: Path, folder: int) -> dict[str, int]:
    """The index of every run in the folder `path` of a job's runs.

    Files in it are strays. A folder with neither record nor log is no run yet.

    Raises:
        StorageError: one of them is a link, or cannot be read.
    """
    indexes: dict[str, int] = {}
    for name in filter(is_id, names_in(path, folder)):
        kind = _kind(name, folder)
        if stat.S_ISLNK(kind):
            raise StorageError(f"Cannot read {path / name}: it is a link where a run must be")
        if stat.S_ISDIR(kind):
            with open_folder(path / name, folder) as run_folder:
                index = index_in(run_record(path / name, run_folder))
                if index != UNKNOWN_INDEX or _kind(LOG_NAME, run_folder):
                    indexes[name] = index
    return indexes


def _kind(name: str, folder: int) -> int:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except OSError:
        return 0


def keep_job(path: Path, folder: int, job: Job, *, durable: bool) -> None:
    """Write the job.json of the job at `path`."""
    fields = {"id": job.id, "status": job.status, "totalSteps": job.total_steps}
    fields |= msgspec.to_builtins(job)  # also what is as it is by default
    replace_file(path / "job.json", folder, json_line(fields), durable=durable)


def job_record(path: Path, folder: int) -> Job | None:
    """The record of the job at `path`; None where it is missing or damaged."""
    try:
        content = small_file(path / "job.json", folder, MAX_RECORD)
        job = msgspec.json.decode(content, type=Job)
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    return job if job.id == path.name else None


def without_secrets(settings: Settings) -> Settings:
    """The settings as they may be written down.

    Headers keep their names, the base URL loses its user, query and fragment: keys
    are passed in all of these.
    """
    provider = settings.provider
    base_url = provider.base_url
    if base_url is not None:
        base_url = base_url.partition("?")[0].partition("#")[0]
        scheme, slashes, rest = base_url.rpartition("//")
        host, slash, below = rest.partition("/")
        base_url = scheme + slashes + host.rpartition("@")[2] + slash + below
    headers = dict.fromkeys(provider.headers, "")
    kept = msgspec.structs.replace(provider, headers=headers, base_url=base_url)
    return msgspec.structs.replace(settings, provider=kept)
