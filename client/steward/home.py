"""The folder of a site: its keys, its policy, what it joined, and what its processes need."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fedpsma.errors import InputError
from fedpsma.io.files import write_text
from fedpsma.joining.records import JoinBundle, SiteRequest

Pause = Literal["after this round", "now"]
# A path of a Unix socket may have 107 bytes.
_LONGEST_SOCKET = 107


@dataclass(frozen=True)
class SiteHome:
    """Where everything of a site lies; only its owner can read the folder.

    Args:
        folder: The folder.
        socket: Where the steward listens, if that is elsewhere: then an account of its own runs Flower.
    """

    folder: Path
    socket: Path | None = None

    @property
    def request_path(self) -> Path:
        """What the coordinator admits it with."""
        return self.folder / "request.json"

    @property
    def bundle_path(self) -> Path:
        """The federation that it joined."""
        return self.folder / "joined.json"

    @property
    def node_key_path(self) -> Path:
        """The private key that opens its connection."""
        return self.folder / "node.key"

    @property
    def socket_path(self) -> Path:
        """Where the steward listens."""
        return self.socket or self.folder / "steward.sock"

    @property
    def events_path(self) -> Path:
        """Its own history."""
        return self.folder / "events.jsonl"

    @property
    def orders_path(self) -> Path:
        """The last order of each run."""
        return self.folder / "orders.json"

    @property
    def kept_path(self) -> Path:
        """The last report that left, for a coordinator that lost it."""
        return self.folder / "released.safetensors"

    @property
    def code_path(self) -> Path:
        """Folder of the application code that came, and of what was approved."""
        return self.folder / "code"

    @property
    def flower_path(self) -> Path:
        """Folder of Flower's own files, log included."""
        return self.folder / "flower"

    @property
    def tools_path(self) -> Path:
        """Folder with the gate, which stands before Flower's own program of the same name."""
        return self.folder / "bin"

    @property
    def _pause_path(self) -> Path:
        return self.folder / "paused"

    def make(self) -> None:
        """Make the folder, for its owner alone.

        Raises:
            InputError: Its path is too long for a socket.
        """
        if len(os.fsencode(self.socket_path.absolute())) > _LONGEST_SOCKET:
            where = str(self.socket or self.folder)
            raise InputError("is too long a path", where=where, remedy="choose a folder nearer to the root")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)

    def request(self) -> SiteRequest:
        """Return who this site is.

        Raises:
            InputError: Nobody has made it a site yet.
        """
        if not self.request_path.exists():
            raise InputError("is no site", where=str(self.folder), remedy="make one with: fedpsma site init DATASET")
        return SiteRequest.read(self.request_path)

    def bundle(self) -> JoinBundle:
        """Return what it joined.

        Raises:
            InputError: It has joined nothing.
        """
        if not self.bundle_path.exists():
            raise InputError("has not joined", where=str(self.folder), remedy="join with: fedpsma site join BUNDLE")
        return JoinBundle.read(self.bundle_path)

    @property
    def joined(self) -> bool:
        """Whether it has joined a federation and not left it."""
        return self.bundle_path.exists()

    def pause(self, when: Pause) -> None:
        """Take part in nothing new, or in nothing at all, until :meth:`resume`."""
        write_text(self._pause_path, when)

    def resume(self) -> None:
        """Take part again."""
        self._pause_path.unlink(missing_ok=True)

    @property
    def paused(self) -> Pause | None:
        """Whether it is paused, and from when on."""
        with suppress(FileNotFoundError):
            return "now" if self._pause_path.read_text("utf-8").strip() == "now" else "after this round"
        return None
