"""The privacy ledger of a site: what its patients have paid, over all rounds, runs and restarts.

An entry is on the disk before the first gradient of its round is computed, so that whatever breaks afterwards the
ledger can only over-count: a round that was cut off and is trained again is charged again. Every line carries the
SHA-256 of the line before it, and an anchor outside the ledger remembers its end, so that neither a line in the middle
nor its last lines can go unnoticed.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fedpsma.io.chain import FIRST, line_hash, read_lines, write_line
from fedpsma.io.files import write_text
from fedpsma.training.charge import Charge

LEDGER_FILE = "ledger.jsonl"
_BRING_BACK = "bring back what was lost"
_IF_NEW = "or, for a ledger that is new here, see docs/privacy-ledger.md"


class LedgerError(Exception):
    """The ledger cannot be trusted: a line is unreadable or the chain of hashes is broken."""


class RoundKey(BaseModel):
    """What a charge was for.

    ``accountant`` names what turns charges into epsilon, ``app_sha256`` is the code that trained
    (:mod:`client.fingerprint`) and ``patients_sha256`` the patients it could draw from. The rounds of a ``simulated``
    federation stay on one machine.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    round: int
    model_sha256: str
    delta: float | None = None
    accountant: str | None = None
    app_sha256: str | None = None
    patients_sha256: str | None = None
    simulated: bool = False


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


class _Anchor(BaseModel):
    """So many lines the ledger had, and the last of them had this SHA-256."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lines: int = Field(ge=1)
    sha256: str


class Ledger:
    """An append-only file of entries; every append is on the disk before the call returns.

    Args:
        path: The file.
        anchor: A file in another folder that remembers how far the ledger had come; ``None`` remembers nothing.
    """

    def __init__(self, path: Path, anchor: Path | None = None) -> None:
        self.path = path
        self.anchor = anchor

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out between reading what was spent and charging more.

        Raises:
            LedgerError: Nothing can be written where the ledger lies.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = open(self.path.with_suffix(".lock"), "w", encoding="utf-8")  # noqa: SIM115 - closed below
        except OSError as error:
            raise LedgerError(f"{self.path} cannot be written; the policy can name another place") from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def entries(self) -> tuple[LedgerEntry, ...]:
        """Return all entries.

        Raises:
            LedgerError: A line is unreadable, not the one that was written, or missing at the end.
        """
        lines = self._lines()
        self._require_anchored(lines)
        return tuple(_read_chain(lines))

    def charged(self) -> tuple[LedgerEntry, ...]:
        """Return the entry of every round that was ever charged, in order, finished or not."""
        return tuple(entry for entry in self.entries() if entry.kind == "charged")

    def history(self) -> tuple[Charge | None, ...]:
        """Return what every round that was ever charged cost, in order; ``None`` had no privacy."""
        return tuple(entry.charge for entry in self.charged())

    def charge(self, key: RoundKey, charge: Charge | None) -> int:
        """Charge a round and return the number of its entry; call it inside :meth:`locked`."""
        entries = self.entries()
        self._append(LedgerEntry(kind="charged", number=len(entries), key=key, charge=charge, **self._stamp()))
        return len(entries)

    def close(self, number: int, outcome: Literal["released", "failed"]) -> None:
        """Note how a charged round ended; it stays charged.

        Raises:
            LedgerError: The ledger cannot be trusted any more, or no longer holds the charge; its anchor stays.
        """
        with self.locked():
            # While the round trained the file may have been lost, or an older copy brought back.
            if all(entry.number != number for entry in self.charged()):
                raise LedgerError(f"{self.path} no longer holds the charge {number}: {_BRING_BACK}")
            self._append(LedgerEntry(kind="closed", number=number, outcome=outcome, **self._stamp()))

    def _stamp(self) -> dict[str, str]:
        lines = self._lines()
        return {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "previous": line_hash(lines[-1]) if lines else FIRST,
        }

    def _lines(self) -> Sequence[bytes]:
        # Without its newline a last line was never acknowledged, so no gradient was computed on the strength of it.
        return read_lines(self.path)[0]

    def _require_anchored(self, lines: Sequence[bytes]) -> None:
        if self.anchor is None or not self.anchor.exists():
            return
        try:
            seen = _Anchor.model_validate_json(self.anchor.read_bytes())
        except ValidationError as error:
            raise LedgerError(f"its anchor {self.anchor} is unreadable") from error
        if len(lines) < seen.lines:
            raise LedgerError(f"{self.path} has {len(lines)} lines and had {seen.lines}: {_BRING_BACK}, {_IF_NEW}")
        if line_hash(lines[seen.lines - 1]) != seen.sha256:
            raise LedgerError(
                f"line {seen.lines} of {self.path} is not the one that was written: bring it back, {_IF_NEW}"
            )

    def _append(self, entry: LedgerEntry) -> None:
        write_line(self.path, entry.model_dump_json(exclude_none=True).encode())
        if self.anchor is not None:
            # Behind the ledger after a crash between the two, never ahead of it, and never set back.
            lines = self._lines()
            self._require_anchored(lines)
            write_text(self.anchor, _Anchor(lines=len(lines), sha256=line_hash(lines[-1])).model_dump_json())


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
        previous = line_hash(line)
