"""What a coordinator who means harm could try with the key that the site trusts, one attempt a test.

What cannot be stopped stands in docs/threat-model.md.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from fake_coordinator import GENEROUS, WEIGHTS, Coordinator, charges, refusal_of, set_policy
from pydantic import ValidationError
from rich.console import Console
from secret_sum import session_of

from client.envelope import Envelope
from client.masking import Participant
from client.policy import read_policy
from client.steward.events import SiteLog
from client.steward.home import SiteHome
from client.steward.status import SiteStatus, status_table
from client.steward.steward import Steward
from fedpsma.contract import REFUSAL, REPORT, RoundOrder, SiteRefusal, TrainingPlan
from fedpsma.joining.records import JoinBundle
from fedpsma.secure_aggregation.identity import KEYS_FILE, KeyBook
from fedpsma.secure_aggregation.messages import Advert, Invitation, MaskOrder, Roster, Session

ESCAPES = "\x1b[2J\x1b]0;all is well\x07"


def _order(coordinator: Coordinator, weights: Mapping[str, np.ndarray] = WEIGHTS, **fields: object) -> Envelope:
    """Return a signed order that need not keep to the contract."""
    plan = TrainingPlan.model_construct(**{**TrainingPlan().model_dump(), **fields.pop("plan", {})})  # type: ignore[dict-item]
    told = {"run": "r", "round": 1, "plan": plan, "network": {}, "issued": datetime.now(UTC), **fields}
    return coordinator.signed_order("north", RoundOrder.model_construct(**told), weights)  # type: ignore[arg-type]


@pytest.mark.parametrize("run", [f"r{ESCAPES}", "../../etc", "r\nround_released", "", "x" * 129, "r\u202e", "a/b"])
def test_a_name_of_a_run_that_moves_a_cursor_or_leaves_a_folder_is_refused(
    run: str, home: SiteHome, coordinator: Coordinator
) -> None:
    assert refusal_of(Steward(home).answer(_order(coordinator, run=run))) == "plan_not_allowed"
    assert charges(home) == 0
    shown = _shown(SiteLog(home.events_path).read())
    assert not [char for char in shown if not char.isprintable() and char != "\n"]


def _shown(events: object) -> str:
    empty = dict.fromkeys(SiteStatus.model_fields)
    told = {**empty, "site": "north", "running": True, "connected": True, "code_waiting": (), "last": events}
    found = SiteStatus.model_construct(**told)
    console = Console(width=400, record=True, file=io.StringIO())
    console.print(status_table(found))
    return console.export_text()


def test_an_address_that_moves_a_cursor_is_in_no_bundle(coordinator: Coordinator) -> None:
    for address in (f"host{ESCAPES}:1", "host\r:1", "h\u0430st:1"):
        with pytest.raises(ValidationError, match="is no address"):
            coordinator.bundle(address=address)
    assert JoinBundle.model_fields["address"].annotation is str


HARMFUL: dict[str, dict[str, object]] = {
    "no noise": {"target_epsilon": None},
    "an epsilon that nobody can count": {"target_epsilon": 1e9},
    "a delta that nobody can count with": {"delta": 1e-14},
    "a delta that publishes a patient": {"delta": 0.5},
    "numbers that it knows": {"seed": 1},
    "steps without end": {"steps_per_round": 10**9},
    "rounds without end": {"rounds": 10**9},
    "no steps": {"steps_per_round": 0},
    "a patch as large as the machine": {"patch_voxels": 2**20},
    "patches without end": {"patches_per_patient": 10**9},
    "threads without end": {"threads": 10**6},
    "the graphics card": {"device": "cuda"},
    "this site alone": {"min_sites": 1},
    "an infinite step": {"learning_rate": float("inf")},
    "a step that is no number": {"learning_rate": float("nan")},
    "an infinite bound": {"clip_norm": float("inf")},
    "a bound that noise cannot follow": {"clip_norm": 1e-300},
}


@pytest.mark.parametrize("plan", HARMFUL.values(), ids=HARMFUL)
def test_the_policy_that_a_site_begins_with_refuses_it(
    plan: dict[str, object], home: SiteHome, coordinator: Coordinator
) -> None:
    template = resources.files("client").joinpath("data", "site.toml").read_text("utf-8")
    dataset = next(home.folder.parent.glob("data_*"))
    policy = f'trainer = "tiny_trainer"\n{template.replace("@DATASET@", json.dumps(str(dataset)))}'
    (home.folder / "site.toml").write_text(policy, "utf-8")
    honest = coordinator.order("north", patients_per_step=1.0)
    assert set(Steward(home).answer(honest).records) == {REPORT}
    reply = Steward(home).answer(_order(coordinator, plan=plan, round=2))
    assert refusal_of(reply) in ("plan_not_allowed", "budget_exceeded", "delta_too_large")
    assert charges(home) == 1


def test_the_same_round_under_another_name_is_paid_each_time_until_the_budget_ends(
    home: SiteHome, coordinator: Coordinator
) -> None:
    """Otherwise the mean of many answers to one question would have no noise."""
    set_policy(home, GENEROUS.replace("99.0", "9.0"))
    replies = [Steward(home).answer(coordinator.order("north", run=f"r{number}")) for number in range(6)]
    trained = [reply for reply in replies if REPORT in reply.records]
    assert len(trained) == 4
    assert {refusal_of(reply) for reply in replies[4:]} == {"budget_exceeded"}


def test_other_arrays_than_those_of_the_network_bring_nothing_more(home: SiteHome, coordinator: Coordinator) -> None:
    asked = _order(
        coordinator, weights={**WEIGHTS, "north-p1": np.zeros(10**5, np.float32), "control/x": WEIGHTS["bias"]}
    )
    assert refusal_of(Steward(home).answer(asked)) == "plan_not_allowed"
    swapped = replace(asked, arrays={"images": np.zeros(8, np.float32)})
    assert refusal_of(Steward(home).answer(swapped)) == "order_not_signed"


def test_runs_without_end_do_not_fill_the_book_of_orders(home: SiteHome, coordinator: Coordinator) -> None:
    old = {f"old{number}": {"round": 1, "issued": str(datetime.now(UTC) - timedelta(days=2))} for number in range(99)}
    home.orders_path.write_text(json.dumps(old), "utf-8")
    Steward(home).answer(coordinator.order("north"))
    assert set(json.loads(home.orders_path.read_text("utf-8"))) == {"r"}


def _stage(coordinator: Coordinator, name: str, message: Invitation | Roster) -> Envelope:
    return coordinator.stage("north", name, message.model_dump_json(), "run", 1)


def _invented(folder: Path, name: str, session: Session) -> Advert:
    """Return the advert of a site that the coordinator made up, whose update it will know."""
    return Participant(name, folder / name, KeyBook(folder / name / KEYS_FILE, {}), "run").advertise(session)


def _invitation(session: Session, min_sites: int = 3) -> Invitation:
    plan = {"secure_aggregation": session.bounds.model_dump(), "min_sites": min_sites}
    order = RoundOrder(run="run", round=1, plan=TrainingPlan.model_validate(plan), issued=datetime.now(UTC))
    return Invitation(session=session, order=order)


def test_a_secure_sum_is_of_as_many_sites_as_the_policy_asks_for(
    home: SiteHome, coordinator: Coordinator, tmp_path: Path
) -> None:
    """A coordinator with two helpers of many would say that nobody else is there, and learn the third's update."""
    set_policy(home, GENEROUS + "[settings.min_sites]\nleast = 4\n")
    session = session_of(("north", "south", "west", "east"))
    steward = Steward(home)
    refused = steward.answer(_stage(coordinator, "advertise", _invitation(session)))
    assert refusal_of(refused) == "plan_not_allowed"
    answer = steward.answer(_stage(coordinator, "advertise", _invitation(session, 4)))
    adverts = [Advert.model_validate_json(answer.text("secure"))]
    adverts += [_invented(tmp_path, name, session) for name in ("south", "west")]
    reply = steward.answer(_stage(coordinator, "share", Roster(session=session, adverts=tuple(adverts))))
    assert refusal_of(reply) == "too_few_sites"


def test_who_sent_a_share_that_cannot_be_read_is_named_under_the_sites_signature(
    home: SiteHome, coordinator: Coordinator, tmp_path: Path
) -> None:
    session, steward = session_of(("north", "south", "west")), Steward(home)
    invitation = _invitation(session)
    answer = steward.answer(_stage(coordinator, "advertise", invitation))
    adverts = [Advert.model_validate_json(answer.text("secure"))]
    adverts += [_invented(tmp_path, name, session) for name in ("south", "west")]
    roster = Roster(session=session, adverts=tuple(adverts))
    steward.answer(_stage(coordinator, "share", roster))
    south = Participant("south", tmp_path / "south", KeyBook(tmp_path / "south" / KEYS_FILE, {}), "run").share(roster)
    digests = {"south": south.digests["north"], "west": south.digests["north"]}
    told = MaskOrder(session=session, sealed={"south": south.sealed["north"], "west": "00" * 80}, digests=digests)
    order = coordinator.signed_order("north", invitation.order)
    reply = steward.answer(coordinator.with_mask_order(order, "north", told.model_dump_json()))
    assert refusal_of(reply) == "share_unreadable"
    assert SiteRefusal.model_validate_json(reply.text(REFUSAL)).senders == ("west",)
    assert coordinator.believes(reply, "north", home.request().signing_key, "run")
    assert charges(home) == 0


@pytest.mark.parametrize("named", [True, False])
def test_two_invented_sites_do_not_enter_a_secure_sum_whose_sites_are_named(
    named: bool, home: SiteHome, coordinator: Coordinator, tmp_path: Path
) -> None:
    """Of a sum with two sites whose updates it knows, the coordinator learns the update of the third one."""
    own = home.request().signing_key
    peers = f'peers = {{ "north" = "{own}", "south" = "{"0a" * 32}", "west" = "{"0b" * 32}" }}\n' if named else ""
    set_policy(home, GENEROUS + peers)
    session = session_of(("north", "south", "west"))
    steward = Steward(home)
    answer = steward.answer(_stage(coordinator, "advertise", _invitation(session)))
    adverts = [Advert.model_validate_json(answer.text("secure"))]
    adverts += [_invented(tmp_path, name, session) for name in ("south", "west")]
    reply = steward.answer(_stage(coordinator, "share", Roster(session=session, adverts=tuple(adverts))))
    if named:
        assert refusal_of(reply) == "key_not_trusted"
    else:
        assert set(reply.records) == {"secure"}, "without names a site cannot know; docs/threat-model.md says so"
    assert read_policy(home.folder).peers is not None or not named
