"""A federation at its coordinator without a SuperLink: one that notes what it is asked, and sites that ask to join."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedpsma.joining.keys import make_node_key
from fedpsma.joining.records import SiteRequest
from server.federation.home import FederationConfig, FederationHome
from server.federation.superlink import SuperLinkError

CONFIG = FederationConfig(name="prostate", address="localhost:9443", names=("localhost",), listen="127.0.0.1:9443")


def made_up_home(folder: Path) -> FederationHome:
    """Make a federation with its keys."""
    home = FederationHome(folder / "coordinator")
    home.make(CONFIG)
    return home


def request_of(folder: Path, name: str, key: Ed25519PrivateKey | None = None, patients: int | None = 40) -> SiteRequest:
    """Return what a new site asks with."""
    signing = (key or Ed25519PrivateKey.generate()).public_key().public_bytes_raw().hex()
    return SiteRequest(
        site=name,
        node_key=make_node_key(folder / f"{name}.key"),
        signing_key=signing,
        patients=patients,
        synthetic=True,
    )


@dataclass
class NotingSuperLink:
    """Stands for :class:`server.federation.superlink.SuperLink`; registered nodes by number, and every call."""

    home: Path
    nodes: dict[int, str] = field(default_factory=dict)
    calls: list[tuple[str, ...]] = field(default_factory=list)
    broken: bool = False

    def flwr(self, *arguments: str) -> dict[str, Any]:
        if self.broken:
            raise SuperLinkError("broken")
        self.calls.append(arguments)
        if arguments[:2] == ("supernode", "register"):
            number = 100 + len(self.calls)
            self.nodes[number] = Path(arguments[2]).read_text("utf-8").strip()
            return {"success": True, "node-id": number}
        if arguments[:2] == ("supernode", "unregister"):
            del self.nodes[int(arguments[2])]
            return {"success": True}
        if arguments[:2] == ("supernode", "list"):
            return {"success": True, "nodes": [{"node-id": str(number)} for number in self.nodes]}
        return {"success": True, "run-id": str(len(self.calls))}
