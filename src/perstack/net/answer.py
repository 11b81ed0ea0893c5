"""What a site answered: its status, its headers, and a body that is read once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Protocol, Self

from perstack.net import Unreachable
from perstack.net.redaction import Redaction
from perstack.net.urls import Url

_MAX_NAME = 40


class Body(Protocol):
    """An open response."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    async def next(self) -> bytes | None: ...


class Answer:
    """One answer, as long as its exchange is entered.

    `headers` have their names in lower case; one that came twice has its values joined
    with commas. `url` is where it was found, after redirects. How much is read, and for
    how long, is for the reader to bound.
    """

    def __init__(self, response: Body, url: Url, redaction: Redaction) -> None:
        self.status = response.status
        self.headers = response.headers
        self.url = str(url)
        self._origin = url.origin
        self._response = response
        self._redaction = redaction

    def __repr__(self) -> str:
        return f"Answer({self.status}, {self._origin!r})"

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes. Asked for again, it goes on where it was left.

        Raises:
            Unreachable: the connection broke, or the body is packed in spite of our asking.
        """
        return _Chunks(self._next)

    async def body(self, limit: int) -> bytes:
        """The whole body, of at most `limit` bytes.

        Raises:
            Unreachable: it is longer, or as for `chunks`.
        """
        body = bytearray()
        while (chunk := await self._next()) is not None:
            body += chunk
            if len(body) > limit:
                raise Unreachable(f"{self._origin} answered with more than {limit} bytes.")
        return bytes(body)

    async def _next(self) -> bytes | None:
        packing = self.headers.get("content-encoding", "identity").strip().lower()
        if packing not in {"", "identity"}:
            named = self._redaction.line(packing, _MAX_NAME)
            raise Unreachable(f"{self._origin} packed its answer ({named!r}) unasked.")
        return await self._response.next()


class _Chunks:
    """An iterator that, unlike a generator, leaves nothing behind when it is left early."""

    def __init__(self, step: Callable[[], Awaitable[bytes | None]]) -> None:
        self._step = step

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self._step()
        if chunk is None:
            raise StopAsyncIteration
        return chunk
