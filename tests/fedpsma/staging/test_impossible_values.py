"""Impossible values: flagged, kept as given, and what they leave open is undetermined with its bounds."""

from __future__ import annotations

import pytest
from staging_exams import SCLEROTIC, clinical, codes, exam, flagged, lesion, prior, was

from fedpsma.staging import StagingOptions, assess

OLD = was("P1", "BONE_PELVIS", "R")


def messages(assessment, code="data_error"):
    return " | ".join(flag.message for flag in assessment.flags if flag.code == code)


@pytest.mark.parametrize("field", ["suvmax", "suvmean", "suvpeak", "volume_ml", "size_mm"])
def test_a_negative_value_is_flagged_and_kept(field):
    record = exam(lesion("L1", "LN_OBTURATOR", "L") | {field: -3.0})
    assessment = assess(record)
    assert flagged(assessment, "data_error") == ["L1"]
    assert f"{field} -3 is below zero" in messages(assessment)
    assert getattr(record.lesions[0], field) == -3.0


def test_a_negative_suvmax_leaves_the_score_open():
    assessment = assess(exam(lesion("L1", "LN_OBTURATOR", "L", -3.0, suvmean=None)))
    assert assessment.expression == {"L1": None}
    assert assessment.expression_bounds == {"L1": (0, 3)}
    assert assessment.psma_rads == {"L1": None}
    assert assessment.mitnm_string == "miT0 N0 M0"


def test_suvmax_below_suvmean_leaves_open_which_one_is_right():
    assessment = assess(exam(lesion("L1", "BONE_FEMUR", "L", 4.0, suvmean=5.0)))
    assert assessment.expression == {"L1": None}
    assert assessment.expression_bounds == {"L1": (1, 2)}
    assert "data_error" in codes(assessment)


def test_references_that_contradict_each_other_leave_the_score_open():
    refs = {"blood_pool": 5.0, "liver": 4.0, "parotid": 15.0}
    assessment = assess(exam(lesion("L1", "BONE_FEMUR", "L", 4.5), reference_suv=refs))
    assert assessment.expression_bounds == {"L1": (0, 2)}
    assert "not below" in messages(assessment)


def test_a_negative_reference_is_not_used():
    refs = {"blood_pool": -1.0, "liver": 4.5, "parotid": 15.0}
    assessment = assess(exam(lesion("L1", "BONE_FEMUR", "L", 3.0), reference_suv=refs))
    assert assessment.expression_bounds == {"L1": (0, 1)}
    assert "reference_suv.blood_pool -1 is below zero" in messages(assessment)


def with_volumes(now, before, *, lesion_ml=None, new=False, **more):
    rows = [lesion("L1", "BONE_PELVIS", "R", ct_correlate=SCLEROTIC, volume_ml=lesion_ml)]
    rows += [lesion("L2", "BONE_FEMUR", "L", ct_correlate=SCLEROTIC)] if new else []
    return assess(exam(*rows, psma_vol_ml=now, prior=prior(OLD, psma_vol_ml=before, **more)))


def test_a_volume_smaller_than_its_lesions_leaves_the_class_open_where_it_matters():
    assessment = with_volumes(50.0, 100.0, lesion_ml=90.0)
    assert assessment.recip is None
    assert assessment.recip_inputs.current_ml == 50.0
    entry = next(one for one in assessment.trace if one.rule == "recip")
    assert entry.result == "undetermined: PR or SD"
    assert "smaller than the counted lesions" in messages(assessment)
    assert with_volumes(90.0, 100.0, lesion_ml=105.0).recip == "SD"


@pytest.mark.parametrize(("now", "before"), [(-5.0, 100.0), (5.0, -100.0)])
def test_a_negative_volume_gives_no_class(now, before):
    assessment = with_volumes(now, before)
    assert (assessment.recip, assessment.recip_inputs) == (None, None)
    assert "below zero" in messages(assessment)


def test_negative_values_of_the_prior_table():
    before = prior(was("P1", "BONE_PELVIS", "R", -4.0, volume_ml=-1.0))
    assessment = assess(exam(lesion("L1", "BONE_PELVIS", "R"), prior=before))
    assert assessment.prior_change == {"L1": "persistent_not_comparable"}
    assert "prior P1: suvmax -4 is below zero" in messages(assessment)


def test_a_prostate_lesion_without_a_prostate_leaves_t_open():
    removed = clinical(prostate_status="removed")
    assert "T is undetermined" in messages(assess(exam(lesion("L1", "PROSTATE", "L"), clinical=removed)))


def test_no_lesion_table_in_the_prior_leaves_new_lesions_null():
    before = prior(psma_vol_ml=100.0) | {"lesions": None}
    row = lesion("L1", "BONE_PELVIS", "R")
    stable = assess(exam(row, psma_vol_ml=100.0, prior=before))
    assert (stable.recip, stable.recip_inputs.new_lesions) == ("SD", None)
    open_ = assess(exam(row, psma_vol_ml=150.0, prior=before))
    assert (open_.recip, open_.recip_inputs.delta_pct) == (None, 50.0)
    assert "PD or SD" in messages(open_, "missing_value")


def test_no_baseline_volume_and_a_new_lesion():
    assessment = with_volumes(10.0, 0.0, new=True)
    assert "recip_not_applicable" in codes(assessment)
    assert "recip_not_applicable" not in codes(with_volumes(10.0, 0.0))


@pytest.mark.parametrize(
    ("before", "now"),
    [({"segmentation_rule": "pct41"}, {"segmentation_rule": "suv3"}), ({"not_covered": ["BONE_SKULL"]}, {})],
)
def test_another_segmentation_rule_or_field_of_view_is_not_comparable(before, now):
    row = lesion("L1", "BONE_PELVIS", "R")
    record = exam(row, psma_vol_ml=50.0, prior=prior(OLD, psma_vol_ml=100.0, **before), technique=now)
    assert assess(record).recip is None


def test_outside_the_field_of_view_nothing_is_new_or_resolved():
    rows = [lesion("L1", "BONE_SKULL", "M")]
    before = prior(was("P1", "BONE_FEMUR", "L"), not_covered=["BONE_SKULL"])
    labels = assess(exam(*rows, prior=before, technique={"not_covered": ["BONE_FEMUR"]})).prior_change
    assert labels == {"L1": "not_applicable", "P1": "not_applicable"}


def test_the_stage_is_given_with_its_bounds_where_a_value_leaves_it_open():
    rows = [lesion("L1", "LN_OBTURATOR", "L", -3.0, suvmean=None), lesion("L2", "BONE_FEMUR", "L")]
    assessment = assess(exam(*rows))
    assert assessment.mitnm_string == "miT0 N0 M1b (uni)"
    assert assessment.mitnm_possible == ["miT0 N0 M1b (uni)", "miT0 N1 (OBL) M1b (uni)"]
    entry = next(one for one in assessment.trace if one.rule == "mitnm_possible")
    assert entry.inputs["not counted while their uptake is open"] == ["L1"]
    assert assess(exam(rows[1])).mitnm_possible == []
    benign = rows[0] | {"ct_correlate": "lymphocele"}
    assert assess(exam(benign)).mitnm_possible == []


def test_the_bounds_of_t_where_the_prostate_is_said_to_be_removed():
    removed = clinical(prostate_status="removed")
    row = lesion("L1", "PROSTATE", "L")
    assert assess(exam(row, clinical=removed)).mitnm_possible == ["miT2u N0 M0", "miTr N0 M0"]
    bed = lesion("L2", "PROSTATE_BED", "L")
    assert assess(exam(row, bed, clinical=removed)).mitnm_possible == []


def effects(assessment):
    return {one.inputs["option"]: one.inputs["otherwise"] for one in assessment.trace if one.rule == "option_effect"}


def test_every_policy_that_decides_is_named_with_what_it_would_be_otherwise():
    rib = lesion("L1", "BONE_RIB", "R", 9.5, ct_correlate="no CT correlate")
    found = effects(assess(exam(rib, tracer="18F-PSMA-1007")))
    assert found["unspecific_bone_suvmax"] == "miT0 N0 M1b (uni), PSMA-RADS of L1 4"
    worn = lesion("L1", "BONE_LSPINE", "M", 9.0, ct_correlate="osteophytes")
    assert "M1b (uni)" in effects(assess(exam(worn)))["benign_explanations"]
    assert assess(exam(worn), StagingOptions(benign_explanations=False)).psma_rads == {"L1": "4"}
    marrow = effects(assess(exam(lesion("L1", "BONE_FEMUR", "L")), StagingOptions(diffuse_marrow=True)))
    assert marrow["diffuse_marrow"] == "miT0 N0 M1b (uni)"
    node = lesion("L1", "LN_OBTURATOR", "L", size_mm=7)
    wide = effects(assess(exam(node), StagingOptions(node_short_axis_pelvis_mm=6)))
    assert wide["node_short_axis_pelvis_mm"] == "PSMA-RADS of L1 4"
    assert effects(assess(exam(lesion("L1", "LIVER", "R", 4.5))))["promise"].startswith("miT0 N0 M1c (hep)")


def test_a_changed_band_of_change_is_named():
    record = exam(lesion("L1", "BONE_PELVIS", "R", 25.0), prior=prior(OLD))
    assessment = assess(record, StagingOptions(change_percent=20))
    assert assessment.prior_change == {"L1": "increased"}
    assert effects(assessment)["change_percent"] == "change of L1 stable"


@pytest.mark.parametrize(
    ("suvmax", "size", "text", "expected"),
    [(20.0, 14, None, 5), (20.0, 6, None, 4), (3.0, 6, None, 3), (1.0, 6, "enlarged", 3), (1.0, 6, None, 1)],
)
def test_e_psma_follows_the_category(suvmax, size, text, expected):
    assessment = assess(exam(lesion("L1", "LN_OBTURATOR", "L", suvmax, size_mm=size, ct_correlate=text)))
    assert assessment.e_psma == {"L1": expected}


def test_e_psma_says_that_it_has_no_class_for_a_tumour_without_uptake():
    assessment = assess(exam(lesion("L1", "LN_OBTURATOR", "L", 1.0, ct_correlate="enlarged")))
    entry = next(one for one in assessment.trace if one.rule == "e_psma")
    assert "no class" in entry.inputs["note"]["L1"]


def test_facts_for_a_radioligand_therapy_never_say_eligible():
    rows = [
        lesion("L1", "BONE_FEMUR", "L", 30.0, ct_correlate=SCLEROTIC),
        lesion("L2", "LIVER", "R", 3.0, size_mm=32, ct_correlate="hypodense", biopsy="prostate cancer metastasis"),
    ]
    facts = assess(exam(*rows)).radioligand_facts
    assert facts[0] == "1 of 2 counted metastases with SUVmax above the liver (4.5); not above it: L2"
    assert facts[1] == "SUVmax of the counted metastases 3 (L2) to 30 (L1)"
    assert "L2" in facts[2]
    assert not any("eligible" in fact for fact in facts)
    unknown = assess(exam(rows[0], reference_suv={})).radioligand_facts
    assert unknown == []
    refs = {"blood_pool": 1.6, "liver": None, "parotid": 15.1}
    assert "not measured" in assess(exam(rows[0], reference_suv=refs)).radioligand_facts[0]


def test_tumour_load_that_crosses_the_sink_limit_between_the_scans():
    row = lesion("L1", "BONE_PELVIS", "R", ct_correlate=SCLEROTIC)
    assessment = assess(exam(row, psma_vol_ml=100.0, prior=prior(OLD, psma_vol_ml=1500.0)))
    assert "tumour load" in messages(assessment, "tumour_sink")
    alone = assess(exam(row | {"volume_ml": 1400.0}))
    assert "counted lesions together 1400.0 ml" in messages(alone, "tumour_sink")


def test_sialadenitis_makes_the_parotid_doubtful():
    record = exam(clinical=clinical(history="sialadenitis after radioligand therapy"))
    assert "parotid" in messages(assess(record), "reference_organ_involved")


def test_one_new_lesion_is_ppp_criterion_2():
    rows = [lesion("L1", "BONE_PELVIS", "R"), lesion("L2", "BONE_FEMUR", "L")]
    assert assess(exam(*rows, prior=prior(OLD))).ppp == [
        "PPP criterion 2 imaging part met, clinical confirmation needed"
    ]


def test_growth_in_size_alone_is_ppp_criterion_3():
    row = lesion("L1", "LN_OBTURATOR", "L", size_mm=13)
    before = prior(was("P1", "LN_OBTURATOR", "L", size_mm=10))
    assert assess(exam(row, prior=before)).ppp == ["PPP criterion 3 imaging part met, clinical confirmation needed"]
