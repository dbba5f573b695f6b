"""From a study and the network's maps to candidate lesions, each with outline, suspicion and region."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from fedpsma.domain.contour import ContourConvention, ContourRule, contour_rules
from fedpsma.domain.region import Region
from fedpsma.domain.study import LabelVolume, Study, VoxelPrediction
from fedpsma.lesions.contours import outline
from fedpsma.lesions.edges import EdgeOptions, adaptive_outlines
from fedpsma.lesions.facts import facts_of
from fedpsma.lesions.foci import Focus, FocusOptions, find_foci
from fedpsma.lesions.geometry import Mask
from fedpsma.lesions.judge import PHYSIOLOGICAL, Judge, Judgement, judge_focus
from fedpsma.lesions.locate import hot_core, place
from fedpsma.lesions.references import References, measure_references

_SUSPECTED_FROM = 0.5
_OUTLINED_FROM = 0.1


@dataclass(frozen=True)
class CandidateOptions:
    """How candidates are found, outlined and judged; without a ``judge`` the network's pooled suspicion stands."""

    contour: ContourConvention = "pct45"
    focus: FocusOptions = field(default_factory=FocusOptions)
    judge: Judge | None = None


@dataclass(frozen=True)
class Candidate:
    """One focus with its outline (a mask inside ``focus.box``; empty where the convention gives no extent).

    ``suspicion`` is the judge's probability, or without a judge the network's pooled one, which is not calibrated.
    """

    focus: Focus
    outline: Mask
    suspicion: float
    region: Region
    judgement: Judgement | None = None


def find_candidates(
    study: Study,
    prediction: VoxelPrediction,
    options: CandidateOptions | None = None,
    references: References | None = None,
) -> tuple[Candidate, ...]:
    """Return the candidates of a study, most suspicious first, the hotter one first where equal.

    ``references`` are measured here where they are not given.
    """
    options = options or CandidateOptions()
    references = references or measure_references(study, prediction)
    foci = find_foci(study, prediction, options.focus)
    judged = [_judged(focus, study, prediction, options.judge, references) for focus in foci]
    masks = _outlines(judged, study, contour_rules()[options.contour], references)
    found = [replace(one, outline=mask) for one, mask in zip(judged, masks, strict=True)]
    return tuple(sorted(found, key=lambda one: (-one.suspicion, -one.focus.suvmax, one.focus.peak)))


def _judged(
    focus: Focus, study: Study, prediction: VoxelPrediction, judge: Judge | None, references: References
) -> Candidate:
    """Locate and judge a focus; its outline is still empty."""
    where, empty = place(focus, study, prediction), np.zeros_like(focus.basin)
    if judge is None:
        return Candidate(focus, empty, where.suspicion, where.region)
    judgement = judge_focus(judge, facts_of(focus, where, study, prediction, references))
    # What is not called normal uptake does not lie in an organ of normal uptake, but beside it.
    region = where.region if judgement.verdict == PHYSIOLOGICAL else where.tumour_region
    return Candidate(focus, empty, judgement.probability, region, judgement)


def _outlines(
    candidates: Sequence[Candidate], study: Study, rule: ContourRule, references: References
) -> Iterator[Mask]:
    """Outline every focus; where the rule is adaptive, the foci of one tumour together.

    An adaptive outline takes time, so that foci of next to no suspicion stay without one.
    """
    if rule.kind != "adaptive":
        for one in candidates:
            yield outline(one.focus, rule, study.pet, in_bone=one.region.is_bone, liver=references.liver)
        return
    wanted = [one for one in candidates if _is_outlined(one)]
    suspected = [one.suspicion >= _SUSPECTED_FROM for one in wanted]
    options = EdgeOptions(contrast=rule.value)
    found = iter(adaptive_outlines([one.focus for one in wanted], study.pet, study.spacing_mm, suspected, options))
    for one in candidates:
        yield next(found) if _is_outlined(one) else one.outline


def _is_outlined(one: Candidate) -> bool:
    judged = one.judgement is not None and one.judgement.verdict != PHYSIOLOGICAL
    return judged or one.suspicion >= _OUTLINED_FROM


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
