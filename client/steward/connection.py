"""What a site notes of its connection: since when, why not, whether the clocks agree, and which certificate ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Protocol

from client.steward.events import EventKind
from client.steward.joining import certificate_end, ends_soon
from client.steward.reach import Unreached, look_at_door
from fedpsma.joining.clocks import is_apart
from fedpsma.joining.records import JoinBundle

LOOK_S = 3600.0


class Note(Protocol):
    """Writes an event into the history of a site."""

    def __call__(self, kind: EventKind, **fields: str | float | None) -> None:
        """Write it."""


class Connection:
    """Notes what changes, each thing once.

    Args:
        note: Where to.
        bundle: The federation that the site joined.
        ended: Set when the site ends; then nothing is asked any more.
    """

    def __init__(self, note: Note, bundle: JoinBundle, ended: threading.Event) -> None:
        self._note = note
        self._bundle = bundle
        self._ended = ended
        self._connected = False
        self._why: Unreached | None = None
        self._ahead_s = 0.0
        self._ends: datetime | None = None
        self._lock = threading.Lock()

    def changed(self, connected: bool) -> None:
        """Note whether the site is connected, and if not, why."""
        was, self._connected = self._connected, connected
        if connected != was:
            self._note("connected" if connected else "disconnected")
        if connected:
            self._why = None
        if self._ended.is_set() or (connected and was):
            return
        why = self.look()
        # It tries again and again, and says it once.
        if not connected and why != self._why:
            self._note("not_connected", reason=why)
            self._why = why

    def look(self) -> Unreached:
        """Ask the front door, note what it tells of clocks and certificates, and return what is in the way."""
        view = look_at_door(self._bundle)
        with self._lock:
            if view.ahead_s is not None:
                self._note_clock(view.ahead_s)
            self._note_end(view.certificate_ends or certificate_end(self._bundle))
        return view.why

    @contextmanager
    def looked_after(self) -> Iterator[None]:
        """Look every hour while the block runs: clocks drift, and certificates end."""
        over, end = threading.Event(), certificate_end(self._bundle)
        if ends_soon(end):
            # Said at once, also where the door cannot be reached.
            self._note_end(end)

        def go_on() -> None:
            while not over.wait(LOOK_S):
                self.look()

        threading.Thread(target=go_on, daemon=True).start()
        try:
            yield
        finally:
            over.set()

    def _note_clock(self, ahead_s: float) -> None:
        if is_apart(ahead_s):
            if is_apart(ahead_s - self._ahead_s):
                self._note("clock_differs", seconds=round(ahead_s))
                self._ahead_s = ahead_s
        elif self._ahead_s:
            self._note("clock_agrees")
            self._ahead_s = 0.0

    def _note_end(self, ends: datetime) -> None:
        if ends == self._ends:
            return
        if ends_soon(ends):
            self._note("certificate_ends", until=ends.isoformat(timespec="seconds"))
        elif self._ends is not None:
            self._note("certificate_renewed", until=ends.isoformat(timespec="seconds"))
        self._ends = ends
