"""Two analysed studies become one exam with its prior, the match between them, and the assessment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpsma.comparison.alignment import Alignment, align
from fedpsma.comparison.matching import Cloud, Group, MatchOptions, match_lesions
from fedpsma.domain.assessment import Assessment
from fedpsma.domain.exam import Exam, Lesion, Prior, PriorLesion
from fedpsma.domain.study import LabelVolume, Study
from fedpsma.lesions.geometry import world_mm
from fedpsma.staging import StagingOptions, assess
from fedpsma.staging.prior import ImageMatch

_COVERED_SHARE = 0.5


@dataclass(frozen=True)
class Examined:
    """An analysed study: images, the exam, and the lesions numbered as the exam orders them (``study.lesions``)."""

    study: Study
    exam: Exam
    segmentation_rule: str | None = None
    synthetic: bool = False

    @property
    def labels(self) -> LabelVolume:
        """The numbered lesions (x, y, z); none where nothing was outlined."""
        found = self.study.lesions
        return np.zeros(self.study.pet.shape, np.int32) if found is None else found


@dataclass(frozen=True)
class StudyPair:
    """What became of every lesion.

    ``exam`` is the later one with the earlier one as its prior, whose lesions are called P1, P2 and so on.
    ``unmatched`` are lesions without a voxel, which cannot be matched on images.
    """

    exam: Exam
    assessment: Assessment
    groups: tuple[Group, ...]
    match: ImageMatch
    alignment: Alignment
    unmatched: tuple[str, ...]

    @property
    def new(self) -> list[str]:
        """Lesions that the earlier study covered and did not show."""
        return [name for name, change in self.assessment.prior_change.items() if change == "new"]

    @property
    def resolved(self) -> list[str]:
        """Lesions of the earlier study that are gone, by their names in the prior, and present ones without uptake."""
        return [name for name, change in self.assessment.prior_change.items() if change == "resolved"]


def compare_studies(
    earlier: Examined,
    later: Examined,
    options: StagingOptions = StagingOptions(),  # noqa: B008 (frozen)
    matching: MatchOptions = MatchOptions(),  # noqa: B008 (frozen)
    alignment: Alignment | None = None,
) -> StudyPair:
    """Align two studies, match their lesions and assess the change.

    Args:
        earlier: The baseline.
        later: The follow-up.
        options: Policies of the rules.
        matching: How far a lesion may lie from itself.
        alignment: Where it is known already; it is computed without it.
    """
    alignment = alignment or align(earlier.study, later.study)
    old = _clouds(earlier, prefix="P")
    new_in_place = _clouds(later)
    new = [Cloud(one.lesion_id, alignment.to_earlier(one.points), one.region, one.side) for one in new_in_place]
    beyond_before = frozenset(one.lesion_id for one in new if not _is_covered(one.points, earlier.study))
    beyond_now = frozenset(
        one.lesion_id for one in old if not _is_covered(alignment.to_later(one.centre[None]), later.study)
    )
    groups = match_lesions(
        [one for one in old if one.lesion_id not in beyond_now],
        [one for one in new if one.lesion_id not in beyond_before],
        matching,
    )
    pairs = tuple((frozenset(group.now), frozenset(group.before)) for group in groups)
    match = ImageMatch(pairs, beyond_before, beyond_now)
    exam = _with_prior(later, earlier)
    seen = {one.lesion_id for one in (*old, *new)}
    before = (exam.prior.lesions if exam.prior is not None else None) or []
    names = [*(one.lesion_id for one in exam.lesions), *(one.lesion_id for one in before)]
    return StudyPair(
        exam=exam,
        assessment=assess(exam, options, match),
        groups=groups,
        match=match,
        alignment=alignment,
        unmatched=tuple(name for name in names if name not in seen),
    )


def earlier_id(number: int) -> str:
    """Return the name of a lesion of the earlier study, by its number there."""
    return f"P{number}"


def _clouds(examined: Examined, prefix: str | None = None) -> list[Cloud]:
    labels, affine = examined.labels, examined.study.affine
    cells = _cells(labels)
    return [
        Cloud(
            earlier_id(number) if prefix else lesion.lesion_id,
            world_mm(affine, cells[number]),
            lesion.region,
            lesion.side,
        )
        for number, lesion in enumerate(examined.exam.lesions, start=1)
        if number in cells
    ]


def _cells(labels: LabelVolume) -> dict[int, NDArray[np.intp]]:
    """Return the voxel indices (n, 3) of every number."""
    where = np.argwhere(labels > 0)
    numbers = labels[tuple(where.T)]
    order = np.argsort(numbers, kind="stable")
    found, starts = np.unique(numbers[order], return_index=True)
    parts: Sequence[NDArray[np.intp]] = np.split(where[order], starts[1:]) if found.size else []
    return {int(number): part for number, part in zip(found, parts, strict=True)}


def _is_covered(points_mm: NDArray[np.float64], study: Study) -> bool:
    """Tell whether most of these points lie in the field of view."""
    inverse = np.linalg.inv(study.affine)
    cells = points_mm @ inverse[:3, :3].T + inverse[:3, 3]
    inside = ((cells >= -0.5) & (cells <= np.array(study.pet.shape) - 0.5)).all(axis=1)
    return bool(inside.mean() >= _COVERED_SHARE)


def _with_prior(later: Examined, earlier: Examined) -> Exam:
    before = earlier.exam
    kind = "PSMA PET/CT" if before.tracer is None or before.tracer.facts.targets_psma else "PET/CT"
    prior = Prior(
        date=earlier.study.date,
        modality=kind,
        tracer=before.tracer,
        segmentation_rule=earlier.segmentation_rule,
        lesions=[_prior_lesion(number, one) for number, one in enumerate(before.lesions, start=1)],
        psma_vol_ml=before.psma_vol_ml,
    )
    technique = later.exam.technique.model_copy(update={"segmentation_rule": later.segmentation_rule})
    return later.exam.model_copy(update={"prior": prior, "technique": technique})


def _prior_lesion(number: int, one: Lesion) -> PriorLesion:
    return PriorLesion(
        lesion_id=earlier_id(number),
        region=one.region,
        side=one.side,
        suvmax=one.suvmax,
        volume_ml=one.volume_ml,
        size_mm=one.size_mm,
    )
