"""What a deviating coordinator cannot do: have sites reveal their shares for unlike lists of dealers and survivors."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from secret_sum import Theatre, session_of, updates_of

from client.masking import ProtocolError, TooFewSitesError, _Secrets
from fedpsma.secure_aggregation.agreement import AgreedList
from fedpsma.secure_aggregation.identity import KeyNotTrustedError, identity_of
from fedpsma.secure_aggregation.messages import (
    Agreement,
    MaskOrder,
    Roster,
    Session,
    SurvivorList,
    UnmaskOrder,
    threshold,
)
from server.unmasking import MaskedSum

NAMES = ("A", "B", "C", "D", "E", "F")
UPDATES = updates_of(NAMES, 7)
Lists = Mapping[str, Collection[str]]


@dataclass
class Deviator:
    """A coordinator that tells each site other lists, and shows everybody the signatures that serve it best.

    ``seeds`` and ``keys`` are whose shares of each site's two secrets it learns, those of its helpers included.
    """

    theatre: Theatre
    helpers: tuple[str, ...] = ()
    seeds: dict[str, set[str]] = field(default_factory=dict)
    keys: dict[str, set[str]] = field(default_factory=dict)

    def play(self, dealers: Lists, survivors: Lists) -> MaskedSum:
        """Play a session in which sites are told these lists; whoever is not named is told of all sites."""
        names = self.theatre.names
        session = session_of(names)
        adverts = {name: self.theatre.participant(name).advertise(session) for name in names}
        total = MaskedSum.of(session, adverts, 8)
        for name in names:
            total.deal(self.theatre.participant(name).share(total.roster))
        for name, order in total.mask_orders().items():
            told = set(dealers.get(name, names))
            sealed = {one: text for one, text in order.sealed.items() if one in told}
            digests = {one: both for one, both in order.digests.items() if one in told}
            shown = MaskOrder(session=session, sealed=sealed, digests=digests)
            self.theatre.participant(name).open_session(shown).mask(updates_of(names, 7)[name])
        self._unmask(total, {name: tuple(sorted(survivors.get(name, names))) for name in names})
        return total

    def _unmask(self, total: MaskedSum, survivors: Mapping[str, tuple[str, ...]]) -> None:
        for name in self.helpers:
            self._learn(name, self._secrets(name).held, self._secrets(name).held)
        honest = [name for name in total.roster.names if name not in self.helpers]
        lists = {name: replace(self._secrets(name).agreed, survivors=survivors[name]) for name in honest}
        signed: dict[str, str] = {}
        for name in honest:
            listed = SurvivorList(session=total.session, survivors=survivors[name])
            try:
                signed[name] = self.theatre.participant(name).agree(listed).signature
            except (ProtocolError, TooFewSitesError):
                continue
        for name in signed:
            fitting = {one: text for one, text in signed.items() if lists[name].is_signed_by(one, text)}
            helped = {one: lists[name].signed(identity_of(self.theatre.folder / one)) for one in self.helpers}
            for shown in (fitting, {**signed, **helped}, {**fitting, **helped}):
                order = UnmaskOrder(session=total.session, signatures=shown)
                try:
                    revealed = self.theatre.participant(name).unmask(order)
                except (ProtocolError, TooFewSitesError):
                    continue
                self._learn(name, revealed.seeds, revealed.keys)

    def _learn(self, holder: str, seeds: Collection[str], keys: Collection[str]) -> None:
        for known, names in ((self.seeds, seeds), (self.keys, keys)):
            for name in names:
                known.setdefault(name, set()).add(holder)

    def _secrets(self, name: str) -> _Secrets:
        return _Secrets.model_validate_json(self.theatre.participant(name)._path.read_bytes())


def test_one_site_is_not_unmasked_by_unlike_lists_and_one_helper(tmp_path: Path) -> None:
    """Without the agreement its own mask and the mask keys of all that it masked with reach the threshold of four."""
    names = ("A", "C", "L1", "L2", "P1", "P2")
    deviator = Deviator(Theatre(tmp_path, names), helpers=("C",))
    survivors = {
        "A": ("A", "C", "P1", "P2"),
        "P1": ("A", "C", "L1", "P1"),
        "P2": ("A", "C", "L1", "P2"),
        **dict.fromkeys(("L1", "L2"), ("A", "C", "L1", "L2")),
    }
    deviator.play({"A": ("A", "C", "P1", "P2")}, survivors)
    assert deviator.seeds["A"] == {"C"}, "nobody but the helper gave anything"
    assert deviator.keys["P1"] == deviator.keys["P2"] == {"C"}


def test_half_of_the_sites_are_not_unmasked_by_unlike_lists(tmp_path: Path) -> None:
    names = ("K1", "K2", "K3", "S1", "S2", "S3")
    deviator = Deviator(Theatre(tmp_path, names))
    deviator.play({}, {f"{half}{n}": ("S1", "S2", "S3", f"K{n}") for half in "KS" for n in "123"})
    assert not deviator.seeds


def test_the_same_coordinator_unmasks_what_all_agree_on(tmp_path: Path) -> None:
    """Or the tests above would show nothing."""
    deviator = Deviator(Theatre(tmp_path, NAMES), helpers=("C",))
    deviator.play({}, dict.fromkeys(NAMES, ("A", "B", "C", "D", "E")))
    assert deviator.seeds["A"] == set("ABCDE")
    assert deviator.keys["F"] == set("ABCDE")
    assert deviator.seeds["F"] == {"C"}


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data(), sites=st.integers(4, 7))
def test_whatever_sites_are_told_one_list_at_most_is_unmasked(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, sites: int
) -> None:
    names = tuple("ABCDEFG"[:sites])
    least = threshold(sites)
    helpers = tuple(data.draw(st.sets(st.sampled_from(names), max_size=-(-sites // 3) - 1)))
    some = st.sets(st.sampled_from(names), min_size=least).map(lambda found: tuple(sorted(found)))
    lists = [data.draw(some) for _ in range(2)]
    # Half of the sites hear of each list, so that some agree.
    survivors = {name: lists[data.draw(st.integers(0, 1))] for name in names}
    dealers = {name: {name, *data.draw(st.sampled_from([names, *lists]))} for name in names}
    deviator = Deviator(Theatre(tmp_path_factory.mktemp("lists"), names), helpers)
    deviator.play(dealers, survivors)
    known = {name for name in names if len(deviator.seeds.get(name, ())) >= least}
    gone = {name for name in names if len(deviator.keys.get(name, ())) >= least}
    assert not known & gone, "of a site both secrets are known"
    assert not known or len(known) >= least
    helped = gone | set(helpers)
    for name in known - set(helpers):
        group = _read_with(name, dealers, helped)
        whole = group <= known
        assert not whole or len(group | set(helpers)) >= least, "the sum of a few survivors can be read"
    # The sites that revealed all told the same.
    told = {
        survivors[name] for name in names if name not in helpers and any(name in s for s in deviator.seeds.values())
    }
    assert len(told) <= 1


def _read_with(name: str, dealers: Lists, known: Collection[str]) -> set[str]:
    """Return whose updates have to be added to that of a site until no mask of an unknown key is left."""
    group, more = set(), {name}
    while more:
        group |= more
        more = {other for one in group for other in dealers[one]} - group - set(known)
    return group


@pytest.fixture
def theatre(tmp_path: Path) -> Theatre:
    return Theatre(tmp_path, NAMES)


@pytest.mark.parametrize("again", ["ABCDEF", "ABCDE"])
def test_a_site_signs_once_a_session_also_after_a_restart(theatre: Theatre, again: str) -> None:
    total = theatre.masked(session_of(NAMES), UPDATES)
    theatre.participant("A").agree(total.survivor_list())
    with pytest.raises(ProtocolError, match="at agreed"):
        theatre.participant("A").agree(SurvivorList(session=total.session, survivors=tuple(again)))


def test_a_site_that_did_not_sign_reveals_nothing(theatre: Theatre) -> None:
    late = Theatre(theatre.folder, NAMES, {"F": "agree"})
    order = late.agreed(late.masked(session_of(NAMES), UPDATES))
    with pytest.raises(ProtocolError, match="at masked"):
        theatre.participant("F").unmask(order)


def test_a_list_of_sites_that_dealt_nothing_is_not_signed(theatre: Theatre) -> None:
    total = Theatre(theatre.folder, NAMES, {"F": "share"}).masked(session_of(NAMES), UPDATES)
    with pytest.raises(ProtocolError, match="shared nothing"):
        theatre.participant("A").agree(SurvivorList(session=total.session, survivors=NAMES))


def _wrong(kind: str, theatre: Theatre, total: MaskedSum) -> str:
    """Return a signature of B that is not for the list of this session."""
    agreed = AgreedList(total.roster, NAMES, NAMES)
    own = identity_of(theatre.folder / "B")
    if kind == "another key":
        return agreed.signed(identity_of(theatre.folder / "C"))
    if kind == "other survivors":
        return replace(agreed, survivors=tuple("ABCDE")).signed(own)
    if kind == "other dealers":
        return replace(agreed, dealers=tuple("ABCDE")).signed(own)
    session = total.session
    changed: dict[str, Session] = {
        "another session": session.model_copy(update={"token": "ab" * 32}),
        "another round": session.model_copy(update={"round": 2}),
        "another run": session.model_copy(update={"run": "other"}),
    }
    roster = Roster(session=changed.get(kind, session), adverts=total.roster.adverts[: 5 if kind == "a roster" else 6])
    return replace(agreed, roster=roster).signed(own)


WRONG = (
    *("another key", "other survivors", "other dealers"),
    *("another session", "another round", "another run", "a roster"),
)


@pytest.mark.parametrize("kind", WRONG)
def test_a_signature_of_anything_else_is_refused_by_sites_and_server(theatre: Theatre, kind: str) -> None:
    total = theatre.masked(session_of(NAMES), UPDATES)
    order = theatre.agreed(total)
    wrong = _wrong(kind, theatre, total)
    assert wrong != order.signatures["B"]
    with pytest.raises(ProtocolError, match="B did not sign the same list"):
        theatre.participant("A").unmask(order.model_copy(update={"signatures": {**order.signatures, "B": wrong}}))
    with pytest.raises(KeyNotTrustedError, match="B did not sign"):
        total.agree(Agreement(site="B", signature=wrong))
    assert set(theatre.participant("A").unmask(order).seeds) == set(NAMES), "a false one spoils nothing"


def test_who_is_no_survivor_does_not_count_as_a_signer(theatre: Theatre) -> None:
    total = Theatre(theatre.folder, NAMES, {"F": "mask"}).masked(session_of(NAMES), UPDATES)
    order = theatre.agreed(total)
    agreed = AgreedList(total.roster, NAMES, tuple("ABCDE"))
    added = {**order.signatures, "F": agreed.signed(identity_of(theatre.folder / "F"))}
    with pytest.raises(ProtocolError, match="F did not sign"):
        theatre.participant("A").unmask(order.model_copy(update={"signatures": added}))


def test_fewer_signatures_than_the_threshold_unmask_nothing(theatre: Theatre) -> None:
    order = theatre.agreed(theatre.masked(session_of(NAMES), UPDATES))
    few = {name: order.signatures[name] for name in "ABC"}
    with pytest.raises(TooFewSitesError):
        theatre.participant("A").unmask(order.model_copy(update={"signatures": few}))
    enough = {name: order.signatures[name] for name in "ABCD"}
    assert theatre.participant("A").unmask(order.model_copy(update={"signatures": enough})).seeds


@pytest.mark.parametrize("stage", ["mask", "agree"])
def test_of_two_messages_at_once_one_is_answered(theatre: Theatre, stage: str) -> None:
    """Two updates under one mask would show their difference, and two lists signed would undo the agreement."""
    for number in range(5):
        silent = Theatre(theatre.folder, NAMES, {"A": stage})
        total = silent.masked(session_of(NAMES, number=number), UPDATES)
        mask_order, start, answers = total.mask_orders()["A"], threading.Barrier(2), []
        survivors = (NAMES, tuple("ABCDE"))

        def answer(turn: int) -> None:
            site = theatre.participant("A")
            start.wait()  # noqa: B023
            try:
                if stage == "mask":
                    answers.append(site.open_session(mask_order).mask(np.full(7, 0.1 * turn)))  # noqa: B023
                else:
                    listed = SurvivorList(session=total.session, survivors=survivors[turn])  # noqa: B023
                    answers.append(site.agree(listed))  # noqa: B023
            except ProtocolError:
                return

        threads = [threading.Thread(target=answer, args=(turn,)) for turn in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(answers) == 1


def test_a_site_is_hidden_among_as_many_as_it_was_promised(theatre: Theatre) -> None:
    """Else a coordinator with two helpers of many would say that nobody else is there, and learn the third's update."""
    session = session_of(NAMES)
    adverts = {name: theatre.participant(name).advertise(session, 5) for name in NAMES}
    with pytest.raises(TooFewSitesError):
        theatre.participant("A").share(Roster(session=session, adverts=tuple(adverts[name] for name in "ABC")))
    total = MaskedSum.of(session, adverts, 8, 5)
    for name in NAMES:
        total.deal(theatre.participant(name).share(total.roster))
    order = total.mask_orders()["A"]
    few = order.model_copy(update={"sealed": {name: order.sealed[name] for name in "BCD"}})
    with pytest.raises(TooFewSitesError):
        theatre.participant("A").open_session(few)
    theatre.participant("A").open_session(order)
    with pytest.raises(TooFewSitesError):
        theatre.participant("A").agree(SurvivorList(session=session, survivors=tuple("ABCD")))
    assert theatre.participant("A").agree(SurvivorList(session=session, survivors=tuple("ABCDE")))
    with pytest.raises(TooFewSitesError):
        theatre.participant("B").advertise(session_of("ABC"), 5)
