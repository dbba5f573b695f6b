"""Constellations that are rare and still have to come out right."""

from __future__ import annotations

from staging_exams import clinical, exam, flagged, lesion, prior, stage_of, was

from fedpsma.staging import assess


def errors(assessment):
    return " | ".join(flag.message for flag in assessment.flags if flag.code == "data_error")


def test_bed_and_prostate_after_removal_are_a_recurrence_and_an_error():
    rows = [lesion("L1", "PROSTATE", "L"), lesion("L2", "PROSTATE_BED", "L")]
    removed = clinical(prostate_status="removed")
    assert stage_of(*rows, clinical=removed) == "miTr N0 M0"
    assert flagged(assess(exam(*rows, clinical=removed)), "data_error") == ["L1"]


def test_recurrence_in_an_untreated_prostate_is_an_error():
    assert "local recurrence" in errors(assess(exam(lesion("L1", "PROSTATE", "L", t_extent="Tr"))))


def test_class_of_the_table_against_the_words():
    row = lesion("L1", "BONE_FEMUR", "L", ct_class="suspicious", ct_correlate="no CT correlate")
    assert "reads as none" in errors(assess(exam(row)))


def test_size_from_the_volume_and_size_unknown():
    small = assess(exam(lesion("L1", "BONE_FEMUR", "L", size_mm=None, volume_ml=0.3)))
    large = assess(exam(lesion("L1", "BONE_FEMUR", "L", size_mm=None, volume_ml=0.6)))
    unknown = assess(exam(lesion("L1", "BONE_FEMUR", "L", size_mm=None)))
    assert [one.expression_highest for one in (small, large, unknown)] == [None, 3, None]


def test_uptake_in_words_where_a_value_is_missing_or_equal():
    rib = {"region": "BONE_RIB", "side": "L", "ct_correlate": "no CT correlate"}
    refs = {"blood_pool": 1.6, "liver": 4.5, "parotid": None}
    equal = assess(exam(lesion("L1", suvmax=4.5, **rib), reference_suv=refs)).indeterminate[0]
    assert "equal to liver 4.5" in equal.elements["uptake_level"]
    refs = {"blood_pool": 1.6, "liver": None, "spleen": 11.0, "parotid": 15.0}
    open_ = assess(exam(lesion("L1", suvmax=9.0, **rib), reference_suv=refs | {"spleen": None}, tracer="18F-PSMA-1007"))
    found = open_.indeterminate[0]
    assert "score undetermined, 1 to 2" in found.elements["uptake_level"]
    assert "spleen not measured" in found.elements["uptake_level"]
    blind = assess(exam(lesion("L1", "THYROID", "L", None, suvmean=9.0), reference_suv={"blood_pool": 1, "liver": 4}))
    assert blind.indeterminate[0].elements["uptake_level"] == "SUVmax not provided"


def test_two_lesions_in_the_vertebra_that_the_prior_names_stay_open():
    rows = [
        lesion("L1", "BONE_LSPINE", "M", 20.0, ct_correlate="L3 vertebra, sclerotic"),
        lesion("L2", "BONE_LSPINE", "M", 8.0, ct_correlate="L3 and L4, sclerotic"),
    ]
    before = prior(report_text="PSMA PET. L3 SUVmax 19.5.") | {"lesions": None}
    assert set(assess(exam(*rows, prior=before)).prior_change.values()) == {"match_uncertain"}


def test_hormones_given_to_a_lesion_without_a_counterpart_do_not_make_it_treated():
    record = exam(
        lesion("L1", "BONE_PELVIS", "R", 3.0),
        clinical=clinical(prior_therapy=["ADT since 2024"]),
        prior=prior(was("P1", "BONE_FEMUR", "L")),
    )
    assert assess(record).psma_rads == {"L1": "3B"}


def test_the_named_vertebra_goes_before_a_lesion_without_a_level():
    rows = [
        lesion("L1", "BONE_LSPINE", "M", 20.0, ct_correlate="L3 vertebra, sclerotic"),
        lesion("L2", "BONE_LSPINE", "M", 8.0, ct_correlate="sclerotic"),
    ]
    before = prior(report_text="PSMA PET. L3 SUVmax 19.5.") | {"lesions": None}
    assert assess(exam(*rows, prior=before)).prior_change == {"L1": "stable", "L2": "new"}


def test_a_proven_metastasis_is_neither_doubted_nor_asked_about():
    proven = "metastasis of prostate carcinoma"
    lung = lesion("L1", "LUNG", "R", ct_correlate="spiculated nodule, 18 mm", biopsy=proven)
    rib = lesion("L2", "BONE_RIB", "R", 9.0, ct_correlate="no CT correlate", biopsy=proven)
    assessment = assess(exam(lung, rib))
    assert assessment.psma_rads == {"L1": "5", "L2": "4"}
    assert assessment.mitnm_string == "miT0 N0 M1b (uni) M1c (pul)"
    assert flagged(assessment, "label_override_suggested") == []


def test_the_context_is_told_without_a_grade_where_none_is_known():
    rib = lesion("L1", "BONE_RIB", "R", 3.0, ct_correlate="no CT correlate")
    context = clinical(gleason=None, psa_ng_ml=4.2)
    told = assess(exam(rib, clinical=context)).indeterminate[0].elements["clinical_context"]
    assert told == "PSA 4.2, no other metastasis"
