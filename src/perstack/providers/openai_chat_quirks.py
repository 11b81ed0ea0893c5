"""What differs between servers that speak Chat Completions, as data."""

from __future__ import annotations

from typing import NamedTuple

from perstack.providers.models import ModelInfo

FILLED_FIELD = "reasoning_content"
"""What DeepSeek wants in each reply that calls tools."""


class Quirks(NamedTuple):
    """One kind of server.

    Attributes:
        provider: under which its models are known.
        wire: the seal of reasoning that goes back, to this kind of server alone.
        is_vendor: the API is OpenAI's own, which limits what a tool's schema may be.
        takes_cache_key: `prompt_cache_key` says which requests share a cache.
        reasons_with_tools: off where a model of OpenAI's that can do without reasoning
            must, as long as it has tools. The vendor keeps both together for Responses.
        off: the field that turns reasoning off, where no effort does.
        fills_reasoning: a reply that calls tools is refused without `reasoning_content`.
        reads_images, reads_pdf: of a model nobody told us of.
    """

    provider: str
    wire: str
    is_vendor: bool = False
    takes_cache_key: bool = False
    reasons_with_tools: bool = True
    off: bytes = b""
    fills_reasoning: bool = False
    reads_images: bool = True
    reads_pdf: bool = False


OPENAI = Quirks(
    "openai",
    "openai-chat",
    is_vendor=True,
    takes_cache_key=True,
    reasons_with_tools=False,
    reads_pdf=True,
)
COMPATIBLE = Quirks("openai", "openai-chat-like", reasons_with_tools=False)
"""Whatever stands behind another base URL of `openai`."""
AZURE = OPENAI._replace(provider="azure-openai", wire="azure-openai-chat")
AZURE_DEPLOYMENT = AZURE._replace(takes_cache_key=False)
"""Versions of Azure's API that have a date refuse fields that are newer."""
DEEPSEEK = Quirks(
    "deepseek",
    "deepseek-chat",
    off=b'"thinking":{"type":"disabled"}',
    fills_reasoning=True,
    reads_images=False,
)
OLLAMA = Quirks("ollama", "ollama-chat", off=b'"reasoning_effort":"none"')


class Form(NamedTuple):
    """In which form messages go to one model of one server."""

    wire: str
    is_vendor: bool
    fills_reasoning: bool
    reads_images: bool
    reads_pdf: bool

    @classmethod
    def of(cls, quirks: Quirks, info: ModelInfo | None) -> Form:
        """`info` is what is known of the model."""
        knows = quirks if info is None else info
        return cls(
            quirks.wire,
            quirks.is_vendor,
            quirks.fills_reasoning,
            knows.reads_images,
            knows.reads_pdf,
        )

    @property
    def name(self) -> str:
        """A name of its own for each form."""
        return f"{self.wire}-{self.reads_images:d}{self.reads_pdf:d}"
