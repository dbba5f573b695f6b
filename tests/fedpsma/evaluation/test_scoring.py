"""Scores of made-up patients whose answers are known by construction."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fedpsma.analysis import AnalysisOptions, describe
from fedpsma.domain.anatomy import anatomy_number
from fedpsma.domain.assessment import MiTnm
from fedpsma.domain.exam import Clinical
from fedpsma.domain.region import Region
from fedpsma.errors import InputError
from fedpsma.evaluation.scoring import score_analysis, score_mask
from fedpsma.evaluation.truth import StudyTruth
from fedpsma.lesions.candidates import CandidateOptions
from fedpsma.phantom.truth import FocusTruth

POINT = {"volume_ml": 1.0, "mask_ml": 0.0, "suvmax_drawn": 5.0, "suvmax": 5.0, "ct_class": "none", "ct_correlate": None}


def focus(number, kind, region, centre, *, suspicious=False, contoured=False):
    return FocusTruth(
        id=number, kind=kind, suspicious=suspicious, contoured=contoured, region=region, side="R", anatomy="rib",
        centre_mm=centre, category_hint="4", category_read="4", **POINT,
    )  # fmt: skip


@pytest.fixture
def patient(ball, make_patient):
    """Two lesions (a rib and a node taken for a rib), a ureter focus and something in soft tissue."""
    return make_patient(
        [
            ball((60, 0, 40), 10, 12.0, anatomy="rib", lesion=1),
            ball((-60, 0, 40), 10, 9.0, anatomy="rib", lesion=2),
            ball((60, 0, -60), 8, 15.0, probability=0.9),
            ball((-60, 0, -60), 8, 6.0, probability=0.5),
        ],
        spacing_mm=(3, 3, 3),
    )


TRUTH = StudyTruth(
    foci=(
        focus(1, "lesion", Region.BONE_RIB, (60, 0, 40), suspicious=True, contoured=True),
        focus(2, "lesion", Region.LN_AXILLARY, (-60, 0, 40), suspicious=True, contoured=True),
        focus(3, "ureter", Region.PHYSIOLOGIC, (60, 0, -60)),
    )
)


def scored(patient, truth=TRUTH, **options):
    found = describe(
        patient.study, patient.prediction, AnalysisOptions(candidates=CandidateOptions(contour="pct50"), **options)
    )
    return score_analysis(patient.study, found, truth, dataset="made up", contour="pct50")


def test_lesions_are_found_with_region_side_and_volume(patient):
    rib, node = scored(patient).lesions
    assert (rib.number, node.number) == (1, 2)
    assert rib.found_at["overlap"] == rib.found_at["suvmax"] == rib.found_at["iou"] > 0.7
    assert (rib.label, rib.region, rib.true_region) == ("malignant", "BONE_RIB", "BONE_RIB")
    assert (node.region, node.true_region) == ("BONE_RIB", "LN_AXILLARY")
    assert (rib.side, rib.true_side) == ("R", "R")
    assert (node.side, node.true_side) == ("L", "R")
    assert rib.found_ml == pytest.approx(rib.volume_ml, rel=0.1)


def test_a_false_positive_has_the_name_of_what_explains_it(patient):
    with_map = dataclasses.replace(patient.study, anatomy=patient.prediction.anatomy)
    study = scored(dataclasses.replace(patient, study=with_map))
    origins = {one.origin for one in study.foci if not one.is_lesion}
    assert origins == {"ureter", "soft_tissue"}
    assert study.benign == {"ureter": 1}
    nothing_known = scored(patient, StudyTruth())
    assert {one.origin for one in nothing_known.foci} == {None}
    assert nothing_known.benign is None


def test_a_focus_on_a_lesion_that_the_site_does_not_contour_is_neither_right_nor_wrong(patient):
    faint = focus(4, "lesion", Region.OTHER_SOFT_TISSUE, (-60, 0, -60), suspicious=True)
    whole = scored(patient)
    without = scored(patient, dataclasses.replace(TRUTH, foci=(*TRUTH.foci, faint)))
    assert without.uncontoured == 1
    assert len(without.foci) == len(whole.foci) - 1


def test_a_physiological_site_is_no_detection_but_a_wrong_region(patient):
    anatomy = patient.prediction.anatomy.copy()
    anatomy[patient.study.lesions == 1] = anatomy_number("bladder")
    lesion = scored(
        dataclasses.replace(patient, prediction=dataclasses.replace(patient.prediction, anatomy=anatomy))
    ).lesions[0]
    assert lesion.found_at == {"overlap": None, "suvmax": None, "iou": None}
    assert (lesion.label, lesion.region, lesion.found_ml) == ("physiological", "PHYSIOLOGIC", None)


def test_the_true_region_comes_from_the_map_where_no_record_says_it(patient):
    anatomy = patient.prediction.anatomy.copy()
    anatomy[patient.study.lesions == 2] = anatomy_number("axillary")
    study = scored(
        dataclasses.replace(patient, study=dataclasses.replace(patient.study, anatomy=anatomy)), StudyTruth()
    )
    assert [one.true_region for one in study.lesions] == ["BONE_RIB", "LN_AXILLARY"]
    assert [one.true_region for one in scored(patient, StudyTruth()).lesions] == [None, None]


def test_the_stage_is_that_of_the_rules_in_the_true_context(patient, ball, make_patient):
    """After removal of the prostate a focus at its place is a recurrence; the record says so, the images cannot."""
    liver = ball((60, 0, 60), 40, 4.0, probability=0.0, anatomy="liver")
    local = make_patient([ball((0, 0, -60), 10, 20.0, anatomy="prostate", lesion=1), liver])
    truth = StudyTruth(
        clinical=Clinical(prostate_status="removed"), stage=MiTnm(T="Tr", N="N0", M=["M0"]), stage_by_rules=None
    )
    stage = scored(local, truth, prostate_status="removed").stage
    assert stage.found == stage.true
    assert scored(patient, StudyTruth()).stage is None


def test_a_mask_without_a_model_has_no_opinion(patient):
    study = score_mask(patient.study, patient.study.lesions == 1, TRUTH, dataset="made up")
    assert (study.judged, study.dice < 1.0, study.false_positive_ml) == (False, True, 0.0)
    assert [one.found_at["overlap"] for one in study.lesions] == [1.0, None]
    assert [one.region for one in study.lesions] == [None, None]
    assert len(study.foci) == 1
    perfect = score_mask(patient.study, patient.study.lesions > 0, TRUTH, dataset="made up", has_pet=False)
    assert (perfect.dice, perfect.false_negative_ml, perfect.rules) == (1.0, 0.0, ("overlap", "iou"))


def test_an_empty_mask_has_no_dice_and_every_focus_is_false(patient):
    healthy = dataclasses.replace(patient.study, lesions=np.zeros_like(patient.study.lesions))
    study = scored(dataclasses.replace(patient, study=healthy), StudyTruth())
    assert (study.dice, study.false_negative_ml, study.lesions) == (None, None, ())
    assert study.false_positive_ml > 0
    assert not any(one.is_lesion for one in study.foci)


def test_a_study_without_a_mask_is_refused_by_name(patient):
    with pytest.raises(InputError, match="study made-up-1: has no lesion mask"):
        scored(dataclasses.replace(patient, study=dataclasses.replace(patient.study, lesions=None)))
