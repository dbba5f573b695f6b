"""From an analysed study to its scores; and from somebody else's mask, where there is no model to ask."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np

from fedpsma.analysis import Analysis, label_of, region_of
from fedpsma.domain.contour import ContourConvention
from fedpsma.domain.region import Region, Side
from fedpsma.domain.study import Study, VoxelPrediction
from fedpsma.evaluation.detection import HIT_RULES, HitRule
from fedpsma.evaluation.matching import Foci, Match, components, match, require_mask
from fedpsma.evaluation.records import FocusScore, LesionScore, StageScore, StudyScores
from fedpsma.evaluation.segmentation import segmentation_scores
from fedpsma.evaluation.truth import StudyTruth
from fedpsma.lesions.candidates import Candidate, paint, segment
from fedpsma.lesions.geometry import Mask
from fedpsma.lesions.judge import MALIGNANT
from fedpsma.lesions.locate import place
from fedpsma.staging import assess


def score_analysis(
    study: Study, analysis: Analysis, truth: StudyTruth, *, dataset: str, contour: ContourConvention
) -> StudyScores:
    """Score what an analysis made of a study.

    A focus at a physiological site is no detection. One on a true lesion that the site does not contour is neither
    right nor wrong and is left out.

    Args:
        study: The study with its lesion mask.
        analysis: The analysis of this study.
        truth: What else is known of it.
        dataset: Name of the data set.
        contour: The convention that outlines the foci.

    Raises:
        InputError: The study has no lesion mask.
    """
    foci = _foci(study, analysis)
    found = match(study, foci, truth, HIT_RULES)
    called = [one for one, counts in zip(analysis.candidates, foci.called, strict=True) if counts]
    bare = _score(study, segment(called, study), found, truth, dataset)
    regions = _true_regions(study, analysis, truth, found)
    rows = zip(bare.foci, np.flatnonzero(found.kept).tolist(), strict=True)
    return bare.model_copy(
        update={
            "contour": contour,
            "judged": True,
            "foci": tuple(_with_opinion(row, at, analysis, regions) for row, at in rows),
            "lesions": tuple(
                _with_place(row, analysis, truth, found.best_at(at), regions) for at, row in enumerate(bare.lesions)
            ),
            "stage": _stage(analysis, truth),
        }
    )


def score_mask(study: Study, predicted: Mask, truth: StudyTruth, *, dataset: str, has_pet: bool = True) -> StudyScores:
    """Score a predicted mask (x, y, z): each of its 18-connected components is a focus of probability one.

    Without a PET (``has_pet`` false: the study's PET is a stand-in) the rule of the hottest voxel is left out.

    Raises:
        InputError: The study has no lesion mask.
    """
    rules: tuple[HitRule, ...] = HIT_RULES if has_pet else ("overlap", "iou")
    found = match(study, components(predicted, study.voxel_ml), truth, rules)
    return _score(study, predicted, found, truth, dataset)


def _score(study: Study, predicted: Mask, found: Match, truth: StudyTruth, dataset: str) -> StudyScores:
    """Return what voxels and overlap alone tell."""
    true = require_mask(study) > 0
    voxels = segmentation_scores(true, predicted, study.voxel_ml)
    return StudyScores(
        dataset=dataset,
        study_id=study.study_id,
        patient_id=study.patient_id,
        tracer=study.tracer,
        contour=None,
        dice=_known(voxels.dice),
        false_positive_ml=float(voxels.false_positive_ml),
        false_negative_ml=_known(voxels.false_negative_ml),
        true_ml=float(np.count_nonzero(true) * study.voxel_ml),
        found_ml=float(np.count_nonzero(predicted) * study.voxel_ml),
        rules=tuple(found.hits),
        judged=False,
        foci=tuple(_focus(found, int(at)) for at in np.flatnonzero(found.kept)),
        lesions=tuple(_lesion(found, at) for at in range(found.numbers.size)),
        benign=None if truth.foci is None else dict(Counter(one.kind for one in truth.foci if not one.suspicious)),
        uncontoured=int(np.count_nonzero(~found.kept)),
    )


def _focus(found: Match, at: int) -> FocusScore:
    return FocusScore(
        probability=float(found.foci.probability[at]),
        label=None,
        listed=True,
        candidate=bool(found.foci.candidate[at]),
        hits=found.hits_of(at),
        origin=found.origin[at],
    )


def _lesion(found: Match, at: int) -> LesionScore:
    return LesionScore(
        number=int(found.numbers[at]),
        volume_ml=float(found.lesion_ml[at]),
        found_at=found.found_at(at),
        found_ml=found.found_ml(at),
    )


def _foci(study: Study, analysis: Analysis) -> Foci:
    """Return all foci; what the table calls malignant is what the tumour volume is made of."""
    candidates = analysis.candidates
    elsewhere = np.array([one.region.facts.site != "physiologic" for one in candidates], dtype=bool)
    malignant = np.array([label_of(one, analysis.options) == MALIGNANT for one in candidates], dtype=bool)
    return Foci(
        labels=paint(candidates, study),
        probability=np.array([one.suspicion for one in candidates], dtype=np.float64),
        candidate=elsewhere,
        called=malignant & elsewhere,
        volume_ml=np.array([np.count_nonzero(one.outline) * study.voxel_ml for one in candidates], dtype=np.float64),
    )


def _true_regions(study: Study, analysis: Analysis, truth: StudyTruth, found: Match) -> tuple[Region | None, ...]:
    """Return the true region of each focus: that of the lesion it hits, else by the vote of the data set's map."""
    return tuple(
        _region_of_lesion(truth, found, at) or _region_by_map(study, analysis, one, lesion=found.hits_of(at)["overlap"])
        for at, one in enumerate(analysis.candidates)
    )


def _region_of_lesion(truth: StudyTruth, found: Match, focus: int) -> Region | None:
    known = truth.lesions
    hit = [known[number] for number in found.numbers[found.hits["overlap"][focus]].tolist() if number in known]
    return max(hit, key=lambda one: one.volume_ml).region if hit else None


def _region_by_map(study: Study, analysis: Analysis, one: Candidate, *, lesion: bool) -> Region | None:
    """Return where the data set's map puts a focus; a lesion lies beside an organ of normal uptake, not in it."""
    if study.anatomy is None:
        return None
    maps = VoxelPrediction(analysis.prediction.suspicious, analysis.prediction.physiological, study.anatomy)
    where = place(one.focus, study, maps)
    region = where.tumour_region if lesion else where.region
    return region_of(replace(one, region=region), analysis.options)


def _with_opinion(row: FocusScore, at: int, analysis: Analysis, regions: tuple[Region | None, ...]) -> FocusScore:
    one, options = analysis.candidates[at], analysis.options
    return row.model_copy(
        update={
            "label": label_of(one, options),
            "listed": any(one is other for other in analysis.listed),
            "region": region_of(one, options),
            "true_region": regions[at],
        }
    )


def _with_place(
    row: LesionScore, analysis: Analysis, truth: StudyTruth, best: int | None, regions: tuple[Region | None, ...]
) -> LesionScore:
    known = truth.lesions.get(row.number)
    update: dict[str, object] = {
        "true_region": None if known is None else known.region,
        "true_side": None if known is None else known.side,
    }
    if best is not None:
        one = analysis.candidates[best]
        update["label"] = label_of(one, analysis.options)
        update["region"] = region_of(one, analysis.options)
        update["side"] = _side(one, analysis)
        update["true_region"] = update["true_region"] or regions[best]
    return row.model_copy(update=update)


def _side(one: Candidate, analysis: Analysis) -> Side | None:
    rows = zip(analysis.listed, analysis.exam.lesions, strict=True)
    return next((lesion.side for listed, lesion in rows if listed is one), None)


def _stage(analysis: Analysis, truth: StudyTruth) -> StageScore | None:
    """Stage the analysed exam in the clinical context that the referring physician would give."""
    if truth.stage is None:
        return None
    found = assess(analysis.exam.model_copy(update={"clinical": truth.clinical})).mitnm
    return None if found is None else StageScore(true=truth.stage, found=found, rules=truth.stage_by_rules)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
