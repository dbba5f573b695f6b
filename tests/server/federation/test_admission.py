"""Who is let in: each name and each key once, revoked keys never again, and the SuperLink knows the same nodes."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from made_up_federation import NotingSuperLink, made_up_home, request_of

from fedpsma.errors import InputError
from fedpsma.io.chain import verify_chain
from server.federation.admission import Registrar, admit, admitted_sites, revoke
from server.federation.home import FederationHome


@pytest.fixture
def home(tmp_path: Path) -> FederationHome:
    return made_up_home(tmp_path)


@pytest.fixture
def superlink(home: FederationHome) -> NotingSuperLink:
    return NotingSuperLink(home.flower)


def _registrar(home: FederationHome, superlink: NotingSuperLink) -> Registrar:
    return Registrar(home, superlink, lambda _: None)  # type: ignore[arg-type]


def test_a_new_federation_keeps_its_keys_to_itself_and_its_bundle_holds_none(home: FederationHome) -> None:
    assert stat.S_IMODE(home.keys.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in home.keys.iterdir())
    text = home.bundle().model_dump_json()
    assert "PRIVATE" not in text
    assert home.signing_key_path.read_bytes().hex() not in text
    with pytest.raises(InputError, match="holds a federation already"):
        home.make(home.config())


def test_a_site_is_registered_once_and_shut_out_when_it_is_revoked(
    home: FederationHome, superlink: NotingSuperLink, tmp_path: Path
) -> None:
    north, south = request_of(tmp_path, "north"), request_of(tmp_path, "south")
    for request in (north, south):
        admit(home, request)
    for _ in range(3):
        _registrar(home, superlink).sync()
    assert sorted(superlink.nodes.values()) == sorted([north.node_key, south.node_key])
    revoke(home, "north")
    _registrar(home, superlink).sync()
    assert list(superlink.nodes.values()) == [south.node_key]
    assert {site.name: site.is_in for site in admitted_sites(home)} == {"north": False, "south": True}


def test_a_superlink_that_lost_its_data_base_is_told_everything_again(
    home: FederationHome, superlink: NotingSuperLink, tmp_path: Path
) -> None:
    admit(home, request_of(tmp_path, "north"))
    _registrar(home, superlink).sync()
    superlink.nodes.clear()
    _registrar(home, superlink).forget_lost()
    _registrar(home, superlink).sync()
    assert len(superlink.nodes) == 1


def test_names_and_keys_belong_to_one_site(home: FederationHome, tmp_path: Path) -> None:
    north, other = request_of(tmp_path, "north"), request_of(tmp_path, "other")
    admit(home, north)
    copies = {
        "is admitted already": other.model_copy(update={"site": "North"}),
        "has a key of north": other.model_copy(update={"node_key": north.node_key}),
        "has a key of north$": other.model_copy(update={"signing_key": north.signing_key}),
    }
    for message, request in copies.items():
        with pytest.raises(InputError, match=message.rstrip("$")):
            admit(home, request)


def test_a_revoked_key_is_never_accepted_again_but_new_keys_are(home: FederationHome, tmp_path: Path) -> None:
    north = request_of(tmp_path, "north")
    admit(home, north)
    revoke(home, "north")
    for name in ("north", "south"):
        with pytest.raises(InputError, match="revoked"):
            admit(home, north.model_copy(update={"site": name}))
    (tmp_path / "north.key").unlink()
    admit(home, request_of(tmp_path, "north"))
    with pytest.raises(InputError, match="was never admitted"):
        revoke(home, "west")


def test_the_journal_tells_who_was_let_in_and_out(home: FederationHome, tmp_path: Path) -> None:
    admit(home, request_of(tmp_path, "north"))
    revoke(home, "north")
    assert verify_chain(home.journal).lines == 3
