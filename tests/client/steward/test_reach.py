"""Why a site is not connected: found out with one question over TLS, and told to its staff in words."""

from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from fake_coordinator import Coordinator, joined_site

from client.steward.events import SiteLog
from client.steward.home import SiteHome
from client.steward.reach import WORDS, why_not_connected
from client.steward.run import _Connection
from client.steward.status import status_of, status_table
from fedpsma.io.files import held_alone
from fedpsma.joining.records import JoinBundle
from server.federation.certificates import KeyPair, make_authority, make_server


@contextmanager
def _front_door(folder: Path, status: int = 200, ahead: timedelta = timedelta(0)) -> Iterator[JoinBundle]:
    """Answer ``GET /health`` over TLS, with a clock that is ahead; the bundle leads there."""

    class Door(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(status if self.path == "/health" else 404)
            self.send_header("Date", format_datetime(datetime.now(UTC) + ahead, usegmt=True))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    authority, own = (KeyPair(folder / f"{name}.crt", folder / f"{name}.key") for name in ("authority", "own"))
    make_authority(authority, "prostate")
    make_server(own, authority, ("localhost",))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.certificate, own.key)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ca = authority.certificate.read_text("utf-8")
        yield Coordinator().bundle(f"localhost:{server.server_port}", ca)
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "minutes", "why"),
    [
        (200, 0, "not_let_in"),
        (200, 10, "clock_differs"),
        (200, -10, "clock_differs"),
        (502, 0, "coordinator_down"),
    ],
)
def test_what_the_front_door_answers_says_why(status: int, minutes: int, why: str, tmp_path: Path) -> None:
    with _front_door(tmp_path, status, timedelta(minutes=minutes)) as bundle:
        assert why_not_connected(bundle) == why


def test_another_authority_and_no_answer(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with _front_door(tmp_path) as bundle, _front_door(tmp_path / "other") as other:
        swapped = bundle.model_copy(update={"ca_certificate": other.ca_certificate})
        assert why_not_connected(swapped) == "certificate_not_trusted"
    assert why_not_connected(bundle) == "address_unreachable"


@pytest.fixture
def home(tmp_path: Path) -> SiteHome:
    return joined_site(tmp_path, Coordinator())


@pytest.fixture
def because(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda why: monkeypatch.setattr("client.steward.run.why_not_connected", lambda _: why)


def test_it_is_said_once_and_again_when_it_changes(home: SiteHome, because: Callable[[str], None]) -> None:
    log, ended = SiteLog(home.events_path), threading.Event()
    connection = _Connection(log, home.bundle(), ended)
    because("address_unreachable")
    connection.changed(False)
    connection.changed(False)
    because("clock_differs")
    connection.changed(False)
    connection.changed(True)
    ended.set()
    connection.changed(False)
    told = [(event.kind, event.reason) for event in log.read()]
    assert told == [
        ("not_connected", "address_unreachable"),
        ("not_connected", "clock_differs"),
        ("connected", None),
        ("disconnected", None),
    ]


@pytest.mark.parametrize("why", WORDS)
def test_the_staff_reads_it_in_the_status(why: str, home: SiteHome, capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    log = SiteLog(home.events_path)
    log.append("started")
    log.append("not_connected", reason=why)
    with ExitStack() as stack:
        stack.enter_context(held_alone(home.folder))
        stack.enter_context(pytest.MonkeyPatch.context()).setattr(
            "client.steward.status.certificate_end", lambda _: None
        )
        found = status_of(home)
    assert found.unreached == why
    Console(width=300).print(status_table(found))
    assert WORDS[why] in capsys.readouterr().out  # type: ignore[index]
