"""What a plan holds for exams at the edge: nothing, very much, nothing known, impossible values."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from fedpsma.domain.exam import Exam
from fedpsma.domain.region import Region
from fedpsma.staging import assess
from reporting.commands import report
from reporting.drafting import draft_report
from reporting.verifier.verify import Line, Verifier


def _draft(**content):
    exam = Exam.model_validate({"tracer": "68Ga-PSMA-11", **content})
    return draft_report(exam, assess(exam))


def _text(draft):
    return "\n".join(sentence.text for section in draft.sections for sentence in section.sentences)


def _lesion(number, **more):
    return {"lesion_id": f"L{number}", "region": "BONE_RIB", "side": "L", "suvmax": 8.0, "volume_ml": 1.0, **more}


REFERENCE = {"blood_pool": 1.5, "liver": 5.0, "spleen": 8.0, "parotid": 15.0}


@pytest.mark.parametrize("language", ["en", "de"])
def test_an_empty_table_is_answered_and_denied_region_by_region(language):
    draft = _draft(lesions=[], indication="biochemical recurrence", reference_suv=REFERENCE, language=language)
    assert draft.verification.passed
    negative = [
        one.cites for section in draft.sections for one in section.sentences if one.cites[0].startswith("negative")
    ]
    assert len(negative) == 8
    assert draft.section("impression").sentences[0].text.startswith(("Localisation of recurrence", "Rezidivlok"))


def test_two_hundred_lesions_are_grouped_and_each_is_named_with_its_value():
    clear = {"region": "BONE_PELVIS", "ct_class": "suspicious", "ct_correlate": "sclerotic"}
    lesions = [_lesion(number, **clear | {"suvmax": 16 + number / 10}) for number in range(1, 201)]
    draft = _draft(lesions=lesions, reference_suv=REFERENCE)
    assert draft.verification.passed
    text = _text(draft)
    assert all(f"L{number}" in text for number in range(1, 201))
    assert sum(len(section.sentences) for section in draft.sections) < 40


def test_without_any_reference_scores_stay_open_and_nothing_is_filled_in():
    draft = _draft(lesions=[_lesion(1, size_mm=14)])
    assert draft.verification.passed
    assert "blood pool [not provided: blood pool]" in _text(draft)
    assert "undetermined" in _text(draft)


def test_impossible_values_are_kept_flagged_and_never_repaired():
    draft = _draft(lesions=[_lesion(1, suvmax=-4.0)], reference_suv=REFERENCE)
    assert "data_error" in {flag.code for flag in draft.assessment.flags}
    assert "SUVmax 4.0" not in _text(draft)


def test_the_rule_that_drew_the_volumes_is_quoted_or_a_gap():
    counted = [_lesion(1, suvmax=30.0, size_mm=14, ct_class="suspicious", ct_correlate="sclerotic")]
    given = _draft(lesions=counted, reference_suv=REFERENCE, technique={"segmentation_rule": "41 % of SUVmax"})
    assert given.verification.passed
    assert "segmentation rule: “41 % of SUVmax”" in _text(given)
    assert "segmentation rule: [not provided: segmentation rule]" in _text(
        _draft(lesions=counted, reference_suv=REFERENCE)
    )


def test_open_policies_that_decide_are_named_beside_the_draft(tmp_path):
    rows = [_lesion(1, region="LN_COMMON_ILIAC", suvmax=20.0, size_mm=12, ct_class="suspicious")]
    content = {"tracer": "68Ga-PSMA-11", "lesions": rows, "reference_suv": REFERENCE}
    (tmp_path / "exam.json").write_text(json.dumps(content))
    answer = CliRunner().invoke(
        report, ["draft", str(tmp_path / "exam.json"), "--out", str(tmp_path / "out"), "--writer", "template"]
    )
    assert answer.exit_code == 0, answer.output
    effects = assess(Exam.model_validate(content)).policy_effects
    assert effects
    assert all(effect.title in answer.output.replace("\n", " ") for effect in effects)


@pytest.mark.parametrize("language", ["en", "de"])
def test_what_was_not_imaged_is_named_and_never_called_free(language):
    outside = ["BONE_SKULL", "BRAIN", "PROSTATE"]
    draft = _draft(lesions=[_lesion(1)], technique={"not_covered": outside}, language=language)
    assert draft.verification.passed
    said = {"en": "skull, brain, prostate", "de": "Schädel, Gehirn, Prostata"}[language]
    for section in ("technique", "impression"):
        assert said in " ".join(one.text for one in draft.section(section).sentences)
    assert not any(one.cites[0].startswith("negative") for one in draft.section("prostate").sentences)
    assert "technique.not_covered" in draft.section("bone").sentences[-1].cites


@pytest.mark.parametrize("language", ["en", "de"])
def test_every_region_can_be_named_as_not_imaged_and_a_full_coverage_is_said(language):
    every = [region.value for region in Region]
    assert _draft(technique={"not_covered": every}, language=language).verification.passed
    complete = _draft(technique={"not_covered": []}, language=language)
    assert complete.verification.passed
    assert {"en": "coverage: complete", "de": "Untersuchungsbereich: vollständig"}[language] in _text(complete)


def test_a_wrong_or_missing_word_on_the_coverage_is_found():
    exam = Exam.model_validate({"tracer": "68Ga-PSMA-11", "technique": {"not_covered": ["BONE_SKULL"]}})
    verifier, draft = Verifier(exam, assess(exam)), draft_report(exam, assess(exam))
    assert draft.verification.passed

    def checks(old, new):
        lines = [
            Line(section.name, one.text.replace(old, new), tuple(one.cites))
            for section in draft.sections
            for one in section.sentences
        ]
        return {check.name for check in verifier.verify(lines).checks if not check.passed}

    assert "coverage" in checks("imaged: skull", "imaged: femur")
    assert "omissions" in checks("Not imaged: skull.", "")
    assert "context" in checks("not imaged: skull", "complete")
