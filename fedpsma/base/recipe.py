"""Which synthetic patients the base checkpoint learns from, and which it is judged and measured on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

from pydantic import BaseModel, ConfigDict

from fedpsma.domain.tracer import Tracer
from fedpsma.phantom.patient import PhantomOptions, PhantomPatient, draw_patient
from fedpsma.phantom.sites import site_profiles
from fedpsma.training.supervised.recipe import TrainRecipe

Split = Literal["training", "judging", "testing"]


@dataclass(frozen=True)
class PhantomJob:
    """One synthetic patient to be made."""

    site: str
    tracer: Tracer
    index: int
    seed: int
    spacing_mm: float


class BaseRecipe(BaseModel):
    """The cohorts of ``data/recipe.json``, each with its own seed.

    The network learns from, and the judge is fitted on, every pair of site and tracer but those in ``held_out``, which
    are what the figures are measured on. ``patients_per_pair`` counts patients by split; ``training`` is how the
    network learns.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    note: str
    spacing_mm: float
    seed: dict[Split, int]
    patients_per_pair: dict[Split, int]
    held_out: tuple[tuple[str, Tracer], ...]
    training: TrainRecipe

    def pairs(self, split: Split) -> tuple[tuple[str, Tracer], ...]:
        """Return the pairs of site and tracer of a split."""
        if split == "testing":
            return self.held_out
        every = ((site, tracer) for site in site_profiles() for tracer in Tracer)
        return tuple(pair for pair in every if pair not in self.held_out)

    def seed_of(self, split: Split, tracer: Tracer) -> int:
        """Return the seed of a cohort: patients of one site and index differ between tracers."""
        return self.seed[split] + list(Tracer).index(tracer)

    def jobs(self, split: Split) -> list[PhantomJob]:
        """Return the patients of a split, all pairs in turn."""
        return [
            PhantomJob(site, tracer, index, self.seed_of(split, tracer), self.spacing_mm)
            for index in range(self.patients_per_pair[split])
            for site, tracer in self.pairs(split)
        ]


@cache
def base_recipe() -> BaseRecipe:
    """Return the recipe of the base checkpoint that comes with the package."""
    return BaseRecipe.model_validate(
        json.loads(resources.files(__package__).joinpath("data/recipe.json").read_text("utf-8"))
    )


def make_patient(job: PhantomJob) -> PhantomPatient:
    """Make one patient; the same job gives the same patient."""
    return draw_patient(job.site, job.index, job.seed, PhantomOptions(spacing_mm=job.spacing_mm, tracer=job.tracer))
