"""A coordinator that lost a report asks again: the same report leaves again, and no patient pays twice."""

from __future__ import annotations

import stat
from datetime import timedelta

import numpy as np
import pytest
from fake_coordinator import GENEROUS, WEIGHTS, Coordinator, charges, refusal_of, set_policy

from client.envelope import Envelope
from client.steward.events import SiteLog
from client.steward.home import SiteHome
from client.steward.joining import leave
from client.steward.kept import KeptReport
from client.steward.steward import Steward
from fedpsma.contract import REPORT, SECURE, RoundOrder, TrainingPlan


def _same(one: Envelope, other: Envelope) -> bool:
    arrays = one.arrays.keys() == other.arrays.keys() and all(
        np.array_equal(array, other.arrays[name]) for name, array in one.arrays.items()
    )
    return arrays and one.records == other.records


def test_the_same_round_asked_again_is_answered_the_same_and_paid_once(
    home: SiteHome, coordinator: Coordinator
) -> None:
    first = Steward(home).answer(coordinator.order("north", age=timedelta(minutes=1)))
    # After a kill of the site, too: nothing of it is in memory only.
    again = Steward(home).answer(coordinator.order("north"))
    assert set(first.records) == {REPORT}
    assert _same(first, again)
    assert coordinator.believes(again, "north", home.request().signing_key)
    assert charges(home) == 1
    assert [event.kind for event in SiteLog(home.events_path).read()] == [
        "round_started", "round_released", "released_again"
    ]  # fmt: skip


def test_what_is_kept_is_for_the_owner_alone_and_goes_when_the_next_round_begins(
    home: SiteHome, coordinator: Coordinator
) -> None:
    steward = Steward(home)
    steward.answer(coordinator.order("north", 1))
    assert stat.S_IMODE(home.kept_path.stat().st_mode) == 0o600
    (home.folder.parent / "data_north" / "fault.txt").write_text("raises", "utf-8")
    assert refusal_of(steward.answer(coordinator.order("north", 2))) == "internal_error"
    assert not home.kept_path.exists()
    assert not list(home.folder.glob(".*safetensors*"))


@pytest.mark.parametrize(
    "other",
    [
        lambda one: one.order("north", 2),
        lambda one: one.order("north", run="other"),
        lambda one: one.order("north", learning_rate=0.5),
        lambda one: one.signed_order(
            "north",
            RoundOrder.model_validate_json(one.order("north").text("order")),
            {**WEIGHTS, "bias": np.zeros(4, np.float32)},
        ),
    ],
    ids=["round", "run", "plan", "weights"],
)
def test_another_order_is_trained_and_paid(other, home: SiteHome, coordinator: Coordinator) -> None:
    first = Steward(home).answer(coordinator.order("north", age=timedelta(minutes=1)))
    reply = Steward(home).answer(other(coordinator))
    assert set(reply.records) == {REPORT}
    assert not _same(first, reply)
    assert charges(home) == 2


def test_the_policy_is_asked_again(home: SiteHome, coordinator: Coordinator) -> None:
    steward = Steward(home)
    steward.answer(coordinator.order("north", age=timedelta(minutes=1)))
    home.pause("after this round")
    assert refusal_of(steward.answer(coordinator.order("north"))) == "paused"
    home.resume()
    set_policy(home, GENEROUS + "[settings.rounds]\nmost = 1\n")
    assert refusal_of(steward.answer(coordinator.order("north"))) == "plan_not_allowed"
    assert not home.kept_path.exists()


def test_a_damaged_file_is_no_answer_and_leaving_takes_it_away(home: SiteHome, coordinator: Coordinator) -> None:
    steward = Steward(home)
    steward.answer(coordinator.order("north", age=timedelta(minutes=2)))
    home.kept_path.write_bytes(home.kept_path.read_bytes()[:50])
    assert set(steward.answer(coordinator.order("north", age=timedelta(minutes=1))).records) == {REPORT}
    assert charges(home) == 2
    leave(home)
    assert not home.kept_path.exists()


def test_without_room_on_the_disk_the_report_leaves_all_the_same(
    home: SiteHome, coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("client.steward.kept.write_bytes", full)
    assert set(Steward(home).answer(coordinator.order("north")).records) == {REPORT}


def test_a_masked_update_is_never_kept(home: SiteHome) -> None:
    order = RoundOrder(run="r", round=1, plan=TrainingPlan())
    asked = Envelope("train", {"order": {"json": "{}"}, SECURE: {"json": "{}"}}, WEIGHTS)
    kept = KeptReport(home.kept_path)
    kept.keep(order, asked, asked.reply(REPORT, {"json": "{}"}, {"masked": np.zeros(22, np.uint32)}))
    assert not home.kept_path.exists()
    assert kept.answer_to(order, asked) is None
