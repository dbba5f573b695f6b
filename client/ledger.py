"""The privacy ledger of a site: what its patients have paid, over all rounds, runs and restarts.

An entry is on the disk before the first gradient of its round is computed, so that whatever breaks afterwards the
ledger can only over-count. Every line carries the SHA-256 of the line before it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

LEDGER_FILE = "ledger.jsonl"
FIRST = "0" * 64


class LedgerError(Exception):
    """The ledger cannot be trusted: a line is unreadable or the chain of hashes is broken."""


class Charge(BaseModel):
    """Steps of the sampled Gaussian mechanism: each patient drawn with ``sample_rate``, noise relative to the clip."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sample_rate: float = Field(gt=0, le=1)
    noise_multiplier: float = Field(gt=0)
    steps: int = Field(ge=1)


class RoundKey(BaseModel):
    """What a charge was for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    round: int
    model_sha256: str
    delta: float | None = None


class LedgerEntry(BaseModel):
    """One line: a round was charged, or the round that was charged with that ``number`` was closed.

    A charged round without ``charge`` trained without differential privacy: its loss is infinite.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    kind: Literal["charged", "closed"]
    number: int
    time: str
    previous: str
    key: RoundKey | None = None
    charge: Charge | None = None
    outcome: Literal["released", "failed"] | None = None


class Ledger:
    """An append-only file of entries; every append is on the disk before the call returns."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out between reading what was spent and charging more."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path.with_suffix(".lock"), "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def entries(self) -> tuple[LedgerEntry, ...]:
        """Return all entries.

        Raises:
            LedgerError: A line is unreadable, or not the one that was written.
        """
        return tuple(_read_chain(self._lines()))

    def history(self) -> tuple[Charge | None, ...]:
        """Return every round that was ever charged, in order, finished or not; ``None`` had no privacy."""
        return tuple(entry.charge for entry in self.entries() if entry.kind == "charged")

    def charge(self, key: RoundKey, charge: Charge | None) -> int:
        """Charge a round and return the number of its entry; call it inside :meth:`locked`."""
        entries = self.entries()
        self._append(LedgerEntry(kind="charged", number=len(entries), key=key, charge=charge, **self._stamp()))
        return len(entries)

    def close(self, number: int, outcome: Literal["released", "failed"]) -> None:
        """Note how a charged round ended; it stays charged."""
        with self.locked():
            self._append(LedgerEntry(kind="closed", number=number, outcome=outcome, **self._stamp()))

    def _stamp(self) -> dict[str, str]:
        lines = self._lines()
        return {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "previous": _hash(lines[-1]) if lines else FIRST,
        }

    def _lines(self) -> Sequence[bytes]:
        # Without its newline a last line was never acknowledged, so no gradient was computed on the strength of it.
        return self.path.read_bytes().split(b"\n")[:-1] if self.path.exists() else []

    def _append(self, entry: LedgerEntry) -> None:
        new = not self.path.exists()
        with open(self.path, "ab") as stream:
            stream.truncate(sum(len(line) + 1 for line in self._lines()))
            stream.write(entry.model_dump_json(exclude_none=True).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        if new:
            _sync_folder(self.path.parent)


def _read_chain(lines: Sequence[bytes]) -> Iterator[LedgerEntry]:
    previous = FIRST
    for number, line in enumerate(lines, start=1):
        try:
            entry = LedgerEntry.model_validate_json(line)
        except ValidationError as error:
            raise LedgerError(f"line {number} is unreadable") from error
        if entry.previous != previous:
            raise LedgerError(f"line {number} does not follow the line before it")
        yield entry
        previous = _hash(line)


def _hash(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
