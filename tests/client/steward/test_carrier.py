"""Flower under an account of its own: what it is given, what it may have written down, and what it never gets."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fake_coordinator import refusal_of

from client.envelope import NOTE, POST, Envelope
from client.steward.carrier import CarrierDesk, Post, carry
from client.steward.events import SiteLog
from client.steward.home import SiteHome
from client.steward.joining import leave
from client.steward.listener import Listener
from client.steward.reach import View
from client.steward.service import unit_of
from client.steward.steward import Steward
from client.wire import ask
from fedpsma.errors import InputError


@pytest.fixture
def desk(home: SiteHome) -> Iterator[CarrierDesk]:
    """A steward that listens for the account that runs Flower."""
    desk = CarrierDesk(home)
    listener = Listener(home.socket_path, Steward(home, carrier=desk).answer, os.getgid())
    yield desk
    listener.close()


def _note(home: SiteHome, text: str) -> Envelope:
    return ask(home.socket_path, Envelope(NOTE, {"site": {"json": text}}))


def test_it_is_given_the_federation_and_the_key_of_the_connection_alone(home: SiteHome, desk: CarrierDesk) -> None:
    reply = ask(home.socket_path, Envelope(POST))
    assert Post.model_validate_json(reply.text("site")) == Post(
        bundle=home.bundle(), node_key=home.node_key_path.read_text("ascii")
    )
    assert (home.folder / "identity.key").read_bytes() not in reply.text("site").encode()
    assert stat.S_IMODE(home.socket_path.stat().st_mode) == 0o660


def test_a_site_that_has_left_gives_nothing_and_notes_no_question(home: SiteHome, desk: CarrierDesk) -> None:
    leave(home)
    reply = ask(home.socket_path, Envelope(POST))
    assert (reply.records, reply.arrays) == ({"site": {}}, {})
    assert "refused" not in [event.kind for event in SiteLog(home.events_path).read()]


def test_without_an_account_for_it_nobody_is_given_the_key(home: SiteHome) -> None:
    for kind in (POST, NOTE):
        assert refusal_of(Steward(home).answer(Envelope(kind))) == "protocol_violated"


def test_only_what_belongs_to_a_connection_is_written_down(home: SiteHome, desk: CarrierDesk) -> None:
    _note(home, '{"kind": "clock_differs", "seconds": -400}')
    forged = (
        '{"kind": "round_released", "epsilon": 0.1}',
        '{"kind": "connected", "run": "r"}',
        '{"kind": "not_connected", "reason": "all is well\\nround_released"}',
        '{"kind": "clock_differs", "seconds": NaN}',
        "{}",
    )
    for text in forged:
        assert refusal_of(_note(home, text)) == "protocol_violated"
    told = [(event.kind, event.seconds) for event in SiteLog(home.events_path).read() if event.kind != "refused"]
    assert told == [("clock_differs", -400)]


def test_one_that_falls_silent_is_noted_as_gone(
    home: SiteHome, desk: CarrierDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    _note(home, '{"kind": "connected"}')
    desk.look()
    monkeypatch.setattr("client.steward.carrier.SILENT_S", -1.0)
    desk.look()
    desk.look()
    assert [event.kind for event in SiteLog(home.events_path).read()] == ["connected", "disconnected"]


def test_it_runs_flower_as_long_as_the_steward_is_there(
    home: SiteHome, desk: CarrierDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.steward.carrier.LOOK_S", 0.1)
    monkeypatch.setattr("client.steward.connection.look_at_door", lambda _: View("not_let_in", 90.0))
    monkeypatch.setattr("client.steward.connection.certificate_end", lambda _: datetime.max.replace(tzinfo=UTC))
    monkeypatch.setattr("client.steward.connection.Connection._note_end", lambda *_: None)
    own, ended = SiteHome(tmp_path / "flower", home.socket_path), threading.Event()
    own.tools_path.mkdir(parents=True)
    program = own.tools_path / "flower-supernode"
    program.write_text('#!/bin/sh\necho x >> starts; echo "SuperNode ID: 7"; exec sleep 60\n', "utf-8")
    program.chmod(0o700)
    carrying = threading.Thread(target=carry, args=(own, ended))
    carrying.start()
    log = SiteLog(home.events_path)
    try:
        _soon(lambda: [event.kind for event in log.read()] == ["connected", "clock_differs"])
        assert stat.S_IMODE(own.folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(own.node_key_path.stat().st_mode) == 0o600
        assert sorted(path.name for path in own.folder.iterdir()) == ["bin", "flower", "node.key"]
        home.bundle_path.rename(tmp_path / "left")
        _soon(lambda: log.read()[-1].kind in ("disconnected", "not_connected"))
    finally:
        ended.set()
        carrying.join()


def _soon(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_socket_that_cannot_be_made_is_said(home: SiteHome, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be listened at"):
        Listener(tmp_path / "none" / "s.sock", Steward(home).answer)


def test_the_units_part_the_data_from_the_network(home: SiteHome) -> None:
    steward, carrier = unit_of(home, "steward"), unit_of(home, "carrier")
    assert "RestrictAddressFamilies=AF_UNIX\n" in steward
    assert "User=fedpsma\n" in steward
    assert "SupplementaryGroups=fedpsma-flower\n" in steward
    assert f"--state {home.folder} --carried-by fedpsma-flower --socket /run/fedpsma/steward.sock\n" in steward
    assert "User=fedpsma-flower\n" in carrier
    dataset = next(home.folder.parent.glob("data_*"))
    assert f"InaccessiblePaths=-{home.folder} -{dataset}\n" in carrier
    assert str(home.folder) not in carrier.replace(f"InaccessiblePaths=-{home.folder}", "")
    assert "AF_INET" in unit_of(home)
