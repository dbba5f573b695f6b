"""What starts a federation with its machine."""

from __future__ import annotations

import sys
from pathlib import Path

from fedpsma.errors import InputError
from server.federation.home import FederationHome

_SYSTEMD = """\
[Unit]
Description=fedpsma federation {name}
After=network-online.target
Wants=network-online.target

[Service]
ExecStart={command} federation up --folder {folder}
Restart=always
RestartSec=5
KillSignal=SIGTERM
TimeoutStopSec=60
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=strict
ReadWritePaths={folder}

[Install]
WantedBy=default.target
"""
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
        command = Path(sys.executable).with_name("fedpsma")
        return _SYSTEMD.format(name=config.name, command=command, folder=folder)
    if kind == "compose":
        return _COMPOSE.format(port=config.listen.rpartition(":")[2], folder=folder)
    raise InputError("is neither systemd nor compose", where=kind, remedy="name one of them")
