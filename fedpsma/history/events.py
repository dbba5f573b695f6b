"""The history of a run: one line of JSON an event, appended, never changed, each with the hash of the one before."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from fedpsma.io.chain import append_line, read_lines

EventKind = Literal[
    "run_started",
    "run_resumed",
    "round_started",
    "site_reported",
    "site_refused",
    "site_quarantined",
    "round_ended",
    "run_ended",
    "run_failed",
]
OnEvent = Callable[["Event"], None]
POLL_S = 0.1


class Event(BaseModel):
    """Something that happened; fields that do not belong to its kind are ``None``.

    ``reason`` is a code: of a refusal, a quarantine or a failure. ``bytes`` is what a site sent up in a round, or what
    the server sent down to all sites when a round started. ``epsilon`` is the site's loss over all rounds so far.
    ``previous`` is the SHA-256 of the line before (:mod:`fedpsma.io.chain`); logs of schema version 1 have none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1, 2] = 2
    time: str
    kind: EventKind
    round: int | None = None
    rounds: int | None = None
    site: str | None = None
    sites: tuple[str, ...] | None = None
    reason: str | None = None
    seconds: float | None = None
    epsilon: float | None = None
    bytes: int | None = None
    model_sha256: str | None = None
    previous: str | None = None


class EventLog:
    """``events.jsonl``: append from one process, read from any."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, kind: EventKind, **fields: Any) -> Event:
        """Write an event; it is on the disk when the call returns."""
        event = Event(kind=kind, time=datetime.now(UTC).isoformat(timespec="milliseconds"), **fields)
        line = append_line(self.path, event.model_dump(mode="json", exclude_none=True))
        return Event.model_validate_json(line)

    def read(self, offset: int = 0) -> tuple[list[Event], int]:
        """Return the events from a byte offset on, and the offset to go on from; a line cut off is left out."""
        lines, end = read_lines(self.path, offset)
        return [Event.model_validate_json(line) for line in lines], end


@contextmanager
def followed(log: EventLog, on_event: OnEvent | None) -> Iterator[None]:
    """Call ``on_event`` with every event that is appended inside the block, whichever process appends it."""
    if on_event is None:
        yield
        return
    _, start = log.read()
    done = threading.Event()
    follower = threading.Thread(target=_follow, args=(log, start, on_event, done), daemon=True)
    follower.start()
    try:
        yield
    finally:
        done.set()
        follower.join()


def _follow(log: EventLog, offset: int, on_event: OnEvent, done: threading.Event) -> None:
    finished = False
    while not finished:
        finished = done.wait(POLL_S)
        events, offset = log.read(offset)
        for event in events:
            on_event(event)
