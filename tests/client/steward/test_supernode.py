"""Flower's process beside the steward: started with what it needs, again when it ends, and ended with its parent."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_coordinator import Coordinator, joined_site
from flwr.common.config import parse_config_args

from client.flower import RunWatch
from client.steward.home import SiteHome
from client.steward.supernode import SuperNode


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SiteHome:
    home = joined_site(tmp_path, Coordinator())
    home.flower_path.mkdir()
    monkeypatch.setattr("client.steward.supernode.FIRST_PAUSE_S", 0.05)
    return home


def _program(home: SiteHome, script: str) -> None:
    """Put a program in the place of Flower's; the site's own folder of programs comes first."""
    home.tools_path.mkdir(exist_ok=True)
    path = home.tools_path / "flower-supernode"
    path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    path.chmod(0o700)


def _run(home: SiteHome, until: Callable[[list[bool]], bool], *, reachable: bool = True) -> list[bool]:
    told: list[bool] = []
    ended = threading.Event()
    node = SuperNode(home, home.bundle(), told.append, lambda _: reachable)

    def watch() -> None:
        deadline = time.monotonic() + 20
        while not until(told) and time.monotonic() < deadline:
            time.sleep(0.02)
        ended.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    node.keep_running(ended, lambda: home.joined)
    watcher.join()
    return told


def test_after_a_failed_call_and_a_silence_the_door_is_asked(home: SiteHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.steward.supernode.QUIET_S", 0.2)
    monkeypatch.setattr("client.steward.supernode.LOOK_S", 0.05)
    _program(home, 'echo "INFO : SuperNode ID: 7"; echo "Connection attempt failed, retrying"; sleep 60')
    assert _run(home, lambda told: len(told) == 3) == [True, False, True, False]


def test_a_process_that_never_says_a_word_is_started_again(home: SiteHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.steward.supernode.FIRST_WORD_S", 0.1)
    monkeypatch.setattr("client.steward.supernode.LOOK_S", 0.05)
    _program(home, 'echo x >> starts; echo "Traceback (most recent call last):"; sleep 60')
    assert _run(home, lambda told: len(told) == 2)[:2] == [False, False]
    assert len((home.flower_path / "starts").read_text().split()) >= 2


def test_where_the_door_cannot_be_reached_it_stays_lost(home: SiteHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.steward.supernode.QUIET_S", 0.1)
    monkeypatch.setattr("client.steward.supernode.LOOK_S", 0.05)
    _program(home, 'echo "Connection attempt failed, retrying"; sleep 1; echo "INFO : SuperNode ID: 7"; sleep 60')
    assert _run(home, lambda told: len(told) == 2, reachable=False) == [False, True, False]


def test_it_is_started_with_the_keys_of_the_site_and_the_gate_first(home: SiteHome) -> None:
    told = r"""printf '%s\n' "$@" > args; env > env; command -v flwr-clientapp > gate"""
    _program(home, f'{told}; echo "INFO : SuperNode ID: 7"; sleep 60')
    assert _run(home, lambda told: told == [True]) == [True, False]
    arguments = (home.flower_path / "args").read_text().splitlines()
    given = dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert given["--superlink"] == "127.0.0.1:1"
    assert given["--auth-supernode-private-key"] == str(home.node_key_path)
    authority = home.flower_path / "authority.crt"
    assert parse_config_args([given["--node-config"]]) == {
        "steward": str(home.socket_path),
        "coordinator": "127.0.0.1:1",
        "authority": str(authority),
        "node-key": str(home.node_key_path),
    }
    assert RunWatch.of(parse_config_args([given["--node-config"]])) == RunWatch(
        "127.0.0.1:1", authority.read_bytes(), home.node_key_path.read_bytes()
    )
    assert (home.flower_path / "gate").read_text().strip() == str(home.tools_path / "flwr-clientapp")
    environment = dict(
        line.split("=", 1) for line in (home.flower_path / "env").read_text().splitlines() if "=" in line
    )
    assert environment["FEDPSMA_STEWARD"] == str(home.socket_path)
    assert environment["FLWR_HOME"] == str(home.flower_path)
    assert environment["FLWR_TELEMETRY_ENABLED"] == "0"
    assert environment["FLWR_DISABLE_UPDATE_CHECK"] == "1"
    assert environment["FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION"] == "1"


def test_it_is_started_again_whenever_it_ends(home: SiteHome) -> None:
    _program(home, 'echo x >> starts; echo "SuperNode ID: 7"; exit 1')
    told = _run(home, lambda told: told.count(False) >= 3)
    assert told[:4] == [True, False, True, False]
    assert len((home.flower_path / "starts").read_text().split()) >= 3


def test_it_ends_when_the_site_leaves(home: SiteHome) -> None:
    _program(home, 'echo $$ > pid; echo "SuperNode ID: 7"; sleep 60')
    told = _run(home, lambda told: told == [True] and not home.bundle_path.unlink())
    assert told == [True, False]
    assert not _lives(int((home.flower_path / "pid").read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent was killed")
def test_it_ends_with_a_killed_parent(home: SiteHome) -> None:
    _program(home, "echo $$ > pid; exec sleep 60")
    code = (
        "import threading; from pathlib import Path; from client.steward.home import SiteHome;"
        "from client.steward.supernode import SuperNode;"
        f"home = SiteHome(Path({str(home.folder)!r}));"
        "SuperNode(home, home.bundle(), print).keep_running(threading.Event(), lambda: True)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    pid_path = home.flower_path / "pid"
    try:
        _await(lambda: pid_path.exists() and bool(pid_path.read_text()))
    finally:
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    _await(lambda: not _lives(int(pid_path.read_text())))


def test_the_gate_runs_the_python_of_this_installation(home: SiteHome) -> None:
    _program(home, 'echo "SuperNode ID: 7"; sleep 60')
    _run(home, lambda told: told == [True])
    script = (home.tools_path / "flwr-clientapp").read_text()
    assert shlex.quote(sys.executable) in script
    environment = {**os.environ, "FEDPSMA_STEWARD": str(home.socket_path)}
    done = subprocess.run(
        [home.tools_path / "flwr-clientapp", "--help"], env=environment, capture_output=True, text=True, timeout=120
    )
    assert "ClientApp" in done.stdout


def _lives(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
