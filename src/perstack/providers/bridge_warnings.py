"""Keeps the SDKs' warnings about a server's words to themselves.

They repeat values that a server sent, which may be the key, on the standard error
stream; where warnings are errors they would end the request. What such a value means for
the reply is ours to say. Only warnings that are given while a call is served are hushed: an
embedding program's own models warn as they did.
"""

from __future__ import annotations

import re
import warnings
from typing import Any, cast

from pydantic_ai.exceptions import (  # noqa: TID253 - loaded with the first such provider
    UsageExtractionFailedWarning,
)

from perstack.providers.bridge_call import is_in_call


class _InCall:
    """Stands where a filter has the pattern of a message, of which only `match` is asked."""

    def match(self, _: str) -> bool:
        return is_in_call()


_SOURCES = (
    (UserWarning, re.compile(r"google\.genai\._common\Z")),  # a word that its enums lack
    (UserWarning, re.compile(r"pydantic\.")),  # a value of another type than its field
    (UsageExtractionFailedWarning, None),  # a count that is none
)
_FILTERS = [("ignore", _InCall(), category, module, 0) for category, module in _SOURCES]


def hush() -> None:
    """Put our filters before all others, if they are not. Done for each request.

    A program, or a test, may set its filters at any time.
    """
    filters = cast("list[Any]", warnings.filters)
    if filters[: len(_FILTERS)] != _FILTERS:
        filters[:] = [*_FILTERS, *(each for each in filters if each not in _FILTERS)]
