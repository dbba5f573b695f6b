from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fedpsma.analysis import AnalysisOptions, describe
from fedpsma.domain.region import Region
from fedpsma.domain.tracer import Tracer
from fedpsma.lesions.candidates import CandidateOptions


@pytest.fixture
def patient(ball, make_patient):
    spine = [ball((0, -60, z), 10, 0.8, probability=0.0, anatomy="lumbar_spine") for z in range(-100, 101, 10)]
    return make_patient(
        [
            *spine,
            ball((60, 20, 0), 10, 12.0, anatomy="rib"),
            ball((-60, 0, 40), 9, 25.0, anatomy="obturator"),
            ball((50, 0, -60), 9, 7.0, probability=0.5, anatomy="pelvic_bone"),
            ball((0, 60, -80), 15, 40.0, anatomy="bladder"),
            ball((-60, 0, -40), 8, 6.0, probability=0.12, anatomy="rib"),
        ],
        spacing_mm=(3, 3, 3),
    )


def test_the_table_a_reader_gets(patient):
    found = describe(patient.study, patient.prediction)
    rows = [(one.lesion_id, one.region, one.side, one.label) for one in found.exam.lesions]
    assert rows == [
        ("L1", Region.LN_OBTURATOR, "L", "malignant"),
        ("L2", Region.BONE_RIB, "R", "malignant"),
        ("L3", Region.BONE_PELVIS, "R", "indeterminate"),
        ("L4", Region.PHYSIOLOGIC, "M", "physiological"),
    ]
    assert found.exam.lesions[0].suvmax == pytest.approx(25.0, abs=0.2)
    assert found.exam.lesions[2].model_prob == pytest.approx(0.45, abs=0.06)
    assert all(one.ct_correlate is None and one.ct_class is None for one in found.exam.lesions)
    assert "no CT" in " ".join(found.notes)


def test_the_label_volume_is_the_table(patient):
    found = describe(patient.study, patient.prediction)
    assert found.lesion_labels.max() == len(found.exam.lesions)
    for number, (lesion, measured) in enumerate(zip(found.exam.lesions, found.quantities, strict=True), start=1):
        where = found.lesion_labels == number
        assert where.sum() * patient.study.voxel_ml == pytest.approx(measured.volume_ml)
        assert patient.study.pet[where].max() == pytest.approx(lesion.suvmax, abs=0.05)


def test_the_tumour_volume_holds_the_malignant_lesions_alone(patient):
    found = describe(patient.study, patient.prediction)
    expected = sum(one.volume_ml for one in found.quantities[:2])
    assert found.tumour.psma_tv_ml == pytest.approx(expected)
    assert found.exam.psma_vol_ml == round(expected, 1)


def test_a_tracer_that_is_not_psma_has_no_psma_volume(patient):
    fdg = describe(dataclasses.replace(patient.study, tracer=Tracer.FDG), patient.prediction)
    assert fdg.exam.psma_vol_ml is None
    assert any("not a PSMA tracer" in note for note in fdg.notes)
    unknown = describe(dataclasses.replace(patient.study, tracer=None), patient.prediction)
    assert unknown.exam.tracer is None
    assert any("tracer unknown" in note for note in unknown.notes)


def test_a_healthy_patient_has_a_volume_of_zero_and_no_lesion(make_patient):
    healthy = make_patient([])
    found = describe(healthy.study, healthy.prediction)
    assert found.exam.lesions == []
    assert found.exam.psma_vol_ml == 0.0
    assert not found.lesion_labels.any()
    assert any("no focus" in note for note in found.notes)


def test_what_a_convention_cannot_outline_is_listed_without_volume(ball, make_patient):
    faint = make_patient([ball((40, 0, 0), 10, 2.4, anatomy="rib")])
    found = describe(faint.study, faint.prediction, AnalysisOptions(candidates=CandidateOptions(contour="suv3")))
    (lesion,) = found.exam.lesions
    assert lesion.suvmax == pytest.approx(2.4, abs=0.1)
    assert lesion.volume_ml is lesion.suvmean is lesion.suvpeak is lesion.size_mm is None
    assert any("no volume by the contour suv3: L1" in note for note in found.notes)
    assert found.exam.psma_vol_ml == 0.0, "below the threshold there is no volume by definition"


@pytest.mark.parametrize("suv", [3.1, 7.3, 10.0, 12.7])
def test_in_an_even_region_the_peak_is_the_maximum(make_patient, ball, suv):
    made = make_patient([ball((0, 0, 0), 30, suv, anatomy="rib")], edge_mm=1e-3)
    (lesion,) = describe(made.study, made.prediction).exam.lesions
    assert lesion.suvpeak == lesion.suvmax == suv


def test_the_liver_convention_says_when_there_is_no_liver(patient):
    options = AnalysisOptions(candidates=CandidateOptions(contour="liver"))
    found = describe(patient.study, patient.prediction, options)
    by_region = {one.region: one for one in found.exam.lesions}
    assert by_region[Region.LN_OBTURATOR].volume_ml is None
    assert by_region[Region.BONE_RIB].volume_ml > 0, "bone is outlined by SUV 3, which needs no liver"
    assert any("liver was not measurable" in note for note in found.notes)
    assert found.exam.psma_vol_ml is None, "the sum of volumes of which one is unknown is unknown"


def test_a_peak_that_is_the_neighbours_is_not_given(ball, make_patient):
    hot = ball((0, 0, 0), 20, 60.0, probability=0.0, anatomy="bladder")
    small = ball((24, 0, 0), 3, 8.0, probability=1.0, anatomy="prostate")
    made = make_patient([hot, small], spacing_mm=(2, 2, 2))
    found = describe(made.study, made.prediction, AnalysisOptions(candidates=CandidateOptions(contour="manual")))
    for lesion, measured in zip(found.exam.lesions, found.quantities, strict=True):
        assert lesion.suvpeak is None or lesion.suvpeak <= lesion.suvmax
        assert (lesion.suvpeak is None) == (measured.suvpeak > measured.suvmax)
    assert any("hotter neighbour" in note for note in found.notes)


@pytest.mark.parametrize(
    ("status", "region"), [("removed", Region.PROSTATE_BED), ("in_situ", Region.PROSTATE), (None, Region.PROSTATE)]
)
def test_without_a_prostate_the_focus_lies_in_its_bed(ball, make_patient, status, region):
    made = make_patient([ball((0, 0, 0), 9, 9.0, anatomy="prostate")])
    exam = describe(made.study, made.prediction, AnalysisOptions(prostate_status=status)).exam
    assert (exam.lesions[0].region, exam.clinical.prostate_status) == (region, status)


def test_the_same_input_gives_the_same_table(patient):
    first, second = (describe(patient.study, patient.prediction) for _ in range(2))
    assert first.exam == second.exam
    assert np.array_equal(first.lesion_labels, second.lesion_labels)


def test_a_node_without_ct_has_no_size(patient):
    """The rules read a node's short axis as a CT finding, and PET alone has none."""
    ct = np.where(patient.study.pet > 5.0, 60.0, -100.0).astype(np.float32)
    with_ct = dataclasses.replace(patient.study, ct=ct)
    node, rib = describe(patient.study, patient.prediction).exam.lesions[:2]
    assert (node.size_mm, node.region) == (None, Region.LN_OBTURATOR)
    assert rib.size_mm is not None
    assert describe(with_ct, patient.prediction).exam.lesions[0].size_mm is not None
    assert any("nodes have no size" in note for note in describe(patient.study, patient.prediction).notes)
    assert not any("nodes have no size" in note for note in describe(with_ct, patient.prediction).notes)
