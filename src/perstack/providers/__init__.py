"""Where replies come from: the Provider protocol, and the table of built-in wires."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from perstack.schema.base import Data
from perstack.schema.checkpoint import RunError
from perstack.schema.history import History
from perstack.schema.message import ExpertMessage, ExpertPart
from perstack.schema.settings import ReasoningBudget
from perstack.schema.tool import ToolDefinition
from perstack.schema.usage import NO_USAGE, Usage


class GenerateRequest(Data, kw_only=True):
    """What a model is asked. `timeout` is ms for the whole generation.

    With `tool_choice` "none" the tools are still sent, so that the vendor's cached
    prefix holds, and the model must answer in text. `cache_key` is the same for the
    requests of one run, and tells a vendor that routes by it where its cache is.
    `expert_key` says whose run it is; no wire sends it.
    """

    model: str
    instruction: str
    messages: History
    tools: tuple[ToolDefinition, ...] = ()
    tool_choice: Literal["auto", "none"] = "auto"
    reasoning_budget: ReasoningBudget = "low"
    timeout: int = 300_000
    cache_key: str = ""
    expert_key: str = ""


class ReasoningDelta(Data, kw_only=True):
    """A piece of thinking, as it arrives."""

    text: str


class TextDelta(Data, kw_only=True):
    """A piece of text, as it arrives."""

    text: str


class Reply(Data, kw_only=True):
    """A whole reply. Part ids are left empty: who records the reply names its parts.

    `problems` says, by tool call id, why the arguments of a call are unusable
    (its `args` are then empty). `is_truncated`: the vendor cut the reply at its
    token limit.
    """

    contents: tuple[ExpertPart, ...]
    usage: Usage = NO_USAGE
    is_truncated: bool = False
    problems: dict[str, str] = {}

    @property
    def message(self) -> ExpertMessage:
        """The reply as a message without a name."""
        return ExpertMessage(id="", contents=self.contents)


class Failure(Data, kw_only=True):
    """No reply. `error` keeps the vendor's own name, message and status.

    `retry_after` is ms, where the vendor said when to come back.
    """

    error: RunError
    retry_after: int | None = None
    usage: Usage = NO_USAGE


Generated: TypeAlias = ReasoningDelta | TextDelta | Reply | Failure


class Provider(Protocol):
    """One model vendor's wire.

    Contract: `generate` yields any number of deltas and then exactly one Reply or
    Failure, and ends. It never raises for trouble of the model, the network or the
    vendor. It may be cancelled at any await, and several may run at once.
    """

    def generate(self, request: GenerateRequest) -> AsyncGenerator[Generated, None]:
        """One reply to `request`, streamed."""
        ...

    async def aclose(self) -> None:
        """Close connections. May be called twice."""
        ...


@runtime_checkable
class LoadsClient(Protocol):
    """A Provider whose first request loads its client, and that can be told to before."""

    def load_client(self) -> None:
        """Load it now, unless it is loaded: while others are waited for, this costs no time.

        Raises:
            ConfigurationError: requests cannot be made. They will fail and say why.
        """
        ...
