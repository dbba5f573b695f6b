"""The key of a node (ECDSA on P-384 in OpenSSH format, as Flower's node authentication wants it), and fingerprints."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, EllipticCurvePublicKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_public_key,
)

from fedpsma.errors import InputError
from fedpsma.io.files import write_bytes

_GROUP, _GROUPS = 4, 8


def make_node_key(path: Path) -> str:
    """Write a new private key, readable by its owner alone, and return the public one as a line of text."""
    key = generate_private_key(SECP384R1())
    write_bytes(path, key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()), private=True)
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")


def checked_node_key(text: str, where: str) -> str:
    """Return a public node key without its comment.

    Raises:
        InputError: It is not an ECDSA key on P-384 in OpenSSH format.
    """
    try:
        key = load_ssh_public_key(text.strip().encode("utf-8"))
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP384R1):
        raise InputError("is no ECDSA key on P-384", where=where, remedy='take the one that "fedpsma site init" wrote')
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")


def make_signing_key(path: Path) -> str:
    """Write a new Ed25519 key, readable by its owner alone, and return the public one (hexadecimal)."""
    key = Ed25519PrivateKey.generate()
    write_bytes(path, key.private_bytes_raw(), private=True)
    return key.public_key().public_bytes_raw().hex()


def read_signing_key(path: Path) -> Ed25519PrivateKey:
    """Read an Ed25519 key.

    Raises:
        InputError: There is none, or the file holds something else.
    """
    try:
        return Ed25519PrivateKey.from_private_bytes(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError("holds no signing key", where=str(path), remedy="bring back the one that was made") from error


def fingerprint(content: bytes) -> str:
    """Return the first 128 bits of the SHA-256 in groups that two people can compare over the telephone.

    Example:
        >>> fingerprint(b"")
        'E3B0-C442-98FC-1C14-9AFB-F4C8-996F-B924'
    """
    digits = hashlib.sha256(content).hexdigest().upper()
    return "-".join(digits[at : at + _GROUP] for at in range(0, _GROUP * _GROUPS, _GROUP))
