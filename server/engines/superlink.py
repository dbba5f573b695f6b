"""``flwr run``: both apps as an app bundle under a SuperLink on this machine, as close to a real federation as it gets.

By hand it is ``flwr run CHECKOUT CONNECTION --run-config 'run-folder="FOLDER"'`` with a prepared run folder. Done here,
everything Flower keeps lies in the run folder (``flower/home``), and the SuperLink, its helpers and the Ray workers end
with the run. The SuperLink listens on the loopback address only; whoever has an account on this machine can reach it.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import server
from fedpsma.errors import InputError
from fedpsma.io.files import write_text
from fedpsma.offline import SWITCHES
from server.engines.ray import ONE_THREAD, gpus_of_a_site
from server.rounds import FederationError
from server.run_folder import RunFolder

HOST = "127.0.0.1"
CONNECTION = "fedpsma"
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 20.0
PAUSE_S = 1.0


def run_with_flwr(folder: RunFolder) -> None:
    """Start a SuperLink, run the checkout's app on it, wait for the end, and stop everything that was started.

    Raises:
        InputError: The package does not lie in a checkout with its ``pyproject.toml``.
        FederationError: The run failed.
    """
    checkout = Path(server.__file__).resolve().parents[1]
    if not (checkout / "pyproject.toml").is_file():
        raise InputError("is not a checkout", where=str(checkout), remedy="install with pip install --editable")
    home = folder.path.resolve() / "flower" / "home"
    with _superlink(home) as environment:
        started = _flwr(environment, "run", str(checkout), CONNECTION, *_run_options(folder), "--format", "json")
        _wait(environment, started["run-id"], home)


def _run_options(folder: RunFolder) -> tuple[str, ...]:
    sites = len(folder.federation().sites)
    workers = max(1, min(sites, os.cpu_count() or 1))
    return (
        "--run-config",
        f"run-folder={json.dumps(str(folder.path.resolve()), ensure_ascii=False)}",
        "--federation-config",
        f"num-supernodes={sites} client-resources-num-cpus=1 init-args-num-cpus={workers}"
        f" client-resources-num-gpus={gpus_of_a_site(folder)}",
    )


@contextmanager
def _superlink(home: Path) -> Iterator[dict[str, str]]:
    """Give the environment in which ``flwr`` talks to a SuperLink that lives as long as the block."""
    port = _free_port()
    write_text(home / "config.toml", f'[superlink.{CONNECTION}]\naddress = "{HOST}:{port}"\ninsecure = true\n')
    environment = _environment(home)
    command = ["flower-superlink", "--insecure", "--simulation", "--host", HOST, "--port", str(port)]
    with open(home / "superlink.log", "ab") as log:
        process = subprocess.Popen(
            [*command, "--disable-runtime-dependency-installation"], env=environment, stdout=log, stderr=log
        )
    try:
        _await_health(process, port, home)
        yield environment
    finally:
        _stop(process, home)


def _environment(home: Path) -> dict[str, str]:
    here = str(Path(sys.executable).parent)
    local = {"NO_PROXY": HOST, "no_proxy": HOST, "PATH": f"{here}{os.pathsep}{os.environ.get('PATH', '')}"}
    return {**os.environ, **SWITCHES, **ONE_THREAD, **local, "FLWR_HOME": str(home)}


def _flwr(environment: dict[str, str], *arguments: str) -> dict[str, Any]:
    done = subprocess.run(["flwr", *arguments], env=environment, capture_output=True, text=True, check=False)
    start = done.stdout.find("{")
    answer: dict[str, Any] = json.loads(done.stdout[start:]) if start >= 0 else {}
    if done.returncode or not answer.get("success"):
        raise FederationError(f"flwr {arguments[0]} failed: {(done.stderr or done.stdout).strip()}")
    return answer


def _wait(environment: dict[str, str], run_id: str, home: Path) -> None:
    while True:
        status = _flwr(environment, "list", CONNECTION, "--run-id", run_id, "--format", "json")["runs"][0]["status"]
        if status == "finished:completed":
            return
        if status.startswith("finished"):
            raise FederationError(f"flwr run ended as {status}; see {home / 'superlink.log'}")
        time.sleep(PAUSE_S)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _await_health(process: subprocess.Popen[bytes], port: int, home: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection(HOST, port, timeout=5)
            connection.request("GET", "/health")
            if connection.getresponse().status == http.client.OK:
                return
        time.sleep(PAUSE_S)
    raise FederationError(f"the SuperLink did not start; see {home / 'superlink.log'}")


def _stop(process: subprocess.Popen[bytes], home: Path) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_TIMEOUT_S)
    for number in processes_of(home):
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    process.wait()


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
