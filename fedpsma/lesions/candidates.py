"""From a study and the network's maps to candidate lesions, each with outline, suspicion and region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from fedpsma.domain.contour import ContourConvention, contour_rules
from fedpsma.domain.region import Region
from fedpsma.domain.study import LabelVolume, Study, VoxelPrediction
from fedpsma.lesions.contours import OrganUptake, outline
from fedpsma.lesions.foci import Focus, FocusOptions, find_foci
from fedpsma.lesions.geometry import Mask
from fedpsma.lesions.locate import hot_core, place


@dataclass(frozen=True)
class CandidateOptions:
    """How candidates are found and outlined; ``liver`` is needed by the contour convention "liver" alone."""

    contour: ContourConvention = "pct45"
    focus: FocusOptions = field(default_factory=FocusOptions)


@dataclass(frozen=True)
class Candidate:
    """One focus with its outline (a mask inside ``focus.box``; empty where the convention gives no extent)."""

    focus: Focus
    outline: Mask
    suspicion: float
    region: Region


def find_candidates(
    study: Study,
    prediction: VoxelPrediction,
    options: CandidateOptions | None = None,
    liver: OrganUptake | None = None,
) -> tuple[Candidate, ...]:
    """Return the candidates of a study, most suspicious first, the hotter one first where equal.

    ``liver`` is what the contour convention "liver" measures soft tissue against; the other conventions ignore it.
    """
    options = options or CandidateOptions()
    rule = contour_rules()[options.contour]
    found = []
    for focus in find_foci(study, prediction, options.focus):
        where = place(focus, study, prediction)
        mask = outline(focus, rule, study.pet, prediction.suspicious, in_bone=where.region.is_bone, liver=liver)
        found.append(Candidate(focus, mask, where.suspicion, where.region))
    return tuple(sorted(found, key=lambda one: (-one.suspicion, -one.focus.suvmax, one.focus.peak)))


def paint(candidates: Sequence[Candidate], study: Study) -> LabelVolume:
    """Return a volume (x, y, z) that numbers the candidates from 1 in their order.

    A candidate whose outline is empty is painted with its hot core, so that it can be found in the picture.
    """
    labels = np.zeros(study.pet.shape, dtype=np.int32)
    for number, one in enumerate(candidates, start=1):
        mask = one.outline if one.outline.any() else hot_core(one.focus, study.pet)
        labels[one.focus.box][mask] = number
    return labels


def segment(candidates: Sequence[Candidate], study: Study) -> Mask:
    """Return the mask (x, y, z) of all outlines; a candidate without extent adds nothing."""
    mask = np.zeros(study.pet.shape, dtype=bool)
    for one in candidates:
        mask[one.focus.box] |= one.outline
    return mask
