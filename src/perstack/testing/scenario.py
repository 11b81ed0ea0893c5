"""What a scripted model server answers: data, in files or in code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from perstack.schema.base import Data
from perstack.schema.message import Json

Trouble: TypeAlias = Literal["disconnect", "cut", "noStop", "error", "hang", "stall", "endless"]
"""What goes wrong with an answer.

`disconnect`: the connection ends before any header. `cut`: it ends in the middle of the
stream. `noStop`: the stream ends well, without its last event. `error`: an error event
inside the stream. `hang`: no answer at all. `stall`: silence after half of the stream.
`endless`: a stream that never ends.
"""


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


class Rule(Data, kw_only=True):
    """Answers for the conversations that `system` and `user` are found in.

    `user` is looked for in the newest text of the user, `system` in the system prompt.
    By `arrival` each request takes the next answer; by `turn` the answer is chosen by the
    number of replies in the history, so that it depends on the request alone. Past its
    end the last answer repeats.
    """

    replies: tuple[ReplySpec, ...]
    system: str = ""
    user: str = ""
    by: Literal["arrival", "turn"] = "arrival"


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


EXHAUSTED = ReplySpec(
    status=400, error=("invalid_request_error", "The scenario has no answer left.")
)


class Play:
    """A scenario being played: it counts what each rule has answered."""

    def __init__(self, scenario: Scenario | Sequence[ReplySpec]) -> None:
        if not isinstance(scenario, Scenario):
            scenario = Scenario(replies=tuple(scenario))
        self._scenario = scenario
        self._answered = [0] * len(scenario.rules)
        self._place = 0

    @property
    def reads_text(self) -> bool:
        """Whether the words of a request matter, or its length alone."""
        return bool(self._scenario.rules)

    def answer(self, conversation: Conversation) -> ReplySpec:
        """The answer to `conversation`; a 400 once there is none left."""
        for index, rule in enumerate(self._scenario.rules):
            if rule.system in conversation.system and rule.user in conversation.user:
                place = conversation.turns if rule.by == "turn" else self._answered[index]
                self._answered[index] += 1
                return rule.replies[min(place, len(rule.replies) - 1)]
        place, self._place = self._place, self._place + 1
        if place < len(self._scenario.replies):
            return self._scenario.replies[place]
        if (policy := self._scenario.policy) is not None:
            return policy.reply if conversation.turns < policy.steps else policy.final
        return EXHAUSTED


def load_scenario(path: Path) -> Scenario:
    """The scenario in a JSON file. Raises `msgspec.ValidationError` for one that is wrong."""
    return msgspec.json.decode(path.read_bytes(), type=Scenario)
