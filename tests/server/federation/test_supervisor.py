"""What keeps a federation up: it starts again what ends, lets in who was admitted, and ends cleanly."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from made_up_federation import NotingSuperLink, made_up_home, request_of

from fedpsma.errors import InputError
from fedpsma.io.files import held_alone, write_text
from server.federation import supervisor
from server.federation.admission import admit, revoke
from server.federation.certificates import SERVER_LASTS, make_server
from server.federation.home import FederationHome
from server.federation.service import service_text
from server.federation.superlink import SuperLink, free_port


@dataclass
class _Sleeping(NotingSuperLink):
    """Its process is one that sleeps."""

    port: int = 1
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> subprocess.Popen[bytes]:
        self.started.append(subprocess.Popen(["sleep", "600"]))
        return self.started[-1]

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait()

    def end_processes(self) -> None:
        pass


@pytest.fixture
def home(tmp_path: Path) -> FederationHome:
    """A federation whose front door is a free port."""
    made = made_up_home(tmp_path)
    text = made.config_path.read_text("utf-8")
    write_text(made.config_path, text.replace("127.0.0.1:9443", f"127.0.0.1:{free_port()}"))
    return made


@pytest.fixture
def superlink(home: FederationHome, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Sleeping]:
    """Stands in for the real one, and its supervisor looks often."""
    made = _Sleeping(home.flower)
    monkeypatch.setattr(supervisor, "superlink_of", lambda home, port: made)
    monkeypatch.setattr(supervisor, "LOOK_S", 0.05)
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_S", 0.05)
    yield made
    for process in made.started:
        process.kill()


def _while_up(home: FederationHome, play: Callable[[], None]) -> list[str]:
    """Keep a federation up, play something meanwhile, and end it as a service manager would."""
    said: list[str] = []
    failed: list[BaseException] = []

    def act() -> None:
        try:
            play()
        except BaseException as error:
            failed.append(error)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Timer(0.1, act).start()
    supervisor.keep_up(home, said.append)
    if failed:
        raise failed[0]
    return said


def _soon(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_superlink_that_dies_is_started_again_and_ends_with_its_supervisor(
    home: FederationHome, superlink: _Sleeping
) -> None:
    def play() -> None:
        _soon(lambda: len(superlink.started) == 1)
        superlink.started[0].kill()
        _soon(lambda: len(superlink.started) == 2)
        _soon((home.flower / "up.json").exists)

    said = _while_up(home, play)
    assert superlink.started[1].poll() is not None
    assert not (home.flower / "up.json").exists()
    assert any("has ended" in line for line in said)


def test_who_is_admitted_or_revoked_meanwhile_is_let_in_or_shut_out(
    home: FederationHome, superlink: _Sleeping, tmp_path: Path
) -> None:
    def play() -> None:
        _soon((home.flower / "up.json").exists)
        admit(home, request_of(tmp_path, "north"))
        _soon(lambda: len(superlink.nodes) == 1)
        revoke(home, "north")
        _soon(lambda: not superlink.nodes)

    assert _while_up(home, play)[-2:] == ["north may connect", "north is out"]


def test_a_renewed_certificate_is_shown_without_a_new_start(home: FederationHome, superlink: _Sleeping) -> None:
    port = int(home.config().listen.rpartition(":")[2])

    def shown() -> str:
        return ssl.get_server_certificate(("127.0.0.1", port)).strip()

    def play() -> None:
        _soon((home.flower / "up.json").exists)
        before = shown()
        assert not home.renew()
        _soon(lambda: shown() != before)
        assert shown() == home.front_door.certificate.read_text("utf-8").strip()

    assert any(line.startswith("the front door shows its new certificate") for line in _while_up(home, play))


def test_two_coordinators_cannot_be_up_in_one_folder(home: FederationHome, superlink: _Sleeping) -> None:
    with held_alone(home.flower), pytest.raises(InputError, match="in use by another process"):
        supervisor.keep_up(home, print)
    assert superlink.started == []


def test_an_address_that_is_taken_is_said(home: FederationHome, superlink: _Sleeping) -> None:
    text = home.config_path.read_text("utf-8")
    write_text(home.config_path, text.replace("listen = ", 'listen = "192.0.2.1:9"  # '))
    with pytest.raises(InputError, match="cannot be listened at"):
        supervisor.keep_up(home, print)


@pytest.mark.parametrize(("days_left", "outcome"), [(100, "quiet"), (13, "said"), (-1, "refused")])
def test_certificates_that_end_are_said_in_time(
    home: FederationHome, superlink: _Sleeping, days_left: int, outcome: str
) -> None:
    made = datetime.now(UTC) - SERVER_LASTS + timedelta(days=days_left, hours=1)
    make_server(home.front_door, home.authority, ["localhost"], made)
    said: list[str] = []
    if outcome == "refused":
        with pytest.raises(InputError, match="expired on"):
            supervisor.require_valid(home, said.append)
        home.make_certificates(home.config())
    supervisor.require_valid(home, said.append)
    assert [line.split(";")[0].split(",")[0] for line in said] == (
        ["front-door.crt expires in 13 days"] if outcome == "said" else []
    )


def test_the_superlink_listens_on_this_machine_only_with_tls_and_admitted_nodes(home: FederationHome) -> None:
    made = supervisor.superlink_of(home, 1)
    assert "--enable-supernode-auth" in made.options
    assert "--insecure" not in made.options
    assert made.authority == home.authority.certificate.resolve()
    assert isinstance(made, SuperLink)


def test_no_call_leaves_the_machine_by_accident(home: FederationHome) -> None:
    found = supervisor.superlink_of(home, 1).environment
    assert found["FLWR_TELEMETRY_ENABLED"] == "0"
    assert found["FLWR_DISABLE_UPDATE_CHECK"] == "1"
    assert found["FLWR_HOME"] == str(home.flower.resolve())


@pytest.mark.parametrize(("kind", "line"), [("systemd", "Restart=always"), ("compose", "restart: always")])
def test_a_service_starts_it_with_the_machine(home: FederationHome, kind: str, line: str) -> None:
    text = service_text(kind, home)
    assert line in text
    assert str(home.folder.resolve()) in text
    with pytest.raises(InputError, match="neither"):
        service_text("cron", home)
