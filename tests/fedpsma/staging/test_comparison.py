"""Matching with the prior, change labels, RECIP and PPP."""

from __future__ import annotations

import pytest
from staging_exams import SCLEROTIC, codes, exam, flagged, lesion, prior, was

from fedpsma.staging import assess
from fedpsma.staging.changes import change_label


def change(*rows, before, **more):
    return assess(exam(*rows, prior=before, **more))


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (10.0, 13.0, "increased"),
        (10.0, 12.99, "stable"),
        (10.0, 7.0, "decreased"),
        (10.0, 7.01, "stable"),
        (0.1, 0.13, "increased"),
        (14.7, 15.9, "stable"),
    ],
)
def test_thirty_percent_belongs_to_the_change(before, now, expected):
    assert change_label(before, now) == expected


def test_labels_from_a_table():
    rows = [
        lesion("L1", "BONE_PELVIS", "R", 26.0),
        lesion("L2", "LN_OBTURATOR", "L", 6.0),
        lesion("L3", "BONE_LSPINE", "M", 20.0),
        lesion("L4", "BONE_SKULL", "M", 1.0),
        lesion("L5", "LIVER", "R", 20.0),
    ]
    before = prior(
        was("P1", "BONE_PELVIS", "R", 20.0),
        was("P2", "LN_OBTURATOR", "L", 20.0),
        was("P3", "BONE_LSPINE", "M", 19.0),
        was("P4", "BONE_SKULL", "M", 9.0),
        was("P6", "LN_AXILLARY", "L", 9.0),
    )
    assert change(*rows, before=before).prior_change == {
        "L1": "increased",
        "L2": "decreased",
        "L3": "stable",
        "L4": "resolved",
        "L5": "new",
        "P6": "resolved",
    }


def test_without_a_prior_there_are_no_labels():
    assert assess(exam(lesion("L1", "LIVER", "R"))).prior_change == {}


def test_a_prior_without_lesions_and_text_gives_not_applicable():
    before = prior(psma_vol_ml=10.0) | {"lesions": None}
    assert change(lesion("L1", "LIVER", "R"), before=before).prior_change == {"L1": "not_applicable"}


def test_an_empty_prior_table_makes_everything_new():
    assert change(lesion("L1", "LIVER", "R"), before=prior()).prior_change == {"L1": "new"}


def test_missing_value_or_unknown_tracer_is_not_compared():
    row = lesion("L1", "LIVER", "R", None)
    assert change(row, before=prior(was("P1", "LIVER", "R"))).prior_change == {"L1": "persistent_not_comparable"}
    row = lesion("L1", "LIVER", "R")
    assessment = change(row, before=prior(was("P1", "LIVER", "R"), tracer=None))
    assert assessment.prior_change == {"L1": "persistent_not_comparable"}
    assert "missing_value" in codes(assessment)


def test_a_ct_as_prior_cannot_make_a_lesion_new():
    before = {"date": "2024-01-01", "modality": "CT", "tracer": None, "report_text": "Liver lesion segment 7, 20 mm."}
    rows = [lesion("L1", "LIVER", "R"), lesion("L2", "BONE_FEMUR", "L")]
    labels = change(*rows, before=before).prior_change
    assert labels == {"L1": "persistent_not_comparable", "L2": "not_applicable"}


def test_vertebrae_tell_neighbours_apart():
    rows = [
        lesion("L1", "BONE_LSPINE", "M", 20.0, ct_correlate="L3 vertebra, sclerotic"),
        lesion("L2", "BONE_LSPINE", "M", 30.0, ct_correlate="L5 vertebra, sclerotic"),
    ]
    text = "PSMA PET. LWK 3 SUVmax 19,5. Imp: single met L3."
    before = prior(report_text=text) | {"lesions": None}
    assert change(*rows, before=before).prior_change == {"L1": "stable", "L2": "new"}


def test_two_against_two_is_labelled_only_where_every_pairing_agrees():
    rows = [lesion("L1", "LN_OBTURATOR", "L", 5.0), lesion("L2", "LN_OBTURATOR", "L", 6.0)]
    agreed = prior(was("P1", "LN_OBTURATOR", "L", 20.0), was("P2", "LN_OBTURATOR", "L", 25.0))
    assert change(*rows, before=agreed).prior_change == {"L1": "decreased", "L2": "decreased"}
    open_ = prior(was("P1", "LN_OBTURATOR", "L", 20.0), was("P2", "LN_OBTURATOR", "L", 6.0))
    assessment = change(*rows, before=open_)
    assert assessment.prior_change == {"L1": "match_uncertain", "L2": "match_uncertain"}
    assert flagged(assessment, "match_uncertain") == ["L1", "L2"]


def test_more_candidates_than_lesions_is_uncertain():
    before = prior(was("P1", "LN_OBTURATOR", "L", 20.0), was("P2", "LN_OBTURATOR", "L", 21.0))
    assert change(lesion("L1", "LN_OBTURATOR", "L"), before=before).prior_change == {"L1": "match_uncertain"}


def test_side_of_the_prior_against_the_table():
    before = prior(was("P1", "LN_EXTERNAL_ILIAC", "L", 20.0))
    assessment = change(lesion("L1", "LN_EXTERNAL_ILIAC", "R", 21.0), before=before)
    assert assessment.prior_change["L1"] == "match_uncertain"
    assert flagged(assessment, "prior_laterality_conflict") == ["L1"]


def test_other_side_is_new_where_the_first_side_is_still_there():
    rows = [lesion("L1", "LN_EXTERNAL_ILIAC", "L", 20.0), lesion("L2", "LN_EXTERNAL_ILIAC", "R", 20.0)]
    before = prior(was("P1", "LN_EXTERNAL_ILIAC", "L", 20.0))
    assessment = change(*rows, before=before)
    assert assessment.prior_change == {"L1": "stable", "L2": "new"}
    assert "prior_laterality_conflict" not in codes(assessment)


def test_side_that_contradicts_itself_inside_the_report():
    text = "Left external iliac node 9 mm, SUVmax 8.1. Bones normal.\nImpression: right external iliac node metastasis."
    before = prior(report_text=text) | {"lesions": None}
    assessment = change(lesion("L1", "LN_EXTERNAL_ILIAC", "L", 8.4), before=before)
    assert assessment.prior_change == {"L1": "match_uncertain"}
    assert flagged(assessment, "prior_laterality_conflict") == ["L1"]


def test_tracer_of_the_prior_is_read_from_its_text():
    text = "68Ga-PSMA-11 PET/CT. Right ilium SUVmax 20.0."
    before = prior(report_text=text, tracer=None) | {"lesions": None}
    assert change(lesion("L1", "BONE_PELVIS", "R", 30.0), before=before).prior_change == {"L1": "increased"}


def test_text_that_says_nothing_leaves_the_match_open():
    before = prior(report_text="See the PDF.") | {"lesions": None}
    assessment = change(lesion("L1", "BONE_PELVIS", "R"), before=before)
    assert assessment.prior_change == {"L1": "match_uncertain"}


def test_volume_and_suv_that_disagree_are_flagged_and_the_suv_label_stays():
    rows = [lesion("L1", "LIVER", "R", 10.0, volume_ml=20.0)]
    assessment = change(*rows, before=prior(was("P1", "LIVER", "R", 20.0, volume_ml=10.0)))
    assert assessment.prior_change == {"L1": "decreased"}
    assert flagged(assessment, "response_discordance") == ["L1"]


def recip(now, before, *rows, prior_rows=(), **more):
    return assess(exam(*rows, psma_vol_ml=now, prior=prior(*prior_rows, psma_vol_ml=before), **more))


OLD = lesion("L1", "BONE_PELVIS", "R", ct_correlate=SCLEROTIC)
WAS = was("P1", "BONE_PELVIS", "R")


def test_benign_and_indeterminate_findings_are_no_new_lesions_but_asked_about():
    rib = lesion("L2", "BONE_RIB", "L", 3.0, ct_correlate="no CT correlate")
    assessment = recip(150.0, 100.0, OLD, rib, prior_rows=[WAS])
    assert assessment.recip == "SD"
    assert assessment.recip_inputs.new_lesions is False
    asked = [flag for flag in assessment.flags if flag.code == "response_discordance" and flag.lesions == ["L2"]]
    assert "RECIP PD" in asked[0].message


def test_no_baseline_volume_is_not_computable():
    assessment = recip(10.0, 0.0, OLD, prior_rows=[WAS])
    assert (assessment.recip, assessment.recip_inputs) == (None, None)


def test_missing_volume_gives_no_class():
    assert recip(None, 100.0, OLD, prior_rows=[WAS]).recip is None
    assert recip(100.0, None, OLD, prior_rows=[WAS]).recip is None


def test_contested_lesions_count_as_at_least_one_new():
    rows = [lesion("L1", "LN_OBTURATOR", "L"), lesion("L2", "LN_OBTURATOR", "L")]
    assessment = recip(150.0, 100.0, *rows, prior_rows=[was("P1", "LN_OBTURATOR", "L")])
    assert assessment.recip == "PD"


def test_uncertain_match_that_decides_the_class_is_flagged():
    rows = [lesion("L1", "LN_OBTURATOR", "R")]
    assessment = recip(150.0, 100.0, *rows, prior_rows=[was("P1", "LN_OBTURATOR", "L")])
    assert assessment.recip == "SD"
    assert any("RECIP PD" in flag.message for flag in assessment.flags if flag.code == "match_uncertain")


def test_volumes_alone_decide_only_where_new_lesions_do_not_matter():
    before = prior(psma_vol_ml=100.0) | {"lesions": None}
    assert assess(exam(OLD, psma_vol_ml=100.0, prior=before)).recip == "SD"
    assert assess(exam(OLD, psma_vol_ml=50.0, prior=before)).recip is None


def test_complete_response_without_rows_needs_a_volume_of_zero():
    assert recip(0.0, 100.0, prior_rows=[WAS]).recip == "CR"
    assert recip(0.0, 100.0, prior_rows=[WAS]).recip_inputs.delta_pct == -100.0
    assert recip(None, 100.0, prior_rows=[WAS]).recip is None


def test_ppp_is_never_given_as_a_class():
    rows = [OLD, lesion("L2", "BONE_FEMUR", "L"), lesion("L3", "LIVER", "R")]
    assessment = recip(200.0, 100.0, *rows, prior_rows=[was("P1", "BONE_PELVIS", "R", 10.0)])
    entry = next(entry for entry in assessment.trace if entry.rule == "ppp")
    assert entry.result == [
        "PPP criterion 1 imaging part met, clinical confirmation needed",
        "PPP criterion 3 imaging part met, clinical confirmation needed",
    ]
    assert "PPP-PD" not in assessment.model_dump_json()
