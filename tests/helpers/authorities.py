"""Certificates of made-up authorities."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID


def certificate(days: float = 365) -> str:
    """Return a certificate (PEM) that ends in so many days."""
    key, name = generate_private_key(SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    dated = made.not_valid_before(now - timedelta(days=400)).not_valid_after(now + timedelta(days=days))
    return dated.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode("ascii")
