"""``site.toml``: what a site allows, whoever asks. It lies in the site's own state folder and never travels."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from fedpsma.contract import TrainingPlan

POLICY_FILE = "site.toml"
DEFAULT_TRAINER = "client.training"


class SitePolicy(BaseModel):
    """The limits of a site; a site without this file trains nothing.

    ``epsilon_budget`` is the privacy loss that all runs together may spend on the site's patients (``inf`` sets no
    limit). ``allow_without_privacy`` lets a plan train without noise. ``allow_fixed_seed`` lets the coordinator fix the
    random numbers: whoever knows them can take the noise away again, so this is for simulations on one machine only.
    ``trainer`` is the module that trains (:class:`client.trainer.Trainer`); only the site can name it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=True)

    epsilon_budget: float = Field(gt=0)
    allow_without_privacy: bool = False
    allow_fixed_seed: bool = False
    trainer: str = DEFAULT_TRAINER

    def allows(self, plan: TrainingPlan) -> bool:
        """Return whether the plan asks for nothing that the site forbids.

        Example:
            >>> SitePolicy(epsilon_budget=8).allows(TrainingPlan(target_epsilon=None))
            False
        """
        private = plan.target_epsilon is not None or self.allow_without_privacy
        return private and (plan.seed is None or self.allow_fixed_seed)


def read_policy(state: Path) -> SitePolicy:
    """Read the policy of the site whose state folder this is.

    Raises:
        OSError: There is none, or it cannot be read.
        ValueError: It is not TOML, or holds something else than a policy.
    """
    return SitePolicy.model_validate(tomllib.loads((state / POLICY_FILE).read_text("utf-8")))
