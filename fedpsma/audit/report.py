"""``audit.json``: what was attacked, what came out, and what privacy promises beside it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from fedpsma.contract import TrainingPlan
from fedpsma.evaluation.bootstrap import Figure

Protection = Literal["private", "plain"]
CAUTION = (
    "A lower bound says what was proved, not what is safe: a stronger attack may prove more. Whether a patient takes "
    "part also moves the number of patients, by which a step is divided and which the accountant takes as public."
)


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Attack(_Record):
    """How well one membership attack does; ``found_at`` is the true positive rate by false positive rate."""

    auc: Figure
    advantage: float
    found_at: dict[str, float]


class Proof(_Record):
    """Guesses about ``patients`` tosses of a coin, and the epsilon (at the report's delta) that they prove."""

    patients: int
    made: int
    right: int
    epsilon: float


class MechanismProof(_Record):
    """The epsilon that the noisy steps of the plan are proved to cost, without a network."""

    trials: int
    claimed_epsilon: float
    epsilon: float


class ModelAudit(_Record):
    """The attacks on models of one kind.

    ``claimed_epsilon`` is that of the accountant, ``None`` without noise; the limits are what it allows any attack.
    ``one_run`` rests on the canaries of a single model, ``all_runs`` on every patient and canary of all attacked ones.
    """

    protection: Protection
    claimed_epsilon: float | None
    auc_limit: float | None
    advantage_limit: float | None
    loss: Attack
    likelihood_ratio: Attack
    one_run: Proof
    all_runs: Proof

    @property
    def contradicted(self) -> bool:
        """Whether an attack proves more than was claimed."""
        proved = max(self.one_run.epsilon, self.all_runs.epsilon)
        return self.claimed_epsilon is not None and proved > self.claimed_epsilon


class AuditReport(_Record):
    """The whole audit; every bound holds with probability ``confidence`` by itself."""

    dataset: str
    synthetic: bool
    patients: int
    canaries: int
    targets: int
    shadows: int
    plan: TrainingPlan
    model_sha256: str
    confidence: float
    models: tuple[ModelAudit, ...]
    mechanism: MechanismProof | None
    caution: str = CAUTION

    @property
    def contradicted(self) -> bool:
        """Whether anything contradicts the claimed epsilon."""
        mechanism = self.mechanism is not None and self.mechanism.epsilon > self.mechanism.claimed_epsilon
        return mechanism or any(one.contradicted for one in self.models)
