"""What a training needs: recipe, network, start, batches, held-out studies, and what its model card will say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fedpsma.errors import InputError
from fedpsma.io.dataset import Dataset
from fedpsma.model.checkpoint import Checkpoint, ModelCard
from fedpsma.model.config import NetworkConfig
from fedpsma.training.supervised.cohort import (
    Batches,
    HeldOut,
    Patient,
    Split,
    Studies,
    patient_batches,
    split_patients,
)
from fedpsma.training.supervised.recipe import TrainRecipe
from fedpsma.training.validation import SELECTION_MEANS

LICENCE_NOT_STATED = "not stated by those who trained it"


@dataclass(frozen=True)
class TrainTask:
    """A training, ready to run.

    ``held_out`` is read once, when the run begins. ``split`` records which patient is on which side, for
    ``run.json``.
    """

    recipe: TrainRecipe
    network: NetworkConfig
    start: Checkpoint | None
    batches: Batches
    held_out: Studies
    name: str
    data: str
    licence: str
    split: list[dict[str, object]]

    def run_record(self) -> dict[str, Any]:
        """Return everything that two runs must share for one to go on where the other stopped."""
        return {
            "recipe": self.recipe.model_dump(mode="json"),
            "network": self.network.model_dump(mode="json"),
            "start": None if self.start is None else self.start.card.sha256,
            "name": self.name,
            "data": self.data,
            "licence": self.licence,
            "split": self.split,
        }

    def card(self, progress: dict[str, Any], metrics: dict[str, float | None]) -> ModelCard:
        """Return the model card of weights that reached these figures.

        There is no epsilon: the patients learnt from are not protected, even where those of the start were.
        """
        start = (
            None if self.start is None else self.start.card.model_dump(include={"name", "data", "epsilon", "sha256"})
        )
        return ModelCard(
            name=self.name,
            data=self.data,
            recipe={
                "optimizer": "AdamW, cosine learning rate, averaged weights",
                **self.recipe.model_dump(mode="json", exclude_none=True),
                "start": start,
                **progress,
            },
            metrics={"selection_is": SELECTION_MEANS, **metrics},
            licence=self.licence,
        )


def task_of_datasets(
    datasets: Sequence[Dataset],
    recipe: TrainRecipe,
    network: NetworkConfig,
    start: Checkpoint | None,
    *,
    name: str,
    licence: str | None = None,
) -> TrainTask:
    """Return the training on all patients of some data sets but those held out.

    Args:
        datasets: Data sets with lesion masks; anatomy maps and CT are used where there are any.
        recipe: How to train.
        network: The architecture; that of ``start`` where there is one.
        start: Weights to begin with; ``None`` draws them from the recipe's seed.
        name: Name of the model.
        licence: Licence of the weights; left out, it is said to be not stated unless all data are synthetic.

    Raises:
        InputError: A study has no lesion mask, there is only one patient, none has a lesion, or the patch does not
            fit the network.
    """
    if recipe.patch_voxels % network.stride:
        problem = f"{recipe.patch_voxels} is not a multiple of {network.stride}"
        raise InputError(problem, where="--set patch_voxels", remedy=f"use a multiple of {network.stride}")
    split = split_patients(datasets, recipe.validation_share, recipe.seed)
    synthetic = all(dataset.info.synthetic for dataset in datasets)
    return TrainTask(
        recipe=recipe,
        network=network,
        start=start,
        batches=patient_batches(split.learning, network, recipe),
        held_out=HeldOut(split.validation, network),
        name=name,
        data=_data_line(split),
        licence=licence or ("Apache-2.0" if synthetic else LICENCE_NOT_STATED),
        split=split.record(),
    )


def _data_line(split: Split) -> str:
    return ", ".join(f"{count} {cohort}" for cohort, count in sorted(Counter(map(_cohort, split.learning)).items()))


def _cohort(patient: Patient) -> str:
    info = patient.dataset.info
    licence = f" ({info.licence})" if info.licence else ""
    return f"{'synthetic' if info.synthetic else 'real'} patients of {info.name}{licence}"
