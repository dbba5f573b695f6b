"""Flower's SuperNode at a site: a process that carries messages, started again whenever it ends."""

from __future__ import annotations

import ctypes
import logging
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler
from pathlib import Path

from client.app import STEWARD
from client.flower import AUTHORITY, COORDINATOR, NODE_KEY
from client.steward.gate import SOCKET_VARIABLE
from client.steward.home import SiteHome
from client.steward.reach import is_reachable
from fedpsma.io.files import write_text
from fedpsma.joining.records import JoinBundle
from fedpsma.offline import SWITCHES

HOST = "127.0.0.1"
GATE = "flwr-clientapp"
LOG_FILE = "supernode.log"
LOG_BYTES, LOG_FILES = 5_000_000, 2
FIRST_PAUSE_S, LONGEST_PAUSE_S, STEADY_S = 1.0, 60.0, 60.0
# How often Flower looks for a message that waits to be answered, which is once a second by itself.
PROMPT = {"FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.2"}
LOOK_S = 0.5
STOP_TIMEOUT_S = 10.0
# What it prints when the coordinator has let it in, when it tries in vain, and when that helped.
CONNECTED, LOST, FOUND = "SuperNode ID", "Connection attempt failed", "Connection successful"
# It does not always say so when a later call went well, so after such a silence the coordinator's door is asked.
QUIET_S = 20.0
# Its main thread can die while another keeps the process; who says nothing at all for so long is started again.
FIRST_WORD_S = 180.0
_END_WITH_PARENT = 1


@dataclass
class _Loss:
    """When a call last failed; ``None`` while nothing is known to be wrong. ``heard`` is whether one ended at all."""

    at: float | None = None
    heard: bool = False

    def is_quiet(self) -> bool:
        """Return whether a call failed, and none since for a while."""
        return self.at is not None and time.monotonic() - self.at > QUIET_S


@dataclass(frozen=True)
class SuperNode:
    """How the SuperNode of a site is run.

    Args:
        home: The folder of the site.
        bundle: The federation to connect to.
        tell: Called with ``True`` when it is connected, and with ``False`` when it is no more, or has ended.
        is_reachable: Tells whether the coordinator can be reached; asked some time after a call has failed.
    """

    home: SiteHome
    bundle: JoinBundle
    tell: Callable[[bool], None]
    is_reachable: Callable[[JoinBundle], bool] = is_reachable

    def keep_running(self, ended: threading.Event, still_wanted: Callable[[], bool]) -> None:
        """Run it until ``ended`` is set or it is wanted no more; call this in the main thread."""
        pause = FIRST_PAUSE_S
        while still_wanted() and not ended.is_set():
            started = time.monotonic()
            self._run_once(ended, still_wanted)
            if time.monotonic() - started > STEADY_S:
                pause = FIRST_PAUSE_S
            if still_wanted():
                ended.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def _run_once(self, ended: threading.Event, still_wanted: Callable[[], bool]) -> None:
        process = self._start()
        loss, started = _Loss(), time.monotonic()
        reader = threading.Thread(target=self._read, args=(process, loss), daemon=True)
        reader.start()
        try:
            while process.poll() is None and still_wanted() and not ended.wait(LOOK_S):
                self._look_again(loss)
                if not loss.heard and time.monotonic() - started > FIRST_WORD_S:
                    return
        finally:
            _end(process)
            reader.join(STOP_TIMEOUT_S)
            self.tell(False)

    def _look_again(self, loss: _Loss) -> None:
        """After a silence, take the site as connected again where the coordinator can be reached."""
        if not loss.is_quiet():
            return
        if self.is_reachable(self.bundle):
            loss.at = None
            self.tell(True)
        else:
            loss.at = time.monotonic()

    def _start(self) -> subprocess.Popen[str]:
        self._write_gate()
        certificate = self.home.flower_path.absolute() / "authority.crt"
        write_text(certificate, self.bundle.ca_certificate)
        command = [
            *("flower-supernode", "--superlink", self.bundle.address, "--root-certificates", str(certificate)),
            *("--auth-supernode-private-key", str(self.home.node_key_path.absolute())),
            *("--host", HOST, "--port", str(_free_port())),
            *("--node-config", self._node_config(certificate)),
        ]
        return subprocess.Popen(
            command,
            cwd=self.home.flower_path,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )

    def _node_config(self, certificate: Path) -> str:
        """Return what Flower's process of a message is told: where the steward and the coordinator are."""
        told = {
            STEWARD: self.home.socket_path.absolute(),
            COORDINATOR: self.bundle.address,
            AUTHORITY: certificate,
            NODE_KEY: self.home.node_key_path.absolute(),
        }
        return " ".join(f'{name}="{value}"' for name, value in told.items())

    def environment(self) -> dict[str, str]:
        """Return the environment of Flower's processes: the gate first in the search path, nothing calls out."""
        own = Path(sys.executable).parent
        path = os.pathsep.join([str(self.home.tools_path.absolute()), str(own), os.environ.get("PATH", "")])
        places = {
            "FLWR_HOME": str(self.home.flower_path.absolute()),
            SOCKET_VARIABLE: str(self.home.socket_path.absolute()),
        }
        return {**os.environ, **SWITCHES, **PROMPT, **places, "PATH": path, "OMP_NUM_THREADS": "1"}

    def _write_gate(self) -> None:
        script = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P -m client.steward.gate "$@"\n'
        gate = self.home.tools_path / GATE
        write_text(gate, script)
        gate.chmod(0o700)

    def _read(self, process: subprocess.Popen[str], loss: _Loss) -> None:
        """Write what it prints to a log of bounded size, and see when it is connected."""
        handler = RotatingFileHandler(self.home.flower_path / LOG_FILE, maxBytes=LOG_BYTES, backupCount=LOG_FILES)
        with suppress(ValueError, OSError):
            for line in process.stdout or ():
                handler.emit(logging.makeLogRecord({"msg": line.rstrip("\n")}))
                if CONNECTED in line or FOUND in line:
                    loss.at, loss.heard = None, True
                    self.tell(True)
                elif LOST in line:
                    loss.at, loss.heard = time.monotonic(), True
                    self.tell(False)
        handler.close()


def _end(process: subprocess.Popen[str]) -> None:
    """End a process and those that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_TIMEOUT_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _end_with_parent() -> None:
    """Have the kernel end this process when its parent is killed, so that no second SuperNode is left behind."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_END_WITH_PARENT, signal.SIGTERM)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
