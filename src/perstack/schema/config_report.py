"""What is wrong with a `perstack.toml`: the document of `perstack check --json`."""

from __future__ import annotations

from perstack.schema.base import Data


class ConfigReport(Data, omit_defaults=False, kw_only=True):
    """`config` names the file; `experts` are the keys of those that were looked at.

    `problems` keep an Expert from being used, or from asking a delegate; `warnings` are about
    what is allowed and probably not meant. Each is one line that names its place.
    `version` is that of this form: fields are added to it, and none is changed.
    """

    version: int = 1
    config: str
    is_clean: bool
    experts: tuple[str, ...]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
