"""An audit from data set to report: the same patients trained on with and without privacy, and attacked alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from fedpsma.audit.attacks import (
    FALSE_POSITIVE_RATES,
    AttackFigures,
    Bools,
    Floats,
    Outcomes,
    attack_figures,
    likelihood_ratio_scores,
    loss_scores,
)
from fedpsma.audit.canaries import with_canaries
from fedpsma.audit.limits import advantage_limit, auc_limit
from fedpsma.audit.lower_bounds import CONFIDENCE, epsilon_from_scores
from fedpsma.audit.mechanism import TRIALS, audit_mechanism
from fedpsma.audit.models import Laboratory, outcomes, start_losses
from fedpsma.audit.report import Attack, AuditReport, MechanismProof, ModelAudit, Proof, Protection
from fedpsma.contract import TrainingPlan
from fedpsma.errors import InputError
from fedpsma.io.dataset import Dataset, read_dataset
from fedpsma.io.files import write_text
from fedpsma.model.checkpoint import Checkpoint, load_checkpoint
from fedpsma.training.accounting import epsilon_of, spend_of_round
from fedpsma.training.charge import Charge
from fedpsma.training.randomness import SeededRandomness
from fedpsma.training.sources import SourceCache

REPORT_FILE = "audit.json"
LEAST_PATIENTS = 8
_RATE_STEPS = 1024

OnModel = Callable[[], None]


class AuditConfig(BaseModel):
    """What to audit.

    ``plan`` is how the private models are trained; without a target epsilon only plain ones are. ``targets`` models are
    attacked, ``shadows`` are trained to know what the losses of members and others look like. ``canaries`` are made-up
    patients among the others. ``init`` is the checkpoint to start from, ``None`` the base checkpoint.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: Path
    out: Path
    plan: TrainingPlan = TrainingPlan()
    init: Path | None = None
    targets: int = Field(default=4, ge=1)
    shadows: int = Field(default=16, ge=4)
    canaries: int = Field(default=24, ge=12)
    trials: int = Field(default=TRIALS, ge=100)
    seed: int = Field(default=0, ge=0)

    @property
    def kinds(self) -> tuple[Protection, ...]:
        """Which models are trained."""
        return ("plain",) if self.plan.target_epsilon is None else ("private", "plain")

    @property
    def models(self) -> int:
        """How many models are trained in all."""
        return len(self.kinds) * (self.targets + self.shadows)


@dataclass(frozen=True)
class _Subject:
    """What is attacked: the patients, the first ``real`` of which are no canaries."""

    config: AuditConfig
    dataset: Dataset
    start: Checkpoint
    real: Bools

    @property
    def rate(self) -> float:
        """The sampling rate of a model trained on half of the patients, in steps that float numbers hold exactly."""
        rate = self.config.plan.patients_per_step / (len(self.real) / 2)
        return max(1, min(_RATE_STEPS, round(_RATE_STEPS * rate))) / _RATE_STEPS

    @property
    def spend(self) -> Charge | None:
        """What the training of a private model costs its patients, all rounds together."""
        half = len(self.real) // 2
        plan = self.config.plan.model_copy(update={"patients_per_step": self.rate * half})
        spend = spend_of_round(plan, half)
        return None if spend is None else spend.model_copy(update={"steps": spend.steps * plan.rounds})


def audit(config: AuditConfig, on_model: OnModel = lambda: None) -> AuditReport:
    """Train, attack, and write ``audit.json``; models that an earlier call with the same settings trained are kept.

    Args:
        config: What to audit.
        on_model: Called after each model.

    Raises:
        InputError: There are too few patients, a study cannot be read, or the plan cannot be kept.
    """
    subject = _subject(config)
    models = tuple(_audit_models(subject, kind, on_model) for kind in config.kinds)
    report = AuditReport(
        dataset=subject.dataset.info.name,
        synthetic=subject.dataset.info.synthetic,
        patients=int(subject.real.sum()),
        canaries=config.canaries,
        targets=config.targets,
        shadows=config.shadows,
        plan=config.plan,
        model_sha256=subject.start.card.sha256,
        confidence=CONFIDENCE,
        models=models,
        mechanism=_audit_steps(subject),
    )
    write_text(config.out / REPORT_FILE, report.model_dump_json(indent=1) + "\n")
    return report


def _subject(config: AuditConfig) -> _Subject:
    dataset = read_dataset(config.dataset)
    if len(dataset.patients) < LEAST_PATIENTS:
        raise InputError(
            f"has {len(dataset.patients)} patients",
            where=str(config.dataset),
            remedy=f"give at least {LEAST_PATIENTS} to attack",
        )
    every = with_canaries(dataset, config.canaries, config.out / "canaries", config.seed)
    real = np.isin(every.patients, dataset.patients)
    return _Subject(config, every, load_checkpoint(config.init), real)


def _audit_models(subject: _Subject, kind: Protection, on_model: OnModel) -> ModelAudit:
    laboratory = _laboratory(subject, kind)
    targets = outcomes(laboratory, range(subject.config.targets), on_model)
    last = subject.config.targets + subject.config.shadows
    shadows = outcomes(laboratory, range(subject.config.targets, last), on_model)
    ratios = likelihood_ratio_scores(targets, shadows)
    delta = subject.config.plan.delta
    claimed = epsilon_of([subject.spend], delta) if kind == "private" and subject.spend is not None else None
    real = subject.real
    return ModelAudit(
        protection=kind,
        claimed_epsilon=claimed,
        auc_limit=None if claimed is None else auc_limit(claimed, delta),
        advantage_limit=None if claimed is None else advantage_limit(claimed, delta),
        loss=_attack(loss_scores(targets)[:, real], targets.members[:, real]),
        likelihood_ratio=_attack(ratios[:, real], targets.members[:, real]),
        one_run=_one_run(laboratory, targets, ~real, delta),
        all_runs=_proof(ratios.ravel(), targets.members.ravel(), delta),
    )


def _laboratory(subject: _Subject, kind: Protection) -> Laboratory:
    config = subject.config
    plan = config.plan if kind == "private" else config.plan.model_copy(update={"target_epsilon": None})
    cache = SourceCache(len(subject.dataset.rows))
    return Laboratory(subject.dataset, plan, subject.rate, subject.start, config.out / kind, config.seed, cache)


def _one_run(laboratory: Laboratory, targets: Outcomes, canaries: Bools, delta: float) -> Proof:
    """Guess about the canaries of the first model, by how far it brought down their loss."""
    before = np.array(start_losses(laboratory))
    drop = before - targets.losses[0]
    return _proof(drop[canaries], targets.members[0][canaries], delta)


def _proof(scores: Floats, members: Bools, delta: float) -> Proof:
    known = np.isfinite(scores)
    bound, guesses = epsilon_from_scores(scores[known], members[known], delta)
    return Proof(patients=guesses.patients, made=guesses.made, right=guesses.right, epsilon=bound.epsilon)


def _attack(scores: Floats, members: Bools) -> Attack:
    found: AttackFigures = attack_figures(scores, members)
    rates = {f"{rate:g}": share for rate, share in zip(FALSE_POSITIVE_RATES, found.found_at, strict=True)}
    return Attack(auc=found.auc, advantage=found.advantage, found_at=rates)


def _audit_steps(subject: _Subject) -> MechanismProof | None:
    config, spend = subject.config, subject.spend
    if spend is None:
        return None
    delta = config.plan.delta
    randomness = SeededRandomness(torch.Generator().manual_seed(config.seed))
    bound, _ = audit_mechanism(spend, delta, randomness, config.trials)
    return MechanismProof(trials=config.trials, claimed_epsilon=epsilon_of([spend], delta), epsilon=bound.epsilon)
