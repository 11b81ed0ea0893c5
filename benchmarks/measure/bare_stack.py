"""The least that any program on Perstack's libraries pays for one streamed reply.

    python bare_stack.py BASE_URL

It imports what Perstack imports from outside (click, msgspec, tomllib, anyio, httpx2),
asks once through a client made as httpx2 makes it by default, and decodes every event
of the stream. It keeps nothing, checks nothing, and has no tools. For a plain http
address it makes no TLS context, which Perstack does not either.
"""

from __future__ import annotations

import sys
import tomllib

import anyio
import click
import httpx2
import msgspec

CONFIG = '[experts.reader]\ninstruction = "Read."\n'


class Delta(msgspec.Struct):
    """A piece of a block."""

    text: str = ""


class Event(msgspec.Struct):
    """What every event of the stream may have."""

    type: str
    delta: Delta | None = None


@click.command()
@click.argument("url")
def main(url: str) -> None:
    """Ask once; the text of the reply on stdout."""
    expert = tomllib.loads(CONFIG)["experts"]["reader"]
    sys.stdout.write(anyio.run(ask, url, expert["instruction"]) + "\n")


async def ask(url: str, instruction: str) -> str:
    """The text of one streamed reply."""
    body = {
        "model": "claude-sonnet-5-5",
        "max_tokens": 1000,
        "stream": True,
        "system": instruction,
        "messages": [{"role": "user", "content": "Read it."}],
    }
    decode = msgspec.json.Decoder(Event).decode
    text: list[str] = []
    async with (
        httpx2.AsyncClient(verify=url.startswith("https:")) as client,
        client.sse(
            f"{url}/v1/messages",
            method="POST",
            content=msgspec.json.encode(body),
            headers={"x-api-key": "key", "content-type": "application/json"},
        ) as events,
    ):
        async for sent in events:
            event = decode(sent.data)
            if event.delta is not None:
                text.append(event.delta.text)
            if event.type == "message_stop":
                break
    return "".join(text)


if __name__ == "__main__":
    main()
