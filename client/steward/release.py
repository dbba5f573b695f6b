"""The last look at what leaves: the shapes that the contract names, finite numbers, nothing else."""

from __future__ import annotations

import json

import numpy as np

from client.envelope import KEYS, Arrays, Envelope
from fedpsma.contract import CONTROL, MASKED, REFUSAL, REPORT, SECURE, SiteRefusal


class NotReleasedError(Exception):
    """A reply holds something that must not leave."""


def require_releasable(asked: Envelope, reply: Envelope) -> None:
    """Check a reply against the order that it answers.

    With a report go either arrays of the names and shapes of the weights that came, float32 and finite, or one masked
    vector as long as all of them and one more; with anything else goes no array. A refusal names no sites but those
    whose shares came with the order.

    Raises:
        NotReleasedError: It holds something else.
    """
    records = set(reply.records)
    if records not in ({REPORT}, {REFUSAL}, {SECURE}) or any(
        set(texts) - set(KEYS) for texts in reply.records.values()
    ):
        raise NotReleasedError(f"the reply has the records {sorted(records)}")
    if records != {REPORT}:
        if reply.arrays:
            raise NotReleasedError("arrays beside a reply that has none")
        if records == {REFUSAL}:
            _require_named_before(asked, SiteRefusal.model_validate_json(reply.text(REFUSAL)))
        return
    weights = {name: array for name, array in asked.arrays.items() if not name.startswith(CONTROL)}
    if SECURE in asked.records:
        _require_masked(weights, reply.arrays)
    else:
        _require_weights(weights, reply.arrays)


def _require_named_before(asked: Envelope, refused: SiteRefusal) -> None:
    sealed = json.loads(asked.text(SECURE)).get("sealed", {}) if SECURE in asked.records and refused.senders else {}
    if not set(refused.senders) <= set(sealed):
        raise NotReleasedError("the refusal names sites that were not named before")


def _require_masked(weights: Arrays, released: Arrays) -> None:
    size = sum(array.size for array in weights.values()) + 1
    if set(released) != {MASKED} or released[MASKED].shape != (size,) or released[MASKED].dtype != np.uint32:
        raise NotReleasedError("the masked update is not of the agreed length and type")


def _require_weights(weights: Arrays, released: Arrays) -> None:
    if {name: array.shape for name, array in weights.items()} != {name: one.shape for name, one in released.items()}:
        raise NotReleasedError("the arrays are not those that came")
    for name, array in released.items():
        if array.dtype != np.float32 or not np.isfinite(array).all():
            raise NotReleasedError(f"{name} is not of finite float32 numbers")
