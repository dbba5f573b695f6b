"""The certificates of a federation: an authority of its own, and what it signs for the front door and the SuperLink.

All keys are ECDSA on P-256, made here, and readable by their owner alone.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fedpsma.errors import InputError
from fedpsma.io.files import write_bytes

AUTHORITY_LASTS = timedelta(days=3652)
SERVER_LASTS = timedelta(days=397)
WARN_BEFORE = timedelta(days=14)
# Clocks of sites may be behind.
_BACKDATED = timedelta(hours=1)
LOOPBACK = ("localhost", "127.0.0.1")


@dataclass(frozen=True)
class KeyPair:
    """The files of a certificate and of its private key."""

    certificate: Path
    key: Path

    def load(self) -> x509.Certificate:
        """Read the certificate.

        Raises:
            InputError: There is none, or it cannot be read.
        """
        try:
            return x509.load_pem_x509_certificate(self.certificate.read_bytes())
        except (OSError, ValueError) as error:
            raise InputError("is no certificate", where=str(self.certificate), remedy="bring it back") from error

    def require_whole(self) -> None:
        """Require the key to be that of the certificate.

        Raises:
            InputError: It is another one, or one of the two is not there.
        """
        if self.load().public_key() != _load_key(self.key).public_key():
            remedy = "run: fedpsma federation renew"
            raise InputError("does not belong to its key", where=str(self.certificate), remedy=remedy)


def make_authority(pair: KeyPair, federation: str, now: datetime | None = None) -> None:
    """Make the authority of a federation; it can sign servers and nothing else.

    One that is there keeps its key: what it has signed stays valid, for who has its old certificate and its new one.
    """
    key = _load_key(pair.key) if pair.key.exists() else generate_private_key(SECP256R1())
    name = _name(f"{federation} authority")
    usage = _key_usage(signs_certificates=True)
    builder = _builder(name, name, key, AUTHORITY_LASTS, now)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(usage, critical=True)
    _write(pair, builder.sign(key, SHA256()), key)


def make_server(
    pair: KeyPair,
    authority: KeyPair,
    names: Sequence[str],
    now: datetime | None = None,
    lasts: timedelta = SERVER_LASTS,
) -> None:
    """Make a server certificate for host names and addresses, and its key; what was there is replaced."""
    key = generate_private_key(SECP256R1())
    signer = authority.load()
    builder = _builder(_name(names[0]), signer.subject, key, lasts, now)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    builder = builder.add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False)
    signing_key = _load_key(authority.key)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key())
    builder = builder.add_extension(issuer, critical=False)
    _write(pair, builder.sign(signing_key, SHA256()), key)


@dataclass(frozen=True)
class Expiry:
    """When a certificate ends, seen from now."""

    certificate: Path
    ends: datetime
    left: timedelta

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.left <= timedelta(0)

    @property
    def is_near(self) -> bool:
        """Whether it ends within 14 days, or has ended."""
        return self.left <= WARN_BEFORE

    def __str__(self) -> str:
        """Say it in a line."""
        if self.is_over:
            return f"{self.certificate.name} expired on {self.ends:%Y-%m-%d}"
        return f"{self.certificate.name} expires in {self.left.days} days, on {self.ends:%Y-%m-%d}"


def expiry_of(pair: KeyPair, now: datetime | None = None) -> Expiry:
    """Return when a certificate ends."""
    ends = pair.load().not_valid_after_utc
    return Expiry(pair.certificate, ends, ends - (now or datetime.now(UTC)))


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: EllipticCurvePrivateKey,
    lasts: timedelta,
    now: datetime | None,
) -> x509.CertificateBuilder:
    start = now or datetime.now(UTC)
    builder = x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=start - _BACKDATED,
        not_valid_after=start + lasts,
    )
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)


def _name(common: str) -> x509.Name:
    # A common name has at most 64 characters.
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "fedpsma"),
            x509.NameAttribute(NameOID.COMMON_NAME, common[:64]),
        ]
    )


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _load_key(path: Path) -> EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError) as error:
        raise InputError("holds no key", where=str(path), remedy="bring it back") from error
    if not isinstance(key, EllipticCurvePrivateKey):
        raise InputError("holds another kind of key", where=str(path), remedy="bring back the one that was made")
    return key


def _write(pair: KeyPair, certificate: x509.Certificate, key: EllipticCurvePrivateKey) -> None:
    write_bytes(pair.key, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), private=True)
    write_bytes(pair.certificate, certificate.public_bytes(Encoding.PEM))
