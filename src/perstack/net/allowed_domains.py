"""Whether a host is among those that a skill's `allowedDomains` name."""

from __future__ import annotations

from collections.abc import Iterable


def is_allowed(host: str, patterns: Iterable[str]) -> bool:
    """Whether a pattern names `host`: exactly, or as `*.` before its last labels.

    Letter case and a last dot do not matter. `*.example.com` takes in names of any depth
    below example.com, and not example.com itself; `*` and `*.com` take in nothing.
    """
    name = _plain(host)
    return any(_matches(name, _plain(pattern)) for pattern in patterns)


def _matches(name: str, pattern: str) -> bool:
    if not pattern.startswith("*."):
        return name == pattern
    above = pattern[1:]
    return "." in above[1:] and name.endswith(above) and len(name) > len(above)


def _plain(name: str) -> str:
    return name.lower().removesuffix(".")
