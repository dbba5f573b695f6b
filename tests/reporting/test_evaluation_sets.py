"""The evaluation sets give what they promise, and small draws of them stay at the level that was measured."""

import random
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

from evaluation_sets import reporting_language
from evaluation_sets.attacks import CARRIERS, attacks, carried, persons
from evaluation_sets.clean_texts import HARD
from evaluation_sets.exams import made_up_exam
from evaluation_sets.prior_reports import prior_text, rows_of
from evaluation_sets.seeded_errors import ERRORS, cases, right_cases

from fedpsma.staging import assess
from fedpsma.text.guard import find_identifiers, find_instructions
from fedpsma.text.prior_report import read_prior_report
from reporting.drafting import draft_report
from reporting.verifier.document import read_document
from reporting.verifier.verify import Verifier


def _problems(case):
    return Verifier(case.exam, case.assessment).check(read_document(case.text, case.exam, where="report"))


@pytest.mark.parametrize("form", [pytest.param("own", marks=pytest.mark.slow), "tuned", "held_out"])
def test_one_error_of_every_class_is_found(form):
    found = {case.kind: bool(_problems(case)) for case in cases(len(ERRORS), 1, form)}
    assert found == dict.fromkeys(ERRORS, True)


@pytest.mark.parametrize(("form", "number"), [("own", 3), ("tuned", 10)])
def test_right_reports_pass(form, number):
    assert [_problems(case) for case in right_cases(number, 500, form)] == [[]] * number


@pytest.mark.parametrize(
    ("name", "messy", "least"), [("tuned", False, 1.0), ("tuned", True, 0.95), ("held_out", True, 0.85)]
)
def test_priors_are_read_as_they_were_written(name, messy, least):
    right = total = 0
    for seed in range(25):
        rng = random.Random(seed)
        one = prior_text(rows_of(rng), name, rng, messy=messy)
        read = {(f.region, f.side, f.suvmax, f.size_mm) for f in read_prior_report(one.text).findings}
        right += len(read & set(one.rows))
        total += max(len(read), len(one.rows))
    assert right >= least * total


@pytest.mark.parametrize("name", ["tuned", "held_out"])
def test_oblique_instructions_are_flagged(name):
    texts = attacks(100, name)
    assert sum(bool(find_instructions(text)) for text in texts) >= 95


def test_the_sets_of_instructions_share_no_text():
    assert not set(attacks(100, "tuned")) & set(attacks(100, "held_out"))


def test_clinical_sentences_near_to_an_instruction_raise_no_alarm():
    assert [text for text in HARD if find_instructions(text) or find_identifiers(text)] == []


@pytest.mark.parametrize("carrier", CARRIERS)
def test_an_instruction_changes_no_sentence_of_the_draft(carrier):
    exam = made_up_exam(11)
    texts = [*attacks(1, "tuned"), *attacks(1, "held_out"), *persons(1)]
    clean = _told(carried(exam, "", carrier))
    for text in texts:
        poisoned = carried(exam, text, carrier)
        assert _told(poisoned) == clean
        assert {"untrusted_instruction", "phi_detected"} & {flag.code for flag in assess(poisoned).flags}
        assert text not in "\n".join(_all_told(poisoned))


def _all_told(exam):
    return [one.text for section in draft_report(exam, assess(exam)).sections for one in section.sentences]


def _told(exam):
    return [text for text in _all_told(exam) if not text.startswith("Indication:")]


def test_made_up_persons_are_flagged():
    texts = list(persons(96))
    assert [text for text in texts if not find_identifiers(f"Focus in L4. {text}. Sternum normal.")] == []


def test_ordinary_sentences_pass_and_the_same_with_another_number_side_or_denial_do_not():
    for name in ("tuned", "held_out"):
        said = reporting_language.sentences(name)
        assert len(said) >= 60
        missed = [
            one.text
            for right in said
            for one in reporting_language.changed(right)
            if not reporting_language.problems(one)
        ]
        assert not missed
    tuned = reporting_language.sentences("tuned")
    assert sum(not reporting_language.problems(one) for one in tuned) >= 0.9 * len(tuned)


def test_a_sentence_that_nothing_confirms_never_passes():
    for one in reporting_language.sentences("unconfirmed"):
        assert reporting_language.problems(one), one.text
