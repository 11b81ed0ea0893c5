"""What replies cost at the prices that vendors publish, as the package genai-prices has them.

It is loaded at the first price that is asked for: that takes as long as a short run. It has
its prices with it, and asks nobody.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from perstack.schema.usage import Usage
    from perstack.views.cost import Asked

VENDORS = {
    "anthropic": "anthropic",
    "openai": "openai",
    "azure-openai": "azure",
    "deepseek": "deepseek",
    "google": "google",
    "google-vertex": "google",
    "amazon-bedrock": "aws",
}
"""Provider to the name that genai-prices has for it. With others the address alone tells."""


def price_of(asked: Asked, usage: Usage, at: int) -> float | None:
    """The US dollars of one reply; None where the vendor or the model is not known.

    `at` is in ms since 1970: prices change. The vendor is who answers at the address;
    where there is none, the provider's.
    """
    vendor = VENDORS.get(asked.provider or "")
    if _is_nobodys(asked) or (asked.address is None and vendor is None):
        return None
    from genai_prices import Usage as Counted
    from genai_prices import calc_price

    try:
        counted = Counted(
            input_tokens=usage.input_tokens,
            cache_read_tokens=usage.cached_input_tokens,
            cache_write_tokens=usage.cache_write_input_tokens,
            output_tokens=usage.output_tokens,
        )
        when = datetime.fromtimestamp(at / 1000, UTC)
        if asked.address is not None:
            priced = calc_price(
                counted,
                asked.model,
                provider_api_url=asked.address,
                genai_request_timestamp=when,
            )
        else:
            priced = calc_price(
                counted, asked.model, provider_id=vendor, genai_request_timestamp=when
            )
    except (LookupError, ValueError, OverflowError, OSError):
        return None  # it knows no such vendor or model, or the counts or the time make no sense
    return float(priced.total_price)


def _is_nobodys(asked: Asked) -> bool:
    """Whether a server on this machine is asked: no vendor's prices are those of one."""
    from perstack.net.addresses import is_here

    host = urlsplit(asked.address or "").hostname
    return host is not None and is_here(f"[{host}]" if ":" in host else host)
