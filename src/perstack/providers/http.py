"""One answer of a model over HTTP: POST a body, read the events that come back.

Redirects are never followed, so a key goes where it was meant to go and nowhere else.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self, cast

import anyio
import httpx2

from perstack.errors import ConfigurationError
from perstack.net.sse import EventSplitter, EventTooLong
from perstack.net.transport_logs import quiet
from perstack.providers import Failure
from perstack.providers.connections import Connections
from perstack.providers.failure import MAX_BODY, MAX_NAME, status_failure, trouble
from perstack.providers.limits import MAX_EVENT_BYTES, MAX_VALUES, is_crowded

if TYPE_CHECKING:
    from perstack.net.redaction import Redaction
    from perstack.providers.endpoint import Endpoint

CONNECT_SECONDS = 30.0
SILENCE_SECONDS = 120.0
"""How long a model may say nothing: vendors send pings much more often."""
TIMEOUTS = {"connect": CONNECT_SECONDS, "read": SILENCE_SECONDS}
FINISH_SECONDS = 0.5
MAX_STREAM_BYTES = 128 * 1024 * 1024

# What a broken network looks like: TLS and sockets raise OSErrors that httpx2 lets through.
NETWORK_TROUBLE = (
    httpx2.HTTPError,
    httpx2.InvalidURL,
    httpx2.StreamError,
    OSError,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    anyio.EndOfStream,
)


class Answer:
    """One answer, read event by event. Leaving it closes the response, at any await.

    `deadline` is on the event loop's clock, in seconds, once the answer is entered.

    Contract: nothing raises but cancellation; trouble is the Failure that `read` gives.
    """

    def __init__(self, endpoint: Endpoint, body: bytes, timeout: float, until: float) -> None:
        self._endpoint = endpoint
        self._body = body
        self._timeout = timeout
        self.deadline = until
        self._is_late = False
        self._client: httpx2.AsyncClient | None = None
        self._response: httpx2.Response | None = None
        self._is_whole = False
        self._failure: Failure | None = None
        self._splitter = EventSplitter(MAX_EVENT_BYTES)
        self._size = 0

    async def __aenter__(self) -> Self:
        self.deadline = self.deadline or anyio.current_time() + self._timeout
        try:
            try:
                response = await self._send()
            except ConfigurationError as error:  # the environment is another one by now
                self._failure = trouble("BadProxy", error.message, is_retryable=False)
                return self
            except NETWORK_TROUBLE as error:
                self._failure = self._network_failure(error)
                await self._close()
                return self
            self._response = response
            stream = cast("httpx2.AsyncByteStream", response.stream)
            self._chunks = cast("AsyncGenerator[bytes, None]", aiter(stream))
            self._alarm = asyncio.get_running_loop().call_at(self.deadline, self._expire)
            self._failure = await self._refusal(response)
        except BaseException:
            await self._close()
            raise
        return self

    async def _send(self) -> httpx2.Response:
        """The response, its headers read. Raises what httpx2 raises."""
        self._client = self._endpoint.connections.lend()
        with anyio.fail_after(self._patience()):
            return await self._client.send(self._request(), stream=True)

    def _request(self) -> httpx2.Request:
        return httpx2.Request(
            "POST",
            self._endpoint.connections.url,
            headers=self._endpoint.headers,
            content=self._body,
            extensions={"timeout": TIMEOUTS},
        )

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._close()

    async def read(self) -> list[bytes] | Failure | None:
        """The data of the next events (maybe none yet), a Failure, or None at the end."""
        if self._failure is not None:
            return self._endpoint.redacted(self._failure)
        try:
            chunk = await anext(self._chunks, None)
            if chunk is None:
                self._is_whole = not self._is_late
                return self._endpoint.redacted(self._late()) if self._is_late else None
            if not self._is_late:  # else it waits behind the deadline, however much there is
                return self._events(chunk)
            self._failure = self._late()
        except EventTooLong as error:
            self._failure = trouble("ResponseTooLarge", str(error), is_retryable=False)
        except NETWORK_TROUBLE as error:
            self._failure = self._network_failure(error)
        return self._endpoint.redacted(self._failure)

    def _events(self, chunk: bytes) -> list[bytes]:
        """The data of the events that `chunk` completes. Raises EventTooLong."""
        self._size += len(chunk)
        if self._size > MAX_STREAM_BYTES:
            raise EventTooLong(f"The answer is longer than {MAX_STREAM_BYTES} bytes.")
        events = self._splitter.feed(chunk)
        for event in events:
            if is_crowded(event):
                raise EventTooLong(f"An event holds more than {MAX_VALUES} values.")
        return events

    async def finish(self) -> None:
        """Read past the last event, so that the connection can serve the next request."""
        with anyio.move_on_after(FINISH_SECONDS), suppress(*NETWORK_TROUBLE):
            while (chunk := await anext(self._chunks, None)) is not None:
                self._size += len(chunk)
                if self._size > MAX_STREAM_BYTES or self._is_late:
                    return
            self._is_whole = not self._is_late

    def _expire(self) -> None:
        """Cut the connection at the deadline: whoever reads from it is told so.

        One alarm for the answer costs a fraction of a cancel scope for each chunk of it.
        """
        self._is_late = True
        if self._response is not None:
            with suppress(OSError):
                stream = self._response.extensions["network_stream"]
                stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    def _late(self) -> Failure:
        message = f"The model did not finish within {self._timeout:g} s."
        return trouble("TimedOut", message, is_retryable=True)

    def _patience(self) -> float:
        return min(SILENCE_SECONDS, max(0.0, self.deadline - anyio.current_time()))

    async def _refusal(self, response: httpx2.Response) -> Failure | None:
        """Why the answer is none, if so. Its body is read up to a limit, for its words."""
        headers = response.headers
        if response.status_code == 200:
            form = headers.get("content-type", "text/event-stream").partition(";")[0].strip()
            packing = headers.get("content-encoding", "identity")
            if form.lower() == "text/event-stream" and packing == "identity":
                return None
            form = self._endpoint.redaction.line(form, MAX_NAME)
            packing = self._endpoint.redaction.line(packing, MAX_NAME)
            message = f"The model's server sent {form!r} ({packing}) in place of events."
            return trouble("UnreadableResponse", message, is_retryable=False)
        body = bytearray()
        with suppress(*NETWORK_TROUBLE), anyio.fail_after(self._patience()):
            async for chunk in self._chunks:  # what arrived says enough
                body += chunk[: MAX_BODY + 1 - len(body)]
                if len(body) > MAX_BODY:
                    break
            else:
                self._is_whole = not self._is_late
        redaction = self._endpoint.redaction
        return status_failure(response.status_code, headers, bytes(body), redaction)

    def _network_failure(self, error: Exception) -> Failure:
        if self._is_late or anyio.current_time() >= self.deadline:
            return self._late()
        endpoint = self._endpoint
        is_open = self._response is not None
        return network_failure(error, endpoint.url, endpoint.redaction, is_open=is_open)

    async def _close(self) -> None:
        """Give the connection back; one that still has to say something is of no use."""
        response, self._response = self._response, None
        client, self._client = self._client, None
        if client is None:
            return
        with anyio.CancelScope(shield=True), suppress(*NETWORK_TROUBLE):
            if response is not None:
                self._alarm.cancel()
                await self._chunks.aclose()
                await response.aclose()
        with anyio.CancelScope(shield=True), suppress(*NETWORK_TROUBLE):
            await self._endpoint.connections.take_back(client, is_usable=self._is_whole)


def open_connections(url: str) -> Connections:
    """The connections to `url`, none of them made yet.

    Raises:
        ConfigurationError: it is no URL, or the environment names a proxy or certificates
            that cannot be used.
    """
    quiet()
    try:
        return Connections(httpx2.URL(url))
    except httpx2.InvalidURL:
        raise ConfigurationError(f"Nothing can be asked at {url!r}: it is no URL.") from None


def network_failure(error: Exception, url: str, redaction: Redaction, *, is_open: bool) -> Failure:
    """What `error`, one of `NETWORK_TROUBLE`, means. `is_open`: the answer had begun."""
    if isinstance(error, TimeoutError | httpx2.TimeoutException):
        return trouble("TimedOut", "The model's server went silent.", is_retryable=True)
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        message = (
            "The certificate of the model's server is not trusted: "
            "name its authority in SSL_CERT_FILE or SSL_CERT_DIR."
        )
        return trouble("CertificateRefused", message, is_retryable=False)
    if isinstance(error, httpx2.InvalidURL | httpx2.UnsupportedProtocol):
        return trouble("BadAddress", f"Nothing can be asked at {url}.", is_retryable=False)
    if isinstance(error, httpx2.LocalProtocolError):
        return trouble("BadRequest", "The request cannot be sent as it is.", is_retryable=False)
    if isinstance(error, httpx2.ConnectError | httpx2.ProxyError):
        why = redaction.line(str(error), MAX_NAME)  # a proxy's own words
        return trouble("ConnectionFailed", f"No connection to {url}: {why}", is_retryable=True)
    where = "inside the stream" if is_open else "before an answer"
    return trouble("Disconnected", f"The model's server hung up {where}.", is_retryable=True)
