"""A SuperLink as a process on the loopback address, and ``flwr`` talking to it.

Everything Flower keeps lies in one folder (its ``FLWR_HOME``). Whoever has an account on this machine can reach the
port; nobody else can.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedpsma.io.files import write_text
from fedpsma.offline import SWITCHES

HOST = "127.0.0.1"
CONNECTION = "fedpsma"
PROGRAM = "server.engines.superlink_process"
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 20.0
PAUSE_S = 0.5
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class SuperLinkError(Exception):
    """The SuperLink does not start, or does not do what it is asked."""


@dataclass(frozen=True)
class SuperLink:
    """How a SuperLink is started and asked.

    Args:
        home: Its folder.
        port: Where it listens on the loopback address.
        options: What ``flower-superlink`` is told beside host and port.
        authority: Certificate of the authority that signed its own; ``None`` talks without TLS.
    """

    home: Path
    port: int
    options: tuple[str, ...]
    authority: Path | None = None

    @property
    def log(self) -> Path:
        """What it prints."""
        return self.home / "superlink.log"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the SuperLink, of what it starts, and of ``flwr``: offline, and never over a proxy."""
        here = str(Path(sys.executable).parent)
        local = {"NO_PROXY": HOST, "no_proxy": HOST, "PATH": f"{here}{os.pathsep}{os.environ.get('PATH', '')}"}
        return {**os.environ, **SWITCHES, **ONE_THREAD, **local, "FLWR_HOME": str(self.home)}

    def start(self) -> subprocess.Popen[bytes]:
        """Start it and wait until it is well.

        Raises:
            SuperLinkError: It ended, or is not well in time.
        """
        self._write_connection()
        command = [sys.executable, "-P", "-m", PROGRAM, "--host", HOST, "--port", str(self.port), *self.options]
        with open(self.log, "ab") as log:
            process = subprocess.Popen(
                [*command, "--disable-runtime-dependency-installation"], env=self.environment, stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while process.poll() is None and time.monotonic() < deadline:
            if self.is_well():
                return process
            time.sleep(PAUSE_S)
        self.stop(process)
        raise SuperLinkError(f"the SuperLink did not start; see {self.log}")

    def is_well(self) -> bool:
        """Return whether it answers."""
        with suppress(OSError, http.client.HTTPException):
            connection = self._connection()
            connection.request("GET", "/health")
            return connection.getresponse().status == http.client.OK
        return False

    def flwr(self, *arguments: str) -> dict[str, Any]:
        """Run a command of ``flwr`` and return its JSON.

        Raises:
            SuperLinkError: It failed.
        """
        command = ["flwr", *arguments, "--format", "json"]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        start = done.stdout.find("{")
        answer: dict[str, Any] = json.loads(done.stdout[start:]) if start >= 0 else {}
        if done.returncode or not answer.get("success"):
            raise SuperLinkError(f"flwr {arguments[0]} failed: {(done.stderr or done.stdout).strip()}")
        return answer

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """End it and all that it started."""
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT_S)
        self.end_processes()
        process.wait()

    def end_processes(self) -> None:
        """End what was started for this folder and still runs, such as the app of a run."""
        for number in processes_of(self.home):
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)

    def _connection(self) -> http.client.HTTPConnection:
        if self.authority is None:
            return http.client.HTTPConnection(HOST, self.port, timeout=5)
        context = ssl.create_default_context(cafile=str(self.authority))
        return http.client.HTTPSConnection(HOST, self.port, timeout=5, context=context)

    def _write_connection(self) -> None:
        trust = (
            "insecure = true" if self.authority is None else f"root-certificates = {json.dumps(str(self.authority))}"
        )
        lines = (f"[superlink.{CONNECTION}]", f'address = "{HOST}:{self.port}"', trust)
        write_text(self.home / "config.toml", "\n".join(lines) + "\n")


def free_port() -> int:
    """Return a port of the loopback address that nobody uses now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def processes_of(home: Path) -> list[int]:
    """Return the processes that were started for this Flower home, also those that no longer have a parent.

    They carry its path in their environment, which only Linux lets us read; elsewhere the list is empty.
    """
    mark = f"FLWR_HOME={home}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if int(entry.name) != os.getpid() and mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found
