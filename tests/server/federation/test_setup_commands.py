"""The commands by which a coordinator opens a federation and lets sites in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result
from made_up_federation import request_of
from typer.testing import CliRunner

from fedpsma.errors import InputError
from fedpsma.joining.records import JoinBundle
from server.federation.certificates import AUTHORITY_LASTS, make_authority
from server.federation.home import FederationHome
from server.federation_commands import federation


def _call(folder: Path, *arguments: object, **options: str) -> Result:
    result = CliRunner().invoke(federation, [*map(str, arguments), "--folder", str(folder / "c")], **options)  # type: ignore[arg-type]
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a new federation."""
    assert _call(tmp_path, "init", "prostate cancer", "--address", "fed.example.org").exit_code == 0
    return tmp_path


def test_init_writes_a_bundle_whose_fingerprint_it_says(folder: Path) -> None:
    bundle = JoinBundle.read(folder / "c" / "prostate-cancer.json")
    assert (bundle.federation, bundle.address) == ("prostate cancer", "fed.example.org:9443")
    assert bundle.fingerprint in _call(folder, "bundle").output
    assert FederationHome(folder / "c").config().listen == "0.0.0.0:9443"


@pytest.mark.parametrize(
    ("address", "whole", "name"),
    [
        ("host", "host:9443", "host"),
        ("host:1", "host:1", "host"),
        ("[::1]", "[::1]:9443", "::1"),
        ("[::1]:7", "[::1]:7", "::1"),
    ],
)
def test_an_address_may_leave_out_the_port(tmp_path: Path, address: str, whole: str, name: str) -> None:
    _call(tmp_path, "init", "one", "--address", address)
    config = FederationHome(tmp_path / "c").config()
    assert (config.address, config.names) == (whole, (name,))


@pytest.mark.parametrize("address", ["two words", "host:port", "https://host"])
def test_what_is_no_address_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(InputError, match="address"):
        _call(tmp_path, "init", "one", "--address", address)
    assert not (tmp_path / "c" / "federation.toml").exists()


def test_a_site_is_admitted_by_its_fingerprint_only(folder: Path) -> None:
    request = request_of(folder, "north")
    request.write(folder / "request.json")
    with pytest.raises(InputError, match="is another one"):
        _call(folder, "admit", folder / "request.json", "--fingerprint", "0000")
    with pytest.raises(InputError, match="was not agreed to"):
        _call(folder, "admit", folder / "request.json", input="n\n")
    assert "no site yet" in _call(folder, "sites").output
    assert "admitted north" in _call(folder, "admit", folder / "request.json", input="y\n").output
    assert request.fingerprint[:4] in _call(folder, "sites").output
    _call(folder, "revoke", "north")
    assert "revoked" in _call(folder, "sites").output


def test_renewed_certificates_leave_the_bundle_as_it_is(folder: Path) -> None:
    home = FederationHome(folder / "c")
    before, bundle = home.front_door.certificate.read_bytes(), home.bundle()
    _call(folder, "renew")
    assert home.front_door.certificate.read_bytes() != before
    assert home.bundle() == bundle
    assert home.expiries()[-2].certificate.name == "superlink.crt", "nobody outside sees it, so it lasts"


@pytest.mark.parametrize(("days_left", "new"), [(20, False), (13, True), (-1, True)])
def test_an_authority_is_renewed_when_it_ends_with_its_key_and_a_new_bundle(
    folder: Path, days_left: int, new: bool
) -> None:
    home = FederationHome(folder / "c")
    key = home.authority.key.read_bytes()
    make_authority(home.authority, "prostate", datetime.now(UTC) - AUTHORITY_LASTS + timedelta(days=days_left))
    said = _call(folder, "renew").output
    assert ("fedpsma site join BUNDLE" in said) is new
    assert (JoinBundle.read(folder / "c" / "prostate-cancer.json") == home.bundle()) is new
    assert home.authority.key.read_bytes() == key
    home.front_door.require_whole()


@pytest.mark.parametrize("arguments", [("sites",), ("renew",), ("revoke", "x"), ("up",), ("watch", "x"), ("run", "x")])
def test_without_a_federation_everything_says_how_to_make_one(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="fedpsma federation init"):
        _call(tmp_path, *arguments)
