"""Request and bundle survive the way through a file; a changed one has another fingerprint; a broken one is refused."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from fedpsma.errors import InputError
from fedpsma.joining.keys import checked_node_key, make_node_key
from fedpsma.joining.records import JoinBundle, SiteRequest
from fedpsma.joining.signatures import Statement, is_signed, sign

BUNDLE = JoinBundle(
    federation="prostate",
    address="federation.example.org:9443",
    ca_certificate="-----BEGIN CERTIFICATE-----",
    coordinator_key="ab" * 32,
    app_sha256="cd" * 32,
)


def test_a_request_reads_back_as_it_was_written(tmp_path: Path) -> None:
    request = SiteRequest(site="north", node_key=make_node_key(tmp_path / "node.key"), signing_key="01" * 32)
    request.write(tmp_path / "request.json")
    assert SiteRequest.read(tmp_path / "request.json").checked("request") == request


def test_a_node_key_is_readable_by_its_owner_alone_and_fits_its_public_half(tmp_path: Path) -> None:
    public = make_node_key(tmp_path / "node.key")
    assert stat.S_IMODE((tmp_path / "node.key").stat().st_mode) == 0o600
    key = load_ssh_private_key((tmp_path / "node.key").read_bytes(), None)
    assert checked_node_key(f"{public} somebody@somewhere", "key") == public
    assert key.public_key().public_numbers().curve.name == "secp384r1"  # type: ignore[union-attr]


def test_another_kind_of_key_is_refused() -> None:
    with pytest.raises(InputError, match="P-384"):
        checked_node_key("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJl", "admit")


def test_the_fingerprint_covers_every_field() -> None:
    others = [
        BUNDLE.model_copy(update={name: f"{value}x"})
        for name, value in BUNDLE.model_dump(exclude={"schema_version"}).items()
    ]
    assert len({one.fingerprint for one in [BUNDLE, *others]}) == len(others) + 1


@pytest.mark.parametrize("address", ["host", "host:port", "https://host:1", "two words:1"])
def test_an_address_is_host_and_port(address: str, tmp_path: Path) -> None:
    BUNDLE.model_copy(update={"address": address}).write(tmp_path / "bundle.json")
    with pytest.raises(InputError, match="address"):
        JoinBundle.read(tmp_path / "bundle.json")


def test_a_signature_holds_for_exactly_what_was_signed() -> None:
    key, statement = Ed25519PrivateKey.generate(), Statement("order", "one", "run", 3, "north", "{}", "ff")
    public, signature = key.public_key().public_bytes_raw().hex(), sign(statement, key)
    assert is_signed(statement, signature, public)
    changes = (
        {"kind": "report"},
        {"federation": "two"},
        {"run": "r"},
        {"round": 4},
        {"site": "south"},
        {"content": "[]"},
        {"weights_sha256": "f"},
    )
    assert not any(is_signed(replace(statement, **change), signature, public) for change in changes)  # type: ignore[arg-type]
    assert not is_signed(statement, signature, Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex())
