"""Which patients are learnt from, which are held out, and the batches cut from the former."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Protocol

import torch

from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError
from fedpsma.io.dataset import Dataset
from fedpsma.model.config import NetworkConfig
from fedpsma.model.inputs import GridStudy, tracer_vector
from fedpsma.training.masses import NO_MASSES, Masses
from fedpsma.training.patches import (
    Edges,
    PatchBatch,
    PatchDraw,
    PatchSource,
    cross_section,
    cut_patches,
    draw_patches,
    edges,
)
from fedpsma.training.randomness import generator_of, integer_below
from fedpsma.training.sources import SourceCache
from fedpsma.training.supervised.recipe import TrainRecipe

_CUBES_FOR_A_SLAB = 2

PatientStudies = Callable[[], Sequence[PatchSource]]


class Batches(Protocol):
    """Where the batches come from."""

    def batch(self, step: int) -> PatchBatch:
        """Return the batch of a step, counted from 0: the same at every call, so that a stopped run can go on."""
        ...


class Studies(Protocol):
    """Studies on the working grid, of a known number; a list will do."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[GridStudy]: ...


@dataclass(frozen=True)
class Patient:
    """One patient of one data set."""

    dataset: Dataset
    name: str

    def has_lesion(self) -> bool:
        """Tell whether the mask of any study holds a lesion."""
        masks = (self.dataset.load(row).lesions for row in self.dataset.rows_of(self.name))
        return any(mask is not None and bool(mask.any()) for mask in masks)


@dataclass(frozen=True)
class Split:
    """Patients to learn from and patients held out; none is in both."""

    learning: tuple[Patient, ...]
    validation: tuple[Patient, ...]

    def record(self) -> list[dict[str, object]]:
        """Return the pseudonyms on both sides by data set, as JSON can hold them."""
        datasets = {id(one.dataset): one.dataset for one in (*self.learning, *self.validation)}
        return [
            {
                "dataset": dataset.info.name,
                "learning": [one.name for one in self.learning if one.dataset is dataset],
                "validation": [one.name for one in self.validation if one.dataset is dataset],
            }
            for dataset in sorted(datasets.values(), key=lambda one: str(one.folder))
        ]


def split_patients(datasets: Sequence[Dataset], share: float, seed: int) -> Split:
    """Hold out ``share`` of the patients of every data set, at least one patient in all, and one with a lesion.

    A pseudonym that stands in several data sets is taken for one man: all his studies lie on the same side.

    Raises:
        InputError: A study has no lesion mask, there is only one patient, or fewer than two have a lesion.
    """
    for dataset in datasets:
        _require_masks(dataset)
    generator = torch.Generator().manual_seed(seed)
    known: set[str] = set()
    held_out: set[str] = set()
    for dataset in datasets:
        fresh = [name for name in dataset.patients if name not in known]
        known |= set(fresh)
        count = max(0, min(round(share * len(fresh)), len(fresh) - 1))
        held_out |= set(_shuffled(fresh, generator)[:count])
    where = ", ".join(str(dataset.folder) for dataset in datasets)
    if len(known) < 2:
        raise InputError("holds one patient only", where=where, remedy="give one to learn from and one to validate on")
    split = _split(datasets, held_out or set(_shuffled(sorted(known), generator)[:1]))
    return _with_lesions_on_both_sides(split, datasets, where)


def _with_lesions_on_both_sides(split: Split, datasets: Sequence[Dataset], where: str) -> Split:
    """Move one patient with a lesion where one side has none; masks are read only until enough are found."""
    held_out = {one.name for one in split.validation}
    validated, learnt = (list(islice(_with_lesion(side), 2)) for side in (split.validation, split.learning))
    if len({*validated, *learnt}) < 2:
        problem = "one patient only has a lesion" if validated or learnt else "no patient has a lesion"
        raise InputError(problem, where=where, remedy="give one to learn from and one to validate on")
    if not validated:
        return _split(datasets, {learnt[0], *sorted(held_out)[1:]})
    return split if learnt else _split(datasets, held_out - {validated[-1]})


def _with_lesion(patients: Sequence[Patient]) -> Iterator[str]:
    seen: set[str] = set()
    for one in patients:
        if one.name not in seen and one.has_lesion():
            seen.add(one.name)
            yield one.name


@dataclass(frozen=True)
class PatientBatches:
    """Batches of random slabs and cubes of patients, each drawn as often as the others.

    Each of ``patients`` gives the studies of one patient when called.
    """

    patients: tuple[PatientStudies, ...]
    recipe: TrainRecipe
    network: NetworkConfig

    def batch(self, step: int) -> PatchBatch:
        """Return the batch of a step."""
        recipe = self.recipe
        generator = generator_of(recipe.seed, "patches", step)
        slab = float(torch.rand((), generator=generator)) < recipe.slab_share
        count = recipe.patients_per_step * (1 if slab else _CUBES_FOR_A_SLAB)
        sources = [self._source(generator) for _ in range(count)]
        shape = self._slab(sources) if slab else edges(recipe.patch_voxels)
        return cut_patches([draw for source in sources for draw in self._draws(source, shape, generator)], shape)

    def _draws(self, source: PatchSource, shape: Edges, generator: torch.Generator) -> list[PatchDraw]:
        masses = Masses(self.recipe.mass_share, self.network.grid_mm**3 / 1000)
        fdg = torch.equal(source.study.tracer, tracer_vector(Tracer.FDG, self.network))
        return draw_patches([source], 1, shape, generator, masses if fdg else NO_MASSES)

    def _source(self, generator: torch.Generator) -> PatchSource:
        studies = self.patients[integer_below(len(self.patients), generator)]()
        return studies[integer_below(len(studies), generator)]

    def _slab(self, sources: Sequence[PatchSource]) -> Edges:
        """Return the smallest slab that holds the whole cross-section of each study."""
        levels = self.recipe.patch_voxels
        slabs = [cross_section(one.study, levels, self.network.stride) for one in sources]
        return max(x for x, _, _ in slabs), max(y for _, y, _ in slabs), levels


def patient_batches(patients: Sequence[Patient], network: NetworkConfig, recipe: TrainRecipe) -> PatientBatches:
    """Return batches of patients of data sets; a study that was read once stays in memory."""
    cache = SourceCache(capacity=sum(len(one.dataset.rows_of(one.name)) for one in patients))
    read = (partial(cache.of_patient, one.dataset, one.name, network) for one in patients)
    return PatientBatches(tuple(read), recipe, network)


@dataclass(frozen=True)
class HeldOut:
    """The studies of held-out patients on the working grid, read one after the other when they are gone through."""

    patients: tuple[Patient, ...]
    network: NetworkConfig

    def __len__(self) -> int:
        return sum(len(one.dataset.rows_of(one.name)) for one in self.patients)

    def __iter__(self) -> Iterator[GridStudy]:
        cache = SourceCache(capacity=1)
        for patient in self.patients:
            for row in patient.dataset.rows_of(patient.name):
                yield cache.get(patient.dataset, row, self.network).study


def _split(datasets: Sequence[Dataset], held_out: set[str]) -> Split:
    everyone = [Patient(dataset, name) for dataset in datasets for name in dataset.patients]
    return Split(
        tuple(one for one in everyone if one.name not in held_out),
        tuple(one for one in everyone if one.name in held_out),
    )


def _require_masks(dataset: Dataset) -> None:
    bare = [row.id for row in dataset.rows if row.mask is None]
    if bare:
        raise InputError(
            f"{len(bare)} of {len(dataset.rows)} studies have no lesion mask, the first is {bare[0]}",
            where=str(dataset.folder),
            remedy="give an empty mask where there is no lesion, or leave the study out",
        )


def _shuffled(names: Sequence[str], generator: torch.Generator) -> list[str]:
    return [names[index] for index in torch.randperm(len(names), generator=generator).tolist()]
