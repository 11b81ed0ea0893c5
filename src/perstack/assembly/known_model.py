"""What a person is told of a model that this version does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perstack.config.findings import did_you_mean, quoted
from perstack.config.origins import KEY_PREFIXES
from perstack.providers.models import LONG_TAIL, known_models, model_info

if TYPE_CHECKING:
    from perstack.config.request import RunRequest

ANY_NAME = {"ollama", "azure-openai", LONG_TAIL}
"""Providers where a model is called whatever its owner calls it, or can be anybody's."""

_BASE_URLS = {name: f"{prefix}_BASE_URL" for name, prefix in KEY_PREFIXES.items()} | {
    "google-vertex": "GOOGLE_VERTEX_BASE_URL"
}


def unknown_model(request: RunRequest) -> str | None:
    """A warning, where the vendor itself is asked for a model that is not in our table.

    Behind a base URL of one's own, and for what an account made for itself (an ARN), any
    name is as good as another.
    """
    provider, model = request.settings.provider, request.settings.model
    name = provider.provider_name
    is_elsewhere = provider.base_url or request.environ.get(_BASE_URLS.get(name, ""))
    if name in ANY_NAME or is_elsewhere or model.startswith("arn:") or model_info(name, model):
        return None
    hint = did_you_mean(model, known_models(name))
    return (
        f"the model {quoted(model)} of {name} is not known to this version: how full its context "
        f"is cannot be told, and what it reads is not checked{hint}"
    )
