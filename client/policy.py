"""``site.toml``: what a site allows, whoever asks. It lies in the site's own state folder and never travels."""

from __future__ import annotations

import tomllib
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from client.limits import Hours, Limit, Span
from fedpsma.contract import LEAST_DELTA, TrainingPlan
from fedpsma.errors import first_problem
from fedpsma.training.trainer import DEFAULT_TRAINER

POLICY_FILE = "site.toml"


class SitePolicy(BaseModel):
    """The limits of a site; a site without this file trains nothing.

    ``epsilon_budget`` is the privacy loss that all runs together may spend on the site's patients (``inf`` sets no
    limit), at ``delta`` or at the smallest delta that any of them promised, whichever is smaller.
    ``allow_without_privacy`` lets a plan train without noise. ``allow_fixed_seed`` lets the coordinator fix the
    random numbers: whoever knows them can take the noise away again, so this is for simulations on one machine only.
    ``trainer`` is the module that trains (:class:`fedpsma.training.trainer.Trainer`); only the site can name it.

    ``ledger`` is the file that counts what the patients paid, seen from the state folder; without it, it lies in the
    data set's folder, so that all projects on the same patients share it. ``count_simulations`` has the rounds of
    simulations on these patients count like others; turn it off only if no model of them ever left the site.
    ``simulated`` marks the site of a simulation: its rounds are written down as such, and only its own run limits it.

    ``dataset`` is the folder of the patients of a real site. ``hours`` are the local times of day at which it takes up
    rounds; none means any. ``settings`` bounds what a plan may ask for, by the name of the setting (``min_sites``,
    ``rounds``, ``device``, ``gpu_share`` ...). ``memory_gb`` is the main memory that the steward may take,
    and ``gpu_share`` the share of a GPU's, whatever more a plan asks for. ``reply_slot_s`` has a private round take a
    whole number of so many seconds (:mod:`client.slots`).

    ``require_secure_aggregation`` refuses plans that show this site's update to the server. ``peers`` names the only
    sites that may take part in it, each with its key; without it a site is known by the key it showed first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=True)

    epsilon_budget: float = Field(gt=0)
    allow_without_privacy: bool = False
    allow_fixed_seed: bool = False
    trainer: str = DEFAULT_TRAINER
    delta: float | None = Field(default=None, ge=LEAST_DELTA, lt=1)
    ledger: Path | None = None
    count_simulations: bool = True
    simulated: bool = False
    require_secure_aggregation: bool = False
    peers: dict[str, str] | None = None
    dataset: Path | None = None
    hours: tuple[Span, ...] = ()
    settings: dict[str, Limit] = Field(default_factory=dict)
    memory_gb: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    gpu_share: float | None = Field(default=None, gt=0, le=1, allow_inf_nan=False)
    reply_slot_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)

    @field_validator("settings")
    @classmethod
    def _require_known(cls, settings: dict[str, Limit]) -> dict[str, Limit]:
        unknown = sorted(settings.keys() - TrainingPlan.model_fields.keys())
        if unknown:
            raise ValueError(f"a plan has no setting {unknown[0]}")
        return settings

    def allows(self, plan: TrainingPlan) -> bool:
        """Return whether the plan asks for nothing that the site forbids.

        Example:
            >>> SitePolicy(epsilon_budget=8).allows(TrainingPlan(target_epsilon=None))
            False
        """
        return not self.objections(plan)

    def objections(self, plan: TrainingPlan) -> list[str]:
        """Return the settings of a plan that the site forbids.

        Example:
            >>> SitePolicy(epsilon_budget=8, settings={"rounds": {"most": 2}}).objections(TrainingPlan(rounds=3))
            ['rounds']
        """
        forbidden = {
            "target_epsilon": plan.target_epsilon is None and not self.allow_without_privacy,
            "secure_aggregation": plan.secure_aggregation is None and self.require_secure_aggregation,
            "seed": plan.seed is not None and not self.allow_fixed_seed,
        }
        asked = plan.model_dump(mode="json")
        # The share of a GPU that nobody uses is not asked for.
        bounded = [name for name in self.settings if name != "gpu_share" or plan.device != "cpu"]
        outside = [name for name in bounded if not self.settings[name].allows(asked[name])]
        return sorted({*outside, *(name for name, found in forbidden.items() if found)})

    def within(self, plan: TrainingPlan) -> TrainingPlan:
        """Return a plan that takes no more of the GPU than the site gives; nothing else of it changes.

        Example:
            >>> SitePolicy(epsilon_budget=8, gpu_share=0.5).within(TrainingPlan()).gpu_share
            0.5
        """
        share = min(plan.gpu_share, self.gpu_share or plan.gpu_share)
        return plan.model_copy(update={"gpu_share": share})

    def is_open(self, now: datetime) -> bool:
        """Return whether rounds are taken up at a local time."""
        return Hours(self.hours).include(now.time())


def problem_of(error: Exception) -> str:
    """Return in one line why :func:`read_policy` gave none."""
    told = ": ".join(first_problem(error)) if isinstance(error, ValidationError) else str(error)
    return " ".join(told.split())


def read_policy(state: Path) -> SitePolicy:
    """Read the policy of the site whose state folder this is.

    Raises:
        OSError: There is none, or it cannot be read.
        ValueError: It is not TOML, or holds something else than a policy.
    """
    return SitePolicy.model_validate(tomllib.loads((state / POLICY_FILE).read_text("utf-8")))
