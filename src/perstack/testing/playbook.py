"""What a model says to each Expert, written once: for a run in process, and for a server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeAlias

import msgspec

from perstack.providers import Failure, Reply
from perstack.providers.scripted import ScriptedModel
from perstack.schema.keys import parse_key
from perstack.schema.message import ExpertPart, TextPart, ThinkingPart, ToolCallPart
from perstack.schema.usage import NO_USAGE
from perstack.testing.scenario import CallSpec, ReplySpec, Rule, Scenario

Said: TypeAlias = str | Reply | Failure
"""A text, or what `say`, `call`, `together` and `fail` give."""


class Instructed(Protocol):
    """An Expert, as far as a server can tell it from others."""

    @property
    def name(self) -> str:
        """Its name, by which a playbook knows it."""
        ...

    @property
    def instruction(self) -> str:
        """Its instruction, which stands in the requests of its runs."""
        ...


class Playbook:
    """What a model says to each Expert, by the Expert's name or key.

        playbook = Playbook({
            "editor": [call("writer", {"query": "A line about rain."}), say("Printed.")],
            "writer": [fail("overloaded_error", 529, retryable=True), say("It rains.")],
        })

    Each run of an Expert plays its script from the beginning, by turn, however many run
    at the same time. Past the end of a script, and for an Expert without one, a run
    stops with an error that says what was asked.
    """

    def __init__(self, scripts: Mapping[str, Sequence[Said]]) -> None:
        self._scripts = {key: tuple(script) for key, script in scripts.items()}

    def model(self) -> ScriptedModel:
        """A Provider that plays it in this process. It knows Experts by their keys."""
        return ScriptedModel.for_experts(self._scripts)

    def scenario(self, experts: Iterable[Instructed]) -> Scenario:
        """The same for a scripted model server, which knows Experts by their instructions.

        Failures leave as HTTP errors: with their own status, else 503 where a retry can
        help and 400 where not. A server tells the runs of one Expert apart by what the
        user says: of those that are asked the same, one gets a failure for all.

        Raises:
            ValueError: an Expert of the playbook is not among `experts`, or has the same
                instruction as another one.
        """
        by_name = {expert.name: expert.instruction.strip() for expert in experts}
        rules: dict[str, Rule] = {}
        for key, script in self._scripts.items():
            instruction = by_name.get(key) or by_name.get(parse_key(key).name)
            if instruction is None:
                known = ", ".join(by_name) or "none"
                raise ValueError(f"The playbook has the Expert {key!r}; the Experts are: {known}")
            if instruction in rules:
                raise ValueError(f"The Expert {key!r} has the instruction of another one")
            replies = tuple(reply_spec(said) for said in script)
            rules[instruction] = Rule(system=instruction, by="turn", replies=replies, repeats=False)
        # An instruction that another one contains is looked for after it.
        return Scenario(rules=tuple(rules[each] for each in sorted(rules, key=len, reverse=True)))


def reply_spec(said: Said) -> ReplySpec:
    """What a server sends for it."""
    if isinstance(said, str):
        return ReplySpec(text=said)
    if isinstance(said, Failure):
        return _failure_spec(said)
    parts: Sequence[ExpertPart] = said.contents
    thoughts = [part for part in parts if isinstance(part, ThinkingPart)]
    spec = ReplySpec(
        text="".join(part.text for part in parts if isinstance(part, TextPart)),
        thinking="".join(part.thinking for part in thoughts if not part.redacted),
        redacted="".join(part.thinking for part in thoughts if part.redacted),
        calls=tuple(
            CallSpec(
                name=part.tool_name,
                args=part.args,
                id=part.tool_call_id,
                raw="{" if part.tool_call_id in said.problems else None,
            )
            for part in parts
            if isinstance(part, ToolCallPart)
        ),
        stop_reason="max_tokens" if said.is_truncated else None,
    )
    if said.usage == NO_USAGE:
        return spec
    return msgspec.structs.replace(
        spec,
        input_tokens=said.usage.input_tokens - said.usage.cached_input_tokens,
        output_tokens=said.usage.output_tokens,
        cached_tokens=said.usage.cached_input_tokens,
    )


def _failure_spec(failure: Failure) -> ReplySpec:
    error = failure.error
    wait = failure.retry_after
    return ReplySpec(
        status=error.status_code or (503 if error.is_retryable else 400),
        error=(error.name, error.message),
        headers={} if wait is None else {"retry-after-ms": str(wait)},
    )
