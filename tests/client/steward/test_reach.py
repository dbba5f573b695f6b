"""Why a site is not connected: found out with one question over TLS, and told to its staff in words."""

from __future__ import annotations

import http.server
import io
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from fake_coordinator import Coordinator
from rich.console import Console

from client.steward.connection import Connection
from client.steward.events import SiteEvent, SiteLog
from client.steward.home import SiteHome
from client.steward.joining import certificate_end
from client.steward.reach import WORDS, View, look_at_door
from client.steward.status import status_of, status_table
from fedpsma.io.files import held_alone
from fedpsma.joining.records import JoinBundle
from server.federation.certificates import SERVER_LASTS, KeyPair, make_authority, make_server


@contextmanager
def _front_door(
    folder: Path, status: int = 200, ahead: timedelta = timedelta(0), lasts: timedelta = SERVER_LASTS
) -> Iterator[JoinBundle]:
    """Answer ``GET /health`` over TLS, with a clock that is ahead and so long a certificate; the bundle leads there."""

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
    make_server(own, authority, ("localhost",), lasts=lasts)
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
        (200, 4, "not_let_in"),
        (200, -4, "not_let_in"),
        (502, 0, "coordinator_down"),
    ],
)
def test_what_the_front_door_answers_says_why(status: int, minutes: int, why: str, tmp_path: Path) -> None:
    with _front_door(tmp_path, status, timedelta(minutes=minutes)) as bundle:
        view = look_at_door(bundle)
    assert view.why == why
    assert view.ahead_s == pytest.approx(-60 * minutes, abs=3), "the clock here against the one there"


@pytest.mark.parametrize(("minutes", "why"), [(0, "certificate_ended"), (10, "clock_differs")])
def test_an_ended_certificate_is_told_from_a_wrong_clock(minutes: int, why: str, tmp_path: Path) -> None:
    with _front_door(tmp_path, 200, timedelta(minutes=minutes), timedelta(seconds=-2)) as bundle:
        view = look_at_door(bundle)
    assert view.why == why
    assert view.certificate_ends is not None
    assert view.certificate_ends < datetime.now(UTC)


def test_the_end_of_the_authority_counts_where_it_is_earlier(tmp_path: Path) -> None:
    with _front_door(tmp_path, lasts=timedelta(days=9999)) as bundle:
        assert look_at_door(bundle).certificate_ends == certificate_end(bundle)


def test_another_authority_and_no_answer(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with _front_door(tmp_path) as bundle, _front_door(tmp_path / "other") as other:
        swapped = bundle.model_copy(update={"ca_certificate": other.ca_certificate})
        assert look_at_door(swapped).why == "certificate_not_trusted"
    assert look_at_door(bundle).why == "address_unreachable"


NEVER = datetime.now(UTC) + timedelta(days=300)
SOON = datetime.now(UTC) + timedelta(days=13)


def _noted(home: SiteHome, monkeypatch: pytest.MonkeyPatch, steps: Sequence[tuple[bool, View]]) -> list[SiteEvent]:
    """Return the events of a connection that changes step by step, each with what the front door shows then."""
    log, ended = SiteLog(home.events_path), threading.Event()
    connection = Connection(log.append, home.bundle(), ended)
    for connected, view in steps:
        monkeypatch.setattr("client.steward.connection.look_at_door", lambda _, view=view: view)
        connection.changed(connected)
    ended.set()
    monkeypatch.setattr("client.steward.connection.look_at_door", lambda _: 1 / 0)
    connection.changed(False)
    return log.read()


def test_it_is_said_once_and_again_when_it_changes(home: SiteHome, monkeypatch: pytest.MonkeyPatch) -> None:
    away, apart = View("address_unreachable", certificate_ends=NEVER), View("clock_differs", certificate_ends=NEVER)
    steps = [(False, away), (False, away), (False, apart), (True, View("not_let_in", 0.4, NEVER))]
    told = [(event.kind, event.reason) for event in _noted(home, monkeypatch, steps)]
    assert told == [
        ("not_connected", "address_unreachable"),
        ("not_connected", "clock_differs"),
        ("connected", None),
        ("disconnected", None),
    ]


def test_clocks_and_certificates_are_noted_when_they_change(home: SiteHome, monkeypatch: pytest.MonkeyPatch) -> None:
    views = [
        View("clock_differs", -400.0, SOON),
        View("clock_differs", -401.0, SOON),
        View("clock_differs", 3600.0, SOON),
        View("not_let_in", 1.0, NEVER),
    ]
    events = _noted(home, monkeypatch, [(False, view) for view in views])
    told = [(event.kind, event.seconds, event.until) for event in events if not event.reason]
    assert told == [
        ("clock_differs", -400, None),
        ("certificate_ends", None, SOON.isoformat(timespec="seconds")),
        ("clock_differs", 3600, None),
        ("clock_agrees", None, None),
        ("certificate_renewed", None, NEVER.isoformat(timespec="seconds")),
    ]


@pytest.mark.parametrize("why", WORDS)
def test_the_staff_reads_it_in_the_status(why: str, home: SiteHome, capsys: pytest.CaptureFixture[str]) -> None:
    log = SiteLog(home.events_path)
    log.append("started")
    log.append("not_connected", reason=why)
    with ExitStack() as stack:
        stack.enter_context(held_alone(home.folder))
        stack.enter_context(pytest.MonkeyPatch.context()).setattr(
            "client.steward.status.certificate_end", lambda _: NEVER
        )
        found = status_of(home)
    assert found.unreached == why
    Console(width=300).print(status_table(found))
    assert WORDS[why] in capsys.readouterr().out  # type: ignore[index]


def test_the_staff_reads_how_wrong_the_clock_is_and_what_ends_when(
    home: SiteHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.steward.status.certificate_end", lambda _: NEVER)
    log = SiteLog(home.events_path)
    log.append("started")
    log.append("clock_differs", seconds=-424)
    log.append("certificate_ends", until=SOON.isoformat(timespec="seconds"))
    with held_alone(home.folder):
        found = status_of(home)
        assert (found.clock_ahead_s, found.certificate_ends) == (-424, SOON.replace(microsecond=0))
        console = Console(width=300, record=True, file=io.StringIO())
        console.print(status_table(found))
        shown = console.export_text()
        assert "7 min behind: set it, here or there" in shown
        assert f"{SOON:%Y-%m-%d}; tell the coordinator, who renews it" in shown
        log.append("clock_agrees")
        log.append("certificate_renewed", until=NEVER.isoformat(timespec="seconds"))
        found = status_of(home)
        assert (found.clock_ahead_s, found.certificate_ends) == (None, NEVER.replace(microsecond=0))
