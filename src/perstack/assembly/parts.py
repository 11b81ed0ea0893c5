"""What a program that embeds Perstack puts in the place of our own parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from perstack.assembly.lock import Lock
    from perstack.config.request import RunRequest
    from perstack.providers import Provider
    from perstack.runtime.environment import Listener, ShouldContinue
    from perstack.schema.expert import Expert
    from perstack.skills.functions import FunctionTool
    from perstack.storage import Store

OpenModel: TypeAlias = "Callable[[RunRequest, Expert], tuple[Provider, str | None]]"
"""As `assembly.model.open_model`."""


class Parts(NamedTuple):
    """None stands for what the command line uses.

    `open_model` gives a provider that its owner closes; with `is_foreign_model` it is the
    program's own, and nobody knows whose model it asks. `lock` is that of the project's
    file; None where it has none. `tools` are by Expert name.
    `on_listener_error` hears of each listener that failed and was dropped.
    """

    store: Store | None = None
    open_model: OpenModel | None = None
    is_foreign_model: bool = False
    lock: Lock | None = None
    tools: Mapping[str, Sequence[FunctionTool]] = {}
    should_continue: ShouldContinue | None = None
    on_listener_error: Callable[[Listener, Exception], None] | None = None


OUR_OWN = Parts()
"""The parts of the command line."""
