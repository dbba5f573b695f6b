"""Candidates without a network: every maximum of the scan with its outline, physiological or not.

The rival that a trained network has to beat, and what is left where there is none. Nothing tells tumour from bladder
here, so that hundreds of candidates a scan are the rule.
"""

from __future__ import annotations

from dataclasses import dataclass

from fedpsma.domain.contour import ContourConvention, contour_rules
from fedpsma.domain.study import Study
from fedpsma.lesions.contours import OrganUptake, outline
from fedpsma.lesions.foci import Focus, FocusOptions, find_maxima
from fedpsma.lesions.geometry import Mask


@dataclass(frozen=True)
class ClassicalCandidate:
    """One maximum of the PET with its outline, a mask inside ``focus.box`` that is never empty."""

    focus: Focus
    outline: Mask


def classical_candidates(
    study: Study,
    contour: ContourConvention = "pct45",
    options: FocusOptions | None = None,
    *,
    liver: OrganUptake | None = None,
    bone: Mask | None = None,
) -> tuple[ClassicalCandidate, ...]:
    """Return what stands out anywhere in the scan, hottest first; touching lesions are parted at their saddle.

    A maximum to which the convention gives no extent (below SUV 3 by "suv3") is no candidate.

    Args:
        study: The scan; only its PET is read.
        contour: How the edge is drawn.
        options: How maxima are found; what it says of suspected voxels does not matter here.
        liver: Needed by the convention "liver", which without it outlines bone alone.
        bone: Where bone is (x, y, z), for the convention "liver", which has another threshold there; without it every
            maximum counts as soft tissue.

    Raises:
        ValueError: The convention is "manual", which has no threshold.
    """
    rule = contour_rules()[contour]
    if rule.kind == "adaptive":
        raise ValueError(f"the contour convention {contour!r} has no threshold of its own")
    found = []
    for focus in find_maxima(study, options):
        in_bone = bone is not None and bool(bone[focus.peak])
        mask = outline(focus, rule, study.pet, in_bone=in_bone, liver=liver)
        if mask.any():
            found.append(ClassicalCandidate(focus, mask))
    return tuple(sorted(found, key=lambda one: (-one.focus.suvmax, one.focus.peak)))
