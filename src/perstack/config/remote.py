"""A configuration file from the web: one host, no redirects, a size and a deadline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perstack.config.load import parse_config
from perstack.config.source import check_size
from perstack.errors import ConfigurationError

if TYPE_CHECKING:
    import httpx2

    from perstack.config.project import Project

HOST = "raw.githubusercontent.com"
DEADLINE_SECONDS = 15.0


def is_url(text: str) -> bool:
    """Whether the value of `--config` names a place on the web rather than a file."""
    return "://" in text


async def fetch_config(
    url: str,
    *,
    transport: httpx2.AsyncBaseTransport | None = None,
    deadline: float = DEADLINE_SECONDS,
) -> Project:
    """The Project at `url`, which must be https on raw.githubusercontent.com.

    `deadline` is seconds for the whole exchange, however slowly bytes trickle in.

    Raises:
        ConfigurationError: another host or scheme, an answer other than 200, more
            than 1 MiB, a network that fails, or a file that breaks a rule.
    """
    import anyio

    _check_url(url)
    try:
        with anyio.fail_after(deadline):
            data = await _body(url, transport)
    except TimeoutError:
        raise ConfigurationError(f"{url} did not arrive within {deadline:g} s") from None
    return parse_config(data, url)


def fetch_config_here(url: str) -> Project:
    """`fetch_config` for a caller that is not async; waits in this thread."""
    from concurrent.futures import ThreadPoolExecutor

    import anyio

    with ThreadPoolExecutor(1) as pool:  # a thread of its own: this one may hold an event loop
        return pool.submit(anyio.run, fetch_config, url).result()


def _check_url(url: str) -> None:
    from perstack.config.addresses import base_url_problem

    authority = url[len("https://") :].partition("/")[0]
    is_ours = url.startswith("https://") and authority == HOST
    if not is_ours or base_url_problem(url) is not None:
        raise ConfigurationError(
            f"--config takes a file, or a URL that begins with https://{HOST}/"
        )


async def _body(url: str, transport: httpx2.AsyncBaseTransport | None) -> bytes:
    import httpx2

    received = bytearray()
    try:
        async with (
            httpx2.AsyncClient(transport=transport, follow_redirects=False, timeout=None) as client,
            client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as answer,
        ):
            if answer.status_code != 200:
                raise ConfigurationError(f"{url} answered {answer.status_code}, not 200")
            if answer.headers.get("content-encoding", "identity").lower() != "identity":
                raise ConfigurationError(f"{url} answered in an encoding that was not asked for")
            async for piece in answer.aiter_raw():
                received += piece
                check_size(len(received), url)
    except httpx2.HTTPError as trouble:
        raise ConfigurationError(
            f"{url} could not be fetched: {type(trouble).__name__}: {trouble}"
        ) from None
    return bytes(received)
