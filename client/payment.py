"""What a round costs at a site, whether the site can afford it, and the charge that is written before it trains."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path

from client.fingerprint import code_hash
from client.ledger import LEDGER_FILE, Ledger, LedgerEntry, RoundKey
from client.policy import SitePolicy
from client.refusal import RefusalError
from fedpsma.contract import RoundOrder
from fedpsma.errors import InputError
from fedpsma.training.charge import Charge
from fedpsma.training.subject import PatientData
from fedpsma.training.trainer import Trainer

ANCHOR_FILE = "ledger.anchor"


@dataclass(frozen=True)
class Payment:
    """A charged round: its entry, what was charged before it, and the loss with it (``None`` without privacy)."""

    entry: int
    before: tuple[Charge, ...]
    epsilon: float | None


@dataclass(frozen=True)
class Account:
    """What one round of a plan costs the patients of a site, and the ledger it is paid from."""

    ledger: Ledger
    policy: SitePolicy
    trainer: Trainer
    dataset: PatientData
    charge: Charge | None

    def preview(self, order: RoundOrder) -> None:
        """Refuse a round that the site could not afford now; nothing is charged.

        Raises:
            RefusalError: It would pass the budget.
            LedgerError: The ledger cannot be trusted.
        """
        with self.ledger.locked():
            self._afford(order, self._counted(order))

    def pay(self, order: RoundOrder, model_sha256: str) -> Payment:
        """Charge the round, on the disk when the call returns.

        Raises:
            RefusalError: It would pass the budget.
            LedgerError: The ledger cannot be trusted.
        """
        key = RoundKey(
            run=order.run,
            round=order.round,
            model_sha256=model_sha256,
            delta=None if self.charge is None else order.plan.delta,
            accountant=self.trainer.accountant(),
            app_sha256=code_hash(self.policy.trainer),
            patients_sha256=patients_hash(self.dataset),
            simulated=self.policy.simulated,
        )
        with self.ledger.locked():
            counted = self._counted(order)
            epsilon = self._afford(order, counted)
            before = tuple(entry.charge for entry in counted if entry.charge is not None)
            return Payment(self.ledger.charge(key, self.charge), before, epsilon)

    def _counted(self, order: RoundOrder) -> list[LedgerEntry]:
        """Return the charged rounds that limit this one."""
        charged = self.ledger.charged()
        if self.policy.simulated:
            # Of one data set that is dealt out to several sites, each part pays for itself.
            own = (order.run, patients_hash(self.dataset))
            return [entry for entry in charged if entry.key and (entry.key.run, entry.key.patients_sha256) == own]
        every = self.policy.count_simulations
        return [entry for entry in charged if every or entry.key is None or not entry.key.simulated]

    def _afford(self, order: RoundOrder, counted: Sequence[LedgerEntry]) -> float | None:
        """Return the loss with this round at the plan's delta."""
        if self.charge is None:
            return None
        history = [*(entry.charge for entry in counted), self.charge]
        strictest = smallest_delta(counted, order.plan.delta, self.policy.delta)
        # A loss that is no number is within no budget.
        if not loss(self.trainer, history, strictest) <= self.policy.epsilon_budget or None in history:
            raise RefusalError("budget_exceeded")
        return loss(self.trainer, history, order.plan.delta)


def open_account(policy: SitePolicy, trainer: Trainer, state: Path, dataset: PatientData, order: RoundOrder) -> Account:
    """Return the account from which a round of an order is paid.

    Args:
        policy: What the site allows.
        trainer: What will train.
        state: The site's state folder.
        dataset: The patients who pay.
        order: The round.

    Raises:
        RefusalError: No noise keeps the plan's promise for so few patients.
    """
    try:
        charge = trainer.cost(dataset, order.plan)
    except InputError as error:
        raise RefusalError("plan_not_allowed") from error
    if (order.plan.target_epsilon is None) != (charge is None):
        raise RefusalError("internal_error")
    return Account(ledger_of(policy, state, dataset.folder), policy, trainer, dataset, charge)


def ledger_of(policy: SitePolicy, state: Path, dataset: Path) -> Ledger:
    """Return the ledger of a site's patients; its anchor lies in the state folder."""
    path = dataset / LEDGER_FILE if policy.ledger is None else state / policy.ledger
    return Ledger(path, state / ANCHOR_FILE)


def patients_hash(dataset: PatientData) -> str:
    """Return a digest of the pseudonyms of all patients."""
    return hashlib.sha256("\n".join(dataset.patients).encode()).hexdigest()


def smallest_delta(counted: Sequence[LedgerEntry], *others: float | None) -> float:
    """Return the smallest delta of charged rounds and of others that are given."""
    promised = [entry.key.delta for entry in counted if entry.key is not None]
    return min(delta for delta in (*promised, *others) if delta is not None)


def loss(trainer: Trainer, history: Sequence[Charge | None], delta: float) -> float:
    """Return the privacy loss of a history; infinite as soon as one round had no privacy."""
    protected = [charge for charge in history if charge is not None]
    return trainer.epsilon(protected, delta) if len(protected) == len(history) else inf
