"""Masks: streams of ChaCha20 under keys of 256 bits, added in the ring modulo 2^32.

Two sites agree on a key by X25519 and HKDF-SHA256; the one whose name comes first adds the stream, the other takes it
away, so that it cancels in the sum. ``context`` is the digest of everything all sites of a session must agree on.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy import add, frombuffer, subtract

from fedpsma.secure_aggregation.ring import Ring

KEY_BYTES = 32
_CHUNK_BYTES = 1 << 18
_ZEROS = bytes(_CHUNK_BYTES)
# A key makes one stream only, so its nonce need not vary.
_NONCE = bytes(16)


def new_key() -> tuple[bytes, bytes]:
    """Return a new X25519 key pair, private and public, 32 bytes each."""
    private = X25519PrivateKey.generate()
    return private.private_bytes_raw(), private.public_key().public_bytes_raw()


def public_of(private: bytes) -> bytes:
    """Return the public key of an X25519 private key."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def agreed_key(private: bytes, public: bytes, context: bytes, purpose: str, sites: tuple[str, str]) -> bytes:
    """Return the key of 32 bytes that two sites agree on for one purpose in one session.

    Args:
        private: Own X25519 private key.
        public: The other's public key.
        context: Digest of the session.
        purpose: What the key is for; another purpose gives an unrelated key.
        sites: Both names, in any order.

    Raises:
        ValueError: The public key is one of the few with which no secret can be agreed.
    """
    secret = X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))
    info = "\0".join(("fedpsma secure aggregation", purpose, *sorted(sites))).encode()
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=context, info=info).derive(secret)


def mask_key(private: bytes, public: bytes, context: bytes, sites: tuple[str, str]) -> bytes:
    """Return the key of the mask that two sites share, from the private mask key of either."""
    return agreed_key(private, public, context, "mask", sites)


def add_mask(vector: Ring, key: bytes, *, negative: bool = False) -> None:
    """Add the stream of a key to a vector, or take it away, in place."""
    combine = subtract if negative else add
    stream = Cipher(algorithms.ChaCha20(key, _NONCE), mode=None).encryptor()
    buffer = bytearray(_CHUNK_BYTES)
    for start in range(0, len(vector), _CHUNK_BYTES // 4):
        part = vector[start : start + _CHUNK_BYTES // 4]
        stream.update_into(_ZEROS[: part.nbytes], buffer)
        combine(part, frombuffer(buffer, "<u4", len(part)), out=part)
