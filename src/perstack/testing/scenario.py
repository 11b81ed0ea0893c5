"""What a scripted model server answers: data, in files or in code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from perstack.providers.scripted import turns
from perstack.schema.base import Data
from perstack.schema.message import Json

Trouble: TypeAlias = Literal["disconnect", "cut", "noStop", "error", "hang", "stall", "endless"]
"""What goes wrong with an answer.

`disconnect`: the connection ends before any header. `cut`: it ends in the middle of the
stream. `noStop`: the stream ends well, without its last event. `error`: an error event
inside the stream. `hang`: no answer at all. `stall`: silence after half of the stream.
`endless`: a stream that never ends.
"""


CUT_OFF = frozenset({"max_tokens", "max_output_tokens", "length", "MAX_TOKENS"})
"""What vendors call it when a reply ended at the token limit."""


class CallSpec(Data, kw_only=True):
    """A tool call. `raw` is sent in place of `args`, as it is."""

    name: str
    args: Json = {}
    id: str = ""
    raw: str | None = None


class ReplySpec(Data, kw_only=True):
    """One answer. `{n}` in any text becomes the number of replies already in the history.

    `latency_ms` passes before the headers. `write` is how the stream is cut into HTTP
    chunks: one for all, one for each event, or one for each byte. They leave together,
    unless `pause_ms` passes between them. With `status`
    the answer is an error with that status, `error` its type and message; `body` is sent
    in place of a well-formed error.
    """

    text: str = ""
    text_pieces: int = 1
    thinking: str = ""
    signature: str = "signature-{n}"
    redacted: str = ""
    calls: tuple[CallSpec, ...] = ()
    stop_reason: str | None = None
    input_tokens: int = 100
    output_tokens: int = 20
    cached_tokens: int = 0
    cache_creation_tokens: int = 0
    latency_ms: int = 0
    pause_ms: int = 0
    write: Literal["whole", "events", "bytes"] = "events"
    status: int = 200
    headers: dict[str, str] = {}
    error: tuple[str, str] = ("overloaded_error", "Overloaded")
    body: str | None = None
    trouble: Trouble | None = None

    @property
    def is_failure(self) -> bool:
        """Whether it is no reply at all."""
        return self.status != 200 or self.trouble is not None

    @property
    def is_kept(self) -> bool:
        """Whether it leaves a reply in the history of the run that asked."""
        is_whole = bool(self.calls) and self.stop_reason not in CUT_OFF
        return not self.is_failure and (bool(self.text.strip()) or is_whole)


class Rule(Data, kw_only=True):
    """Answers for the conversations that `system` and `user` are found in.

    `user` is looked for in the newest text of the user, `system` in the system prompt.
    By `arrival` each request takes the next answer; by `turn` the answer is chosen by the
    number of replies in the history, so that it depends on the request alone. Answers that
    leave no reply there are given once, and then what stands behind them: a failure once to
    each text of the user, an empty or cut off reply to whoever asks first. Past its end the
    last answer repeats, or with `repeats` off every request fails.
    """

    replies: tuple[ReplySpec, ...]
    system: str = ""
    user: str = ""
    by: Literal["arrival", "turn"] = "arrival"
    repeats: bool = True


class Policy(Data, kw_only=True):
    """`steps` times `reply`, then `final`: by the length of the history alone.

    The same request gets the same answer from any server, before and after a crash.
    """

    steps: int
    reply: ReplySpec
    final: ReplySpec = ReplySpec(text="Done.")


class Scenario(Data, kw_only=True):
    """The first rule that fits answers; `replies` answer the rest in order; then `policy`."""

    rules: tuple[Rule, ...] = ()
    replies: tuple[ReplySpec, ...] = ()
    policy: Policy | None = None


class Conversation(Data, kw_only=True):
    """What a scenario looks at in a request: `turns` is the number of replies in it."""

    system: str
    user: str
    turns: int


SHOWN = 200
"""Characters of a request that an error repeats."""


class Play:
    """A scenario being played: it counts what each rule has answered."""

    def __init__(self, scenario: Scenario | Sequence[ReplySpec]) -> None:
        if not isinstance(scenario, Scenario):
            scenario = Scenario(replies=tuple(scenario))
        self._scenario = scenario
        self._turns = [turns(rule.replies, lambda spec: spec.is_kept) for rule in scenario.rules]
        self._answered: Counter[object] = Counter()
        self._place = 0

    @property
    def reads_text(self) -> bool:
        """Whether the words of a request matter, or its length alone."""
        return bool(self._scenario.rules)

    def answer(self, conversation: Conversation) -> ReplySpec:
        """The answer to `conversation`; a 400 that says what was asked once there is none left."""
        for index, rule in enumerate(self._scenario.rules):
            fits = rule.system in conversation.system and rule.user in conversation.user
            if fits and rule.replies:
                spec = self._of_rule(index, rule, conversation)
                return spec or _exhausted("The rule for this has no answer left", conversation)
        place, self._place = self._place, self._place + 1
        if place < len(self._scenario.replies):
            return self._scenario.replies[place]
        if (policy := self._scenario.policy) is not None:
            return policy.reply if conversation.turns < policy.steps else policy.final
        if self.reads_text:
            return _exhausted("No rule of the scenario is for this", conversation)
        count = len(self._scenario.replies)
        return _exhausted(f"The scenario has no answer left, it had {count}", None)

    def _of_rule(self, index: int, rule: Rule, conversation: Conversation) -> ReplySpec | None:
        """The rule's answer; None past the end of one that does not repeat its last."""
        choices, key = rule.replies, (index,)
        if rule.by == "turn":
            groups, turn = self._turns[index], conversation.turns
            if turn >= len(groups) and not rule.repeats:
                return None
            choices = groups[min(turn, len(groups) - 1)]
            # What a run cannot use is followed by words to the model, which change its text.
            is_told = any(not each.is_failure for each in choices[:-1])
            key = (index, turn, "" if is_told else hash(conversation.user))
        place = self._answered[key]
        self._answered[key] += 1
        asks_again = rule.by == "turn" and choices[-1].is_kept
        if place >= len(choices) and not (rule.repeats or asks_again):
            return None
        return choices[min(place, len(choices) - 1)]


def _exhausted(problem: str, conversation: Conversation | None) -> ReplySpec:
    """The error past the end of a scenario: what is missing, and what was asked."""
    asked = ""
    if conversation is not None:
        asked = (
            f". It was asked {_short(conversation.user)} (replies before: {conversation.turns}; "
            f"system prompt: {_short(conversation.system)})"
        )
    return ReplySpec(status=400, error=("invalid_request_error", f"{problem}{asked}."))


def _short(text: str) -> str:
    """The beginning of a text; of a system prompt of ours, of the part about the Expert."""
    told = text.partition("# Your role\n")[2].strip() or text
    return repr(told if len(told) <= SHOWN else told[:SHOWN] + "…")


def load_scenario(path: Path) -> Scenario:
    """The scenario in a JSON file. Raises what `parse_scenario` raises, and OSError."""
    return parse_scenario(path.read_bytes())


def parse_scenario(data: bytes) -> Scenario:
    """The scenario in a JSON text: an object, or for short a list of replies.

    In a list, a text stands for a reply in words::

        ["Hello.", {"calls": [{"name": "todo", "args": {}}]}, "Done."]

    Raises:
        msgspec.MsgspecError: it is no JSON, or no scenario; the message names the place.
    """
    told = msgspec.json.decode(data, type=Scenario | list[ReplySpec | str])
    if isinstance(told, Scenario):
        return told
    replies = (ReplySpec(text=each) if isinstance(each, str) else each for each in told)
    return Scenario(replies=tuple(replies))
