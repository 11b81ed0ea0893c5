"""What the model says: from the words of the conversation alone, before and after a crash.

An Expert has goals, in order. One that the conversation shows to be fulfilled is not pursued
again. Of an effect whose outcome is unknown the model first asks the witness, unless the
query tells it to be careless: then it just repeats it.
"""

from __future__ import annotations

import json
from typing import Any

from perstack.testing.scenario import CallSpec, ReplySpec

UNKNOWN = "outcome is unknown"

GOALS: dict[str, list[list[str]]] = {
    "solo": [["do a"], ["do b", "do c"], ["do d"]],
    "lead": [["do a"], ["left", "right"], ["do z"]],
    "left": [["do l1"], ["do l2"]],
    "right": [["do r1"]],
}
"""Goals that stand together are pursued in one reply. What is no effect is a delegate."""

TALKS = {"left", "right"}
"""These finish in plain words, the others by attemptCompletion."""


def role_of(body: Any) -> str:
    """Which Expert is asking."""
    system = "".join(part["text"] for part in body["system"])
    return system.split("You are ", 1)[1].split(".", 1)[0]


def turns_of(body: Any) -> int:
    """How many replies the conversation already holds."""
    return sum(message["role"] == "assistant" for message in body["messages"])


def effects_of(role: str) -> list[str]:
    """Every effect that this Expert and its delegates bring about."""
    names: list[str] = []
    for goal in (goal for group in GOALS[role] for goal in group):
        names += [goal.removeprefix("do ")] if goal.startswith("do ") else effects_of(goal)
    return names


def result_of(role: str) -> str:
    """The final answer."""
    return f"Finished: {', '.join(effects_of(role))}."


def reply_to(body: Any) -> ReplySpec:
    """The one reply to this conversation."""
    role = role_of(body)
    called = list(_results(body))
    careless = "careless" in json.dumps(body["messages"][0])
    for group in GOALS[role]:
        calls = [_call(goal, called, careless) for goal in group]
        if wanted := tuple(call for call in calls if call is not None):
            return ReplySpec(thinking="Let me see.", calls=wanted)
    if role in TALKS or any(name == "attemptCompletion" for name, _, _ in called):
        return ReplySpec(thinking="That is all.", text=result_of(role), text_pieces=3)
    return ReplySpec(thinking="Done.", calls=(CallSpec(name="attemptCompletion"),))


def _results(body: Any) -> list[tuple[str, list[str], str]]:
    """Each answered call: its tool, its arguments as words, and its result."""
    calls: dict[str, tuple[str, list[str]]] = {}
    answered: list[tuple[str, list[str], str]] = []
    for part in (part for message in body["messages"] for part in message["content"]):
        if part["type"] == "tool_use":
            calls[part["id"]] = (part["name"], part["input"].get("args", []))
        elif part["type"] == "tool_result":
            answered.append((*calls[part["tool_use_id"]], json.dumps(part["content"])))
    return answered


def _call(goal: str, called: list[tuple[str, list[str], str]], careless: bool) -> CallSpec | None:
    """What the goal still needs, or None."""
    if not goal.startswith("do "):
        done = any(tool == goal and "Finished" in result for tool, _, result in called)
        query = "carelessly" if careless else "carefully"
        return None if done else CallSpec(name=goal, args={"query": query})
    name = goal.removeprefix("do ")
    is_unknown = False
    for args, result in ((args, result) for tool, args, result in called if tool == "exec"):
        if args == ["do", name]:
            if f"did {name}" in result:
                return None
            is_unknown = UNKNOWN in result
        elif args == ["ask", name]:
            if f"{name} happened" in result and f"{name} happened 0 times" not in result:
                return None
            is_unknown = is_unknown and UNKNOWN in result
    word = "ask" if is_unknown and not careless else "do"
    args = {"command": "./witness", "args": [word, name], "env": {}, "cwd": "."}
    return CallSpec(name="exec", args={**args, "stdout": True, "stderr": True})
