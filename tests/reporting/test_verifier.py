"""The verifier finds planted errors and leaves right drafts alone."""

import ast
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from draft_mutations import lines_of, mutants
from exam_generator import generate_exam

import reporting.verifier
from fedpsma.domain.exam import Exam
from fedpsma.staging import assess
from reporting.drafting import draft_report
from reporting.verifier.verify import CHECKS, Line, Verifier

SEEDS = {"en": range(1000, 1006), "de": range(1100, 1104)}


def _drafted(exam):
    assessment = assess(exam)
    return assessment, draft_report(exam, assessment)


def _missed(exam, rng, share=1.0):
    """Count the planted errors of each kind and collect those that no check found."""
    assessment, draft = _drafted(exam)
    verifier = Verifier(exam, assessment)
    planted, missed = Counter(), []
    for mutant in mutants(exam, assessment, draft, rng):
        if rng.random() < share:
            planted[mutant.kind] += 1
            if verifier.verify(mutant.lines).passed:
                missed.append((mutant.kind, mutant.what))
    return planted, missed


@pytest.mark.parametrize("language", ["en", "de"])
def test_planted_errors_are_found(language):
    rng = np.random.default_rng(0)
    planted, missed = Counter(), []
    for seed in SEEDS[language]:
        found, left = _missed(generate_exam(seed, language), rng, share=0.12)
        planted += found
        missed += left
    assert planted.total() > 50
    assert len(missed) <= 0.01 * planted.total(), missed


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["injected_prior_text", "recip_pr_boundary", "solitary_rib_psma1007", "three_nodes_one_region"]
)
@pytest.mark.parametrize("language", ["en", "de"])
def test_every_planted_error_is_found_in_the_example_exams(shared, name, language):
    import json

    content = json.loads((shared / "exams" / f"{name}.json").read_text("utf-8"))["exam"]
    planted, missed = _missed(Exam.model_validate({**content, "language": language}), np.random.default_rng(1))
    assert planted.total() > 100
    assert missed == []


@pytest.mark.parametrize("language", ["en", "de"])
def test_right_drafts_raise_no_alarm(language):
    alarms = {}
    for seed in range(40):
        _, draft = _drafted(generate_exam(seed, language))
        if not draft.verification.passed:
            alarms[seed] = [check for check in draft.verification.checks if not check.passed]
    assert alarms == {}


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "de"])
def test_a_hundred_more_right_drafts_raise_no_alarm(language):
    alarms = [seed for seed in range(3000, 3100) if not _drafted(generate_exam(seed, language))[1].verification.passed]
    assert alarms == []


@pytest.fixture(scope="module")
def example():
    exam = Exam.model_validate(
        {
            "tracer": "68Ga-PSMA-11",
            "clinical": {"psa_ng_ml": 6.1, "prostate_status": "removed"},
            "reference_suv": {"blood_pool": 1.6, "liver": 4.5, "spleen": 7.0, "parotid": 15.1},
            "lesions": [
                {
                    "lesion_id": "L1",
                    "region": "LN_EXTERNAL_ILIAC",
                    "side": "L",
                    "suvmax": 12.4,
                    "size_mm": 11,
                    "ct_correlate": "enlarged",
                },
                {
                    "lesion_id": "L2",
                    "region": "BONE_RIB",
                    "side": "R",
                    "suvmax": 3.1,
                    "size_mm": 7,
                    "ct_correlate": "no CT correlate",
                },
            ],
        }
    )
    return Verifier(exam, assess(exam))


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("Left external iliac node with intense uptake (SUVmax 12.4): metastasis (PSMA-RADS 5) [L1].", None),
        ("Left external iliac node (11 mm) with intense uptake (SUVmax 12.4) [L1].", None),
        ("Right external iliac node with intense uptake (SUVmax 12.4) [L1].", "sides"),
        ("External iliac node with intense uptake (SUVmax 12.4) [L1].", "sides"),
        ("Left internal iliac node with intense uptake (SUVmax 12.4) [L1].", "regions"),
        ("Left external iliac node with intense uptake (SUVmax 12) [L1].", "numbers"),
        ("Left external iliac node with intense uptake (SUVmax 3.1) [L1].", "numbers"),
        ("Left external iliac node with intense uptake (12.4 mm) [L1].", "numbers"),
        ("Left external iliac node with intense uptake (SUVmean 12.4) [L1].", "numbers"),
        ("Left external iliac node with low uptake (SUVmax 12.4) [L1].", "statements"),
        ("Left external iliac node with intense uptake, likely benign [L1].", "statements"),
        ("Left external iliac node with intense uptake, not a metastasis [L1].", "statements"),
        ("Left external iliac node with intense uptake, new since the prior examination [L1].", "statements"),
        ("Left external iliac node with intense uptake, PSMA-RADS 4 [L1].", "categories"),
        ("Two left external iliac nodes with intense uptake [L1].", "numbers"),
        ("Left external iliac node with intense uptake, calcified [L1].", "ct"),
        ("Left external iliac node with intense uptake, above liver, below blood pool [L1].", "reference"),
        ("Left external iliac node with intense uptake, M1a (CI) [L1].", "stage"),
        ("Left external iliac node with intense uptake: eligible for treatment [L1].", "forbidden"),
        ("Left external iliac node with intense uptake; suggest biopsy [L1].", "suggestions"),
        ("Left external iliac node with intense uptake; salvage radiotherapy is advised [L1].", "forbidden"),
        ("Left external iliac node with intense uptake; a poor prognosis [L1].", "forbidden"),
        ("Left external iliac node with intense uptake in 18F-DCFPyL PET [L1].", "context"),
    ],
)
def test_one_sentence(example, text, check):
    problems = {problem.check for problem in example.problems(Line("pelvic_nodes", text, ("L1",)))}
    assert problems == set() if check is None else check in problems


def test_an_id_of_no_lesion_and_a_wrong_citation(example):
    unknown = example.problems(Line("bone", "Right rib with low uptake [L9].", ("L9",)))
    assert "lesion_ids" in {problem.check for problem in unknown}
    uncited = example.problems(Line("bone", "Right rib with low uptake (SUVmax 3.1) [L2].", ("L1",)))
    assert {problem.check for problem in uncited} == {"citations"}


def test_a_negative_statement_where_the_table_holds_disease(example):
    line = Line(
        "pelvic_nodes", "No uptake suspicious for metastasis in the pelvic lymph nodes.", ("negative:pelvic_nodes",)
    )
    assert "contradictions" in {problem.check for problem in example.problems(line)}
    empty = Line("visceral", "No uptake suspicious for metastasis in the visceral organs.", ("negative:visceral",))
    assert example.problems(empty) == []


def test_a_value_hidden_behind_a_gap_is_found(example):
    line = Line("clinical_information", "PSA [not provided: PSA].", ("clinical.psa_ng_ml",))
    assert {problem.check for problem in example.problems(line)} == {"gaps"}


def test_every_problem_belongs_to_a_listed_check():
    rng = np.random.default_rng(5)
    exam = generate_exam(1003)
    assessment, draft = _drafted(exam)
    verifier = Verifier(exam, assessment)
    for mutant in mutants(exam, assessment, draft, rng):
        if rng.random() < 0.1:
            for line in mutant.lines:
                assert {problem.check for problem in verifier.problems(line)} <= set(CHECKS)


def test_the_verdict_does_not_depend_on_who_wrote_the_draft():
    exam = generate_exam(7, lesions=5)
    assessment, draft = _drafted(exam)
    assert Verifier(exam, assessment).verify(lines_of(draft)) == draft.verification


def test_the_verifier_knows_nothing_of_the_generator():
    allowed = ("reporting.verifier", "reporting.draft", "reporting.sentences")
    for path in Path(reporting.verifier.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("reporting"):
                assert node.module.startswith(allowed), f"{path.name} imports {node.module}"
                assert node.module != "reporting.drafting"
