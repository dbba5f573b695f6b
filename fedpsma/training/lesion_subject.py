"""The lesion network and the data sets of studies that it learns from.

What judges it is loaded where it is used: a site that only opens its data needs no network for that.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fedpsma.evaluation.bootstrap import Figure, draw_weights, figure_of, mean
from fedpsma.io.dataset import Dataset, read_dataset
from fedpsma.io.dataset_parts import joined, part_of
from fedpsma.model.checkpoint import Checkpoint, apply_weights
from fedpsma.model.config import ModelConfig, require_network
from fedpsma.training.subject import Figures, Measure, OnItem, Scored, Yardstick

if TYPE_CHECKING:
    from fedpsma.training.sources import SourceCache

UNKNOWN = "unknown"


class LesionSubject:
    """A lesion network, judged by lesion average precision and the mean Dice of the studies with lesions.

    Average precision is taken twice: of all lesions together, where the few patients with dozens of lesions decide, and
    the lesions of every patient weighing one, as he counts once in training and in the promise of privacy.
    """

    yardstick = Yardstick(
        measures=(
            Measure(name="average_precision", title="lesion AP", top=1.0),
            Measure(name="patient_average_precision", title="AP by patient", top=1.0),
            Measure(name="dice", title="Dice", top=1.0),
        ),
        counted="lesions",
        explanation="AP: average precision of connected voxels above 0.1, ranked by the highest of them, which find a "
        "lesion at an intersection over union of at least 0.1. By patient: a candidate or lesion of a patient with n "
        "lesions weighs 1/n, and 1 without any. Dice: of voxels above 0.5, mean over the studies with lesions.",
    )

    def require(self, config: ModelConfig, *, where: str) -> None:
        """Raise InputError where weights are not those of a lesion network."""
        require_network(config, where=where)

    def open(self, folder: Path) -> Dataset:
        """Open a data set folder.

        Raises:
            InputError: A file of it is missing or wrong.
        """
        return read_dataset(folder)

    def part(self, data: Dataset, patients: Collection[str], site: str, folder: Path) -> Dataset:
        """Write an index of the studies of some patients."""
        return part_of(data, patients, site, folder)

    def joined(self, parts: Sequence[Dataset], name: str, folder: Path | None) -> Dataset:
        """Join data sets by their indices."""
        return joined(parts, name, folder)

    def label(self, data: Dataset, patient: str, kind: str) -> str:
        """Return the scanner or tracer of most studies of a patient."""
        found = [str(getattr(row, kind) or UNKNOWN) for row in data.rows_of(patient)]
        return max(sorted(set(found)), key=found.count)

    def items(self, data: Dataset) -> tuple[str, ...]:
        """Return the rows of the studies."""
        return tuple(row.model_dump_json() for row in data.rows)

    def score(self, checkpoint: Checkpoint, data: Dataset, on_item: OnItem) -> list[Scored]:
        """Predict every study.

        Raises:
            InputError: A study cannot be read or has no lesion mask.
        """
        from fedpsma.model.network import LesionNet
        from fedpsma.training.validation import score_study

        net, studies = LesionNet(checkpoint.network), _studies()
        apply_weights(net, checkpoint.weights)
        found = []
        for row in data.rows:
            found.append((row.patient, score_study(net, studies.get(data, row, checkpoint.network).study)))
            on_item()
        return found

    def figures(self, scored: Sequence[Scored]) -> Figures:
        """Summarise scored studies (:class:`fedpsma.training.validation.StudyScore`)."""
        from fedpsma.evaluation.detection import PooledDetections

        names = sorted({patient for patient, _ in scored})
        owner = np.array([names.index(patient) for patient, _ in scored], dtype=np.intp)
        drawn = draw_weights(len(names), np.random.default_rng(0))
        with_lesions = [at for at, (_, score) in enumerate(scored) if score.truth]
        pooled = PooledDetections.of([score.detections for _, score in scored], owner.tolist())
        lesions = np.bincount(owner, [score.lesions for _, score in scored], minlength=len(names))
        alike = drawn / np.maximum(lesions, 1)
        dice = [2 * scored[at][1].overlap / (scored[at][1].predicted + scored[at][1].truth) for at in with_lesions]
        found = {
            "average_precision": figure_of(pooled.average_precision(drawn)),
            "patient_average_precision": figure_of(pooled.average_precision(alike)),
            "dice": figure_of(mean(drawn, owner[with_lesions], dice)) if dice else Figure(value=None),
        }
        return Figures(patients=len(names), counted=sum(score.lesions for _, score in scored), **found)


@cache
def _studies() -> SourceCache:
    """Return the studies that were read once: a model is judged after every round."""
    from fedpsma.training.sources import SourceCache

    return SourceCache()
