"""Clocks that differ and certificates that end, with real processes: both sides say so, and nothing breaks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from real_federation import RealFederation
from tiny_trainer import make_checkpoint, make_sites
from wrong_clock import wrong_clock

from client.ledger import Ledger
from client.steward.home import SiteHome
from client.steward.status import SiteStatus, status_of
from fedpsma.io.chain import verify_chain
from fedpsma.model.checkpoint import load_checkpoint
from server.federation.certificates import make_authority, make_server
from server.federation.home import FederationHome

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
NAMES = ("north", "south")
POLICY = 'trainer = "tiny_trainer"\n'


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealFederation]:
    """Two sites that joined a federation that is up; each test has them take part with a clock of its own."""
    place = tmp_path_factory.mktemp("f")
    with closing(RealFederation(place)) as real:
        real.init()
        make_checkpoint(place / "initial.safetensors")
        for name, dataset in zip(NAMES, make_sites(place, NAMES), strict=True):
            real.admit(name, real.make_site(name, dataset, POLICY))
            real.join(name)
            real.change_policy(name, lambda text: text.replace("least = 2", "least = 1"))
        real.up()
        yield real


def _with_clocks(federation: RealFederation, **seconds: int) -> None:
    """Start the sites anew with their clocks wrong by so much."""
    for name in NAMES:
        federation.end(name)
        federation.take_part(name, **(wrong_clock(seconds[name]) if seconds.get(name) else {}))


def _taking_part(federation: RealFederation) -> None:
    """Wait until both sites are connected, and start them where no test before did."""
    if not federation.processes.keys() & set(NAMES):
        _with_clocks(federation)
    federation.wait_for(lambda: _all_connected(federation), "both sites")


def _status(federation: RealFederation, name: str) -> SiteStatus:
    return status_of(SiteHome(federation.state(name)))


def _all_connected(federation: RealFederation) -> bool:
    return all(_status(federation, name).connected for name in NAMES)


def _run(federation: RealFederation, name: str, *sites: str) -> list[dict[str, object]]:
    """Train a round with both sites, or with some."""
    settings = ("init=initial.safetensors", "rounds=1", "delta=0.05", f"min_sites={len(sites) or 2}")
    asked = [part for one in settings for part in ("--set", one)] + [part for one in sites for part in ("--site", one)]
    federation.call("federation", "run", name, *asked)
    federation.wait_for(lambda: federation.standing(name) in ("finished", "failed"), "the end")
    return federation.events(name)


def _require_sound(federation: RealFederation, run: str) -> None:
    """Require whole histories and ledgers, whatever the clocks said, and finite weights where there are some."""
    verify_chain(federation.home / "runs" / run / "events.jsonl")
    for name in NAMES:
        verify_chain(federation.state(name) / "events.jsonl")
        Ledger(federation.folder / f"data_{name}" / "ledger.jsonl").entries()
    weights = load_checkpoint(federation.home / "runs" / run / "model" / "model.safetensors").weights
    assert all(np.isfinite(array).all() for array in weights.values())


def test_clocks_that_are_a_few_minutes_off_train_and_are_named(federation: RealFederation) -> None:
    _with_clocks(federation, north=200, south=-200)
    federation.wait_for(lambda: _all_connected(federation), "both sites")
    events = _run(federation, "minutes")
    assert {one["site"] for one in events if one["kind"] == "site_reported"} == set(NAMES), federation.all_logs()
    _require_sound(federation, "minutes")
    listed = federation.call("federation", "sites")
    assert "its clock is 3 min ahead of yours" in listed
    assert "its clock is 3 min behind yours" in listed
    assert "north: its clock is 3 min ahead of yours" in federation.call("federation", "watch", "minutes", "--once")
    assert "south: its clock is 3 min behind yours" in federation.log("up")
    assert _status(federation, "north").clock_ahead_s == pytest.approx(200, abs=5)
    said = federation.call("site", "status", "--state", federation.state("south"))
    assert "3 min behind: set it" in said


def test_clocks_that_are_hours_off_are_refused_with_a_word_and_are_well_once_set(federation: RealFederation) -> None:
    """The one is far ahead, so that it is not let in; the other too far behind, so that it takes up no order."""
    _with_clocks(federation, north=7300, south=-450)
    federation.wait_for(lambda: _status(federation, "north").unreached == "clock_differs", "the north's word")
    assert not _status(federation, "north").connected
    federation.wait_for(lambda: _status(federation, "south").connected, "the south")
    before = len(Ledger(federation.folder / "data_south" / "ledger.jsonl").charged())
    told = {(one.get("site"), one.get("reason")) for one in _run(federation, "hours", "south")}
    assert ("south", "order_not_current") in told, told
    assert len(Ledger(federation.folder / "data_south" / "ledger.jsonl").charged()) == before, "nobody paid"
    listed = federation.call("federation", "sites")
    assert "its clock is 2 h ahead of yours, more than the 5 min" in listed
    assert "its clock is 8 min behind yours, more than the 5 min" in listed

    _with_clocks(federation)
    federation.wait_for(lambda: _all_connected(federation), "both sites")
    federation.wait_for(lambda: "north: its clock is right again" in federation.log("up"), "the coordinator's word")
    federation.call("federation", "run", "hours")
    federation.wait_for(lambda: federation.standing("hours") == "finished", "the end")
    _require_sound(federation, "hours")
    assert _status(federation, "north").clock_ahead_s is None
    assert "clock" not in federation.call("federation", "sites")


def _lasting(federation: RealFederation, left: timedelta) -> None:
    """Have the front door show a certificate that ends so soon."""
    home = FederationHome(federation.home)
    make_server(home.front_door, home.authority, home.config().names, lasts=left)


def _renewals(federation: RealFederation) -> int:
    return federation.log("up").count("shows its new certificate")


def test_a_certificate_is_warned_of_ends_and_is_renewed_without_joining_anew(federation: RealFederation) -> None:
    _taking_part(federation)
    shown = _renewals(federation)
    _lasting(federation, timedelta(days=13, hours=1))
    federation.wait_for(lambda: _renewals(federation) > shown, "the front door")
    assert "front-door.crt expires in 13 days" in federation.log("up")
    _with_clocks(federation)
    federation.wait_for(lambda: _status(federation, "north").connected, "the north")
    federation.wait_for(lambda: "tell the coordinator" in _words(federation, "north"), "the warning at the site")

    _lasting(federation, timedelta(seconds=-1))
    federation.wait_for(lambda: _renewals(federation) > shown + 1, "the front door")
    _with_clocks(federation)
    federation.wait_for(lambda: _status(federation, "north").unreached == "certificate_ended", "the end")
    assert "has ended; let the coordinator renew it" in " ".join(_words(federation, "north").split())

    said = federation.call("federation", "renew")
    assert "expires in 396 days" in said
    assert "joins with it" not in said, "the sites notice nothing"
    federation.wait_for(lambda: _all_connected(federation), "both sites, by themselves")
    _run(federation, "renewed")
    _require_sound(federation, "renewed")


def _words(federation: RealFederation, name: str) -> str:
    return federation.call("site", "status", "--state", federation.state(name))


def test_an_ended_certificate_keeps_a_coordinator_from_starting_until_it_is_renewed(federation: RealFederation) -> None:
    federation.processes.pop("up").terminate()
    federation.wait_for(lambda: not (federation.home / "superlink" / "up.json").exists(), "the end")
    _lasting(federation, timedelta(seconds=-1))
    federation.wait_for(lambda: "in use" not in federation.call("federation", "up", code=2), "the end")
    said = federation.call("federation", "up", code=2)
    assert said.count("\n") == 1
    assert "front-door.crt expired on" in said
    assert "fedpsma federation renew" in said
    federation.call("federation", "renew")
    (federation.folder / "up.log").unlink()
    federation.up()


def test_an_authority_is_renewed_under_its_key_and_sites_join_without_being_admitted_anew(
    federation: RealFederation,
) -> None:
    home = FederationHome(federation.home)
    make_authority(home.authority, "prostate", datetime.now(UTC) - timedelta(days=3652 - 10))
    assert "authority.crt expires in" in federation.call("federation", "renew")
    assert home.expiries()[-1].left > timedelta(days=3000)
    said = federation.call("federation", "renew", "--authority")
    assert "fedpsma site join BUNDLE" in said
    # Started anew, so that it is the renewed authority that lets them in.
    _with_clocks(federation)
    federation.wait_for(lambda: _all_connected(federation), "both, with the old bundle")
    bundle = home.bundle()
    for name in NAMES:
        before = federation.connections(name)
        told = ("--fingerprint", bundle.fingerprint)
        federation.call("site", "join", federation.home / "prostate.json", "--state", federation.state(name), *told)
        federation.wait_for(lambda name=name, before=before: federation.connections(name) > before, "the new bundle")
    _run(federation, "authority")
    _require_sound(federation, "authority")
