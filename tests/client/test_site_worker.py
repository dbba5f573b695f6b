"""What a site allows and refuses, what it charges, and that only codes come out."""

from __future__ import annotations

import threading
import time
from math import inf
from pathlib import Path

import numpy as np
import pytest
import tiny_trainer
from tiny_trainer import SECRET, make_sites

from client.envelope import TEXT, TRAIN, Envelope
from client.ledger import Ledger, RoundKey
from client.policy import read_policy
from client.site import Site, answer_envelope, answer_order, locate_site
from fedpsma.contract import ORDER, REFUSAL, Federation, FederationSite, RoundOrder, SiteRefusal, TrainingPlan
from fedpsma.io.files import write_json
from fedpsma.model.checkpoint import Weights
from fedpsma.training.charge import Charge
from fedpsma.training.interruption import stoppable
from fedpsma.training.trainer import TrainingTask

WEIGHTS = {"layer": np.ones((3, 4), np.float32), "bias": np.ones(4, np.float32), "frozen": np.ones(5, np.float32)}
ALLOW_ALL = "epsilon_budget = inf\nallow_fixed_seed = true\nallow_without_privacy = true\n"
# Of twelve patients six take part on average, eight times, with noise 2: the tiny trainer's loss is two a round.
ROUND_COST = 2.0


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (dataset,) = make_sites(tmp_path, ["A"])
    made = Site("A", dataset, tmp_path / "state")
    made.state.mkdir()
    _policy(made, ALLOW_ALL)
    return made


def _policy(site: Site, text: str) -> None:
    (site.state / "site.toml").write_text(text + 'trainer = "tiny_trainer"\n', "utf-8")


def _order(number: int = 1, run: str = "r", **plan: object) -> RoundOrder:
    return RoundOrder(run=run, round=number, plan=TrainingPlan.model_validate({"seed": 1, **plan}))


def _ledger(site: Site) -> Ledger:
    return Ledger(site.dataset / "ledger.jsonl")


def _refusal(site: Site, order: RoundOrder) -> str:
    answer = answer_order(site, order, WEIGHTS)
    assert isinstance(answer, SiteRefusal)
    assert (answer.site, answer.round) == ("A", order.round)
    return answer.reason


def test_loss_adds_up_over_rounds_and_runs(site: Site) -> None:
    for done, (number, run) in enumerate([(1, "r"), (2, "r"), (1, "other")], start=1):
        report, _ = answer_order(site, _order(number, run), WEIGHTS)
        assert report.epsilon == pytest.approx(done * ROUND_COST)
    keys = [entry.key for entry in _ledger(site).entries() if entry.key]
    assert [(key.run, key.round) for key in keys] == [("r", 1), ("r", 2), ("other", 1)]


@pytest.mark.parametrize(("fault", "least_s"), [("", 0.4), ("slow", 0.8), ("raises", 0.4)])
def test_a_private_round_takes_whole_slots_however_it_ends(site: Site, fault: str, least_s: float) -> None:
    # The slow one trains for half a second, more than one slot.
    _policy(site, ALLOW_ALL + "reply_slot_s = 0.4\n")
    if fault:
        (site.dataset / "fault.txt").write_text(fault, "utf-8")
    began = time.monotonic()
    answer = answer_order(site, _order(), WEIGHTS)
    assert time.monotonic() - began >= least_s
    assert isinstance(answer, SiteRefusal) == (fault == "raises")


def test_an_answer_that_tells_its_seconds_anyway_or_a_stopped_one_is_not_held(site: Site) -> None:
    _policy(site, ALLOW_ALL + "reply_slot_s = 3600.0\n")
    stop = threading.Event()
    stop.set()
    with stoppable(stop):
        assert _refusal(site, _order()) == "stopped"
    assert not isinstance(answer_order(site, _order(run="other", target_epsilon=None), WEIGHTS), SiteRefusal)


def test_the_ledger_is_charged_before_training_starts(site: Site) -> None:
    (site.dataset / "fault.txt").write_text("raises", "utf-8")
    assert _refusal(site, _order()) == "internal_error"
    assert [entry.kind for entry in _ledger(site).entries()] == ["charged", "closed"]
    assert _ledger(site).entries()[1].outcome == "failed"
    (site.dataset / "fault.txt").unlink()
    report, _ = answer_order(site, _order(), WEIGHTS)
    assert report.epsilon == pytest.approx(2 * ROUND_COST), "a round that is repeated is paid again"


def test_what_went_wrong_stays_in_the_log_of_the_site(site: Site) -> None:
    (site.dataset / "fault.txt").write_text("raises", "utf-8")
    answer = answer_order(site, _order(), WEIGHTS)
    assert SECRET not in str(answer)
    assert SECRET in (site.state / "errors.log").read_text("utf-8")


def test_a_round_past_the_budget_is_refused_and_not_charged(site: Site) -> None:
    _policy(site, f"epsilon_budget = {2.5 * ROUND_COST}\nallow_fixed_seed = true\n")
    assert not isinstance(answer_order(site, _order(1), WEIGHTS), SiteRefusal)
    assert not isinstance(answer_order(site, _order(2), WEIGHTS), SiteRefusal)
    assert _refusal(site, _order(3)) == "budget_exceeded"
    assert len(_ledger(site).history()) == 2


def test_after_a_round_without_privacy_no_private_round_is_possible(site: Site) -> None:
    report, _ = answer_order(site, _order(target_epsilon=None), WEIGHTS)
    assert report.epsilon is None
    assert _ledger(site).history() == (None,)
    assert _refusal(site, _order(2)) == "budget_exceeded"


@pytest.mark.parametrize(
    ("policy", "plan"),
    [
        ("epsilon_budget = 99.0\n", {"seed": 1}),
        ("epsilon_budget = 99.0\nallow_fixed_seed = true\n", {"target_epsilon": None}),
        ("allow_fixed_seed = true\n", {}),
        ("epsilon_budget = 99.0\nallow_everything = true\n", {"seed": None}),
        ("this is not TOML\n", {"seed": None}),
    ],
)
def test_what_the_policy_does_not_allow_is_refused(site: Site, policy: str, plan: dict[str, object]) -> None:
    _policy(site, policy)
    assert _refusal(site, _order(**plan)) == "plan_not_allowed"
    assert _ledger(site).history() == ()


def test_a_site_without_policy_trains_nothing(site: Site) -> None:
    (site.state / "site.toml").unlink()
    assert _refusal(site, _order(seed=None)) == "plan_not_allowed"


def test_a_plan_that_private_sites_accept(site: Site) -> None:
    _policy(site, "epsilon_budget = 99.0\n")
    assert not isinstance(answer_order(site, _order(seed=None), WEIGHTS), SiteRefusal)


@pytest.mark.parametrize(("delta", "refused"), [(1 / 12, True), (0.2, True), (0.08, False)])
def test_delta_has_to_be_below_one_over_the_patients(site: Site, delta: float, refused: bool) -> None:
    answer = answer_order(site, _order(delta=delta), WEIGHTS)
    assert (isinstance(answer, SiteRefusal) and answer.reason == "delta_too_large") is refused


def test_unreadable_data_and_ledger_have_their_codes(site: Site) -> None:
    with _ledger(site).locked():
        _ledger(site).charge(
            RoundKey(run="r", round=1, model_sha256="", delta=0.1), Charge(sample_rate=1, noise_multiplier=1, steps=1)
        )
    with open(_ledger(site).path, "a", encoding="utf-8") as stream:
        stream.write("{}\n")
    assert _refusal(site, _order()) == "ledger_unreadable"
    (site.dataset / "studies.jsonl").write_text("{", "utf-8")
    assert _refusal(site, _order()) == "data_unreadable"


@pytest.mark.parametrize(("fails", "reason"), [(False, "ledger_unreadable"), (True, "internal_error")])
def test_nothing_leaves_when_an_older_ledger_was_brought_back_while_a_round_trained(
    site: Site, monkeypatch: pytest.MonkeyPatch, fails: bool, reason: str
) -> None:
    assert not isinstance(answer_order(site, _order(1), WEIGHTS), SiteRefusal)
    path, honest = _ledger(site).path, tiny_trainer.train
    old = path.read_bytes()
    assert not isinstance(answer_order(site, _order(2), WEIGHTS), SiteRefusal)

    def train(task: TrainingTask) -> Weights:
        path.write_bytes(old)
        if fails:
            raise RuntimeError(SECRET)
        return honest(task)

    monkeypatch.setattr(tiny_trainer, "train", train)
    assert _refusal(site, _order(3)) == reason
    log = (site.state / "errors.log").read_text("utf-8")
    assert "bring back what was lost" in log
    assert (SECRET in log) is fails
    monkeypatch.setattr(tiny_trainer, "train", honest)
    assert _refusal(site, _order(4)) == "ledger_unreadable", "the anchor still knows"
    assert path.read_bytes() == old


def test_a_simulated_site_is_found_in_the_run_folder(tmp_path: Path) -> None:
    entry = FederationSite(name="A", dataset=Path("d"), state=Path("s"))
    write_json(tmp_path / "federation.json", Federation(run="r", sites=(entry,)).model_dump(mode="json"))
    found = locate_site({"partition-id": 0}, {"run-folder": str(tmp_path)})
    assert found == Site("A", tmp_path / "d", tmp_path / "s")


def test_infinite_budget_is_a_number_the_policy_can_hold(site: Site) -> None:
    assert read_policy(site.state).epsilon_budget == inf
    assert not isinstance(answer_order(site, _order(target_epsilon=50.0), WEIGHTS), SiteRefusal)


@pytest.mark.parametrize("epsilon", ["50.1", "1e9", "1e999", "Infinity", "NaN", "0", "-1"])
def test_an_order_whose_epsilon_no_accountant_can_count_is_no_plan(site: Site, epsilon: str) -> None:
    plan = _order().model_dump_json().replace('"target_epsilon":8.0', f'"target_epsilon":{epsilon}')
    assert epsilon in plan
    answer = answer_envelope(site, Envelope(TRAIN, {ORDER: {TEXT: plan}}, WEIGHTS))
    assert SiteRefusal.model_validate_json(answer.text(REFUSAL)).reason == "plan_not_allowed"
    assert _ledger(site).history() == ()
