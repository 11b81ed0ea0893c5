"""Row 8: what one streamed request costs, on each wire, beside other clients of it."""

from __future__ import annotations

import importlib.util
import json
import sys
from statistics import median
from typing import Any

from .bench import Bench
from .figures import Figure
from .processes import environment, spent
from .worlds import HERE, model_server

WIRES = {"anthropic": "anthropic", "responses": "openai", "chat": "openai"}
"""Wires, and the vendor's package for each."""
CLIENTS = ("perstack", "sdk", "pydantic-ai")
NAMES = {
    "anthropic": "Anthropic Messages",
    "responses": "OpenAI Responses",
    "chat": "OpenAI Chat Completions",
}
HISTORY = (1, 201)
PIECES = 40
MOST_CPU = 0.003
MOST_GROWTH = 2.0


def world() -> dict[str, Any]:
    """A model that always says 40 pieces of text and makes two calls."""
    calls = [{"name": "readTextFile", "args": {"path": f"next-{n}.txt"}} for n in range(2)]
    reply = {"text": "words " * PIECES, "textPieces": PIECES, "calls": calls}
    return {"policy": {"steps": 1_000_000, "reply": reply, "final": reply}}


def requests(bench: Bench) -> list[Figure]:
    """CPU of one streamed request, with a short and with a long history."""
    figures: list[Figure] = []
    with model_server(bench.scratch, world()) as (url, _):
        for wire, package in WIRES.items():
            for client in CLIENTS:
                needs = package if client == "sdk" else client.replace("-", "_")
                if importlib.util.find_spec(needs) is None:
                    bench.notes.append(f"Row 8: {needs} is not installed and was not measured.")
                    continue
                figures += _of_client(bench, wire, client, package, url)
    return figures


def _of_client(bench: Bench, wire: str, client: str, package: str, url: str) -> list[Figure]:
    is_ours = client == "perstack"
    name = {"perstack": "Perstack", "sdk": f"the {package} SDK"}.get(client, client)
    figures: list[Figure] = []
    for messages in HISTORY:
        taken = _taken(bench, client, wire, messages, url)
        plural = "message" if messages == 1 else "messages"
        what = f"{NAMES[wire]}, {messages} {plural}: {name}"
        figures.append(Figure(8, what, "request", taken, MOST_CPU if is_ours else None))
    if is_ours:
        growth = median(figures[1].values) / median(figures[0].values)
        what = f"{NAMES[wire]}: {HISTORY[1]} messages over {HISTORY[0]}: {name}"
        figures.append(Figure(8, what, "times", (growth,), MOST_GROWTH))
    return figures


def _taken(bench: Bench, client: str, wire: str, messages: int, url: str) -> tuple[float, ...]:
    place = bench.folder()
    place.mkdir()
    told = place / "taken.json"
    command = [sys.executable, str(HERE / "ask_often.py"), client, wire]
    command += [str(messages), str(bench.long_runs), url]
    spent(command, place, environment(bench.scratch, url), told)
    return tuple(json.loads(told.read_text()))
