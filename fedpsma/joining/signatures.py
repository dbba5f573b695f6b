"""Orders signed by the coordinator and reports signed by the site, both over all that they bind.

A signature names the federation, the run, the round and the site, and the fingerprint of the weights beside it, so
that nothing signed can be used again for another round, another site or other weights. It travels as "signature" beside
the text it covers:

=================  ===========================  =========================================================
message            record                       statement
=================  ===========================  =========================================================
query.identify     SITE: json, signature        question; content {"run", "token"}, round 0, no site
its answer         SITE: name, signature        answer; content is the question's, round 0, the site's name
train              ORDER: json, signature       order; weights_sha256 of all arrays beside it
train, masked      SECURE: json, signature      stage; beside the order
its answer         REPORT: json, signature      report; weights_sha256 of the arrays beside it
its refusal        REFUSAL: json, signature     report; round of the order
query.STAGE        SECURE: json, signature      stage
its answer         SECURE: json, signature      answer
query.stop         ORDER: json, signature       stop; content {"run"}, round 0
=================  ===========================  =========================================================
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from numpy.typing import NDArray

SIGNATURE = "signature"


@dataclass(frozen=True)
class Statement:
    """What is signed; ``content`` is the text that travels (an order, a report or a stage, JSON)."""

    kind: Literal["order", "report", "stage", "answer", "question", "stop"]
    federation: str
    run: str
    round: int
    site: str
    content: str
    weights_sha256: str = ""

    @property
    def payload(self) -> bytes:
        """The bytes under the signature."""
        return b"fedpsma statement 1\n" + json.dumps(asdict(self), sort_keys=True).encode("ascii")


def sign(statement: Statement, key: Ed25519PrivateKey) -> str:
    """Return the signature (hexadecimal)."""
    return key.sign(statement.payload).hex()


def is_signed(statement: Statement, signature: str, key: str) -> bool:
    """Return whether the holder of an Ed25519 key (hexadecimal) signed exactly this.

    Example:
        >>> is_signed(Statement("order", "one", "run", 1, "north", "{}"), "00", "00" * 32)
        False
    """
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(bytes.fromhex(signature), statement.payload)
    except (InvalidSignature, ValueError):
        return False
    return True


def arrays_sha256(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the SHA-256 (hexadecimal) of names, types, shapes and values, in the order of the names.

    Example:
        >>> arrays_sha256({"a": np.zeros(2, np.uint32)}) == arrays_sha256({"a": np.zeros(2, np.float32)})
        False
    """
    digest = hashlib.sha256()
    for name in sorted(arrays):
        values = np.ascontiguousarray(arrays[name])
        header = json.dumps([name, values.dtype.str, list(values.shape)])
        digest.update(header.encode("ascii"))
        digest.update(values.tobytes())
    return digest.hexdigest()
