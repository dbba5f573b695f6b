"""What the steward of a site answers: to whom, when, and never more than the contract names."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from fake_coordinator import GENEROUS, WEIGHTS, Coordinator, charges, refusal_of, set_policy

from client.envelope import Envelope
from client.ledger import Ledger
from client.steward.home import SiteHome
from client.steward.steward import Steward
from fedpsma.contract import ORDER, REPORT, SITE, SiteReport
from fedpsma.joining.signatures import Statement, is_signed


def test_a_signed_order_is_trained_and_the_report_is_signed(home: SiteHome, coordinator: Coordinator) -> None:
    reply = Steward(home).answer(coordinator.order("north"))
    assert set(reply.records) == {REPORT}
    assert SiteReport.model_validate_json(reply.text(REPORT)).epsilon == pytest.approx(2.0)
    assert {name: array.shape for name, array in reply.arrays.items()} == {n: a.shape for n, a in WEIGHTS.items()}
    assert not np.array_equal(reply.arrays["layer"], WEIGHTS["layer"])
    assert coordinator.believes(reply, "north", home.request().signing_key)
    assert charges(home) == 1


def test_a_report_is_believed_for_its_own_weights_round_and_site_only(home: SiteHome, coordinator: Coordinator) -> None:
    reply, key = Steward(home).answer(coordinator.order("north")), home.request().signing_key
    changed = replace(reply, arrays={**reply.arrays, "layer": reply.arrays["layer"] + 1})
    assert not coordinator.believes(changed, "north", key)
    assert not coordinator.believes(reply, "north", key, number=2)
    assert not coordinator.believes(reply, "south", key)
    assert not coordinator.believes(reply, "north", Coordinator().bundle().coordinator_key)


def _forged(order: Envelope, coordinator: Coordinator) -> dict[str, Envelope]:
    unsigned = replace(order, records={ORDER: {"json": order.text(ORDER)}})
    other_plan = order.text(ORDER).replace('"rounds":3', '"rounds":4')
    return {
        "unsigned": unsigned,
        "by another coordinator": Coordinator().order("north"),
        "for another site": coordinator.order("south"),
        "of another federation": Coordinator("other", coordinator.key).order("north"),
        "with other weights": replace(order, arrays={**WEIGHTS, "layer": np.zeros((3, 4), np.float32)}),
        "with another plan": replace(order, records={ORDER: {**order.records[ORDER], "json": other_plan}}),
    }


@pytest.mark.parametrize("kind", _forged(Coordinator().order("north"), Coordinator()))
def test_what_the_coordinator_did_not_sign_for_this_site_is_refused(
    kind: str, home: SiteHome, coordinator: Coordinator
) -> None:
    reply = Steward(home).answer(_forged(coordinator.order("north"), coordinator)[kind])
    assert refusal_of(reply) == "order_not_signed"
    assert charges(home) == 0


def test_an_order_is_taken_up_once_and_no_older_round_after_it(home: SiteHome, coordinator: Coordinator) -> None:
    first, second = coordinator.order("north", 1), coordinator.order("north", 2)
    again = coordinator.order("north", 2)
    steward = Steward(home)
    assert set(steward.answer(first).records) == {REPORT}
    assert refusal_of(steward.answer(first)) == "order_repeated"
    assert set(steward.answer(second).records) == {REPORT}
    assert set(Steward(home).answer(again).records) == {REPORT}, "a coordinator that was killed asks again, for free"
    assert refusal_of(Steward(home).answer(coordinator.order("north", 1))) == "order_repeated"
    assert set(steward.answer(coordinator.order("north", 1, run="other")).records) == {REPORT}
    assert charges(home) == 3


@pytest.mark.parametrize("age", [timedelta(hours=13), timedelta(minutes=-6)])
def test_an_order_that_is_old_or_of_the_future_is_refused(
    age: timedelta, home: SiteHome, coordinator: Coordinator
) -> None:
    assert refusal_of(Steward(home).answer(coordinator.order("north", age=age))) == "order_not_current"
    assert charges(home) == 0


@pytest.mark.parametrize(("minute", "open_"), [(18 * 60 + 59, False), (19 * 60, True), (2 * 60, True), (7 * 60, False)])
def test_rounds_are_taken_up_at_the_hours_of_the_policy(
    minute: int, open_: bool, home: SiteHome, coordinator: Coordinator
) -> None:
    set_policy(home, GENEROUS + 'hours = ["19:00-06:30"]\n')
    now = datetime(2030, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
    reply = Steward(home, clock=lambda: now).answer(coordinator.order("north"))
    assert (set(reply.records) == {REPORT}) is open_
    assert open_ or refusal_of(reply) == "outside_hours"


@pytest.mark.parametrize(
    ("limit", "plan", "allowed"),
    [
        ("[settings.min_sites]\nleast = 3\n", {"min_sites": 2}, False),
        ("[settings.min_sites]\nleast = 3\n", {"min_sites": 3}, True),
        ("[settings.rounds]\nmost = 10\n", {"rounds": 11}, False),
        ('[settings.scope]\namong = ["adaptive"]\n', {"scope": "all"}, False),
        ("[settings.target_epsilon]\nmost = 4\n", {"target_epsilon": 8.0}, False),
        ("[settings.gpu_share]\nmost = 0.5\n", {}, True),
        ("[settings.gpu_share]\nmost = 0.5\n", {"device": "cuda"}, False),
        ("[settings.no_such]\nmost = 1\n", {}, False),
        ('hours = ["7-9"]\n', {}, False),
    ],
)
def test_the_settings_of_a_run_are_limited_by_the_policy(
    limit: str, plan: dict[str, object], allowed: bool, home: SiteHome, coordinator: Coordinator
) -> None:
    set_policy(home, GENEROUS + limit)
    reply = Steward(home).answer(coordinator.order("north", **plan))
    assert (set(reply.records) == {REPORT}) is allowed
    assert allowed or refusal_of(reply) == "plan_not_allowed"
    assert charges(home) == int(allowed)


def test_a_paused_site_refuses_and_goes_on_when_resumed(home: SiteHome, coordinator: Coordinator) -> None:
    steward = Steward(home)
    home.pause("after this round")
    assert refusal_of(steward.answer(coordinator.order("north"))) == "paused"
    home.resume()
    assert set(steward.answer(coordinator.order("north")).records) == {REPORT}


def _trained_until(
    home: SiteHome, coordinator: Coordinator, answer: Callable[[Envelope], Envelope], ending: Callable[[], object]
) -> Envelope:
    end = threading.Timer(0.3, ending)
    set_policy(home, GENEROUS.replace("tiny_trainer", "endless_trainer"))
    end.start()
    started = time.monotonic()
    reply = answer(coordinator.order("north"))
    assert time.monotonic() - started < 10
    end.join()
    return reply


@pytest.mark.parametrize("by", ["pause", "leave", "nobody waits", "end of the process"])
def test_training_stops_within_seconds_and_its_charge_stays(by: str, home: SiteHome, coordinator: Coordinator) -> None:
    over = threading.Event()
    steward = Steward(home)
    ways = {
        "pause": lambda: home.pause("now"),
        "leave": home.bundle_path.unlink,
        "nobody waits": over.set,
        "end of the process": steward.stops.stop,
    }
    reply = _trained_until(home, coordinator, lambda asked: steward.answer(asked, over.is_set), ways[by])
    assert refusal_of(reply) == "stopped"
    entries = Ledger(next(home.folder.parent.glob("data_*")) / "ledger.jsonl").entries()
    assert [(entry.kind, entry.outcome) for entry in entries] == [("charged", None), ("closed", "failed")]


def test_a_full_disk_is_told_with_a_signed_code(
    home: SiteHome, coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> bytes:
        raise OSError(errno.ENOSPC, "No space left on device", str(home.folder))

    monkeypatch.setattr("client.steward.events.append_line", full)
    reply = Steward(home).answer(coordinator.order("north"))
    assert refusal_of(reply) == "disk_full"
    assert coordinator.believes(reply, "north", home.request().signing_key)
    assert charges(home) == 0


def test_a_site_that_left_takes_up_nothing_more(home: SiteHome, coordinator: Coordinator) -> None:
    steward = Steward(home)
    home.bundle_path.unlink()
    assert refusal_of(steward.answer(coordinator.order("north"))) == "paused"


def test_the_name_is_signed_for_one_question(home: SiteHome, coordinator: Coordinator) -> None:
    asked = coordinator.question()
    reply = Steward(home).answer(asked)
    assert reply.records[SITE]["name"] == "north"
    statement = Statement("answer", "prostate", "", 0, "north", asked.text(SITE))
    assert is_signed(statement, reply.signature(SITE), home.request().signing_key)
    for stranger in (Coordinator().question(), Envelope("query.identify")):
        assert dict(Steward(home).answer(stranger).records[SITE]) == {"name": "north"}, "signed for nobody else"


def test_the_history_tells_what_happened_without_patients(home: SiteHome, coordinator: Coordinator) -> None:
    from client.steward.events import SiteLog
    from fedpsma.io.chain import verify_chain

    steward = Steward(home)
    steward.answer(coordinator.order("north"))
    steward.answer(Coordinator().order("north"))
    events = SiteLog(home.events_path).read()
    assert [event.kind for event in events] == ["round_started", "round_released", "refused"]
    assert events[1].epsilon == pytest.approx(2.0)
    assert verify_chain(home.events_path).lines == 3
