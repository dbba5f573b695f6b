"""The four exams beside the checkout, each with its expected assessment."""

from __future__ import annotations

import json

import pytest

from fedpsma.domain.assessment import Assessment
from fedpsma.io.exam_file import parse_exam
from fedpsma.staging import assess

NAMES = ["injected_prior_text", "recip_pr_boundary", "solitary_rib_psma1007", "three_nodes_one_region"]
FIELDS = [
    "mitnm",
    "mitnm_string",
    "primary_score",
    "psma_rads",
    "psma_rads_overall",
    "expression",
    "expression_highest",
    "expression_lowest",
    "expression_reference",
    "recip",
    "recip_inputs",
    "prior_change",
]


@pytest.mark.shared
@pytest.mark.parametrize("name", NAMES)
def test_assessment_is_as_expected(shared, name):
    content = json.loads((shared / "exams" / f"{name}.json").read_text("utf-8"))
    expected = content["expected"]
    assessment = assess(parse_exam(content["exam"], where=name))
    record = assessment.model_dump(mode="json")
    assert {field: record[field] for field in FIELDS} == {field: expected[field] for field in FIELDS}
    assert set(expected["flag_codes"]) <= {flag["code"] for flag in record["flags"]}
    assert Assessment.model_validate(record) == assessment
    for wanted in expected["indeterminate"]:
        found = next(one for one in record["indeterminate"] if one["lesion"] == wanted["lesion"])
        assert found["psma_rads"] == wanted["psma_rads"]
        assert {one["element"] for one in wanted["rationale_elements"]} <= set(found["elements"])


@pytest.mark.shared
def test_the_rib_is_explained_with_its_numbers(shared):
    content = json.loads((shared / "exams" / "solitary_rib_psma1007.json").read_text("utf-8"))
    elements = assess(parse_exam(content["exam"], where="rib")).indeterminate[0].elements
    assert elements["uptake_level"] == "SUVmax 5.2, above blood pool 2.1 and below spleen 9.4 (score 1)"
    assert elements["ct_correlate"].startswith("no CT correlate")
    assert "solitary rib uptake is usually benign" in elements["site_prior"]
    assert "18F-PSMA-1007" in elements["tracer_effect"]
    assert elements["multiplicity"].startswith("solitary, no other bone lesion")
    assert elements["clinical_context"].startswith("PSA 7.8 / ISUP 2, no other metastasis")
    assert elements["comparison"] == "no prior study available"
    assert "M1b (uni)" in elements["impact"]
    assert "3-6 months" in elements["recommendation"]


@pytest.mark.shared
@pytest.mark.parametrize("name", ["recip_pr_boundary", "solitary_rib_psma1007", "three_nodes_one_region"])
def test_clean_exams_raise_no_alarm(shared, name):
    content = json.loads((shared / "exams" / f"{name}.json").read_text("utf-8"))
    flags = {flag.code for flag in assess(parse_exam(content["exam"], where=name)).flags}
    assert flags <= {"model_uncertain"}
