"""The worker of a site: decides whether a round may run here, charges the ledger, trains, and releases the result.

Everything that can go wrong becomes a code; what happened is written to the site's own log and stays there.
"""

from __future__ import annotations

import errno
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from client.envelope import NAME, QUERY, TEXT, TRAIN, Envelope
from client.ledger import Ledger, LedgerError
from client.memory import is_out_of_memory
from client.payment import Account, open_account
from client.policy import SitePolicy, read_policy
from client.refusal import RefusalError
from client.slots import whole_slots
from fedpsma.contract import (
    IDENTIFY,
    ORDER,
    REFUSAL,
    REPORT,
    SECURE,
    SITE,
    STAGES,
    Federation,
    RefusalReason,
    RoundOrder,
    SiteRefusal,
    SiteReport,
    Stage,
)
from fedpsma.errors import InputError
from fedpsma.io.files import read_json
from fedpsma.model.checkpoint import Weights, model_hash
from fedpsma.model.config import model_config_of
from fedpsma.training.charge import Charge
from fedpsma.training.interruption import TrainingStoppedError
from fedpsma.training.local_rules import (
    RoundMemory,
    at_bound,
    correction,
    split_control,
    to_keep,
    to_release,
    with_own,
)
from fedpsma.training.subject import PatientData
from fedpsma.training.trainer import Trainer, TrainingTask, load_trainer

ERROR_LOG = "errors.log"
LARGEST_LOG = 10_000_000
Released = tuple[SiteReport, Weights]


@dataclass(frozen=True)
class Site:
    """Where a site keeps its data set and its own state: policy, ledger, log."""

    name: str
    dataset: Path
    state: Path


def locate_site(node_config: Mapping[str, Any], run_config: Mapping[str, Any]) -> Site:
    """Return the simulated site this node is: ``partition-id`` picks it from the run folder."""
    folder = Path(str(run_config["run-folder"]))
    federation = Federation.model_validate(read_json(folder / "federation.json"))
    site = federation.sites[int(node_config["partition-id"])]
    if site.dataset is None or site.state is None:
        raise LookupError("this site is not simulated here")
    return Site(site.name, folder / site.dataset, folder / site.state)


def answer_envelope(site: Site, asked: Envelope) -> Envelope:
    """Answer any message of the coordinator; whatever goes wrong comes back as a refusal with a code."""
    if asked.kind == f"{QUERY}{IDENTIFY}":
        return asked.reply(SITE, {NAME: site.name})
    if asked.kind == TRAIN:
        return _answer_training(site, asked)
    stage = asked.kind.removeprefix(QUERY)
    if stage not in STAGES:
        return asked.refusal(site.name, 0, "protocol_violated")
    answered = take_stage(site, stage, asked.text(SECURE))
    if isinstance(answered, SiteRefusal):
        return asked.reply(REFUSAL, {TEXT: answered.model_dump_json()})
    return asked.reply(SECURE, {TEXT: answered})


def _answer_training(site: Site, asked: Envelope) -> Envelope:
    try:
        order = RoundOrder.model_validate_json(asked.text(ORDER))
    except ValidationError as error:
        note(site.state, error)
        return asked.refusal(site.name, 0, "plan_not_allowed")
    answered = answer_order(site, order, dict(asked.arrays), asked.text(SECURE) if SECURE in asked.records else None)
    if isinstance(answered, SiteRefusal):
        return asked.reply(REFUSAL, {TEXT: answered.model_dump_json()})
    report, weights = answered
    return asked.reply(REPORT, {TEXT: report.model_dump_json()}, weights)


def answer_order(
    site: Site, order: RoundOrder, weights: Weights, mask_order: str | None = None
) -> Released | SiteRefusal:
    """Train one round if the site allows it; whatever goes wrong comes back as a refusal with a code.

    Args:
        site: This site.
        order: What to train.
        weights: Where to start from.
        mask_order: Under secure aggregation the JSON of a :class:`fedpsma.secure_aggregation.messages.MaskOrder`; then
            only the masked update is released.
    """
    started = time.monotonic()
    try:
        report, trained = _train(site, order, weights, mask_order)
    except Exception as error:
        note(site.state, error)
        senders = error.senders if isinstance(error, RefusalError) else ()
        return SiteRefusal(site=site.name, round=order.round, reason=code_of(error), senders=senders)
    if order.plan.target_epsilon is None:
        report = report.model_copy(update={"seconds": round(time.monotonic() - started, 1)})
    return report, trained


def take_stage(site: Site, stage: Stage, text: str) -> str | SiteRefusal:
    """Answer one stage of secure aggregation, JSON for JSON; an invitation is declined for what refuses its round."""
    from client.stages import answer_stage

    try:
        return answer_stage(site.name, site.state, stage, text, lambda order: _admit(site, order).preview(order))
    except Exception as error:
        note(site.state, error)
        return SiteRefusal(site=site.name, round=0, reason=code_of(error))


def code_of(error: Exception) -> RefusalReason:
    """Return the code that leaves for what went wrong."""
    if isinstance(error, RefusalError):
        return error.reason
    if isinstance(error, TrainingStoppedError):
        return "stopped"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "disk_full"
    if is_out_of_memory(error):
        return "out_of_memory"
    if isinstance(error, InputError):
        return "data_unreadable"
    return "ledger_unreadable" if isinstance(error, LedgerError) else "internal_error"


def _train(site: Site, order: RoundOrder, arrays: Weights, mask_order: str | None) -> Released:
    weights, control = split_control(arrays)
    if control.keys() != (weights.keys() if order.plan.control_variates else set()):
        raise RefusalError("plan_not_allowed")
    memory = RoundMemory.of_run(site.state, order.run)
    kept = memory.before(order.round, order.counted)
    start, steering = with_own(weights, kept, order.plan), correction(control, kept)
    account = _admit(site, order)
    mask = _mask_of(site, order, mask_order, len(account.dataset.patients))
    payment = account.pay(order, model_hash(weights))
    try:
        task = TrainingTask(
            weights=start,
            network=order.network,
            dataset=account.dataset,
            plan=at_bound(account.policy.within(order.plan), kept),
            round=order.round,
            site=site.name,
            charge=account.charge,
            history=payment.before,
            correction=steering,
        )
        with whole_slots(None if account.charge is None else account.policy.reply_slot_s):
            trained = account.trainer.train(task)
        memory.keep(order.round, to_keep(order.plan, start, trained, steering), order.counted)
        released = mask(weights, to_release(order.plan, weights, trained))
    except BaseException:
        _close_failed(site, account.ledger, payment.entry)
        raise
    account.ledger.close(payment.entry, "released")
    return _report(site, order, account.charge, payment.epsilon), released


def _close_failed(site: Site, ledger: Ledger, entry: int) -> None:
    """Note in the ledger that a round failed; where that is not to be trusted, in the log, beside the round's error.

    The next round will be refused for the ledger.
    """
    try:
        ledger.close(entry, "failed")
    except LedgerError as error:
        note(site.state, error)


def _admit(site: Site, order: RoundOrder) -> Account:
    """Return the account a round is paid from, if the site allows the round at all."""
    policy = _allowing_policy(site, order)
    trainer = load_trainer(policy.trainer)
    return open_account(policy, trainer, site.state, _open(site, order, trainer), order)


def _mask_of(
    site: Site, order: RoundOrder, mask_order: str | None, patients: int
) -> Callable[[Weights, Weights], Weights]:
    """Return what makes the released weights of the trained ones; under secure aggregation that works once only."""
    secure = order.plan.secure_aggregation
    if (secure is None) != (mask_order is None):
        raise RefusalError("protocol_violated")
    if secure is None or mask_order is None:
        return lambda _, trained: trained
    from client.stages import mask_of

    mask = mask_of(site.name, site.state, order, mask_order)
    return lambda start, trained: mask(start, trained, secure.weight_of(patients))


def _allowing_policy(site: Site, order: RoundOrder) -> SitePolicy:
    try:
        policy = read_policy(site.state)
    except (OSError, ValueError) as error:
        raise RefusalError("plan_not_allowed") from error
    objections = policy.objections(order.plan)
    if objections:
        raise RefusalError("plan_not_allowed", ", ".join(objections))
    return policy


def _open(site: Site, order: RoundOrder, trainer: Trainer) -> PatientData:
    subject = trainer.subject()
    try:
        subject.require(model_config_of(order.network, where="network"), where="the order")
    except InputError as error:
        raise RefusalError("plan_not_allowed", str(error)) from error
    dataset: PatientData = subject.open(site.dataset)
    # With delta at or above one patient in all, publishing a whole patient would count as private.
    if order.plan.target_epsilon is not None and order.plan.delta * len(dataset.patients) >= 1:
        raise RefusalError("delta_too_large")
    return dataset


def _report(site: Site, order: RoundOrder, charge: Charge | None, epsilon: float | None) -> SiteReport:
    return SiteReport(
        site=site.name,
        round=order.round,
        epsilon=epsilon,
        delta=None if charge is None else order.plan.delta,
        noise_multiplier=None if charge is None else charge.noise_multiplier,
        steps=order.plan.steps_per_round,
    )


def note(state: Path, error: Exception) -> None:
    """Write what happened to the log in the state folder, where only the site can read it."""
    text, path = "".join(traceback.format_exception(error)), state / ERROR_LOG
    with suppress(OSError):
        if path.exists() and path.stat().st_size > LARGEST_LOG:
            path.replace(path.with_suffix(".log.old"))
    with suppress(OSError), open(path, "a", encoding="utf-8") as log:
        log.write(f"{datetime.now(UTC).isoformat(timespec='seconds')}\n{text}\n")
