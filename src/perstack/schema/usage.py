"""Tokens a model counted."""

from __future__ import annotations

from perstack.schema.base import Data


class Usage(Data, omit_defaults=False, kw_only=True):
    """Tokens, as the vendor reported them.

    `input_tokens` includes those that came from a cache and those that were written into
    one, which have prices of their own; `output_tokens` includes reasoning.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    total_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_input_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            total_tokens=self.total_tokens + other.total_tokens,
            cached_input_tokens=self.cached_input_tokens + other.cached_input_tokens,
            cache_write_input_tokens=self.cache_write_input_tokens + other.cache_write_input_tokens,
        )


NO_USAGE = Usage()
