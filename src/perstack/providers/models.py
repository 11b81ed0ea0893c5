"""What is known of models: their limits, and what they take."""

from __future__ import annotations

from typing import NamedTuple


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


_MODELS = {
    "anthropic": {
        "claude-sonnet-4-5": ModelInfo(
            200_000, 64_000, is_reasoning=True, reads_images=True, reads_pdf=True
        ),
    },
}


def model_info(provider: str, model: str) -> ModelInfo | None:
    """What is known of `model` as `provider` names it; None for one nobody told us of."""
    return _MODELS.get(provider, {}).get(model)
