"""What a quickstart is made of; the numbers are chosen so that it ends within ten minutes on two cores."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from fedpsma.contract import TrainingPlan


class QuickstartConfig(BaseModel):
    """Everything that decides what a quickstart computes; the same config gives the same patients and tables."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=1, ge=0)
    sites: tuple[str, ...] = ("A", "B", "C")
    training_patients: int = Field(default=24, ge=4)
    held_out_patients: int = Field(default=3, ge=1)
    plan: TrainingPlan

    @classmethod
    def standard(cls, seed: int = 1) -> QuickstartConfig:
        """Return the quickstart that ``make quickstart`` runs."""
        # A slab costs four times as much as two cubes of this size.
        return cls(seed=seed, plan=TrainingPlan(seed=seed, threads=2, patch_voxels=32, slab_share=0.1))

    @classmethod
    def tiny(cls, seed: int = 1) -> QuickstartConfig:
        """Return the smallest quickstart that still does every step, of two sites: for tests and impatient people."""
        plan = TrainingPlan(seed=seed, rounds=3, steps_per_round=1, patients_per_step=2, patches_per_patient=1)
        return cls(seed=seed, sites=("A", "B"), training_patients=4, held_out_patients=1, plan=plan)
