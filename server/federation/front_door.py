"""The public address of a federation: a TLS 1.3 proxy that passes the calls of nodes to the SuperLink only.

The SuperLink answers everybody who reaches its port: its control calls register nodes and start runs. So it listens on
the loopback address only, and of what comes from outside this passes ``POST /v1/fleet/...`` and ``GET /health``. Both
sides speak through h11, so what is passed on was understood first; sizes, times and connections are bounded.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import h11

from server.federation.certificates import KeyPair

log = logging.getLogger(__name__)

_PASSES = re.compile(rb"POST /v1/fleet/[a-z][a-z0-9-]*|GET /health")
_READ_BYTES = 64 * 1024
# How long and how much of a refused request is read before the connection is closed.
_LINGER_S = 1.0
_LINGER_BYTES = 2**20
# Headers that belong to one connection, not to what is passed on.
_HOP = {b"connection", b"keep-alive", b"te", b"trailer", b"upgrade", b"proxy-connection", b"host", b"expect"}


@dataclass(frozen=True)
class Limits:
    """How much one caller may ask for. Flower cuts arrays into chunks of 5 MB, so no message is near the bound.

    ``header_s`` is for a request's head, ``step_s`` for any piece of a body, ``request_s`` for a request and its answer
    together.
    """

    body_bytes: int = 64 * 2**20
    header_bytes: int = 32 * 1024
    header_s: float = 30.0
    step_s: float = 60.0
    request_s: float = 900.0
    connections: int = 1024
    connections_each: int = 128


@dataclass(frozen=True)
class Door:
    """Where the front door listens, what it shows, and where the SuperLink is."""

    host: str
    port: int
    shown: KeyPair
    superlink_port: int
    authority: Path
    limits: Limits = Limits()

    def server_context(self) -> ssl.SSLContext:
        """Return the side that callers see: TLS 1.3 and nothing older."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self.shown.certificate, self.shown.key)
        return context

    def client_context(self) -> ssl.SSLContext:
        """Return the side that the SuperLink sees."""
        return ssl.create_default_context(cafile=str(self.authority))


class _RefusedError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


Heard = Callable[[Mapping[bytes, bytes]], None]
"""Called with the headers of every call that passes."""
_FAILED = (OSError, h11.ProtocolError, _RefusedError)


@dataclass
class _Peer:
    """One connection, read and written through h11, each step within a time."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    state: h11.Connection
    limits: Limits

    async def receive(self, within_s: float) -> h11.Event:
        async with asyncio.timeout(within_s):
            while not isinstance(event := self.state.next_event(), h11.Event):
                if event is h11.PAUSED:
                    raise h11.RemoteProtocolError("spoke before its turn")
                self.state.receive_data(await self.reader.read(_READ_BYTES))
        return event

    async def send(self, event: h11.Event) -> None:
        self.writer.write(self.state.send(event) or b"")
        async with asyncio.timeout(self.limits.step_s):
            await self.writer.drain()

    async def body(self) -> AsyncIterator[h11.Data | h11.EndOfMessage]:
        """Yield the pieces of a body and its end."""
        size = 0
        while True:
            event = await self.receive(self.limits.step_s)
            if isinstance(event, h11.EndOfMessage):
                yield h11.EndOfMessage()
                return
            if not isinstance(event, h11.Data):
                raise h11.RemoteProtocolError("the body ended early")
            size += len(event.data)
            if size > self.limits.body_bytes:
                raise _RefusedError(413)
            yield h11.Data(event.data)


@dataclass
class FrontDoor:
    """Answers connections until it is closed; ``open`` counts them by address."""

    door: Door
    heard: Heard = lambda _: None
    open: Counter[str] = field(default_factory=Counter)
    _context: ssl.SSLContext = field(init=False)

    def __post_init__(self) -> None:
        self._context = self.door.server_context()

    def show_anew(self) -> None:
        """Show the certificate that lies there now to everybody who connects from now on."""
        self._context.load_cert_chain(self.door.shown.certificate, self.door.shown.key)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[asyncio.Server]:
        """Listen as long as the block runs."""
        server = await asyncio.start_server(
            self._connected,
            self.door.host,
            self.door.port,
            ssl=self._context,
            ssl_handshake_timeout=self.door.limits.header_s,
            limit=_READ_BYTES,
        )
        # What clients do wrong is theirs; asyncio would log each broken handshake with a traceback.
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: log.debug("%s", context["message"]))
        async with server:
            yield server

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        limits = self.door.limits
        address = str((writer.get_extra_info("peername") or ("unknown",))[0])
        self.open[address] += 1
        try:
            if self.open.total() <= limits.connections and self.open[address] <= limits.connections_each:
                state = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.header_bytes)
                await self._serve(_Peer(reader, writer, state, limits))
        except _FAILED as error:
            log.debug("connection from %s ended: %s", address, type(error).__name__)
        finally:
            self.open[address] -= 1
            if not self.open[address]:
                del self.open[address]
            await _close(writer)

    async def _serve(self, caller: _Peer) -> None:
        """Answer one request after the other on a connection."""
        async with AsyncExitStack() as stack:
            inside: _Peer | None = None
            while True:
                request = await self._head(caller)
                if request is None:
                    return
                try:
                    _require_passing(request, caller.limits)
                    self.heard(dict(request.headers))
                    if inside is None:
                        inside = await stack.enter_async_context(self._superlink())
                    async with asyncio.timeout(caller.limits.request_s):
                        await _pass_on(request, caller, inside)
                except _RefusedError as refused:
                    await _refuse(caller, refused.status)
                    return
                if caller.state.our_state is not h11.DONE or inside.state.their_state is not h11.DONE:
                    return
                caller.state.start_next_cycle()
                inside.state.start_next_cycle()

    async def _head(self, caller: _Peer) -> h11.Request | None:
        try:
            event = await caller.receive(caller.limits.header_s)
        except h11.RemoteProtocolError as error:
            await _refuse(caller, error.error_status_hint)
            return None
        return event if isinstance(event, h11.Request) else None

    @asynccontextmanager
    async def _superlink(self) -> AsyncIterator[_Peer]:
        """Give a connection to the SuperLink."""
        try:
            async with asyncio.timeout(self.door.limits.header_s):
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", self.door.superlink_port, ssl=self.door.client_context()
                )
        except OSError as error:
            raise _RefusedError(503) from error
        try:
            yield _Peer(reader, writer, h11.Connection(h11.CLIENT), self.door.limits)
        finally:
            await _close(writer)


def _require_passing(request: h11.Request, limits: Limits) -> None:
    if not _PASSES.fullmatch(request.method + b" " + request.target):
        raise _RefusedError(404)
    for name, value in request.headers:
        if name == b"content-length" and int(value) > limits.body_bytes:
            raise _RefusedError(413)


async def _pass_on(request: h11.Request, caller: _Peer, inside: _Peer) -> None:
    """Pass a request in and its answer out, piece by piece."""
    headers = [(name, value) for name, value in request.headers if name not in _HOP]
    if caller.state.they_are_waiting_for_100_continue:
        await caller.send(h11.InformationalResponse(status_code=100, headers=[]))
    try:
        head = h11.Request(method=request.method, target=request.target, headers=[(b"host", b"127.0.0.1"), *headers])
        await inside.send(head)
        async for piece in caller.body():
            await inside.send(piece)
        answer = await inside.receive(inside.limits.request_s)
        while isinstance(answer, h11.InformationalResponse):
            answer = await inside.receive(inside.limits.request_s)
        if not isinstance(answer, h11.Response):
            raise _RefusedError(502)
    except (OSError, h11.RemoteProtocolError) as error:
        raise _RefusedError(502) from error
    kept = [(name, value) for name, value in answer.headers if name not in _HOP]
    await caller.send(h11.Response(status_code=answer.status_code, headers=kept))
    async for piece in inside.body():
        await caller.send(piece)


async def _refuse(caller: _Peer, status: int) -> None:
    """Answer with a bare status and end the connection."""
    if caller.state.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
        return
    headers = [(b"content-length", b"0"), (b"connection", b"close")]
    with suppress(*_FAILED):
        await caller.send(h11.Response(status_code=status, headers=headers))
        await caller.send(h11.EndOfMessage())
        await _let_finish(caller)


async def _let_finish(caller: _Peer) -> None:
    """Read on for a moment what the caller still sends: closing on unread bytes would destroy the answer on its way."""
    async with asyncio.timeout(_LINGER_S):
        read = 0
        while read < _LINGER_BYTES and (piece := await caller.reader.read(_READ_BYTES)):
            read += len(piece)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        async with asyncio.timeout(1.0):
            await writer.wait_closed()
