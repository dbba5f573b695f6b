"""What a site's reply has to be before it counts; one bad site is set aside with a code and harms nobody else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fedpsma.contract import SiteRefusal, SiteReport, TrainingPlan
from fedpsma.model.checkpoint import Weights
from fedpsma.packing import PackedArray
from server.signing import UNSIGNED, Sealed, Signing

BadUpdate = Literal[
    "malformed_reply",
    "privacy_missing",
    "missing_array",
    "extra_array",
    "wrong_shape",
    "wrong_dtype",
    "not_finite",
    "too_long",
]
QuarantineReason = Literal[
    BadUpdate,
    "no_reply",
    "error_reply",
    "wrong_site",
    "wrong_round",
    "away",
    "unknown_site",
    "duplicate_site",
    "key_not_trusted",
    "false_share",
]
BAD_UPDATES: frozenset[str] = frozenset(get_args(BadUpdate))
"""The reasons that say of an update itself that it is bad."""
ReplyKind = Literal["report", "refusal", "answer", "error", "malformed", "unsigned"]


@dataclass(frozen=True)
class Reply:
    """What came back from a node; ``text`` is JSON.

    An "answer" belongs to a stage of secure aggregation; "unsigned" is one without its site's signature.
    """

    node: int
    kind: ReplyKind
    text: str = ""
    arrays: Mapping[str, PackedArray] = field(default_factory=dict)
    signature: str = ""

    @property
    def sealed(self) -> Sealed:
        """The text with its signature."""
        return Sealed(self.text, self.signature)

    @property
    def bytes(self) -> int:
        """Size of the weights in it."""
        return sum(len(array.data) for array in self.arrays.values())


@dataclass(frozen=True)
class Asked:
    """What the node was asked for, and how its signature is checked."""

    site: str
    round: int
    plan: TrainingPlan
    weights: Mapping[str, NDArray[Any]]
    signing: Signing = UNSIGNED


class QuarantineError(Exception):
    """The reply does not count in this round."""

    def __init__(self, reason: QuarantineReason) -> None:
        super().__init__(reason)
        self.reason: QuarantineReason = reason


def read_reply(reply: Reply, asked: Asked) -> tuple[SiteReport, Weights] | SiteRefusal:
    """Return the report and the weights of a reply, or the site's refusal.

    Raises:
        QuarantineError: Anything in it is not as it has to be.
    """
    if reply.kind == "error":
        raise QuarantineError("error_reply")
    if reply.kind == "unsigned":
        raise QuarantineError("key_not_trusted")
    try:
        return _read(reply, asked)
    except QuarantineError:
        raise
    except Exception as error:
        # A site can send anything, and whatever stumbles over it must not take the run along.
        raise QuarantineError("malformed_reply") from error


def _read(reply: Reply, asked: Asked) -> tuple[SiteReport, Weights] | SiteRefusal:
    if reply.kind in ("malformed", "answer"):
        raise QuarantineError("malformed_reply")
    if reply.kind == "refusal":
        _require_signed(reply, asked, None)
        return SiteRefusal.model_validate_json(reply.text).model_copy(update={"site": asked.site})
    report = SiteReport.model_validate_json(reply.text)
    _check_report(report, asked)
    weights = _read_weights(reply.arrays, asked.weights)
    _require_signed(reply, asked, weights)
    return report, weights


def _require_signed(reply: Reply, asked: Asked, weights: Weights | None) -> None:
    if not asked.signing.is_from("report", asked.site, asked.round, reply.sealed, weights):
        raise QuarantineError("key_not_trusted")


def _check_report(report: SiteReport, asked: Asked) -> None:
    if report.site != asked.site:
        raise QuarantineError("wrong_site")
    if report.round != asked.round:
        raise QuarantineError("wrong_round")
    private = asked.plan.target_epsilon is not None
    known = report.epsilon is not None and 0 <= report.epsilon < inf
    if private and not (known and report.delta == asked.plan.delta):
        raise QuarantineError("privacy_missing")


def _read_weights(arrays: Mapping[str, PackedArray], expected: Mapping[str, NDArray[Any]]) -> Weights:
    if expected.keys() - arrays.keys():
        raise QuarantineError("missing_array")
    if arrays.keys() - expected.keys():
        raise QuarantineError("extra_array")
    return {name: _read_array(arrays[name], expected[name]) for name in sorted(expected)}


def _read_array(array: PackedArray, expected: NDArray[Any]) -> NDArray[Any]:
    _require_same(array.shape, array.dtype, expected)
    values = array.numpy()
    if not np.isfinite(values).all():
        raise QuarantineError("not_finite")
    return values


def _require_same(shape: tuple[int, ...], dtype: str, expected: NDArray[Any]) -> None:
    if tuple(shape) != expected.shape:
        raise QuarantineError("wrong_shape")
    if dtype != str(expected.dtype):
        raise QuarantineError("wrong_dtype")
