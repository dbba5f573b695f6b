"""The scores of a draft see the mistakes they are named after, and none in right drafts."""

from __future__ import annotations

import re

import pytest

from reporting.draft import Section
from reporting.evaluation.exams import FIRST_TEST_SEED, synthetic_exam
from reporting.evaluation.kept import Kept
from reporting.evaluation.report_scores import report_scores
from reporting.evaluation.run import counts, distinct_requests, evaluation_cases, figures, gated, raw, seen, unseen
from reporting.evaluation.wordings import Replayed, write_all
from reporting.template_writer import TemplateWriter


@pytest.fixture(scope="module")
def cases():
    return evaluation_cases(6)


def _raw(cases, change):
    wordings = {request: change(request.fallback) for request in distinct_requests(cases)}
    return counts([raw(case, wordings).scores() for case in cases])


def test_right_drafts_score_one_everywhere(cases):
    found = counts([gated(case, TemplateWriter()).scores() for case in cases])
    own = found.pop("own sentences")
    assert own[0] == 0
    assert all(right == of > 0 for right, of in found.values()), found


@pytest.mark.parametrize(
    ("change", "score"),
    [
        (lambda text: text.replace("{suvmax}", "{suvmax}, SUVmax 99.9"), "numeric fidelity"),
        (lambda text: text.replace("{suvmax}", "{suvmax} of 99.9"), "numeric binding"),
        (lambda text: text.replace("{site}", "bilateral {site}"), "side right"),
        (lambda text: text.replace("{site}", "{site} and sternum and liver"), "no invented lesion"),
        (lambda text: text.replace("{site}", "here"), "lesions described"),
        (lambda text: None, "lesions described"),
        (lambda text: text.replace("intense", "low").replace("no CT", "suspicious CT"), "reasons precision"),
        (lambda text: re.sub(r"(: )?indeterminate", "", text), "reasons recall"),
    ],
)
def test_each_seeded_mistake_lowers_the_score_that_is_named_after_it(cases, change, score):
    right = _raw(cases, lambda text: text)
    wrong = _raw(cases, change)
    assert right[score][0] == right[score][1]
    assert wrong[score][0] < wrong[score][1]


def test_what_a_check_refuses_becomes_a_template_sentence_and_not_an_own_one(cases):
    wordings = {request: "{site}: something else." for request in distinct_requests(cases)}
    found = counts([gated(case, Replayed(wordings)).scores() for case in cases])
    assert found["own sentences"][0] == 0
    assert found["lesions described"][0] == found["lesions described"][1]


def test_intervals_widen_for_few_and_follow_the_rule_of_three(cases):
    found = figures([gated(case, TemplateWriter()).scores() for case in cases])
    sided = counts([gated(case, TemplateWriter()).scores() for case in cases])["side right"][1]
    assert found["side right"].low == pytest.approx(1 - 3 / sided)


def test_every_request_is_either_seen_or_held_out(cases):
    requests = distinct_requests(cases)
    assert all(seen(one) != unseen(one) for one in requests)
    assert synthetic_exam(FIRST_TEST_SEED) == cases[0].exam


def test_what_was_said_is_kept_and_not_asked_again(cases, tmp_path):
    requests, asked = distinct_requests(cases)[:5], []

    class Once(TemplateWriter):
        def write(self, requests, *, attempt=0):
            asked.extend(requests)
            return super().write(requests)

    first = write_all(Kept(tmp_path / "said.jsonl", "m"), requests[:3], Once)
    second = write_all(Kept(tmp_path / "said.jsonl", "m"), requests, Once)
    assert len(asked) == 5
    assert second | first == second


def test_a_line_cut_off_by_a_stop_is_dropped_and_another_models_answers_are_not_read(tmp_path):
    path = tmp_path / "kept.jsonl"
    Kept(path, "m").add({"a": 1, "b": 2})
    path.write_bytes(path.read_bytes()[:-4])
    kept = Kept(path, "m")
    kept.add({"c": 3})
    assert Kept(path, "m").values == {"a": 1, "c": 3}
    assert Kept(path, "another").values == {}


@pytest.mark.parametrize(
    ("section", "change", "score"),
    [
        ("impression", lambda text: text.replace(": mi", ": mx"), "stage stated"),
        (None, lambda text: re.sub(r"PSMA-RADS \d\w?\)", "PSMA-RADS 9)", text), "category right"),
        (None, lambda text: re.sub(r"score \d", "score 7", text), "expression score right"),
        ("indeterminate", lambda text: re.sub(r"\[L\d+\]", "[L99]", text), "indeterminate named"),
        (
            "indeterminate",
            lambda text: re.sub(r"\[L\d+\]", "[L1, L2, L3, L4, L5]", text),
            "indeterminate not over-called",
        ),
        ("indeterminate", lambda text: text.replace("uptake", "fever").replace("imaging", "a"), "rationale right"),
        ("bone", None, "mandatory parts"),
        (None, lambda text: text.replace("[not provided: body weight]", "80 kg"), "gaps named"),
        ("impression", lambda text: re.sub(r"\[L\d+\]", "[L99]", text), "no contradiction"),
    ],
)
def test_each_seeded_mistake_of_the_report_lowers_its_score(cases, section, change, score):
    right, wrong = [], []
    for case in cases:
        sections = gated(case, TemplateWriter()).sections
        spoilt = [_spoilt(one, change) if section in (None, one.name) else one for one in sections]
        right.append(report_scores(case.exam, case.assessment, sections))
        wrong.append(report_scores(case.exam, case.assessment, [one for one in spoilt if one is not None]))
    assert counts(right)[score][0] == counts(right)[score][1] > 0
    assert counts(wrong)[score][0] < counts(wrong)[score][1]


def _spoilt(section, change):
    if change is None:
        return None
    texts = [one.model_copy(update={"text": change(one.text)}) for one in section.sentences]
    return Section(name=section.name, sentences=texts)
