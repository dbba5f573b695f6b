"""The site's own history: one line of JSON an event, each with the hash of the one before; no word about patients."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from fedpsma.io.chain import append_line, read_lines

EventKind = Literal[
    "joined",
    "left",
    "started",
    "ended",
    "connected",
    "disconnected",
    "not_connected",
    "paused",
    "resumed",
    "code_arrived",
    "code_approved",
    "code_rejected",
    "round_started",
    "round_released",
    "released_again",
    "stage_answered",
    "refused",
    "certificate_ends",
    "certificate_renewed",
    "clock_differs",
    "clock_agrees",
]


class SiteEvent(BaseModel):
    """Something that happened at a site; fields that do not belong to its kind are ``None``.

    ``reason`` is the code of a refusal, or why the site is not connected, ``sha256`` that of application code,
    ``until`` the end of a certificate, and ``seconds`` how long a round took, or how far the clock here is ahead of the
    coordinator's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    time: str
    kind: EventKind
    federation: str | None = None
    run: str | None = None
    round: int | None = None
    reason: str | None = None
    seconds: float | None = None
    epsilon: float | None = None
    sha256: str | None = None
    until: str | None = None
    previous: str | None = None


class SiteLog:
    """``events.jsonl`` of a site: several of its processes append, any of them may read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, kind: EventKind, **fields: str | float | None) -> None:
        """Write an event; it is on the disk when the call returns."""
        event = SiteEvent.model_validate(
            {"kind": kind, "time": datetime.now(UTC).isoformat(timespec="milliseconds"), **fields}
        )
        with self._locked():
            append_line(self.path, event.model_dump(mode="json", exclude_none=True))

    def read(self) -> list[SiteEvent]:
        """Return all events in order."""
        return [SiteEvent.model_validate_json(line) for line in read_lines(self.path)[0]]

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with open(self.path.with_suffix(".lock"), "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
