"""A port of this machine that something may answer at."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

import anyio

from perstack.assembly.ask import ask

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HERE = "127.0.0.1"
MAX_MODELS = 50
"""Models of one server that are listed."""
MAX_NAME = 256
DETAIL_SECONDS = 1.0
"""For all that a server is asked once it is known."""

T = TypeVar("T")


class Host(NamedTuple):
    """A port of the loopback address. No other address is ever asked.

    `wanted` is the model that is looked for there, however many there are.
    """

    port: int
    wanted: str = ""

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{HERE}:{self.port}"

    async def is_open(self) -> bool:
        """Whether anything listens."""
        try:
            stream = await anyio.connect_tcp(HERE, self.port)
        except OSError:
            return False
        await stream.aclose()
        return True

    async def ask(self, path: str, shape: type[T], body: object = None) -> T | None:
        """As `assembly.ask`; None also where nothing listens."""
        try:
            stream = await anyio.connect_tcp(HERE, self.port)
        except OSError:
            return None
        return await ask(stream, path, shape, body)

    def is_wanted(self, name: str) -> bool:
        """Whether it is the model that is looked for, with Ollama's tag or without."""
        return bool(self.wanted) and name in (self.wanted, f"{self.wanted}:latest")

    def listed(self, names: Iterable[str]) -> tuple[Sequence[str], int]:
        """The names that are looked at, each once, and how many are left out."""
        fine = [name for name in dict.fromkeys(names) if 0 < len(name) <= MAX_NAME]
        if len(fine) > MAX_MODELS:
            fine.sort(key=self.is_wanted, reverse=True)
        return fine[:MAX_MODELS], max(len(fine) - MAX_MODELS, 0)


def size(tokens: int | None) -> int | None:
    """A number of tokens that can be one."""
    return tokens if tokens is not None and 0 < tokens < 1 << 40 else None
