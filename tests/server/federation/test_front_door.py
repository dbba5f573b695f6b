"""The front door: fleet calls and health pass, everything else is not there; sizes, times and versions are bounded."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from server.federation.certificates import LOOPBACK, KeyPair, make_authority, make_server
from server.federation.front_door import Door, FrontDoor, Limits

LIMITS = Limits(body_bytes=200_000, header_bytes=4096, header_s=1.0, step_s=1.0, request_s=3.0, connections_each=4)


class _SuperLink(BaseHTTPRequestHandler):
    """Answers what it was asked, so that a test sees what came through."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self._body())

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") == "chunked":
            content = b""
            while size := int(self.rfile.readline(), 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return content
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def _answer(self, body: bytes) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        told = json.dumps({"path": self.path, "bytes": len(body), "headers": headers}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *_: object) -> None:
        pass


class _Pki:
    def __init__(self, folder: Path) -> None:
        self.authority = KeyPair(folder / "authority.crt", folder / "authority.key")
        self.pair = KeyPair(folder / "server.crt", folder / "server.key")
        make_authority(self.authority, "test")
        make_server(self.pair, self.authority, LOOPBACK)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> _Pki:
    return _Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def port(pki: _Pki) -> Iterator[int]:
    """The port of a front door before a SuperLink that echoes."""
    inside = ThreadingHTTPServer(("127.0.0.1", 0), _SuperLink)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.pair.certificate, pki.pair.key)
    inside.socket = context.wrap_socket(inside.socket, server_side=True)
    threading.Thread(target=inside.serve_forever, daemon=True).start()
    yield from _served(pki, inside.server_port)
    inside.shutdown()


def _served(pki: _Pki, superlink_port: int) -> Iterator[int]:
    door = Door("127.0.0.1", 0, pki.pair, superlink_port, pki.authority.certificate, LIMITS)
    loop, ready, over = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    found: list[int] = []

    async def serve() -> None:
        async with FrontDoor(door).serving() as server:
            found.append(server.sockets[0].getsockname()[1])
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    yield found[0]
    loop.call_soon_threadsafe(over.set)
    thread.join(10)


def _context(pki: _Pki) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(pki.authority.certificate))


@pytest.fixture
def caller(pki: _Pki, port: int) -> Iterator[http.client.HTTPSConnection]:
    connection = http.client.HTTPSConnection("localhost", port, timeout=10, context=_context(pki))
    yield connection
    connection.close()


def _ask(
    caller: http.client.HTTPConnection, method: str, path: str, **options: object
) -> tuple[int, dict[str, object]]:
    caller.request(method, path, **options)  # type: ignore[arg-type]
    answer = caller.getresponse()
    content = answer.read()
    return answer.status, json.loads(content) if content else {}


def _raw(pki: _Pki, port: int, request: bytes, wait_s: float = 5.0) -> bytes:
    """Send bytes as they are and return all that comes back, also if the door closes before all is sent."""
    plain = socket.create_connection(("localhost", port), wait_s)
    content = b""
    with _context(pki).wrap_socket(plain, server_hostname="localhost") as connection:
        with suppress(ConnectionError, ssl.SSLError):
            connection.sendall(request)
        with suppress(ConnectionError, ssl.SSLError):
            while piece := connection.recv(65536):
                content += piece
    return content


def test_fleet_calls_and_health_pass_with_body_and_headers_on_one_connection(
    caller: http.client.HTTPSConnection,
) -> None:
    for size in (0, 10, 150_000):
        headers = {"x-flwr-public-key": "key"}
        status, told = _ask(caller, "POST", "/v1/fleet/pull-messages", body=b"x" * size, headers=headers)
        assert (status, told["bytes"], told["path"]) == (200, size, "/v1/fleet/pull-messages")
        assert told["headers"]["x-flwr-public-key"] == "key"  # type: ignore[index]
    assert _ask(caller, "GET", "/health")[0] == 200


def test_a_body_in_chunks_passes(caller: http.client.HTTPSConnection) -> None:
    pieces = (b"x" * 1000 for _ in range(50))
    status, told = _ask(caller, "POST", "/v1/fleet/push-object", body=pieces, encode_chunked=True)
    assert (status, told["bytes"]) == (200, 50_000)


ATTACKS = [
    ("POST", "/v1/control/register-node"),
    ("POST", "/v1/control/list-nodes"),
    ("POST", "/v1/control/start-run"),
    ("GET", "/docs"),
    ("GET", "/openapi.json"),
    ("POST", "/v1/runtime/acquire-task"),
    ("GET", "/v1/fleet/pull-messages"),
    ("POST", "/health"),
    ("GET", "/health?x=1"),
    ("POST", "/v1/fleet/../control/start-run"),
    ("POST", "/v1/fleet/%2e%2e/control/start-run"),
    ("POST", "/v1/fleet/pull-messages/../../control/start-run"),
    ("POST", "/v1/fleet//v1/control/start-run"),
    ("POST", "/V1/FLEET/pull-messages"),
    ("POST", "https://127.0.0.1/v1/control/start-run"),
    ("OPTIONS", "*"),
]


@pytest.mark.parametrize(("method", "path"), ATTACKS)
def test_whatever_else_is_asked_is_not_there(caller: http.client.HTTPSConnection, method: str, path: str) -> None:
    assert _ask(caller, method, path) == (404, {})


SMUGGLED = b"POST /v1/control/start-run HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        b"POST /v1/fleet/x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        + SMUGGLED,
        b"POST /v1/fleet/x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 90\r\n\r\nabcd" + SMUGGLED,
        b"POST /v1/fleet/x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n" + SMUGGLED,
        b"POST /v1/fleet/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    ],
)
def test_nothing_is_smuggled_behind_a_request_that_passes(pki: _Pki, port: int, request_: bytes) -> None:
    content = _raw(pki, port, request_)
    assert b"/v1/control" not in content


def test_too_much_is_refused_early(caller: http.client.HTTPSConnection, pki: _Pki, port: int) -> None:
    declared = b"POST /v1/fleet/x HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n"
    assert b" 413 " in _raw(pki, port, declared)
    long_header = b"GET /health HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"
    assert b" 431 " in _raw(pki, port, long_header)
    chunk = b"%x\r\n%s\r\n" % (50_000, b"x" * 50_000)
    chunked = b"POST /v1/fleet/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + 5 * chunk
    assert b" 413 " in _raw(pki, port, chunked)


@pytest.mark.parametrize(
    "request_", [b"", b"GET /hea", b"POST /v1/fleet/x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"]
)
def test_who_dawdles_is_left(pki: _Pki, port: int, request_: bytes) -> None:
    assert b" 200 " not in _raw(pki, port, request_)


def test_one_address_cannot_take_all_connections(pki: _Pki, port: int) -> None:
    idle = [socket.create_connection(("localhost", port), 5) for _ in range(LIMITS.connections_each)]
    wrapped = [_context(pki).wrap_socket(one, server_hostname="localhost") for one in idle]
    try:
        assert _raw(pki, port, b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") == b""
    finally:
        for one in wrapped:
            one.close()


def test_older_tls_is_not_spoken(pki: _Pki, port: int) -> None:
    context = _context(pki)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("localhost", port), 5) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain, server_hostname="localhost")


def test_without_a_superlink_callers_are_asked_to_come_back(pki: _Pki) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = probe.getsockname()[1]
    for port in _served(pki, closed):
        connection = http.client.HTTPSConnection("localhost", port, timeout=10, context=_context(pki))
        assert _ask(connection, "POST", "/v1/fleet/pull-messages", body=b"x") == (503, {})
        connection.close()
