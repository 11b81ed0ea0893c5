"""What a run begins with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perstack._version import __version__
from perstack.kernel.instruction import instruction_of
from perstack.schema.event import RunStarted, RuntimeInitialized
from perstack.schema.expert import Definition, Expert
from perstack.schema.message import InstructionMessage, Json, TextPart, user_message

if TYPE_CHECKING:
    from perstack.runtime.environment import Environment


def initialized(
    env: Environment,
    definition: Definition,
    *,
    query: str | None = None,
    interactive: Json | None = None,
) -> RuntimeInitialized:
    """What a run is made with, before its first fact or before it is carried on."""
    settings = env.settings
    return RuntimeInitialized(
        runtime_version=__version__,
        runtime="local",
        expert_name=definition.expert.name,
        experts=(definition.expert.key, *(delegate.key for delegate in definition.delegates)),
        model=settings.model,
        max_steps=settings.max_steps,
        max_retries=settings.max_retries,
        timeout=settings.timeout,
        query=query,
        interactive_tool_call=interactive,
        notice=env.notice,
        provider=env.vendor[0],
        provider_address=env.vendor[1],
    )


def start_of(definition: Definition, query: str, event_id: str) -> RunStarted:
    """A run's first messages: the whole system prompt, and what it is asked."""
    message_id = f"{event_id}-0"
    instruction = InstructionMessage(
        id=message_id,
        contents=(TextPart(id=f"{message_id}-0", text=instruction_of(definition)),),
    )
    return RunStarted(
        id=event_id, input_messages=(instruction, user_message(f"{event_id}-1", query))
    )


def changes_in(before: Definition | None, now: Definition) -> tuple[str, ...]:
    """The fields in which today's definition differs from the recorded one."""
    if before is None or before == now:
        return ()
    names = Expert.__struct_fields__
    fields = [name for name in names if getattr(before.expert, name) != getattr(now.expert, name)]
    return tuple(fields or ["delegates"])
