from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from demo import html
from fedpsma.domain.exam import Exam
from fedpsma.errors import InputError
from fedpsma.staging import assess
from reporting.draft import Check, Verification

ATTACK = '<script>alert("x")</script><img src=x onerror=alert(1)>'


class _Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.words += data


def _exam(**more: Any) -> Exam:
    row = {"lesion_id": "L1", "region": "BONE_RIB", "side": "R", "suvmax": 5.64, "ct_correlate": "sclerosis", **more}
    return Exam.model_validate({"tracer": "18F-PSMA-1007", "lesions": [row]})


def test_text_of_a_lesion_is_shown_and_never_run() -> None:
    exam = _exam(lesion_id="<b>L1</b>", ct_correlate=ATTACK)
    read = _Tags(html.lesion_table(exam, assess(exam)))
    assert not {"script", "img", "b"} & set(read.tags)
    assert ATTACK in read.words


def test_flags_errors_notes_and_checks_are_escaped() -> None:
    exam = _exam(lesion_id=ATTACK[:40], suvmax=None)
    verification = Verification(checks=[Check(name="numbers", passed=False, detail=ATTACK)])
    pieces = [
        html.stage(assess(exam)),
        html.problem(InputError(ATTACK, where="exam.json")),
        html.notes((ATTACK,), None),
        html.checks(verification),
    ]
    for piece in pieces:
        assert not {"script", "img"} & set(_Tags(piece).tags)
    assert ATTACK in _Tags(pieces[1]).words


def test_the_table_shows_one_digit_and_a_dash_for_what_is_unknown() -> None:
    exam = _exam()
    words = _Tags(html.lesion_table(exam, assess(exam))).words
    assert "5.6" in words
    assert "5.64" not in words
    assert "–" in words


def test_failed_checks_are_counted_and_give_their_reason() -> None:
    checks = [Check(name="lesion_ids", passed=False, detail="L9 is not a lesion"), Check(name="sides", passed=True)]
    words = _Tags(html.checks(Verification(checks=checks))).words
    assert "1 of 2 checks" in words
    assert "L9 is not a lesion" in words
    assert "All checks passed" in html.checks(Verification(checks=checks[1:]))


def test_a_flag_names_its_lesions() -> None:
    assessment = assess(_exam(model_prob=0.46))
    assert any(flag.lesions for flag in assessment.flags)
    assert "L1: model probability 0.46" in _Tags(html.stage(assessment)).words
