"""The cohorts of the recipe as data sets on disk: one folder for each pair of site and tracer."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from fedpsma.base.recipe import BaseRecipe, Split
from fedpsma.domain.tracer import Tracer
from fedpsma.phantom.cohort import write_cohort
from fedpsma.phantom.patient import PhantomOptions

Pair = tuple[str, Tracer]


def write_cohorts(folder: Path, recipe: BaseRecipe, split: Split, workers: int = 2) -> Iterator[Path]:
    """Write the data sets of a split into ``folder`` and yield each when it is whole; what is there is kept."""
    pairs = recipe.pairs(split)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(partial(_write, folder, recipe, split), pairs)


def _write(folder: Path, recipe: BaseRecipe, split: Split, pair: Pair) -> Path:
    site, tracer = pair
    options = PhantomOptions(spacing_mm=recipe.spacing_mm, tracer=tracer)
    wanted = range(recipe.patients_per_pair[split])
    return write_cohort(
        folder / f"{site}-{tracer}", site, wanted, recipe.seed_of(split, tracer), options=options
    ).folder
