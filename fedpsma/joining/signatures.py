"""Orders signed by the coordinator and reports signed by the site, both over all that they bind.

A signature names the federation, the run, the round and the site, and the fingerprint of the weights beside it, so
that nothing signed can be used again for another round, another site or other weights. It travels under
:data:`SIGNATURE` in the record whose ``json`` it is for:

========  =======================================  ==================================================
record    from the coordinator                     from the site
========  =======================================  ==================================================
order     kind "order", with the weights           -
report    -                                        kind "report", with the weights
refusal   -                                        kind "report", without weights
secure    kind "stage"; run and round of the       kind "answer", likewise
          session
site      kind "question", site "", run "", round  kind "answer", likewise but for the site: its
          0: any ``json`` that is new each time    ``json`` again
========  =======================================  ==================================================
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

    kind: Literal["order", "report", "stage", "answer", "question"]
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
    """Return the SHA-256 (hex) of arrays: names, types, shapes and values, in the order of the names.

    Example:
        >>> arrays_sha256({"a": np.zeros(2, np.float32)}) == arrays_sha256({"a": np.zeros(2, np.uint32)})
        False
    """
    digest = hashlib.sha256()
    for name in sorted(arrays):
        values = np.ascontiguousarray(arrays[name]).astype(arrays[name].dtype.newbyteorder("<"), copy=False)
        digest.update(json.dumps([name, values.dtype.str, values.shape]).encode())
        digest.update(values.data)
    return digest.hexdigest()
