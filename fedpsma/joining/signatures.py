"""Orders signed by the coordinator and reports signed by the site, both over all that they bind.

A signature names the federation, the run, the round and the site, and the fingerprint of the weights beside it, so
that nothing signed can be used again for another round, another site or other weights.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

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
