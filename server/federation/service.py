"""What starts a federation with its machine."""

from __future__ import annotations

from fedpsma.errors import InputError
from fedpsma.joining.service import SystemdUnit
from server.federation.home import FederationHome

_COMPOSE = """\
# The image has fedpsma installed: pip install "fedpsma[federation]"
services:
  federation:
    image: fedpsma
    command: ["fedpsma", "federation", "up", "--folder", "/federation"]
    restart: always
    init: true
    read_only: true
    tmpfs: ["/tmp"]
    cap_drop: ["ALL"]
    security_opt: ["no-new-privileges:true"]
    stop_grace_period: 60s
    ports: ["{port}:{port}"]
    volumes: ["{folder}:/federation"]
"""


def service_text(kind: str, home: FederationHome) -> str:
    """Return a systemd unit or a compose file.

    Raises:
        InputError: It is neither, or this is no federation.
    """
    config, folder = home.config(), home.folder.resolve()
    if kind == "systemd":
        arguments = ("federation", "up", "--folder", str(folder))
        return SystemdUnit(f"fedpsma federation {config.name}", arguments, (folder,)).text()
    if kind == "compose":
        return _COMPOSE.format(port=config.listen.rpartition(":")[2], folder=folder)
    raise InputError("is neither systemd nor compose", where=kind, remedy="name one of them")
