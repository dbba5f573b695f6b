"""Every reply is checked before it counts."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from fedpsma.contract import SiteRefusal, SiteReport, TrainingPlan
from fedpsma.packing import PackedArray, pack, unpack
from server.replies import Asked, QuarantineError, Reply, read_reply

WEIGHTS = {"a": np.zeros((2, 3), np.float32), "b": np.zeros(4, np.float32)}
ASKED = Asked("A", 2, TrainingPlan(), WEIGHTS)
REPORT = SiteReport(site="A", round=2, epsilon=1.0, delta=0.01, noise_multiplier=1.0, steps=8, seconds=1.0)


def _pack(values: Any) -> PackedArray:
    return unpack(pack({"array": values}))["array"]


def _reply(report: dict[str, Any] | None = None, **arrays: Any) -> Reply:
    values = {**WEIGHTS, **arrays}
    packed = {name: value if isinstance(value, PackedArray) else _pack(value) for name, value in values.items()}
    return Reply(7, "report", json.dumps(json.loads(REPORT.model_dump_json()) | (report or {})), packed)


def _reason(reply: Reply, asked: Asked = ASKED) -> str:
    with pytest.raises(QuarantineError) as caught:
        read_reply(reply, asked)
    return caught.value.reason


def test_a_good_reply_gives_report_and_weights() -> None:
    report, weights = read_reply(_reply(a=np.ones((2, 3), np.float32)), ASKED)
    assert report == REPORT
    np.testing.assert_array_equal(weights["a"], 1)


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"c": np.zeros(2, np.float32)}, "extra_array"),
        ({"a": np.zeros((3, 2), np.float32)}, "wrong_shape"),
        ({"a": np.zeros((2, 3), np.float64)}, "wrong_dtype"),
        ({"a": np.full((2, 3), np.nan, np.float32)}, "not_finite"),
        ({"a": np.full((2, 3), np.inf, np.float32)}, "not_finite"),
        ({"a": PackedArray("float32", (2, 3), b"not numbers")}, "malformed_reply"),
        ({"a": PackedArray("float32", (2, 3), bytes(10**6))}, "malformed_reply"),
        ({"a": PackedArray("uint8", (2, 3), bytes(6))}, "wrong_dtype"),
        ({"a": PackedArray("float32", (2, 10**14), bytes(24))}, "wrong_shape"),
    ],
)
def test_weights_that_are_not_as_they_have_to_be(arrays: dict[str, Any], reason: str) -> None:
    assert _reason(_reply(**arrays)) == reason


def test_a_missing_array() -> None:
    reply = _reply()
    assert _reason(Reply(7, "report", reply.text, {"a": reply.arrays["a"]})) == "missing_array"


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        ({"site": "B"}, "wrong_site"),
        ({"round": 1}, "wrong_round"),
        ({"epsilon": None}, "privacy_missing"),
        ({"epsilon": -1.0}, "privacy_missing"),
        ({"delta": 0.5}, "privacy_missing"),
        ({"loss": 0.3}, "malformed_reply"),
        # What a site counts for is what it registered; a reply has no say in it.
        ({"patients": 10**12}, "malformed_reply"),
        ({"seconds": "soon"}, "malformed_reply"),
    ],
)
def test_reports_that_are_not_as_they_have_to_be(report: dict[str, Any], reason: str) -> None:
    assert _reason(_reply(report)) == reason


@pytest.mark.parametrize("number", ["NaN", "Infinity"])
def test_nan_and_infinity_are_no_privacy_statement(number: str) -> None:
    reply = _reply()
    text = reply.text.replace('"epsilon": 1.0', f'"epsilon": {number}')
    assert text != reply.text
    assert _reason(Reply(7, "report", text, reply.arrays)) in ("privacy_missing", "malformed_reply")


def test_replies_that_carry_nothing() -> None:
    assert _reason(Reply(7, "error")) == "error_reply"
    assert _reason(Reply(7, "malformed")) == "malformed_reply"
    assert _reason(Reply(7, "refusal", '{"site": "A"}')) == "malformed_reply"


def test_a_refusal_is_signed_with_the_name_the_server_knows() -> None:
    refusal = SiteRefusal(site="", round=2, reason="budget_exceeded")
    assert read_reply(Reply(7, "refusal", refusal.model_dump_json()), ASKED) == refusal.model_copy(update={"site": "A"})
