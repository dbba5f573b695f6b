"""Sessions of secure aggregation from end to end: the sum is right, and all that is not the sum stays hidden."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from secret_sum import Theatre, session_of, updates_of

from client.masking import ProtocolError, TooFewSitesError, UnreadableShareError
from fedpsma.secure_aggregation.identity import KeyNotTrustedError
from fedpsma.secure_aggregation.masks import add_mask
from fedpsma.secure_aggregation.messages import Advert, Dealing, Revealed, Roster, SurvivorList
from fedpsma.secure_aggregation.sharing import split
from server.unmasking import (
    BrokenSecretError,
    FalseShareError,
    MaskedSum,
    UnmaskingError,
)
from server.unmasking import TooFewSitesError as TooFewLeftError

NAMES = ("A", "B", "C", "D", "E", "F")
UPDATES = updates_of(NAMES, 7)


@pytest.fixture
def theatre(tmp_path: Path) -> Theatre:
    return Theatre(tmp_path, NAMES)


def _mean(names: str) -> np.ndarray:
    return np.mean([UPDATES[name] for name in names], axis=0)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), sites=st.integers(3, 7), norm=st.sampled_from([0.01, 1.0, 64.0]))
def test_the_sum_is_that_of_float64_whoever_drops_out_and_however_they_count(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, sites: int, norm: float
) -> None:
    names = tuple("ABCDEFG"[:sites])
    gone = data.draw(st.sets(st.sampled_from(names), max_size=max(0, sites - max(3, -(-2 * sites // 3)))))
    silent = {name: data.draw(st.sampled_from(["share", "mask"])) for name in gone}
    weights = {name: data.draw(st.floats(0.01, 1)) for name in names}
    updates = updates_of(names, 5, norm, seed=sites)
    theatre = Theatre(tmp_path_factory.mktemp("sum"), names, silent)
    mean, weight = theatre.unmask(theatre.masked(session_of(names, norm), updates, weights))
    stayed = sorted(set(names) - gone)
    expected = sum(weights[name] * updates[name] for name in stayed)
    assert weight == pytest.approx(sum(weights[name] for name in stayed), rel=1e-6)
    assert np.abs(mean * weight - expected).max() <= 1e-6 * norm


@pytest.mark.parametrize("stage", ["advertise", "share", "mask", "agree", "unmask"])
def test_dropout_at_each_stage_leaves_the_mean_of_the_others(tmp_path: Path, stage: str) -> None:
    theatre = Theatre(tmp_path, NAMES, {"B": stage, "E": stage})
    mean, _ = theatre.unmask(theatre.masked(session_of(NAMES), UPDATES))
    stayed = "ABCDEF" if stage in ("agree", "unmask") else "ACDF"
    np.testing.assert_allclose(mean, _mean(stayed), atol=1e-8)


@pytest.mark.parametrize("stage", ["share", "mask", "agree", "unmask"])
def test_below_the_threshold_there_is_no_sum_and_it_says_so(tmp_path: Path, stage: str) -> None:
    theatre = Theatre(tmp_path, NAMES, {name: stage for name in "BEF"})
    with pytest.raises(TooFewLeftError, match="needs 4 sites to the end of a round, 3 are left"):
        theatre.unmask(theatre.masked(session_of(NAMES), UPDATES))


def test_two_sites_are_too_few_to_hide_among(tmp_path: Path) -> None:
    theatre = Theatre(tmp_path, ("A", "B"))
    with pytest.raises(TooFewSitesError):
        theatre.participant("A").advertise(session_of("AB"))
    session = session_of("ABC")
    adverts = {name: Theatre(tmp_path, NAMES).participant(name).advertise(session) for name in "AB"}
    with pytest.raises(TooFewLeftError, match="needs 3 sites"):
        MaskedSum.of(session, adverts, 3)


def test_what_the_server_sees_of_a_site_looks_random(theatre: Theatre) -> None:
    """Nothing of an update shows: equal updates give unlike vectors, even without the masks that sites share."""
    size = 20_000
    zeros = {name: np.zeros(size) for name in NAMES}
    first = theatre.masked(session_of(NAMES), zeros).total
    second = theatre.masked(session_of(NAMES, number=2), zeros).total
    for total in (first, second, first - second):
        share = np.unpackbits(total.view(np.uint8)).mean()
        assert abs(share - 0.5) < 5 / np.sqrt(8 * 4 * size)


def test_a_late_update_stays_hidden_under_its_own_mask(theatre: Theatre) -> None:
    """The server has everything the others reveal about a site that was too late, and takes all of it off."""
    session = session_of(NAMES)
    late = Theatre(theatre.folder, NAMES, {"F": "mask"})
    total = late.masked(session, UPDATES)
    order = late.agreed(total)
    for name in order.signatures:
        total.reveal(late.participant(name).unmask(order))
    revealed = total.revealed["A"]
    assert "F" in revealed.keys
    assert "F" not in revealed.seeds
    mean, _ = total.mean()
    np.testing.assert_allclose(mean, _mean("ABCDE"), atol=1e-8)
    assert not any("F" in one.seeds for one in total.revealed.values())


def test_of_each_site_one_of_two_secrets_is_revealed_once(theatre: Theatre) -> None:
    total = theatre.masked(session_of(NAMES), UPDATES)
    order = theatre.agreed(total)
    site = theatre.participant("A")
    revealed = site.unmask(order)
    assert set(revealed.seeds) | set(revealed.keys) == set(NAMES)
    assert not set(revealed.seeds) & set(revealed.keys)
    with pytest.raises(ProtocolError, match="no session"):
        theatre.participant("A").unmask(order)
    assert not list((theatre.folder / "A" / "secure").iterdir()), "nothing of a session stays on the disk"


def test_no_stage_is_answered_twice(theatre: Theatre) -> None:
    session = session_of(NAMES)
    adverts = {name: theatre.participant(name).advertise(session) for name in NAMES}
    total = MaskedSum.of(session, adverts, 8)
    for name in NAMES:
        total.deal(theatre.participant(name).share(total.roster))
    with pytest.raises(ProtocolError, match="at shared"):
        theatre.participant("A").share(total.roster)
    order = total.mask_orders()["A"]
    theatre.participant("A").open_session(order)
    # Two updates under the same mask would show their difference.
    with pytest.raises(ProtocolError, match="at masked"):
        theatre.participant("A").open_session(order)


def test_a_message_of_another_session_is_refused(theatre: Theatre) -> None:
    old = theatre.masked(session_of(NAMES), UPDATES)
    order = theatre.agreed(old)
    new = session_of(NAMES)
    theatre.participant("A").advertise(new)
    with pytest.raises(ProtocolError, match="another session"):
        theatre.participant("A").unmask(order)
    with pytest.raises(ProtocolError, match="another session"):
        theatre.participant("A").open_session(old.mask_orders()["A"])


def _adverts(theatre: Theatre) -> Roster:
    session = session_of(NAMES)
    adverts = [theatre.participant(name).advertise(session) for name in NAMES]
    return Roster(session=session, adverts=tuple(adverts))


def _with(roster: Roster, forged: Advert) -> Roster:
    adverts = tuple(forged if advert.site == forged.site else advert for advert in roster.adverts)
    return roster.model_copy(update={"adverts": adverts})


def test_a_site_whose_key_changed_is_refused(theatre: Theatre) -> None:
    theatre.participant("A").share(_adverts(theatre))
    (theatre.folder / "B" / "identity.key").unlink()
    with pytest.raises(KeyNotTrustedError, match="key of B has changed"):
        theatre.participant("A").share(_adverts(theatre))


def test_keys_that_the_server_swapped_are_refused(theatre: Theatre) -> None:
    """The server in the middle puts a mask key of its own into the advert of another site."""
    roster = _adverts(theatre)
    forged = roster.advert("B").model_copy(update={"mask_key": roster.advert("C").mask_key})
    with pytest.raises(KeyNotTrustedError, match="not signed"):
        theatre.participant("A").share(_with(roster, forged))


def test_an_advert_of_an_earlier_session_is_refused(theatre: Theatre) -> None:
    old = _adverts(theatre)
    new = _adverts(theatre)
    with pytest.raises(KeyNotTrustedError, match="not signed"):
        theatre.participant("A").share(_with(new, old.advert("B")))


def test_sites_that_were_told_unlike_things_do_not_understand_each_other(theatre: Theatre) -> None:
    """The server leaves F out of what it tells B, so the session is not the same for A and B."""
    roster = _adverts(theatre)
    less = roster.model_copy(update={"adverts": roster.adverts[:-1]})
    total = MaskedSum(roster.session, roster, np.zeros(8, np.uint32))
    for name in NAMES:
        told = less if name == "B" else roster
        dealing = theatre.participant(name).share(told)
        total.dealings[name] = dealing
    sealed = {name: total.dealings[name].sealed["A"] for name in "BCDEF"}
    digests = {name: total.dealings[name].digests["A"] for name in "BCDEF"}
    order = total._order_for("A").model_copy(update={"sealed": sealed, "digests": digests})
    with pytest.raises(UnreadableShareError, match="shares of B cannot be opened"):
        theatre.participant("A").open_session(order)


def test_a_site_that_is_not_trusted_beforehand_does_not_enter_a_closed_circle(theatre: Theatre) -> None:
    from client.masking import Participant
    from fedpsma.secure_aggregation.identity import KeyBook

    roster = _adverts(theatre)
    peers = {advert.site: advert.identity for advert in roster.adverts if advert.site != "F"}
    state = theatre.folder / "A"
    with pytest.raises(KeyNotTrustedError, match="F is not among"):
        Participant("A", state, KeyBook(state / "keys.json", peers, closed=True), "run").share(roster)


def _revealed(theatre: Theatre, total: MaskedSum) -> dict[str, Revealed]:
    order = theatre.agreed(total)
    return {name: theatre.participant(name).unmask(order) for name in order.signatures}


def test_a_site_that_reveals_a_false_share_is_named_and_the_others_suffice(theatre: Theatre) -> None:
    total = theatre.masked(session_of(NAMES), UPDATES)
    revealed = _revealed(theatre, total)
    lie = revealed["C"].model_copy(update={"seeds": {**revealed["C"].seeds, "A": "00" * 32}})
    with pytest.raises(FalseShareError, match="C"):
        total.reveal(lie)
    with pytest.raises(FalseShareError, match="B"):
        total.reveal(revealed["B"].model_copy(update={"seeds": {}}))
    for name in "ADEF":
        total.reveal(revealed[name])
    np.testing.assert_allclose(total.mean()[0], _mean("ABCDEF"), atol=1e-8)


@pytest.mark.parametrize("drops", [False, True])
def test_a_site_that_dealt_shares_of_another_secret_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drops: bool
) -> None:
    from client import masking

    theatre = Theatre(tmp_path, NAMES, {"A": "mask"} if drops else {})
    honest = masking._deal

    def lie(own: masking._Secrets, roster: Roster) -> dict[str, masking._Pair]:
        if own.advert.site != "A":
            return honest(own, roster)
        shares = split(bytes(32), roster.threshold, len(roster.names))
        return {name: masking._Pair(seed=shares[n].hex(), key=shares[n].hex()) for n, name in enumerate(NAMES, 1)}

    monkeypatch.setattr(masking, "_deal", lie)
    total = theatre.masked(session_of(NAMES), UPDATES)
    with pytest.raises(BrokenSecretError, match="A dealt false shares"):
        theatre.unmask(total)


def test_shares_that_are_not_what_their_sender_said_stop_the_holder(theatre: Theatre) -> None:
    roster = _adverts(theatre)
    total = MaskedSum(roster.session, roster, np.zeros(8, np.uint32))
    for name in NAMES:
        total.deal(theatre.participant(name).share(roster))
    order = total.mask_orders()["A"]
    swapped = order.model_copy(update={"digests": {**order.digests, "B": order.digests["C"]}})
    with pytest.raises(UnreadableShareError, match="shares of B"):
        theatre.participant("A").open_session(swapped)
    mixed = order.model_copy(update={"sealed": {**order.sealed, "B": order.sealed["C"]}})
    mixed = mixed.model_copy(update={"sealed": {**mixed.sealed, "D": "00"}})
    with pytest.raises(UnreadableShareError, match="shares of B, D cannot be opened"):
        theatre.participant("A").open_session(mixed)


def test_a_dealing_has_a_share_for_each_site(theatre: Theatre) -> None:
    roster = _adverts(theatre)
    total = MaskedSum(roster.session, roster, np.zeros(8, np.uint32))
    dealing = theatre.participant("A").share(roster)
    less = Dealing(site="A", sealed={"B": dealing.sealed["B"]}, digests=dealing.digests)
    with pytest.raises(ValueError, match="one share"):
        total.deal(less)


def test_too_few_survivors_are_not_agreed_to_by_the_sites_themselves(theatre: Theatre) -> None:
    """A server that claims that all but one site dropped out would learn that one's update."""
    total = theatre.masked(session_of(NAMES), UPDATES)
    for survivors in (("A",), ("A", "B"), ("A", "B", "C")):
        with pytest.raises(TooFewSitesError):
            theatre.participant("A").agree(SurvivorList(session=total.session, survivors=survivors))
    with pytest.raises(ProtocolError, match="not among"):
        theatre.participant("A").agree(SurvivorList(session=total.session, survivors=("B", "C", "D", "E")))


def test_a_vector_that_is_not_masked_as_agreed_spoils_the_sum_and_is_noticed(theatre: Theatre) -> None:
    total = theatre.masked(session_of(NAMES), UPDATES)
    add_mask(total.total, bytes(32))
    with pytest.raises(UnmaskingError, match="nobody can say which"):
        theatre.unmask(total)
