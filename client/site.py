"""The worker of a site: decides whether a round may run here, charges the ledger, trains, and releases the result.

Everything that can go wrong becomes a code; what happened is written to the site's own log and stays there.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Any

from client.ledger import LEDGER_FILE, Charge, Ledger, LedgerError, RoundKey
from client.policy import SitePolicy, read_policy
from client.trainer import Trainer, TrainingTask, Weights, load_trainer
from fedpsma.contract import Federation, RefusalReason, RoundOrder, SiteRefusal, SiteReport, TrainingPlan
from fedpsma.errors import InputError
from fedpsma.io.dataset import Dataset, read_dataset
from fedpsma.io.files import read_json
from fedpsma.model.checkpoint import model_hash
from fedpsma.training.local_rules import (
    RoundMemory,
    correction,
    split_control,
    to_keep,
    to_release,
    with_own,
)

ERROR_LOG = "errors.log"
Released = tuple[SiteReport, Weights]


@dataclass(frozen=True)
class Site:
    """Where a site keeps its data set and its own state: policy, ledger, log."""

    name: str
    dataset: Path
    state: Path


@dataclass(frozen=True)
class _Payment:
    """A charged round: its entry, what was charged before it, and the loss with it (``None`` without privacy)."""

    entry: int
    before: tuple[Charge, ...]
    epsilon: float | None


class RefusalError(Exception):
    """The site will not train; carries the code that may leave."""

    def __init__(self, reason: RefusalReason) -> None:
        super().__init__(reason)
        self.reason: RefusalReason = reason


def locate_site(node_config: Mapping[str, Any], run_config: Mapping[str, Any]) -> Site:
    """Return the site this node is.

    A real site names itself and its folders in the configuration of its own node (``site``, ``dataset``, ``state``);
    then nothing that came with the run is read. In a simulation ``partition-id`` picks the site from the run folder.
    """
    if "site" in node_config:
        return Site(str(node_config["site"]), Path(str(node_config["dataset"])), Path(str(node_config["state"])))
    folder = Path(str(run_config["run-folder"]))
    federation = Federation.model_validate(read_json(folder / "federation.json"))
    site = federation.sites[int(node_config["partition-id"])]
    if site.dataset is None or site.state is None:
        raise LookupError("this site is not simulated here")
    return Site(site.name, folder / site.dataset, folder / site.state)


def answer_order(site: Site, order: RoundOrder, weights: Weights) -> Released | SiteRefusal:
    """Train one round if the site allows it; whatever goes wrong comes back as a refusal with a code."""
    started = time.monotonic()
    try:
        report, trained = _train(site, order, weights)
    except Exception as error:
        _note(site, error)
        return SiteRefusal(site=site.name, round=order.round, reason=_code(error))
    return report.model_copy(update={"seconds": round(time.monotonic() - started, 1)}), trained


def _code(error: Exception) -> RefusalReason:
    if isinstance(error, RefusalError):
        return error.reason
    if isinstance(error, InputError):
        return "data_unreadable"
    return "ledger_unreadable" if isinstance(error, LedgerError) else "internal_error"


def _train(site: Site, order: RoundOrder, arrays: Weights) -> Released:
    weights, control = split_control(arrays)
    if control.keys() != (weights.keys() if order.plan.control_variates else set()):
        raise RefusalError("plan_not_allowed")
    memory = RoundMemory.of_run(site.state, order.run)
    kept = memory.before(order.round)
    start, steering = with_own(weights, kept, order.plan), correction(control, kept)
    policy = _allowing_policy(site, order)
    trainer = load_trainer(policy.trainer)
    dataset = _open(site, order)
    ledger = Ledger(site.state / LEDGER_FILE)
    charge = _cost(trainer, dataset, order.plan)
    payment = _pay(ledger, policy, trainer, charge, (order, model_hash(weights)))
    try:
        trained = trainer.train(
            TrainingTask(
                weights=start,
                network=order.network,
                dataset=dataset,
                plan=order.plan,
                round=order.round,
                site=site.name,
                charge=charge,
                history=payment.before,
                correction=steering,
            )
        )
        memory.keep(order.round, to_keep(order.plan, start, trained, steering))
    except BaseException:
        ledger.close(payment.entry, "failed")
        raise
    ledger.close(payment.entry, "released")
    return _report(site, order, charge, payment.epsilon), to_release(order.plan, weights, trained)


def _allowing_policy(site: Site, order: RoundOrder) -> SitePolicy:
    try:
        policy = read_policy(site.state)
    except (OSError, ValueError) as error:
        raise RefusalError("plan_not_allowed") from error
    if not policy.allows(order.plan):
        raise RefusalError("plan_not_allowed")
    return policy


def _open(site: Site, order: RoundOrder) -> Dataset:
    dataset = read_dataset(site.dataset)
    # With delta at or above one patient in all, publishing a whole patient would count as private.
    if order.plan.target_epsilon is not None and order.plan.delta * len(dataset.patients) >= 1:
        raise RefusalError("delta_too_large")
    return dataset


def _cost(trainer: Trainer, dataset: Dataset, plan: TrainingPlan) -> Charge | None:
    try:
        charge = trainer.cost(dataset, plan)
    except InputError as error:
        raise RefusalError("plan_not_allowed") from error
    if (plan.target_epsilon is None) != (charge is None):
        raise RefusalError("internal_error")
    return charge


def _pay(
    ledger: Ledger, policy: SitePolicy, trainer: Trainer, charge: Charge | None, cause: tuple[RoundOrder, str]
) -> _Payment:
    """Charge the round if the budget allows it."""
    order, model_sha256 = cause
    delta = None if charge is None else order.plan.delta
    with ledger.locked():
        history = ledger.history()
        epsilon = None if delta is None else _loss(trainer, (*history, charge), delta)
        if epsilon is not None and (epsilon > policy.epsilon_budget or epsilon == inf):
            raise RefusalError("budget_exceeded")
        key = RoundKey(run=order.run, round=order.round, model_sha256=model_sha256, delta=delta)
        before = tuple(spent for spent in history if spent is not None)
        return _Payment(ledger.charge(key, charge), before, epsilon)


def _loss(trainer: Trainer, history: tuple[Charge | None, ...], delta: float) -> float:
    protected = [charge for charge in history if charge is not None]
    return trainer.epsilon(protected, delta) if len(protected) == len(history) else inf


def _report(site: Site, order: RoundOrder, charge: Charge | None, epsilon: float | None) -> SiteReport:
    return SiteReport(
        site=site.name,
        round=order.round,
        epsilon=epsilon,
        delta=None if charge is None else order.plan.delta,
        noise_multiplier=None if charge is None else charge.noise_multiplier,
        steps=order.plan.steps_per_round,
        seconds=0.0,
    )


def _note(site: Site, error: Exception) -> None:
    """Write what happened where only the site can read it."""
    text = "".join(traceback.format_exception(error))
    with suppress(OSError), open(site.state / ERROR_LOG, "a", encoding="utf-8") as log:
        log.write(f"{datetime.now(UTC).isoformat(timespec='seconds')}\n{text}\n")
