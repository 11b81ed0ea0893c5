"""Where a command that only looks at jobs finds them: where `run` would keep them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from perstack.assembly.jobs_path import jobs_path
from perstack.config.here import working_directory
from perstack.config.request import Options
from perstack.config.resolve import resolve
from perstack.errors import NoSuchJob
from perstack.schema.keys import checked_id
from perstack.storage.listing import kept_job, kept_jobs

if TYPE_CHECKING:
    from perstack.schema.checkpoint import Job


def jobs_place(config: str | None, workspace: str | None, env_path: tuple[str, ...]) -> Path:
    """The folder that holds `jobs/`, by the rules of `run`: options, perstack.toml, variables.

    Raises:
        UsageError: an option is wrong.
        ConfigurationError: a file or a variable is, or the place lies in the workspace.
    """
    # Reading needs no model and no runtime, so that those of the file may be unfit.
    options = Options(
        config=config, workspace=workspace, env_path=env_path, model="none", runtime="local"
    )
    return jobs_path(resolve(options, working_directory(), os.environ))


def job_named(root: Path, job_id: str | None) -> Job:
    """The job of this id; of none, the one that started last.

    Raises:
        NoSuchJob: there is none.
        UsageError: the id is malformed.
    """
    if job_id is None:
        jobs = kept_jobs(root)
        if not jobs:
            raise NoSuchJob(
                f"There is no job in {root}. `perstack run` begins one; --workspace names "
                "another folder"
            )
        return jobs[0]
    job = kept_job(root, checked_id(job_id, "job id (--job)"))
    if job is None:
        raise NoSuchJob(f"There is no job {job_id} in {root}. `perstack jobs` lists them")
    return job
