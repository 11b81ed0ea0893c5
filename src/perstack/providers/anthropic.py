"""Claude, over the vendor's Messages API."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping

from perstack.providers import Failure, Generated, GenerateRequest, Reply
from perstack.providers.address import api_key, base_url
from perstack.providers.anthropic_body import drop_thinking, request_body
from perstack.providers.anthropic_stream import ReplyBuilder
from perstack.providers.endpoint import Endpoint
from perstack.providers.wire import wire_name
from perstack.schema.settings import ProviderSettings

KEY_VARIABLE = "ANTHROPIC_API_KEY"
URL_VARIABLE = "ANTHROPIC_BASE_URL"
VENDOR_URL = "https://api.anthropic.com"
API_VERSION = "2023-06-01"
STALE_WORDS = ("signature", "block", "cannot be modified", "prefix")
"""One of these stands in what the vendor says of a thought it does not take."""


def open_anthropic(settings: ProviderSettings, environ: Mapping[str, str]) -> AnthropicModel:
    """The wire to the vendor, or to `base_url` (the settings' first, then the variable's).

    Raises:
        ConfigurationError: no key, or an address or a header that cannot be used.
    """
    key = api_key(environ, KEY_VARIABLE, "anthropic")
    if settings.base_url:
        url = base_url(settings.base_url, "The provider's baseUrl")
    else:
        url = base_url(environ.get(URL_VARIABLE) or VENDOR_URL, URL_VARIABLE)
    own = {"x-api-key": key, "anthropic-version": API_VERSION}
    return AnthropicModel(Endpoint(f"{url}/messages", own, settings.headers, (key,)))


class AnthropicModel:
    """The Provider for Claude.

    A refusal, and a reply that filled the context window, are failures under the
    vendor's stop reason; a reply cut at `max_tokens` is a reply and `is_truncated`.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def __repr__(self) -> str:
        return f"AnthropicModel({self._endpoint!r})"

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Generated, None]:
        """One reply to `request`, streamed.

        Where the vendor refuses thinking of earlier replies, it is asked once more without,
        and has what is left of the request's time.
        """
        names = {wire_name(tool.name): tool.name for tool in request.tools}
        last: Reply | Failure | None = None
        deadline = 0.0
        while last is None:
            builder = ReplyBuilder(names, self._endpoint.redaction)
            body = request_body(request)
            async with self._endpoint.post(body, request.timeout, deadline) as answer:
                deadline = answer.deadline  # for both tries
                while not builder.is_done:
                    events = await answer.read()
                    if isinstance(events, Failure):
                        last = _counted(events, builder)
                        break
                    if events is None:
                        break
                    for delta in builder.feed(events):
                        yield delta
                else:
                    await answer.finish()
            last = last or builder.reply()
            if _is_about_thinking(last) and drop_thinking(request.messages):
                last = None
        yield last

    def load_client(self) -> None:
        """Load the HTTP client now: the first request would wait for it."""
        self._endpoint.load_client()

    async def aclose(self) -> None:
        """Close connections. May be called twice."""
        await self._endpoint.aclose()


def _is_about_thinking(last: Reply | Failure) -> bool:
    """Whether it is the vendor's refusal of a thought, which none of its codes tells apart."""
    return (
        isinstance(last, Failure)
        and last.error.status_code == 400
        and "thinking" in last.error.message
        and any(word in last.error.message for word in STALE_WORDS)
    )


def _counted(failure: Failure, builder: ReplyBuilder) -> Failure:
    """What was read before the connection broke is paid for."""
    return Failure(error=failure.error, retry_after=failure.retry_after, usage=builder.usage)
