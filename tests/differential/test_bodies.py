"""Our wires say what the vendors' own SDKs say, for any conversation.

One conversation is handed to our wire and, through pydantic-ai, to the vendor's SDK, and
the two bodies are compared. Where they may differ, a function below makes them alike,
and its docstring says why the difference is wanted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import anyio
import msgspec
import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from contracts.histories import TOOLS, conversations
from differential import library
from differential.library import Body, OpenModel
from perstack.providers import (
    GenerateRequest,
    anthropic_body,
    bridge_proof,
    openai_chat_body,
    openai_responses_proof,
)
from perstack.providers import openai_responses_body as responses_body
from perstack.providers.models import model_info
from perstack.providers.openai_chat_quirks import OPENAI
from perstack.providers.wire import sealed, unsealed
from perstack.schema.history import History
from perstack.schema.message import ExpertMessage, Message, ThinkingPart

EXAMPLES = 150

Alike = Callable[[Body], None]


def without(*names: str) -> Callable[[str], Alike]:
    """Fields that are left out of the comparison, because of `reason`."""

    def because(reason: str) -> Alike:
        assert reason

        def drop(body: Body) -> None:
            for name in names:
                body.pop(name, None)

        return drop

    return because


def blocks(body: Body) -> Iterator[Body]:
    """Every content block of every message, those inside of results too."""
    for message in body.get("messages", []):
        content = message.get("content")
        for block in content if isinstance(content, list) else ():
            yield block
            inner = block.get("content")
            yield from inner if isinstance(inner, list) else ()


def no_cache_marks(body: Body) -> None:
    """We mark tools, instruction and the newest two turns; the library's marks are off."""
    for tool in body["tools"]:
        tool.pop("cache_control", None)
    for block in [*blocks(body), *(body["system"] if isinstance(body["system"], list) else ())]:
        block.pop("cache_control", None)


def system_as_text(body: Body) -> None:
    """A cache mark needs a block; the library sends a text where there is no mark."""
    if isinstance(body["system"], list):
        (block,) = body["system"]
        body["system"] = block["text"]


def errors_said(body: Body) -> None:
    """`is_error` is false where it is left out."""
    for block in blocks(body):
        if block["type"] == "tool_result":
            block.setdefault("is_error", False)


def texts_as_blocks(body: Body) -> None:
    """A result that is one text may be a string."""
    for block in blocks(body):
        if block["type"] == "tool_result" and isinstance(block["content"], str):
            block["content"] = [{"type": "text", "text": block["content"]}]
    for message in body["messages"]:
        if isinstance(message["content"], str):
            message["content"] = [{"type": "text", "text": message["content"]}]


def joined_texts(body: Body) -> None:
    """Texts that follow one another in a result are blocks of ours, and lines of one of theirs."""
    for block in blocks(body):
        content = block.get("content")
        if block["type"] == "tool_result" and isinstance(content, list):
            texts = [inner["text"] for inner in content if inner["type"] == "text"]
            if len(texts) == len(content):
                block["content"] = [{"type": "text", "text": "\n".join(texts)}]


def one_turn_each(body: Body) -> None:
    """Neighbours of one role are one turn: the vendor joins them, and our marks count turns."""
    merged: list[Body] = []
    for message in body["messages"]:
        if merged and merged[-1]["role"] == message["role"]:
            merged[-1]["content"] += message["content"]
        else:
            merged.append(message)
    body["messages"] = merged


def plain_texts(body: Body) -> None:
    """Texts alone are one string of ours, which every compatible server reads."""
    for message in body["messages"]:
        content = message.get("content")
        if isinstance(content, list) and {part["type"] for part in content} == {"text"}:
            message["content"] = "\n\n".join(part["text"] for part in content)


def one_word_of_the_users(body: Body) -> None:
    """Neighbours of the user's are one message of ours: many servers want roles to alternate."""
    merged: list[Body] = []
    for message in body["messages"]:
        if merged and merged[-1]["role"] == message["role"] == "user":
            merged[-1]["content"] = _parts(merged[-1]) + _parts(message)
        else:
            merged.append(message)
    body["messages"] = merged


def _parts(message: Body) -> list[Body]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def media_after_results(body: Body) -> None:
    """A result's pictures follow in a message of the user's; the words that lead there differ."""
    for message in body["messages"]:
        content = message.get("content")
        if message["role"] == "tool":
            message["content"] = content.partition("\n(what it returned besides")[0]
            if content.startswith("[") and content.endswith('."]') and "See file " in content:
                texts = [text for text in json.loads(content) if not text.startswith("See file ")]
                message["content"] = "\n".join(texts)
        elif message["role"] == "user" and isinstance(content, list):
            leads = ("Returned by the call ", "<pyai:tool_result ", "</pyai:tool_result>")
            message["content"] = [
                part for part in content if not str(part.get("text", "")).startswith(leads)
            ]


def roles_of_messages(body: Body) -> None:
    """The type of an input item that is a message may be left out."""
    for item in body["input"]:
        if "role" in item:
            item.setdefault("type", "message")


@dataclass(frozen=True)
class Pair:
    """One wire of ours and the library's way to the same vendor.

    `sign` makes the proof of a thought as our wire keeps it, and `resign` the same one as
    the bridge keeps it. `errors` is off where a vendor has no field for a failed call, so
    that each says it in its own words.
    """

    name: str
    ours: Callable[[GenerateRequest], bytes]
    theirs: OpenModel
    wire: str
    model: str
    settings: dict[str, Any]
    alike: tuple[Alike, ...]
    sign: Callable[[str, str], str] | None = None
    resign: Callable[[str], str] | None = None
    errors: bool = True


def _responses(request: GenerateRequest) -> bytes:
    info = model_info("openai", request.model)
    return responses_body.request_body(request, wire="openai-responses", info=info, is_vendor=True)


def _chat(request: GenerateRequest) -> bytes:
    return openai_chat_body.request_body(request, model_info("openai", request.model), OPENAI)


def _sealed(proof: str, thinking: str) -> str:
    kept = openai_responses_proof.Proof(f"rs_{proof}", proof, (len(thinking),))
    return sealed("openai-responses", msgspec.json.encode(kept).decode())


def _sealed_for_the_bridge(proof: str) -> str:
    kept = bridge_proof.Proof(id=f"rs_{proof}", signature=proof)
    return sealed("openai-responses", msgspec.json.encode(kept).decode())


def resigned(request: GenerateRequest, resign: Callable[[str], str]) -> GenerateRequest:
    """The same request with each proof as the bridge keeps it."""
    messages: list[Message] = []
    for message in request.messages:
        if isinstance(message, ExpertMessage):
            parts = tuple(
                replace(part, signature=resign(_proof(part.signature)))
                if isinstance(part, ThinkingPart)
                else part
                for part in message.contents
            )
            messages.append(replace(message, contents=parts))
        else:
            messages.append(message)
    return replace(request, messages=History(messages))


def _proof(signature: str | None) -> str:
    told = unsealed("openai-responses", signature)
    return msgspec.json.decode(told or "", type=openai_responses_proof.Proof).encrypted_content


PAIRS = (
    Pair(
        "anthropic",
        anthropic_body.request_body,
        library.anthropic,
        "anthropic",
        "claude-opus-4-5",
        {"max_tokens": 64_000},
        (
            no_cache_marks,
            system_as_text,
            texts_as_blocks,
            one_turn_each,
            joined_texts,
            errors_said,
            without("thinking")("a budget is our own setting"),
        ),
        sign=lambda proof, _: proof,
    ),
    Pair(
        "responses",
        _responses,
        library.responses,
        "openai-responses",
        "gpt-5",
        {"openai_store": False},
        (
            roles_of_messages,
            without("reasoning")("a budget is our own setting"),
            without("parallel_tool_calls")("true is the vendor's default"),
        ),
        sign=_sealed,
        resign=_sealed_for_the_bridge,
        errors=False,
    ),
    Pair(
        "chat",
        _chat,
        library.chat,
        "openai-chat",
        "gpt-4.1",
        {},
        (
            media_after_results,
            one_word_of_the_users,
            plain_texts,
            without("parallel_tool_calls")("true is the vendor's default"),
        ),
        errors=False,
    ),
)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_any_conversation_is_told_as_the_vendors_sdk_tells_it(pair):
    @settings(max_examples=EXAMPLES, deadline=None, database=None)
    @given(messages=conversations(sign=pair.sign, errors=pair.errors))
    def holds(messages) -> None:
        request = GenerateRequest(
            model=pair.model, instruction="Be brief.", messages=History(messages), tools=TOOLS
        )
        ours = json.loads(pair.ours(request))
        retold = request if pair.resign is None else resigned(request, pair.resign)
        theirs = anyio.run(library.body_of, pair.theirs, retold, pair.wire, pair.settings)
        for make_alike in pair.alike:
            make_alike(ours)
            make_alike(theirs)
        assert ours == theirs

    holds()
