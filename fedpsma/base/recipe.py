"""Which synthetic patients the base checkpoint learns from, and which it is judged and measured on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from importlib import resources
from multiprocessing import get_context
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict

from fedpsma.domain.tracer import Tracer
from fedpsma.model.config import NetworkConfig
from fedpsma.model.inputs import GridStudy, to_grid
from fedpsma.phantom.patient import PhantomOptions, PhantomPatient, draw_patient
from fedpsma.phantom.sites import site_profiles
from fedpsma.training.patches import PatchSource, patch_source

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
    are what the figures are measured on. ``patients_per_pair`` counts patients by split.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    note: str
    spacing_mm: float
    seed: dict[Split, int]
    patients_per_pair: dict[Split, int]
    held_out: tuple[tuple[str, Tracer], ...]

    def jobs(self, split: Split) -> list[PhantomJob]:
        """Return the patients of a split, all pairs in turn."""
        every = [(site, tracer) for site in site_profiles() for tracer in Tracer]
        pairs = self.held_out if split == "testing" else [pair for pair in every if pair not in self.held_out]
        return [
            PhantomJob(site, tracer, index, self.seed[split] + list(Tracer).index(tracer), self.spacing_mm)
            for index in range(self.patients_per_pair[split])
            for site, tracer in pairs
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


def phantom_sources(jobs: list[PhantomJob], network: NetworkConfig, workers: int = 2) -> Iterator[PatchSource]:
    """Yield patients as sources of patches, in the order of the jobs."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from map(patch_source, pool.map(partial(_on_grid, network), jobs, chunksize=4))


def _on_grid(network: NetworkConfig, job: PhantomJob) -> GridStudy:
    torch.set_num_threads(1)
    return to_grid(make_patient(job).study, network)
