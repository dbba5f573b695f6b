"""A real PACS on loopback: Debian's Orthanc with its DICOMweb plugin, in a folder and on a port of its own."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
USER, PASSWORD = "reader", "s3cret-of-the-test"
_START_S = 60.0


@dataclass(frozen=True)
class Orthanc:
    """Where it listens, and where its log lies."""

    url: str
    log: Path


def missing() -> str | None:
    """Say why there is no Orthanc here, ``None`` where there is one."""
    if _program() is None or not PLUGIN.is_file():
        return "Orthanc and its DICOMweb plugin (Debian: orthanc, orthanc-dicomweb) are not installed"
    return None


@contextmanager
def running_orthanc(folder: Path) -> Iterator[Orthanc]:
    """Run an Orthanc that keeps everything below ``folder`` and speaks no DIMSE; it ends with the block."""
    port = _free_port()
    configuration = {
        "Name": "test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpPort": port,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD},
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    log = folder / "orthanc.log"
    with log.open("wb") as stream:
        process = subprocess.Popen([str(_program()), folder / "orthanc.json"], stdout=stream, stderr=stream)
    try:
        _wait(process, f"http://127.0.0.1:{port}/system", log)
        yield Orthanc(f"http://127.0.0.1:{port}/dicom-web", log)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"Orthanc ended at once: {log.read_text()[-500:]}")
        try:
            requests.get(url, auth=(USER, PASSWORD), timeout=5).raise_for_status()
        except requests.RequestException:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"Orthanc does not answer: {log.read_text()[-500:]}")


def _program() -> str | None:
    # Debian puts it where only root's search path looks.
    return shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
