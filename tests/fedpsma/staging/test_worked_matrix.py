"""The worked rows of the clinical rules: input and expected result, one test a row."""

from __future__ import annotations

import pytest
from staging_exams import (
    ENLARGED,
    SCLEROTIC,
    clinical,
    codes,
    exam,
    flagged,
    lesion,
    prior,
    stage_of,
    was,
)

from fedpsma.staging import StagingOptions, assess

REMOVED = clinical(prostate_status="removed", prior_therapy=["radical prostatectomy 2016"])


def bones(number: int) -> list[dict]:
    places = [
        ("BONE_LSPINE", "M"),
        ("BONE_STERNUM", "M"),
        ("BONE_PELVIS", "L"),
        ("BONE_FEMUR", "R"),
        ("BONE_SKULL", "M"),
    ]
    return [
        lesion(f"B{index}", region, side, ct_correlate=SCLEROTIC)
        for index, (region, side) in enumerate(places[:number], start=1)
    ]


def test_row_01_an_empty_table_after_prostatectomy():
    assessment = assess(exam(clinical=REMOVED))
    assert assessment.mitnm_string == "miT0 N0 M0"
    assert assessment.expression == {}
    assert assessment.expression_highest is None
    assert assessment.primary_score is None
    assert assessment.psma_rads_overall is None


def test_row_02_three_nodes_in_one_region_are_n1():
    nodes = [lesion(f"L{n}", "LN_EXTERNAL_ILIAC", "L", ct_correlate=ENLARGED) for n in (1, 2, 3)]
    assert stage_of(*nodes) == "miT0 N1 (EIL) M0"


def test_row_03_two_regions_are_n2():
    assert stage_of(lesion("L1", "LN_INTERNAL_ILIAC", "L"), lesion("L2", "LN_PRESACRAL", "M")) == "miT0 N2 (IIL, PS) M0"


def test_row_04_sides_count_only_on_request():
    nodes = [lesion("L1", "LN_EXTERNAL_ILIAC", "L"), lesion("L2", "LN_EXTERNAL_ILIAC", "R")]
    assessment = assess(exam(*nodes))
    assert assessment.mitnm_string == "miT0 N1 (EIL, EIR) M0"
    assert stage_of(*nodes, options=StagingOptions(count_sides=True)) == "miT0 N2 (EIL, EIR) M0"
    effect = next(one for one in assessment.policy_effects if one.policy == "count_sides")
    assert (effect.value, effect.other, effect.by_reader) == (False, True, False)
    assert effect.differences[0].otherwise == "miT0 N2 (EIL, EIR) M0"


def test_row_05_common_iliac_is_m1a():
    assert stage_of(lesion("L1", "LN_COMMON_ILIAC", "R")) == "miT0 N0 M1a (CI)"


def test_row_06_inguinal_is_other_extrapelvic():
    assert stage_of(lesion("L1", "LN_INGUINAL", "R", size_mm=12)) == "miT0 N0 M1a (OE)"


@pytest.mark.parametrize(("number", "pattern"), [(1, "uni"), (2, "oligo"), (3, "oligo"), (4, "diss"), (5, "diss")])
def test_row_07_bone_pattern(number, pattern):
    assert stage_of(*bones(number)) == f"miT0 N0 M1b ({pattern})"


def test_row_08_indeterminate_ribs_are_listed_with_their_impact():
    ribs = [
        lesion(name, "BONE_RIB", side, 3.0, ct_correlate="no CT correlate") for name, side in (("R1", "L"), ("R2", "R"))
    ]
    assessment = assess(exam(*bones(3), *ribs))
    assert assessment.mitnm_string == "miT0 N0 M1b (oligo)"
    assert [one.lesion for one in assessment.indeterminate] == ["R1", "R2"]
    assert all("diss" in one.elements["impact"] for one in assessment.indeterminate)


def test_row_09_diffuse_marrow():
    rows = [lesion("L1", "BONE_MARROW_DIFFUSE", None), lesion("L2", "LN_RETROPERITONEAL", "M")]
    assert stage_of(*rows) == "miT0 N0 M1a (RP) M1b (dmi)"


def test_row_10_direct_invasion_is_t4_not_m1c():
    rows = [lesion("L1", "BLADDER_WALL", "M"), lesion("L2", "PROSTATE", "L", t_extent="T3a")]
    assert stage_of(*rows) == "miT4 N0 M0"


def test_row_11_two_foci_in_the_prostate():
    assert stage_of(lesion("L1", "PROSTATE", "R"), lesion("L2", "PROSTATE", "L")) == "miT2m N0 M0"


def test_row_12_local_recurrence():
    assert stage_of(lesion("L1", "PROSTATE_BED", "L"), clinical=REMOVED) == "miTr N0 M0"


def test_row_13_prostate_lesion_after_prostatectomy_is_an_error_and_never_tr():
    assessment = assess(exam(lesion("L1", "PROSTATE", "L"), clinical=REMOVED))
    assert flagged(assessment, "data_error") == ["L1"]
    assert assessment.mitnm.T != "Tr"


def test_row_14_irradiated_prostate():
    irradiated = clinical(prostate_status="irradiated", prior_therapy=["EBRT 2018"])
    assessment = assess(exam(lesion("L1", "PROSTATE", "L"), clinical=irradiated))
    assert assessment.mitnm_string == "miT2u N0 M0"
    assert assessment.primary_score is None
    assert "primary_not_applicable" in codes(assessment)


def test_row_15_equality_with_the_liver_is_score_1():
    assert assess(exam(lesion("L1", "BONE_RIB", "L", 4.5))).expression == {"L1": 1}


def test_row_16_spleen_is_the_reference_of_psma_1007():
    assessment = assess(exam(lesion("L1", "LN_OBTURATOR", "L", 9.8), tracer="18F-PSMA-1007"))
    assert assessment.expression == {"L1": 2}
    assert assessment.expression_reference == "spleen"


def test_row_17_missing_liver_leaves_bounds():
    refs = {"blood_pool": 1.6, "liver": None, "spleen": 7.0, "parotid": None}
    assessment = assess(exam(lesion("L1", "LN_OBTURATOR", "L", 9.8), reference_suv=refs))
    assert assessment.expression == {"L1": None}
    assert assessment.expression_bounds == {"L1": (1, 3)}
    assert set(flagged(assessment, "missing_reference")) == {"L1"}


def test_row_18_no_lesion_large_enough_for_the_range():
    assessment = assess(exam(lesion("L1", "LN_OBTURATOR", "L", size_mm=7)))
    assert (assessment.expression_highest, assessment.expression_lowest) == (None, None)
    assert flagged(assessment, "no_measurable_lesion") == ["L1"]


def test_row_19_contradictory_suv_is_kept_as_given():
    record = exam(lesion("L1", "LN_OBTURATOR", "L", 6.8, suvmean=8.1))
    assessment = assess(record)
    assert flagged(assessment, "data_error") == ["L1"]
    assert "8.1" in assessment.flags[0].message
    assert assessment.expression == {"L1": 2}


def follow_up(before: float, now: float, *, new: bool) -> dict:
    rows = [lesion("L1", "BONE_PELVIS", "R", ct_correlate=SCLEROTIC)]
    if new:
        rows.append(lesion("L2", "BONE_FEMUR", "L", ct_correlate=SCLEROTIC))
    return exam(*rows, psma_vol_ml=now, prior=prior(was("P1", "BONE_PELVIS", "R"), psma_vol_ml=before))


@pytest.mark.parametrize(
    ("row", "before", "now", "new", "expected", "percent"),
    [
        (20, 412.0, 288.4, False, "PR", -30.0),
        (21, 150.0, 180.0, True, "PD", 20.0),
        (22, 245.0, 154.6, True, "SD", -36.9),
        (23, 88.0, 127.6, False, "SD", 45.0),
    ],
)
def test_rows_20_to_23_recip(row, before, now, new, expected, percent):
    assessment = assess(follow_up(before, now, new=new))
    assert assessment.recip == expected
    assert assessment.recip_inputs.delta_pct == percent
    assert assessment.recip_inputs.new_lesions is new
    assert ("response_discordance" in codes(assessment)) is (row in (22, 23))


def test_row_24_all_uptake_gone():
    rows = [
        lesion("L1", "BONE_PELVIS", "R", 1.2, ct_correlate=SCLEROTIC),
        lesion("L2", "BONE_LSPINE", "M", 1.0, ct_correlate=SCLEROTIC),
    ]
    before = prior(was("P1", "BONE_PELVIS", "R"), was("P2", "BONE_LSPINE", "M"), psma_vol_ml=120.0)
    treated = clinical(prostate_status="removed", current_therapy=["177Lu-PSMA-617 x4"])
    assessment = assess(exam(*rows, clinical=treated, psma_vol_ml=0.0, prior=before))
    assert assessment.recip == "CR"
    assert assessment.psma_rads == {"L1": "5T", "L2": "5T"}
    assert assessment.psma_rads_overall == "5T"
    assert assessment.prior_change == {"L1": "resolved", "L2": "resolved"}
    assert assessment.mitnm_string == "miT0 N0 M0"


def test_row_25_another_tracer_is_not_compared():
    before = prior(was("P1", "BONE_PELVIS", "R", 10.0), psma_vol_ml=100.0)
    record = exam(lesion("L1", "BONE_PELVIS", "R", 30.0), tracer="18F-PSMA-1007", psma_vol_ml=50.0, prior=before)
    assessment = assess(record)
    assert assessment.prior_change == {"L1": "persistent_not_comparable"}
    assert "tracer_change" in codes(assessment)
    assert assessment.recip is None
    assert not any("%" in flag.message for flag in assessment.flags)


def test_row_26_unspecific_bone_uptake():
    refs = {"blood_pool": 2.0, "liver": 11.0, "spleen": 5.0, "parotid": 18.0}
    rib = lesion("L1", "BONE_RIB", "R", 6.0, ct_correlate="no CT correlate", label="malignant", model_prob=0.8)
    assessment = assess(exam(rib, tracer="18F-PSMA-1007", reference_suv=refs))
    assert assessment.expression == {"L1": 2}
    assert assessment.psma_rads == {"L1": "3B"}
    assert assessment.mitnm_string == "miT0 N0 M0"
    assert "model_rule_conflict" in codes(assessment)


def test_row_27_psma_negative_liver_lesion():
    liver = lesion("L1", "LIVER", "R", 3.9, size_mm=32, ct_correlate="segment VII, hypodense, ill-defined, 32 mm")
    assessment = assess(exam(liver))
    assert assessment.psma_rads == {"L1": "3D"}
    assert assessment.mitnm_string == "miT0 N0 M0"
    assert flagged(assessment, "psma_negative_lesion") == ["L1"]
    assert flagged(assessment, "reference_organ_involved") == ["L1"]
    message = next(flag.message for flag in assessment.flags if flag.code == "psma_negative_lesion")
    assert "RLT selection" in message
    assert "eligible" not in message


def test_row_28_spiculated_lung_lesion():
    assessment = assess(exam(lesion("L1", "LUNG", "R", ct_correlate="spiculated nodule right upper lobe, 18 mm")))
    assert assessment.psma_rads == {"L1": "3C"}
    assert assessment.mitnm_string == "miT0 N0 M0"
    assert "M1c (pul)" in assessment.indeterminate[0].elements["impact"]


def test_row_29_paget():
    text = "left hemipelvis, cortical thickening and coarse trabeculae, typical of Paget disease"
    row = lesion("L1", "BONE_PELVIS", "L", 8.0, ct_correlate=text, model_prob=0.93, label="malignant")
    assessment = assess(exam(row))
    assert assessment.expression == {"L1": 2}
    assert assessment.psma_rads == {"L1": "1"}
    assert assessment.mitnm_string == "miT0 N0 M0"
    assert {"model_rule_conflict", "label_override_suggested"} <= codes(assessment)


def test_row_30_high_suv_is_legal_and_kept():
    record = exam(lesion("L1", "LN_RETROPERITONEAL", "M", 124.6, ct_correlate="conglomerate"))
    assessment = assess(record)
    assert "data_error" not in codes(assessment)
    assert record.lesions[0].suvmax == 124.6
    entry = next(entry for entry in assessment.trace if entry.rule == "expression_v2")
    assert entry.inputs["suvmax"] == 124.6


def test_worked_example_of_a_whole_stage():
    rows = [
        lesion("L1", "PROSTATE", "R"),
        *[lesion(f"L{n}", "LN_EXTERNAL_ILIAC", "L") for n in (2, 3, 4)],
        lesion("L5", "LN_COMMON_ILIAC", "R"),
        lesion("L6", "BONE_RIB", "R", 3.0, ct_correlate="no CT correlate"),
    ]
    assessment = assess(exam(*rows))
    assert assessment.mitnm_string == "miT2u N1 (EIL) M1a (CI)"
    assert [one.lesion for one in assessment.indeterminate] == ["L6"]
