"""Flower's SuperNode under an account of its own (``fedpsma site carry``), which reaches the steward's socket only.

What that account needs, it asks the steward for: the federation and the key that opens the connection. What it sees of
the connection it tells the steward, which writes the history. It can read no data, policy, ledger or signing key.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from client.envelope import NOTE, POST, TEXT, Envelope
from client.refusal import RefusalError
from client.steward.connection import Connection
from client.steward.events import EventKind, SiteLog
from client.steward.home import SiteHome
from client.steward.reach import Unreached
from client.steward.supernode import SuperNode
from client.wire import WireError, ask
from fedpsma.contract import SITE
from fedpsma.io.files import held_alone, write_bytes
from fedpsma.joining.records import JoinBundle

# How often the carrier asks whether its post still stands, and after what silence the steward takes it for gone.
LOOK_S, SILENT_S = 2.0, 30.0


class Post(BaseModel):
    """What the steward gives to the account that runs Flower."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundle: JoinBundle
    node_key: str


class Noted(BaseModel):
    """What that account may have written into the history of the site."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal[
        "connected",
        "disconnected",
        "not_connected",
        "clock_differs",
        "clock_agrees",
        "certificate_ends",
        "certificate_renewed",
    ]
    reason: Unreached | None = None
    seconds: float | None = Field(default=None, allow_inf_nan=False)
    until: AwareDatetime | None = None


@dataclass
class CarrierDesk:
    """The steward's side: gives the post, writes what it is told, and notices when nobody is there any more."""

    home: SiteHome
    _heard: float = 0.0
    _connected: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def post(self, asked: Envelope) -> Envelope:
        """Return what to connect to; an empty answer where the site has left, for it is asked for again and again."""
        self._heard = time.monotonic()
        if not self.home.joined:
            return asked.reply(SITE, {})
        given = Post(bundle=self.home.bundle(), node_key=self.home.node_key_path.read_text("ascii"))
        return asked.reply(SITE, {TEXT: given.model_dump_json()})

    def note(self, asked: Envelope) -> Envelope:
        """Write down what is told.

        Raises:
            RefusalError: It is nothing that may be written.
        """
        self._heard = time.monotonic()
        try:
            noted = Noted.model_validate_json(asked.text(SITE))
        except (KeyError, ValidationError) as error:
            raise RefusalError("protocol_violated") from error
        until = None if noted.until is None else noted.until.isoformat(timespec="seconds")
        self._append(noted.kind, reason=noted.reason, seconds=noted.seconds, until=until)
        return asked.reply(SITE, {})

    def look(self) -> None:
        """Note that the site is not connected where its carrier has been silent for long."""
        if self._connected and time.monotonic() - self._heard > SILENT_S:
            self._append("disconnected")

    def _append(self, kind: EventKind, **fields: str | float | None) -> None:
        with self._lock:
            SiteLog(self.home.events_path).append(kind, **fields)
            if kind in ("connected", "disconnected"):
                self._connected = kind == "connected"


def carry(home: SiteHome, ended: threading.Event) -> None:
    """Run Flower's process for the steward at ``home.socket_path`` until ``ended`` is set.

    Args:
        home: The folder of this account, and the steward's socket.
        ended: Ends it.

    Raises:
        InputError: Another process carries from this folder.
    """
    home.make()
    home.flower_path.mkdir(exist_ok=True)
    with held_alone(home.folder):
        while not ended.is_set():
            post = _post_at(home)
            if post is not None:
                _carry(home, post, ended)
            ended.wait(LOOK_S)


def _carry(home: SiteHome, post: Post, ended: threading.Event) -> None:
    """Run it as long as the steward is there and gives the same post."""
    write_bytes(home.node_key_path, post.node_key.encode("ascii"), private=True)
    asked = [time.monotonic(), True]

    def stands() -> bool:
        if time.monotonic() - asked[0] > LOOK_S:
            asked[:] = [time.monotonic(), _post_at(home) == post]
        return bool(asked[1])

    def note(kind: EventKind, **fields: str | float | None) -> None:
        told = Noted.model_validate({"kind": kind, **fields}).model_dump_json()
        with suppress(OSError, WireError):
            ask(home.socket_path, Envelope(NOTE, {SITE: {TEXT: told}}))

    connection = Connection(note, post.bundle, ended)
    with connection.looked_after():
        SuperNode(home, post.bundle, connection.changed).keep_running(ended, stands)


def _post_at(home: SiteHome) -> Post | None:
    """Return what the steward gives, or ``None`` where it is away or has left."""
    try:
        return Post.model_validate_json(ask(home.socket_path, Envelope(POST)).text(SITE))
    except (OSError, WireError, KeyError, ValidationError):
        return None
