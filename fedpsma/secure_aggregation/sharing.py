"""Secrets of 32 bytes split among sites: any ``threshold`` shares give the secret, fewer give nothing (Shamir 1979).

The arithmetic in GF(2^128) is pycryptodome's; a secret is split as two halves. A digest of every share is published, so
that a share that was altered is recognised, and with it who altered it.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from Crypto.Protocol.SecretSharing import Shamir

SECRET_BYTES = 32
_HALF = SECRET_BYTES // 2


def split(secret: bytes, threshold: int, holders: int) -> dict[int, bytes]:
    """Return one share of 32 bytes for each holder, by its number from 1 on.

    Example:
        >>> shares = split(bytes(range(32)), 2, 3)
        >>> combine({number: shares[number] for number in (1, 3)}) == bytes(range(32))
        True
    """
    halves = [dict(Shamir.split(threshold, holders, part, ssss=False)) for part in (secret[:_HALF], secret[_HALF:])]
    return {number: halves[0][number] + halves[1][number] for number in halves[0]}


def combine(shares: Mapping[int, bytes]) -> bytes:
    """Return the secret from exactly as many shares as its threshold."""
    return b"".join(
        Shamir.combine([(number, share[part]) for number, share in shares.items()], ssss=False)
        for part in (slice(None, _HALF), slice(_HALF, None))
    )


def digest(share: bytes) -> str:
    """Return what is published of a share or seed; both are uniform over 32 bytes, so it tells nothing about them."""
    return sha256(b"fedpsma share" + share).hexdigest()
