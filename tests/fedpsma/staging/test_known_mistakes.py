"""Mistakes seen in other tools: one regression test each."""

from __future__ import annotations

import pytest
from staging_exams import SCLEROTIC, exam, lesion, prior, stage_of, was

from fedpsma.staging import assess


def test_response_is_a_whole_body_class_and_not_per_lesion():
    rows = [lesion("L1", "BONE_PELVIS", "R", volume_ml=80.0), lesion("L2", "BONE_FEMUR", "L", volume_ml=1.0)]
    before = prior(
        was("P1", "BONE_PELVIS", "R", volume_ml=100.0), was("P2", "BONE_FEMUR", "L", volume_ml=0.5), psma_vol_ml=100.5
    )
    assert assess(exam(*rows, psma_vol_ml=81.0, prior=before)).recip == "SD"


def test_a_new_lesion_alone_is_not_progression():
    rows = [lesion("L1", "BONE_PELVIS", "R"), lesion("L2", "BONE_FEMUR", "L")]
    before = prior(was("P1", "BONE_PELVIS", "R"), psma_vol_ml=100.0)
    assert assess(exam(*rows, psma_vol_ml=110.0, prior=before)).recip == "SD"


def test_missing_references_are_never_replaced_by_population_values():
    assessment = assess(exam(lesion("L1", "BONE_FEMUR", "L", 3.0), reference_suv={}))
    assert assessment.expression == {"L1": None}
    assert assessment.expression_bounds == {"L1": (0, 3)}
    assert assessment.psma_rads == {"L1": None}


def test_a_region_without_place_in_the_stage_is_not_n1():
    assert stage_of(lesion("L1", "OTHER_SOFT_TISSUE", "L")) == "miT0 N0 M0"
    assert stage_of(lesion("L1", "THYROID", "L")) == "miT0 N0 M0"


def test_n2_exists_and_common_iliac_is_not_pelvic():
    assert stage_of(lesion("L1", "LN_OBTURATOR", "L"), lesion("L2", "LN_MESORECTAL", "M")) == "miT0 N2 (OBL, OP) M0"
    assert stage_of(lesion("L1", "LN_COMMON_ILIAC", "L")) == "miT0 N0 M1a (CI)"


def test_bone_metastases_have_a_pattern():
    assert stage_of(lesion("L1", "BONE_SKULL", "M", ct_correlate=SCLEROTIC)) == "miT0 N0 M1b (uni)"


def test_spleen_is_the_reference_of_psma_1007_only():
    for tracer, organ in (
        ("18F-PSMA-1007", "spleen"),
        ("68Ga-PSMA-11", "liver"),
        ("18F-DCFPyL", "liver"),
        ("18F-rhPSMA-7.3", "liver"),
    ):
        assert assess(exam(tracer=tracer)).expression_reference == organ


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_the_score_is_relative_to_the_references_and_has_no_fixed_limits(factor):
    references = {"blood_pool": 1.6 * factor, "liver": 4.5 * factor, "parotid": 15.1 * factor}
    scores = [
        assess(exam(lesion("L1", "BONE_FEMUR", "L", suv * factor), reference_suv=references)).expression["L1"]
        for suv in (1.0, 2.0, 8.0, 20.0)
    ]
    assert scores == [0, 1, 2, 3]


def test_volumes_are_never_invented():
    before = prior(was("P1", "BONE_PELVIS", "R", volume_ml=10.0))
    assessment = assess(exam(lesion("L1", "BONE_PELVIS", "R", volume_ml=5.0), prior=before))
    assert (assessment.recip, assessment.recip_inputs) == (None, None)


def test_parotid_t3a_and_local_recurrence_exist():
    assert assess(exam(lesion("L1", "BONE_FEMUR", "L", 20.0))).expression == {"L1": 3}
    assert stage_of(lesion("L1", "PROSTATE", "L", t_extent="T3a")) == "miT3a N0 M0"


def test_many_vertebrae_do_not_make_diffuse_marrow_involvement():
    vertebrae = [lesion(f"L{level}", "BONE_TSPINE", "M", ct_correlate=f"T{level}, sclerotic") for level in range(1, 13)]
    assert stage_of(*vertebrae) == "miT0 N0 M1b (diss)"


def test_there_is_a_path_for_indeterminate_lesions():
    assessment = assess(exam(lesion("L1", "LN_OBTURATOR", "L", 3.0)))
    assert assessment.indeterminate[0].psma_rads == "3A"


def test_a_rationale_says_the_numbers_of_the_table():
    row = lesion("L1", "BONE_FEMUR", "L", 5.84)
    assessment = assess(exam(row, reference_suv={"blood_pool": 2.71, "liver": 9.0, "spleen": 12.72, "parotid": 13.53}))
    (found,) = assessment.indeterminate
    assert found.elements["uptake_level"].startswith("SUVmax 5.84, above blood pool 2.71 and below liver 9.0")
