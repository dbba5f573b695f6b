"""The authority signs servers only; TLS accepts what it signed for a name, and nobody else; ends are told in time."""

from __future__ import annotations

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from fedpsma.errors import InputError
from server.federation.certificates import KeyPair, expiry_of, make_authority, make_server


@pytest.fixture
def authority(tmp_path: Path) -> KeyPair:
    pair = KeyPair(tmp_path / "authority.crt", tmp_path / "authority.key")
    make_authority(pair, "prostate")
    return pair


def _server(folder: Path, authority: KeyPair, *names: str, now: datetime | None = None) -> KeyPair:
    pair = KeyPair(folder / "server.crt", folder / "server.key")
    make_server(pair, authority, names, now)
    return pair


def _shake_hands(server: KeyPair, authority: KeyPair, name: str) -> None:
    """Play both sides of a TLS handshake in memory."""
    there, here = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cafile=str(authority.certificate))
    there.load_cert_chain(server.certificate, server.key)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        here.wrap_bio(to_client, to_server, server_hostname=name),
        there.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue


def test_a_server_is_trusted_under_its_names_only(tmp_path: Path, authority: KeyPair) -> None:
    server = _server(tmp_path, authority, "federation.example.org", "192.0.2.7", "::1")
    for name in ("federation.example.org", "192.0.2.7", "::1"):
        _shake_hands(server, authority, name)
    with pytest.raises(ssl.SSLCertVerificationError):
        _shake_hands(server, authority, "example.org")


def test_a_server_of_another_authority_is_not_trusted(tmp_path: Path, authority: KeyPair) -> None:
    (tmp_path / "other").mkdir()
    other = KeyPair(tmp_path / "other" / "a.crt", tmp_path / "other" / "a.key")
    make_authority(other, "prostate")
    with pytest.raises(ssl.SSLCertVerificationError):
        _shake_hands(_server(tmp_path, other, "localhost"), authority, "localhost")


def test_a_server_cannot_sign_another_one(tmp_path: Path, authority: KeyPair) -> None:
    server = _server(tmp_path, authority, "localhost")
    found = server.load().extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (found.ca, found.path_length) == (False, None)
    found = authority.load().extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (found.ca, found.path_length) == (True, 0)


def test_keys_are_readable_by_their_owner_alone(tmp_path: Path, authority: KeyPair) -> None:
    for pair in (authority, _server(tmp_path, authority, "localhost")):
        assert stat.S_IMODE(pair.key.stat().st_mode) == 0o600


@pytest.mark.parametrize(("days", "near", "over"), [(15, False, False), (13, True, False), (-1, True, True)])
def test_the_end_is_told_fourteen_days_before(
    tmp_path: Path, authority: KeyPair, days: int, near: bool, over: bool
) -> None:
    server = _server(tmp_path, authority, "localhost")
    ends = server.load().not_valid_after_utc
    expiry = expiry_of(server, ends - timedelta(days=days))
    assert (expiry.is_near, expiry.is_over) == (near, over)
    assert ("expired on" if over else f"in {days} days") in str(expiry)


def test_an_expired_certificate_is_refused_by_tls(tmp_path: Path, authority: KeyPair) -> None:
    server = _server(tmp_path, authority, "localhost", now=datetime.now(UTC) - timedelta(days=500))
    assert expiry_of(server).is_over
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        _shake_hands(server, authority, "localhost")


def test_a_renewed_authority_is_trusted_by_who_has_the_old_one_and_the_other_way_round(
    tmp_path: Path, authority: KeyPair
) -> None:
    server = _server(tmp_path, authority, "localhost")
    old = KeyPair(tmp_path / "old.crt", authority.key)
    old.certificate.write_bytes(authority.certificate.read_bytes())
    make_authority(authority, "prostate", datetime.now(UTC) + timedelta(minutes=1))
    assert authority.load().not_valid_after_utc > old.load().not_valid_after_utc
    _shake_hands(server, authority, "localhost")
    _shake_hands(_server(tmp_path, authority, "localhost"), old, "localhost")


def test_a_certificate_of_another_key_is_said(tmp_path: Path, authority: KeyPair) -> None:
    server = _server(tmp_path, authority, "localhost")
    server.require_whole()
    server.key.write_bytes(authority.key.read_bytes())
    with pytest.raises(InputError, match="does not belong to its key"):
        server.require_whole()


def test_a_lost_certificate_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no certificate"):
        KeyPair(tmp_path / "none.crt", tmp_path / "none.key").load()
