"""What the ledger of a data set says: the privacy loss of its patients, altogether and run by run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

from pydantic import BaseModel, ConfigDict

from client.ledger import Ledger, LedgerEntry
from client.payment import loss, smallest_delta
from fedpsma.training.trainer import Trainer


class RunSpending(BaseModel):
    """What one run took: rounds charged, and of them those released, failed, and never closed.

    ``epsilon`` is the loss of this run alone, ``None`` where a round had no privacy, at ``delta``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    simulated: bool
    since: str
    until: str
    rounds: int
    released: int
    failed: int
    unfinished: int
    epsilon: float | None
    delta: float | None
    accountants: tuple[str, ...]
    apps: tuple[str, ...]


class Spending(BaseModel):
    """The privacy loss of all runs together at the smallest delta that any promised; ``None``: not protected.

    ``without_simulations`` leaves out the rounds that never left this machine.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rounds: int
    epsilon: float | None
    without_simulations: float | None
    delta: float | None
    runs: tuple[RunSpending, ...]


def spending_of(ledger: Ledger, trainer: Trainer, delta: float | None = None) -> Spending:
    """Sum up a ledger.

    Args:
        ledger: The ledger.
        trainer: Whose accountant turns charges into epsilon.
        delta: At which delta; ``None`` takes the smallest that any run promised.

    Raises:
        LedgerError: The ledger cannot be trusted.
    """
    entries = ledger.entries()
    charged = [entry for entry in entries if entry.kind == "charged"]
    outcomes = {entry.number: entry.outcome for entry in entries if entry.kind == "closed"}
    names = list(dict.fromkeys(_run(entry) for entry in charged))
    runs = tuple(
        _spending(name, [entry for entry in charged if _run(entry) == name], outcomes, trainer) for name in names
    )
    real = [entry for entry in charged if not (entry.key and entry.key.simulated)]
    strictest = delta or _delta(charged)
    return Spending(
        rounds=len(charged),
        epsilon=_epsilon(charged, trainer, strictest),
        without_simulations=_epsilon(real, trainer, strictest),
        delta=strictest,
        runs=runs,
    )


def _spending(
    run: str, charged: Sequence[LedgerEntry], outcomes: Mapping[int, str | None], trainer: Trainer
) -> RunSpending:
    ends = [outcomes.get(entry.number) for entry in charged]
    keys = [entry.key for entry in charged if entry.key is not None]
    delta = _delta(charged)
    return RunSpending(
        run=run,
        simulated=all(key.simulated for key in keys),
        since=charged[0].time,
        until=charged[-1].time,
        rounds=len(charged),
        released=ends.count("released"),
        failed=ends.count("failed"),
        unfinished=ends.count(None),
        epsilon=_epsilon(charged, trainer, delta),
        delta=delta,
        accountants=tuple(sorted({key.accountant for key in keys if key.accountant})),
        apps=tuple(sorted({key.app_sha256 for key in keys if key.app_sha256})),
    )


def _run(entry: LedgerEntry) -> str:
    return entry.key.run if entry.key is not None else ""


def _delta(charged: Sequence[LedgerEntry]) -> float | None:
    known = any(entry.key is not None and entry.key.delta is not None for entry in charged)
    return smallest_delta(charged) if known else None


def _epsilon(charged: Sequence[LedgerEntry], trainer: Trainer, delta: float | None) -> float | None:
    if not charged:
        return 0.0
    found = inf if delta is None else loss(trainer, [entry.charge for entry in charged], delta)
    return None if found == inf else found
