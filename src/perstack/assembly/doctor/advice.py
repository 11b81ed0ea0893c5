"""What to do, as it is told below a finding."""

from __future__ import annotations


def sentence(text: str) -> str:
    """With a capital at its beginning and a full stop at its end; nothing for nothing."""
    if not text:
        return ""
    return f"{text[0].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
