"""Servers on this machine, as well and as badly behaved as a test needs them."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSListener
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAME = "mcp.example.com"
PATIENCE = 20.0
GONE = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, ssl.SSLError)


@dataclass
class Request:
    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.line.split(" ")[1]


@dataclass
class Server:
    """What a server saw. `broken` is set when a client leaves it in the middle."""

    port: int = 0
    connections: int = 0
    requests: list[Request] = field(default_factory=list)
    broken: anyio.Event = field(default_factory=anyio.Event)


Answering = Callable[[ByteStream, Request], Awaitable[None]]


@asynccontextmanager
async def serving(answer: Answering, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """A server on 127.0.0.1 that reads requests and answers each as told."""
    server = Server()

    async def talk(stream: ByteStream) -> None:
        server.connections += 1
        async with stream:
            try:
                while request := await _request(stream):
                    server.requests.append(request)
                    await answer(stream, request)
            except GONE:
                server.broken.set()

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    server.port = listener.extra(SocketAttribute.local_port)
    listening = listener if tls is None else TLSListener(listener, tls, standard_compatible=False)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listening.serve, talk)
        yield server
        tasks.cancel_scope.cancel()


def saying(*answers: bytes) -> Answering:
    """Each of `answers` in turn, the last one for ever."""
    left = list(answers)

    async def answer(stream: ByteStream, request: Request) -> None:
        await stream.send(left.pop(0) if len(left) > 1 else left[0])

    return answer


def redirect(location: str, status: int = 307, body: bytes = b"moved") -> bytes:
    head = f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode("latin-1") + body


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Seen: a\r\nX-Seen: b\r\n\r\nok"


async def _request(stream: ByteStream) -> Request | None:
    data = b""
    while b"\r\n\r\n" not in data:
        try:
            data += await stream.receive()
        except anyio.EndOfStream:
            return None
    head, _, body = data.partition(b"\r\n\r\n")
    line, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        body += await stream.receive()
    return Request(line, headers, body)


@asynccontextmanager
async def proxying(status: bytes = b"200 Fine") -> AsyncIterator[Server]:
    """A proxy that takes every name for 127.0.0.1, or that refuses with another status."""

    async def answer(stream: ByteStream, request: Request) -> None:
        await stream.send(b"HTTP/1.1 " + status + b"\r\n\r\n")
        if not status.startswith(b"200"):
            return
        port = int(request.path.rpartition(":")[2])
        async with (
            await anyio.connect_tcp("127.0.0.1", port) as outside,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(_copy, stream, outside, tasks.cancel_scope)
            tasks.start_soon(_copy, outside, stream, tasks.cancel_scope)

    async with serving(answer) as server:
        yield server


async def _copy(source: ByteStream, target: ByteStream, scope: anyio.CancelScope) -> None:
    with suppress(*GONE):
        async for chunk in source:
            await target.send(chunk)
    scope.cancel()


class Resolver:
    """Answers one list of addresses after another, the last one for ever, and keeps count."""

    def __init__(self, *answers: list[str]) -> None:
        self.asked: list[tuple[str, int]] = []
        self._answers = list(answers)

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append((host, port))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if not answer:
            raise OSError("nobody knows this name")
        return answer


HERE = ["127.0.0.1"]
CALLED = "Test authority"


class Authority:
    """A certificate authority of the test's own, and certificates by it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, CALLED)])
        certificate = self._certificate(self._name, self._key.public_key(), None)
        self.file = folder / "authority.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    @property
    def hash(self) -> str:
        """What its file is called in a directory of certificates."""
        name = CALLED.lower().encode()  # as OpenSSL compares names: in small letters, as UTF-8
        value = b"\x06\x03\x55\x04\x03" + bytes([12, len(name)]) + name
        pair = bytes([48, len(value)]) + value
        digest = hashlib.sha1(bytes([49, len(pair)]) + pair).digest()
        return digest[3::-1].hex()

    @property
    def environ(self) -> dict[str, str]:
        return {"SSL_CERT_FILE": str(self.file)}

    def context(self, name: str) -> ssl.SSLContext:
        """What a server called `name` needs."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._certificate(subject, key.public_key(), name)
        file = self._folder / "server.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _certificate(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, name: str | None
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime(2000, 1, 1, tzinfo=UTC))
            .not_valid_after(datetime(2100, 1, 1, tzinfo=UTC))
            .add_extension(x509.BasicConstraints(ca=name is None, path_length=None), critical=True)
        )
        if name is not None:
            names = x509.SubjectAlternativeName([x509.DNSName(name)])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())
