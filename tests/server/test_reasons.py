"""Every code that can reach the coordinator has its plain words."""

from __future__ import annotations

from typing import get_args

from fedpsma.contract import RefusalReason
from fedpsma.history.reasons import QUARANTINES, REFUSALS, plain
from server.replies import QuarantineReason


def test_every_code_has_words_and_every_word_a_code() -> None:
    assert set(REFUSALS) == set(get_args(RefusalReason))
    assert set(QUARANTINES) == set(get_args(QuarantineReason))


def test_the_words_follow_the_code() -> None:
    assert plain("budget_exceeded") == "(budget_exceeded): the round would pass the privacy budget of its patients"
    assert plain("news") == "(news)"
