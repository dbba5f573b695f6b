"""Foci against the lesions of a mask: who hits whom, how large they are, and where the others come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fedpsma.domain.anatomy import anatomy_classes
from fedpsma.domain.study import LabelVolume, Study
from fedpsma.errors import InputError
from fedpsma.evaluation.detection import HitRule, Hits, found_at, hit_matrix, lesion_numbers
from fedpsma.evaluation.origins import nearest
from fedpsma.evaluation.truth import StudyTruth
from fedpsma.lesions.geometry import FACES_AND_EDGES, Mask, bounding_box, indices_of


@dataclass(frozen=True)
class Foci:
    """The foci of a model: ``labels`` (x, y, z) numbers them from 1, the arrays (foci,) go with the numbers.

    ``candidate`` tells whether a focus stands where it can be a lesion, ``called`` whether the model calls it one:
    these make up its mask and its tumour volume. ``volume_ml`` is that of the outline.
    """

    labels: LabelVolume
    probability: NDArray[np.float64]
    candidate: NDArray[np.bool_]
    called: NDArray[np.bool_]
    volume_ml: NDArray[np.float64]


@dataclass(frozen=True)
class Match:
    """What became of foci and lesions.

    ``numbers`` and ``lesion_ml`` (lesions,) are the lesions of the mask; ``hits`` (foci, lesions) by rule. ``origin``
    (foci,) names where a focus that hits no lesion comes from, ``kept`` (foci,) is false for one on a true lesion that
    the mask does not show.
    """

    foci: Foci
    numbers: NDArray[np.int32]
    lesion_ml: NDArray[np.float64]
    hits: dict[HitRule, Hits]
    origin: tuple[str | None, ...]
    kept: NDArray[np.bool_]

    def hits_of(self, focus: int) -> dict[HitRule, bool]:
        """Tell by rule whether a focus hits any lesion."""
        return {rule: bool(hits[focus].any()) for rule, hits in self.hits.items()}

    def found_at(self, lesion: int) -> dict[HitRule, float | None]:
        """Return by rule the highest probability among the candidates that hit a lesion; null where none does."""
        counted = {rule: hits[self.foci.candidate][:, [lesion]] for rule, hits in self.hits.items()}
        scores = self.foci.probability[self.foci.candidate]
        best = {rule: float(found_at(hits, scores)[0]) for rule, hits in counted.items()}
        return {rule: score if np.isfinite(score) else None for rule, score in best.items()}

    def best_at(self, lesion: int) -> int | None:
        """Return the most probable candidate that overlaps a lesion, else the most probable other focus there."""
        touching = np.flatnonzero(self.hits["overlap"][:, lesion])
        rank = [(bool(self.foci.candidate[at]), float(self.foci.probability[at])) for at in touching]
        return int(touching[max(range(len(rank)), key=rank.__getitem__)]) if rank else None

    def found_ml(self, lesion: int) -> float | None:
        """Return the volume of that focus where the model calls it a lesion."""
        best = self.best_at(lesion)
        return None if best is None or not self.foci.called[best] else float(self.foci.volume_ml[best])


def require_mask(study: Study) -> LabelVolume:
    """Return the lesion mask of a study.

    Raises:
        InputError: There is none.
    """
    if study.lesions is None:
        raise InputError(
            "has no lesion mask", where=f"study {study.study_id}", remedy="evaluate on studies with a mask"
        )
    return study.lesions


def match(study: Study, foci: Foci, truth: StudyTruth, rules: tuple[HitRule, ...]) -> Match:
    """Match the foci of a study with the lesions of its mask.

    Raises:
        InputError: The study has no lesion mask.
    """
    mask, count = require_mask(study), foci.probability.size
    # Lesions and foci fill a small part of a body, and counting costs by the voxel.
    box = bounding_box((mask | foci.labels) != 0) or (slice(1), slice(1), slice(1))
    corner = np.array([side.start or 0 for side in box], dtype=np.intp)
    true, found, pet = mask[box], foci.labels[box], study.pet[box]
    numbers = lesion_numbers(true)
    hits = {rule: hit_matrix(true, found, count, pet, rule) for rule in rules}
    origin: list[str | None] = [None] * count
    kept = np.ones(count, dtype=bool)
    for at, place in enumerate(ndimage.find_objects(found, max_label=count)):
        if place is None or hits["overlap"][at].any():
            continue
        voxels = np.asarray(indices_of(found[place] == at + 1, place) + corner, dtype=np.intp)
        explained = nearest(truth.off_mask, voxels, study)
        if explained is None:
            origin[at] = _anatomy_at_peak(study, voxels)
        elif explained.suspicious:
            kept[at] = False
        else:
            origin[at] = explained.kind
    lesion_ml = np.bincount(true.ravel(), minlength=1)[numbers] * study.voxel_ml
    return Match(foci, numbers, lesion_ml.astype(np.float64), hits, tuple(origin), kept)


def components(mask: Mask, voxel_ml: float) -> Foci:
    """Return the 18-connected components of a mask (x, y, z) as foci of probability one."""
    labels, box = np.zeros(mask.shape, dtype=np.int32), bounding_box(mask)
    sizes: NDArray[np.intp] = np.zeros(0, dtype=np.intp)
    if box is not None:
        labels[box], _ = ndimage.label(mask[box], structure=FACES_AND_EDGES)
        sizes = np.bincount(labels[box].ravel())[1:]
    count = sizes.size
    every = np.ones(count, dtype=bool)
    return Foci(labels, np.ones(count), every, every, (sizes * voxel_ml).astype(np.float64))


def _anatomy_at_peak(study: Study, voxels: NDArray[np.intp]) -> str | None:
    if study.anatomy is None:
        return None
    hottest = voxels[int(np.argmax(study.pet[tuple(voxels.T)]))]
    return anatomy_classes()[int(study.anatomy[tuple(hottest)])].name
