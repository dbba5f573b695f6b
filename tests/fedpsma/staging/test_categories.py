"""PSMA-RADS proposals: each branch of the assignment, and what overrides it."""

from __future__ import annotations

import pytest
from staging_exams import SCLEROTIC, clinical, codes, exam, flagged, lesion, prior, was

from fedpsma.staging import StagingOptions, assess
from fedpsma.staging.psma_rads import overall_category

NONE, LOW, INTENSE = 1.0, 3.0, 9.0


@pytest.mark.parametrize(
    ("region", "side", "suvmax", "text", "expected"),
    [
        ("BONE_FEMUR", "L", NONE, SCLEROTIC, "3D"),
        ("BONE_FEMUR", "L", NONE, "no CT correlate", "1"),
        ("LIVER", "R", LOW, "hypodense lesion", "3D"),
        ("LIVER", "R", LOW, "no CT correlate", "2"),
        ("BONE_LSPINE", "M", LOW, "degenerative, osteophytes", "2"),
        ("BONE_LSPINE", "M", LOW, SCLEROTIC, "3B"),
        ("BONE_RIB", "L", LOW, "healing rib fracture with callus", "2"),
        ("LN_OBTURATOR", "L", LOW, None, "3A"),
        ("LN_COMMON_ILIAC", "L", LOW, None, "3A"),
        ("LN_RETROPERITONEAL", "M", LOW, None, "3A"),
        ("LN_SUPRACLAVICULAR", "L", LOW, None, "3A"),
        ("PROSTATE", "L", LOW, "PI-RADS 5", "3A"),
        ("LN_AXILLARY", "L", LOW, None, "2"),
        ("LN_MEDIASTINAL_HILAR", "R", LOW, "calcified, 13 mm", "2"),
        ("LN_INGUINAL", "R", LOW, "fatty hilum", "2"),
        ("THYROID", "R", LOW, None, "2"),
        ("THYROID", "R", INTENSE, "14 mm nodule", "3C"),
        ("OTHER_SOFT_TISSUE", "R", INTENSE, None, "3C"),
        ("LUNG", "R", INTENSE, "spiculated mass", "3C"),
        ("LUNG", "R", INTENSE, "round nodule 9 mm", "5"),
        ("LIVER", "R", INTENSE, "arterial hyperenhancement and washout, cirrhosis", "3C"),
        ("LIVER", "R", INTENSE, "hypodense lesion", "5"),
        ("LIVER", "R", INTENSE, "haemangioma", "1"),
        ("ADRENAL", "L", INTENSE, "nodule 18 mm, 4 HU", "1"),
        ("OTHER_ORGAN", "L", INTENSE, "renal cell carcinoma", "3C"),
        ("BRAIN", "L", INTENSE, "dural-based meningioma", "1"),
        ("GANGLION", "L", INTENSE, None, "1"),
        ("PHYSIOLOGIC", "L", INTENSE, "distal ureter", "1"),
        ("LN_RETROPERITONEAL", "L", INTENSE, "coeliac ganglion, band-shaped", "1"),
        ("LN_COMMON_ILIAC", "L", INTENSE, "course of the left ureter, no node on CT", "3A"),
        ("LN_COMMON_ILIAC", "L", INTENSE, "tubular, distal ureter", "1"),
        ("BONE_TSPINE", "M", INTENSE, "vertebral haemangioma, coarse trabeculae", "1"),
        ("BONE_TSPINE", "M", INTENSE, "osteophytes, facet arthrosis", "3B"),
        ("BONE_TSPINE", "M", INTENSE, SCLEROTIC, "5"),
        ("BONE_TSPINE", "M", INTENSE, "no CT correlate", "4"),
        ("BONE_TSPINE", "M", INTENSE, None, "4"),
        ("PROSTATE", "L", INTENSE, "no MRI correlate", "4"),
        ("PROSTATE", "L", INTENSE, "concordant PI-RADS 4 lesion", "5"),
        ("PROSTATE_BED", "L", INTENSE, "enhancing soft tissue nodule", "5"),
        ("LN_MEDIASTINAL_HILAR", "R", INTENSE, "calcified, symmetric", "3C"),
        ("BONE_MARROW_DIFFUSE", None, INTENSE, "no focal CT lesion", "4"),
    ],
)
def test_each_branch(region, side, suvmax, text, expected):
    row = lesion("L1", region, side, suvmax, ct_correlate=text, size_mm=6)
    assert assess(exam(row)).psma_rads == {"L1": expected}


@pytest.mark.parametrize(
    ("region", "size", "expected"),
    [
        ("LN_OBTURATOR", 7.9, "4"),
        ("LN_OBTURATOR", 8, "5"),
        ("LN_RETROPERITONEAL", 9.9, "4"),
        ("LN_RETROPERITONEAL", 10, "5"),
        ("LN_INGUINAL", 12, "5"),
        ("LN_OBTURATOR", None, "4"),
    ],
)
def test_node_size_makes_the_ct_finding(region, size, expected):
    assert assess(exam(lesion("L1", region, "L", size_mm=size))).psma_rads == {"L1": expected}


def test_node_size_is_read_from_the_text_where_the_table_has_none():
    row = lesion(
        "L1", "LN_EXTERNAL_ILIAC", "L", size_mm=None, ct_correlate="left external iliac node, 12 mm short axis"
    )
    assert assess(exam(row)).psma_rads == {"L1": "5"}


def test_class_of_the_table_goes_before_the_text():
    row = lesion("L1", "BONE_FEMUR", "L", ct_class="suspicious", ct_correlate="proximal femur")
    assert assess(exam(row)).psma_rads == {"L1": "5"}


@pytest.mark.parametrize(("condition", "expected"), [("sarcoidosis known since 2011", "3C"), ("none", "5")])
def test_intense_hilar_nodes_in_known_sarcoidosis_are_not_counted(condition, expected):
    row = lesion("L1", "LN_MEDIASTINAL_HILAR", "R", size_mm=13)
    assert assess(exam(row, clinical=clinical(prior_therapy=[condition]))).psma_rads == {"L1": expected}


@pytest.mark.parametrize(("arm", "expected"), [("left", "3C"), ("right", "5")])
def test_axillary_node_after_vaccination_of_the_same_side(arm, expected):
    row = lesion("L1", "LN_AXILLARY", "L", size_mm=12)
    context = clinical(history=f"COVID vaccination {arm} arm 10 days ago")
    assert assess(exam(row, clinical=context)).psma_rads == {"L1": expected}


@pytest.mark.parametrize(
    ("tracer", "region", "suvmax", "text", "expected"),
    [
        ("18F-PSMA-1007", "BONE_RIB", 9.9, "no CT correlate", "3B"),
        ("18F-PSMA-1007", "BONE_RIB", 10.0, "no CT correlate", "4"),
        ("18F-PSMA-1007", "BONE_RIB", 9.9, SCLEROTIC, "5"),
        ("18F-PSMA-1007", "LN_OBTURATOR", 9.9, "no CT correlate", "4"),
        ("68Ga-PSMA-11", "BONE_RIB", 9.9, "no CT correlate", "4"),
    ],
)
def test_unspecific_bone_uptake_overrides_on_one_tracer_only(tracer, region, suvmax, text, expected):
    row = lesion("L1", region, "R", suvmax, ct_correlate=text, size_mm=5)
    assert assess(exam(row, tracer=tracer)).psma_rads == {"L1": expected}


def test_solitary_rib_on_another_tracer_is_asked_about_but_counted():
    assessment = assess(exam(lesion("L1", "BONE_RIB", "R", ct_correlate="no CT correlate")))
    assert flagged(assessment, "label_override_suggested") == ["L1"]
    assert assessment.mitnm_string == "miT0 N0 M1b (uni)"


@pytest.mark.parametrize(
    ("biopsy", "expected", "stage"),
    [
        ("metastasis of prostate carcinoma", "3B", "miT0 N0 M1b (uni)"),
        ("benign bone, no malignancy", "1", "miT0 N0 M0"),
        ("pending", "3B", "miT0 N0 M0"),
    ],
)
def test_biopsy_decides(biopsy, expected, stage):
    assessment = assess(exam(lesion("L1", "BONE_RIB", "R", LOW, biopsy=biopsy, ct_correlate="no CT correlate")))
    assert assessment.psma_rads == {"L1": expected}
    assert assessment.mitnm_string == stage
    assert [one.lesion for one in assessment.indeterminate] == (["L1"] if biopsy == "pending" else [])


def test_proven_psma_negative_metastasis_counts_with_its_low_score():
    row = lesion("L1", "LIVER", "R", 3.0, size_mm=25, ct_correlate="hypodense", biopsy="prostate cancer metastasis")
    assessment = assess(exam(row))
    assert assessment.mitnm_string == "miT0 N0 M1c (hep)"
    assert (assessment.expression_highest, assessment.expression_lowest) == (1, 1)
    assert "psma_negative_lesion" in codes(assessment)


def treated_case(suvmax: float, before: float | None, therapies: list[str], **more) -> str | None:
    row = lesion("L1", "BONE_PELVIS", "R", suvmax, ct_correlate=SCLEROTIC)
    context = clinical(prior_therapy=therapies)
    assessment = assess(exam(row, clinical=context, prior=prior(was("P1", "BONE_PELVIS", "R", before)), **more))
    return assessment.psma_rads["L1"]


def test_treated_metastasis_needs_a_prior_uptake_and_a_therapy():
    assert treated_case(1.0, 20.0, ["ADT since 2024"]) == "5T"
    assert treated_case(3.0, 20.0, ["docetaxel"]) == "5T"
    assert treated_case(3.0, None, ["docetaxel"]) == "5T"
    assert treated_case(9.0, 20.0, ["ADT since 2024"]) == "5"
    assert treated_case(3.0, 3.2, ["ADT since 2024"]) == "3B"
    assert treated_case(1.0, 20.0, []) == "3D"
    assert treated_case(1.0, 20.0, ["radical prostatectomy 2016"]) == "3D"
    assert treated_case(1.0, 20.0, ["SBRT right ilium 2024"]) == "5T"
    assert treated_case(1.0, 20.0, ["salvage RT 2018"]) == "3D"


def test_treated_metastasis_by_the_words_of_the_table():
    row = lesion("L1", "BONE_PELVIS", "R", 1.0, ct_correlate="sclerotic, treated metastasis after radiotherapy")
    assert assess(exam(row)).psma_rads == {"L1": "5T"}


def test_local_disease_is_never_5t():
    row = lesion("L1", "PROSTATE", "R", 3.0)
    before = prior(was("P1", "PROSTATE", "R", 20.0))
    record = exam(row, clinical=clinical(current_therapy=["ADT"]), prior=before)
    assert assess(record).psma_rads == {"L1": "3A"}


def test_undetermined_uptake_is_settled_where_all_scores_agree():
    refs = {"blood_pool": 1.6, "liver": 4.5, "parotid": None}
    assessment = assess(exam(lesion("L1", "LN_OBTURATOR", "L", 9.0, size_mm=6), reference_suv=refs))
    assert assessment.expression_bounds == {"L1": (2, 3)}
    assert assessment.psma_rads == {"L1": "4"}


def test_label_decides_an_open_uptake_unless_told_not_to():
    refs = {"blood_pool": 1.6, "liver": None, "parotid": None}
    row = lesion("L1", "LN_OBTURATOR", "L", 18.0, label="malignant")
    record = exam(row, reference_suv=refs)
    assert assess(record).psma_rads == {"L1": "5"}
    assert "missing_reference" in codes(assess(record))
    strict = assess(record, StagingOptions(label_decides=False))
    assert strict.psma_rads == {"L1": None}
    assert strict.mitnm_string == "miT0 N0 M0"


def test_without_suvmax_nothing_is_guessed():
    assessment = assess(exam(lesion("L1", "LN_OBTURATOR", "L", None, suvmean=None, label="malignant")))
    assert assessment.expression == {"L1": None}
    assert assessment.psma_rads == {"L1": None}
    assert "L1" in flagged(assessment, "missing_value")


def test_suvmean_proves_a_lower_bound_where_suvmax_is_missing():
    assessment = assess(exam(lesion("L1", "LN_OBTURATOR", "L", None, suvmean=9.0, size_mm=6)))
    assert assessment.expression == {"L1": None}
    assert assessment.expression_bounds == {"L1": (2, 3)}
    assert assessment.psma_rads == {"L1": "4"}


@pytest.mark.parametrize(
    ("categories", "expected"),
    [
        (["1", "2"], "2"),
        (["2", "5T"], "5T"),
        (["5T", "3C"], "3C"),
        (["3D", "4"], "4"),
        (["4", "5"], "5"),
        ([None], None),
        ([], None),
    ],
)
def test_overall_category(categories, expected):
    assert overall_category(categories) == expected


@pytest.mark.parametrize("category", ["benign", "physiological"])
def test_label_benign_against_a_counted_lesion(category):
    assessment = assess(exam(lesion("L1", "LN_OBTURATOR", "L", label=category, model_prob=0.1)))
    assert {"label_override_suggested", "model_rule_conflict"} <= codes(assessment)


def test_uncertain_probability_is_only_a_flag():
    assessment = assess(exam(lesion("L1", "LN_OBTURATOR", "L", model_prob=0.5)))
    assert assessment.psma_rads == {"L1": "5"}
    assert assessment.indeterminate == []
    assert flagged(assessment, "model_uncertain") == ["L1"]


def test_the_category_of_a_reader_goes_before_the_rules_and_the_trace_says_whose_it_is() -> None:
    row = lesion("L1", "LN_OBTURATOR", "L", INTENSE, ct_correlate="enlarged node 14 mm")
    assert assess(exam(row)).psma_rads == {"L1": "5"}
    found = assess(exam(row | {"reader_category": "3A"}))
    assert found.psma_rads == {"L1": "3A"}
    assert found.psma_rads_overall == "3A"
    assert any("given by the reader" in str(entry.model_dump()) for entry in found.trace)
