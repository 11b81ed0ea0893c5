"""The one way out of a vendor's SDK: each request that an SDK makes passes here.

So the rules of our own wires hold for the SDKs' too: redirects are never followed,
connections are kept, a refusal and a broken network have the same names. The SDK itself
never holds the key. It is given a stand-in, which is exchanged here, so that the key is
in no log line, no repr and no error of the SDK's.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import suppress
from typing import cast

import anyio
import httpx2
import msgspec

from perstack.errors import ConfigurationError
from perstack.net.redaction import Redaction
from perstack.net.sse import EventTooLong
from perstack.providers import Failure
from perstack.providers.address import user_headers
from perstack.providers.bridge_call import Call, current_call
from perstack.providers.bridge_events import events_of
from perstack.providers.connections import Connections
from perstack.providers.endpoint import credentials_in
from perstack.providers.failure import MAX_BODY, MAX_NAME, status_failure, trouble
from perstack.providers.http import (
    CONNECT_SECONDS,
    MAX_STREAM_BYTES,
    NETWORK_TROUBLE,
    SILENCE_SECONDS,
    TIMEOUTS,
    network_failure,
)

STAND_IN = "perstack-stand-in-for-a-key"
"""What an SDK is given in place of the key."""

FORMS = frozenset(
    {
        "",
        "application/json",
        "application/vnd.amazon.eventstream",
        "application/x-ndjson",
        "text/event-stream",
    }
)
"""Content types that an answer may have."""

BODY_SECONDS = 10.0
"""How long the words of a refusal are waited for."""


class Transport(httpx2.AsyncBaseTransport):
    """Sends what an SDK asks to be sent. `told` are the user's headers, which win.

    Raises:
        ConfigurationError: a header that cannot be sent.
    """

    def __init__(self, key: str, told: Mapping[str, str], secrets: Iterable[str] = ()) -> None:
        self._key = key
        self._told = user_headers(told)
        self._pools: dict[tuple[str, str, int | None], Connections] = {}
        self.secrets = tuple(each for each in (key, *secrets, *credentials_in(told)) if each)

    def __repr__(self) -> str:
        return "Transport()"

    @property
    def has_key(self) -> bool:
        """Whether there is a key that its stand-in is exchanged for."""
        return bool(self._key)

    @property
    def redaction(self) -> Redaction:
        """Hides the key, the user's credentials, and every token that was sent."""
        return Redaction(self.secrets)

    def client(self) -> httpx2.AsyncClient:
        """A client for an SDK. It follows no redirects and asks no proxy but through here."""
        timeout = httpx2.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
        return httpx2.AsyncClient(
            transport=self, timeout=timeout, follow_redirects=False, trust_env=False
        )

    def prepare(self, url: str) -> None:
        """Read certificates and proxies for `url` now.

        Raises:
            ConfigurationError: it is no URL, or they cannot be used.
        """
        try:
            self._pool(httpx2.URL(url))
        except httpx2.InvalidURL:
            raise ConfigurationError(f"Nothing can be asked at {url!r}: it is no URL.") from None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The response, its headers read; one that is no reply is read to its end."""
        call = current_call()
        pool = self._pool(request.url)
        sent = self._sent(request, await request.aread())
        answer = _Answer(call, pool, str(request.url.copy_with(query=None)), self.redaction)
        response = await answer.open(sent)
        told = response.headers.raw
        headers = [(name, value) for name, value in told if name.lower() not in _OF_THE_BODY]
        if response.status_code == 200 and answer.is_of(response.headers):
            call.is_answered = True
            return httpx2.Response(200, headers=headers, stream=answer, request=request)
        body = await answer.refusal(response)
        return httpx2.Response(response.status_code, headers=headers, content=body, request=request)

    async def aclose(self) -> None:
        """Close every connection. May be called twice."""
        for pool in self._pools.values():
            await pool.aclose()

    def _pool(self, url: httpx2.URL) -> Connections:
        origin = (url.scheme, url.host, url.port)
        if origin not in self._pools:
            self._pools[origin] = Connections(url)
        return self._pools[origin]

    def _sent(self, request: httpx2.Request, body: bytes) -> httpx2.Request:
        headers = {
            name: value.replace(STAND_IN, self._key) for name, value in request.headers.items()
        }
        headers |= self._told
        self._learn(headers)
        headers["accept-encoding"] = "identity"  # so that no answer grows when unpacked
        extensions = {"timeout": TIMEOUTS}
        return httpx2.Request(
            request.method, request.url, headers=headers, content=body, extensions=extensions
        )

    def _learn(self, headers: Mapping[str, str]) -> None:
        """Tokens that an SDK has fetched itself are as secret as a key."""
        kind, _, token = headers.get("authorization", "").partition(" ")
        sent = (token if kind.lower() == "bearer" else "", headers.get("x-amz-security-token", ""))
        self.secrets += tuple(each for each in sent if each and each not in self.secrets)


_OF_THE_BODY = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})
"""Headers that say how a body was sent: an SDK would unpack it, to whatever size."""


class _Answer(httpx2.AsyncByteStream):
    """One answer's bytes. Says to its call what went wrong, and gives the connection back."""

    def __init__(self, call: Call, pool: Connections, url: str, redaction: Redaction) -> None:
        self._call = call
        self._pool = pool
        self._url = url
        self._redaction = redaction
        self._client: httpx2.AsyncClient | None = None
        self._response: httpx2.Response | None = None
        self._is_whole = False
        self._size = 0

    async def open(self, sent: httpx2.Request) -> httpx2.Response:
        """The response to `sent`. Raises what httpx2 raises."""
        client = self._client = self._pool.lend()
        try:
            self._call.opened(self)
            self._response = response = await client.send(sent, stream=True)
        except NETWORK_TROUBLE as error:
            self._note(network_failure(error, self._url, self._redaction, is_open=False))
            await self.aclose()
            raise
        except BaseException:
            await self.aclose()
            raise
        stream = cast("httpx2.AsyncByteStream", response.stream)
        self._chunks = cast("AsyncGenerator[bytes, None]", aiter(stream))
        return response

    def is_of(self, headers: httpx2.Headers) -> bool:
        """Whether the answer is of a form that an SDK can read."""
        form = _form(headers)
        self._events = events_of(form)
        return form in FORMS and not _is_packed(headers)

    async def refusal(self, response: httpx2.Response) -> bytes:
        """The body of an answer that is no reply, of `MAX_BODY` bytes at most.

        One that came packed says nothing: it may grow to any size when unpacked.
        """
        body = bytearray()
        try:
            with suppress(*NETWORK_TROUBLE), anyio.fail_after(BODY_SECONDS):
                async for chunk in self._chunks:  # what arrived says enough
                    body += chunk[: MAX_BODY + 1 - len(body)]
                    if len(body) > MAX_BODY:
                        break
                else:
                    self._is_whole = True
        finally:
            await self.aclose()
        words = b"" if _is_packed(response.headers) else bytes(body)
        self._note(self._words(response, words))
        return words

    def _words(self, response: httpx2.Response, body: bytes) -> Failure:
        status, headers = response.status_code, response.headers
        if status != 200:
            return status_failure(status, headers, named(headers, body), self._redaction)
        form = self._redaction.line(headers.get("content-type", "nothing"), MAX_NAME)
        message = f"The model's server sent {form!r} in place of events."
        return trouble("UnreadableResponse", message, is_retryable=False)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._chunks:
                self._measure(chunk)
                if events := self._events.feed(chunk):
                    yield events
            self._is_whole = True
            if rest := self._events.rest():
                yield rest
        except EventTooLong as error:
            message = str(error)
            self._note(trouble("ResponseTooLarge", message, is_retryable=False))
            raise httpx2.ReadError(message) from None
        except NETWORK_TROUBLE as error:
            self._note(network_failure(error, self._url, self._redaction, is_open=True))
            raise

    def _measure(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > MAX_STREAM_BYTES:
            raise EventTooLong(f"The answer is longer than {MAX_STREAM_BYTES} bytes.")

    async def aclose(self) -> None:
        """Give the connection back; one that still has to say something is closed."""
        response, self._response = self._response, None
        client, self._client = self._client, None
        if client is None:
            return
        with anyio.CancelScope(shield=True), suppress(*NETWORK_TROUBLE):
            if response is not None:
                await self._chunks.aclose()
                await response.aclose()
        with anyio.CancelScope(shield=True), suppress(*NETWORK_TROUBLE):
            await self._pool.take_back(client, is_usable=self._is_whole)

    def _note(self, failure: Failure) -> None:
        """The first trouble is the cause of the others."""
        if self._call.failure is None:
            self._call.failure = failure


def _form(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _is_packed(headers: Mapping[str, str]) -> bool:
    return headers.get("content-encoding", "identity").strip().lower() not in ("", "identity")


def named(headers: Mapping[str, str], body: bytes) -> bytes:
    """`body` as our own wires read it: AWS names an error in a header, or beside its message.

    Google sends the errors of a stream in a list of one.
    """
    code = headers.get("x-amzn-errortype", "").partition(":")[0]
    try:
        told = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return body
    match told:
        case {"__type": str(kind), **rest} if not code and "error" not in rest:
            code = kind.rpartition("#")[2]
        case _:
            pass
    match told:
        case {"message": str(message)} | {"Message": str(message)} if code:
            return msgspec.json.encode({"error": {"code": code, "message": message}})
        case [first, *_]:
            return msgspec.json.encode(first)
        case _:
            return body
