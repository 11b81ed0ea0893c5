"""The environment under which programs ask a scripted model server in place of a vendor."""

from __future__ import annotations

from perstack.testing.dialects import dialect_of

KEY = "scripted"
"""Stands in for a key. The server asks for none, and a provider does not start without."""

_VARIABLES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("/v1/messages", "ANTHROPIC_BASE_URL", ("ANTHROPIC_API_KEY",)),
    ("/v1/responses", "OPENAI_BASE_URL", ("OPENAI_API_KEY",)),
    ("/v1/responses", "AZURE_BASE_URL", ("AZURE_API_KEY",)),
    ("/v1/chat/completions", "DEEPSEEK_BASE_URL", ("DEEPSEEK_API_KEY",)),
    ("/v1/chat/completions", "OLLAMA_BASE_URL", ()),
    (
        "/v1beta/models/scripted:streamGenerateContent",
        "GOOGLE_GENERATIVE_AI_BASE_URL",
        ("GOOGLE_GENERATIVE_AI_API_KEY",),
    ),
    (
        "/model/scripted/converse-stream",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"),
    ),
)
"""A path of the vendor's wire, the variable of its address, and the others it asks for."""


def variables_for(url: str) -> dict[str, str]:
    """Addresses and keys for every provider whose wire the server at `url` speaks."""
    variables: dict[str, str] = {}
    for path, address, others in _VARIABLES:
        if dialect_of(path) is not None:
            variables |= {address: url, **dict.fromkeys(others, KEY)}
    return variables
