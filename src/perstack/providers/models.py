"""What is known of models: their limits, and what they take.

`model_table.txt` beside this module is written by `scripts/models`, which says where the
facts come from. It is text because a run reads one line of it: that costs a tenth of a
millisecond, and a module would have to be compiled where nothing keeps its byte code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from perstack.schema.settings import PROVIDER_NAMES

LONG_TAIL = "pydantic-ai"
"""The provider of every vendor that is none itself; its models are named `vendor:model`."""


class ModelInfo(NamedTuple):
    """One model. Sizes are tokens.

    `efforts` are the words its vendor takes for how much to reason, least first; empty
    for a model that does not reason, or whose vendor counts tokens.
    """

    context_window: int
    max_output_tokens: int
    is_reasoning: bool = False
    efforts: tuple[str, ...] = ()
    reads_images: bool = False
    reads_pdf: bool = False


SAME_AS = {
    "azure-openai": "openai",
    "google-vertex": "google",
}
"""Providers whose models are those of another one."""

PREFIXES = {
    "azure": "openai",
    "bedrock": "amazon-bedrock",
    "google-cloud": "google",
    "google-gla": "google",
    "google-vertex": "google",
    "grok": "xai",
    "openai-chat": "openai",
    "openai-responses": "openai",
}
"""How models of the long tail begin (`groq:…`), where that is not the vendor's name here."""

_NOT_SET = "-"
# Not compiled here: most names are in the table as they are.
_PLACE = (
    r"arn:.*/"  # an inference profile's or a foundation model's resource name
    r"|(?:.*/)?models/"  # `models/…`, `publishers/google/models/…`
    r"|ft:"  # a model tuned from another
    r"|[a-z]{2,6}(?:-gov)?\.(?=[a-z0-9]+\.[a-z])"  # `us.`, `global.`: where Bedrock runs it
)
_BUILD = (
    r"(?:[:@].*"  # `qwen3:8b`, `…-v1:0`, `…@20250929`, what a tuned model is called
    r"|-v\d+"
    r"|-latest|-preview|-exp"
    r"|-\d{8}|-\d{4}-\d{2}-\d{2}|-\d{2}-\d{4}|-\d{2}-\d{2}|-\d{3,4}"  # dates, and `-001`
    r")$"
)


def model_info(provider: str, model: str) -> ModelInfo | None:
    """What is known of `model` as `provider` names it; None for one nobody told us of.

    A name that is not in the table is looked for with less of it, as `names_of` says.
    """
    vendor, name = vendor_of(provider, model)
    for shorter in names_of(name):
        if (line := _line(vendor, shorter)) is not None:
            return _info(line)
    return None


def context_window(provider: str, model: str) -> int | None:
    """The tokens that a run can count on; None where that is not known.

    An Ollama server gives a model as much as it is set to, which is seldom all that the
    model could take. What it passes on to the vendor's cloud has all of it.
    """
    if vendor_of(provider, model)[0] == "ollama" and not model.endswith("cloud"):
        return None
    info = model_info(provider, model)
    return info.context_window if info else None


def vendor_of(provider: str, model: str) -> tuple[str, str]:
    """Under which name of the table the models of `provider` stand, and the model's name there."""
    if provider == LONG_TAIL:
        prefix, _, model = model.partition(":")
        return PREFIXES.get(prefix, prefix), model
    return SAME_AS.get(provider, provider), model


def names_of(model: str) -> Iterator[str]:
    """`model`, and then its name with less and less of what does not tell it from others.

    First goes, from the front, where it runs or is kept (`models/`, `us.`, an ARN up to
    its last slash); then, from the end and one at a time, which build it is (a tag, a
    version, a date, `-latest`, `-preview`).
    """
    yield model
    while (match := re.match(_PLACE, model)) and match.end() < len(model):
        model = model[match.end() :]
        yield model
    while (match := re.search(_BUILD, model)) and match.start():
        model = model[: match.start()]
        yield model


def known_models(provider: str) -> dict[str, ModelInfo]:
    """Every row of one provider, by the model's name there, in the table's order."""
    lines = [line.split() for line in _table().splitlines() if line and line[0] != "#"]
    if provider == LONG_TAIL:
        tail = [line for line in lines if line[0] not in PROVIDER_NAMES]
        return {f"{line[0]}:{line[1]}": _info(line) for line in tail}
    vendor, _ = vendor_of(provider, "")
    return {line[1]: _info(line) for line in lines if line[0] == vendor}


@cache
def _table() -> str:
    return Path(__file__).with_name("model_table.txt").read_text(encoding="utf-8")


def _line(vendor: str, model: str) -> list[str] | None:
    table = _table()
    start = table.find(f"\n{vendor} {model} ")
    return None if start < 0 else table[start + 1 : table.find("\n", start + 1)].split()


def _info(line: list[str]) -> ModelInfo:
    _, _, window, output, abilities, efforts = line
    return ModelInfo(
        context_window=int(window),
        max_output_tokens=int(output),
        is_reasoning="reasoning" in abilities,
        efforts=() if efforts == _NOT_SET else tuple(efforts.split(",")),
        reads_images="images" in abilities,
        reads_pdf="pdf" in abilities,
    )
