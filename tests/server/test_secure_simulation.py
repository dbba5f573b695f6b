"""Federations under secure aggregation: the same model as without, whoever falls out, and plain words when it ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tiny_trainer
from flwr.app import Message
from pydantic import ValidationError
from tiny_trainer import make_sites, tiny_config

from client import masking
from client.ledger import Ledger
from client.site import Site, answer_order
from fedpsma.contract import RoundOrder, SiteRefusal, TrainingPlan
from fedpsma.errors import InputError
from fedpsma.io.dataset import read_dataset
from fedpsma.model.checkpoint import load_checkpoint
from fedpsma.secure_aggregation.messages import Agreement, Dealing, Revealed, SurvivorList, UnmaskOrder
from fedpsma.training.trainer import TrainingTask
from server import flower
from server.engines.inprocess import InProcessGrid
from server.failures import FederationError
from server.flower import Link
from server.participation import Participation
from server.run_folder import RunFolder
from server.simulation import SimulationConfig, simulate
from server.strategies import FedAvg, FedMedian, FedYogi, Krum, Scaffold
from server.strategies.rule import Rule

NAMES = ("A", "B", "C", "D", "E")
SECURE = {"secure_aggregation": {}, "min_sites": 3}


def _config(folder: Path, **plan: object) -> SimulationConfig:
    config = tiny_config(folder, **plan)
    return config.model_copy(update={"datasets": make_sites(folder / "more", NAMES)})


def _fault(config: SimulationConfig, site: str, fault: str) -> None:
    path = next(path for path in config.datasets if path.name == f"data_{site}")
    (path / "fault.txt").write_text(fault, "utf-8")


def _reasons(folder: Path) -> list[tuple[int | None, str | None, str | None]]:
    events, _ = RunFolder(folder).events.read()
    return [(event.round, event.site, event.reason) for event in events if event.reason]


def _same_model(one: Path, other: Path) -> None:
    first, second = load_checkpoint(one).weights, load_checkpoint(other).weights
    for name in first:
        # A float32 near one is right to 6e-8; each of two rounds rounds once more.
        np.testing.assert_allclose(first[name], second[name], rtol=3e-7, atol=3e-7)
    np.testing.assert_array_equal(first["frozen"], second["frozen"])


def test_two_rounds_give_the_model_of_a_plain_run(tmp_path: Path) -> None:
    plain = simulate(_config(tmp_path / "plain"))
    hidden = simulate(_config(tmp_path / "hidden", **SECURE))
    _same_model(plain.model, hidden.model)
    assert [site.rounds for site in hidden.sites] == [2] * 5
    assert [site.epsilon for site in hidden.sites] == [site.epsilon for site in plain.sites]


def test_sites_can_count_by_their_patients(tmp_path: Path) -> None:
    config = _config(tmp_path, rounds=1, min_sites=3, secure_aggregation={"most_patients": 20})
    sizes = {"A": 12, "B": 3, "C": 25, "D": 7, "E": 20}
    datasets = tuple(make_sites(tmp_path / name, [name], patients)[0] for name, patients in sizes.items())
    config = config.model_copy(update={"datasets": datasets, "strategy": FedAvg(weighting="patients")})
    start = load_checkpoint(config.init).weights
    trained = {
        name: tiny_trainer.train(TrainingTask(start, read_dataset(path), config.plan, 1, name, {}, None, ()))
        for name, path in zip(sizes, datasets, strict=True)
    }
    final = load_checkpoint(simulate(config).model).weights
    counts = [min(20, patients) for patients in sizes.values()]
    for name in start:
        layers = [trained[site][name].astype(np.float64) for site in sizes]
        np.testing.assert_allclose(final[name], np.average(layers, axis=0, weights=counts), rtol=3e-7, atol=3e-7)


def test_no_update_of_a_site_lies_open_in_what_it_sends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from server.unmasking import MaskedSum

    seen: dict[str, np.ndarray] = {}
    add = MaskedSum.add

    def look(self: MaskedSum, site: str, masked: np.ndarray) -> None:
        seen[site] = masked.copy()
        add(self, site, masked)

    monkeypatch.setattr(MaskedSum, "add", look)
    simulate(_config(tmp_path, rounds=1, **SECURE))
    # The last 50 numbers but one are the frozen layer's, which nobody changed: only masks can stand there.
    for vector in seen.values():
        assert len(np.unique(vector)) == len(vector)
        assert (vector > 2**20).mean() > 0.9


@pytest.mark.parametrize(("fault", "reason"), [("raises", "internal_error"), ("not_finite", "internal_error")])
def test_a_site_that_fails_in_training_is_left_out_and_its_masks_are_taken_off(
    tmp_path: Path, fault: str, reason: str
) -> None:
    config = _config(tmp_path / "hidden", **SECURE)
    _fault(config, "B", fault)
    plain = _config(tmp_path / "plain")
    _fault(plain, "B", fault)
    _same_model(simulate(plain).model, simulate(config).model)
    assert _reasons(config.out) == [(1, "B", reason), (2, "B", reason)]


def test_a_site_without_budget_declines_before_anybody_counts_on_it(tmp_path: Path) -> None:
    config = _config(tmp_path, **SECURE)
    simulate(config.model_copy(update={"plan": config.plan.model_copy(update={"rounds": 1})}))
    policy = config.out / "sites" / "B" / "site.toml"
    policy.write_text(policy.read_text("utf-8").replace("epsilon_budget = inf", "epsilon_budget = 3.0"), "utf-8")
    plan = json.loads((config.out / "plan.json").read_text("utf-8"))
    (config.out / "plan.json").write_text(json.dumps(plan | {"rounds": 2}), "utf-8")
    result = simulate(config)
    assert _reasons(config.out) == [(2, "B", "budget_exceeded")]
    assert {site.site: site.rounds for site in result.sites} == {"A": 2, "B": 1, "C": 2, "D": 2, "E": 2}
    assert len(Ledger(config.out / "sites" / "B" / "ledger.jsonl").history()) == 1


def test_too_few_sites_end_the_run_in_plain_words(tmp_path: Path) -> None:
    config = _config(tmp_path, **SECURE)
    for name in "AB":
        _fault(config, name, "raises")
    with pytest.raises(FederationError, match=r"round 1: .* needs 4 sites to the end of a round, 3 are left \(A: int"):
        simulate(config)


def _tampered(monkeypatch: pytest.MonkeyPatch, change: Callable[[Revealed], Revealed]) -> None:
    honest = masking.Participant.unmask

    def unmask(self: masking.Participant, order: UnmaskOrder) -> Revealed:
        return change(honest(self, order))

    monkeypatch.setattr(masking.Participant, "unmask", unmask)


def test_a_site_that_lies_about_its_shares_is_named_and_harms_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lie(revealed: Revealed) -> Revealed:
        if revealed.site != "C":
            return revealed
        return revealed.model_copy(update={"seeds": dict.fromkeys(revealed.seeds, "ab" * 32)})

    _tampered(monkeypatch, lie)
    hidden = _config(tmp_path / "hidden", **SECURE)
    _same_model(simulate(hidden).model, simulate(_config(tmp_path / "plain")).model)
    assert _reasons(hidden.out) == [(1, "C", "false_share"), (2, "C", "false_share")]


def test_a_site_that_deals_false_shares_is_named_and_the_round_is_summed_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = masking._deal

    def lie(own: masking._Secrets, roster: masking.Roster) -> dict[str, masking._Pair]:
        dealt = honest(own, roster)
        if own.advert.site != "D":
            return dealt
        return {name: masking._Pair(seed="ab" * 32, key=pair.key) for name, pair in dealt.items()}

    monkeypatch.setattr(masking, "_deal", lie)
    hidden = _config(tmp_path / "hidden", rounds=1, **SECURE)
    plain = _config(tmp_path / "plain", rounds=1)
    _fault(plain, "D", "raises")
    _same_model(simulate(hidden).model, simulate(plain).model)
    assert _reasons(hidden.out) == [(1, "D", "false_share")]
    charged = {name: len(Ledger(hidden.out / "sites" / name / "ledger.jsonl").history()) for name in NAMES}
    assert charged == {**dict.fromkeys(NAMES, 2), "D": 1}, "whoever trained the round twice is charged twice"


def _dealing_falsely(monkeypatch: pytest.MonkeyPatch, change: Callable[[Dealing], Dealing], site: str = "E") -> None:
    honest = masking.Participant.share

    def share(self: masking.Participant, roster: masking.Roster) -> Dealing:
        dealing = honest(self, roster)
        return change(dealing) if dealing.site == site else dealing

    monkeypatch.setattr(masking.Participant, "share", share)


def _unreadable(holders: str) -> Callable[[Dealing], Dealing]:
    def spoil(dealing: Dealing) -> Dealing:
        spoilt = dict.fromkeys(holders, "00" * 80)
        return dealing.model_copy(update={"sealed": {**dealing.sealed, **spoilt}})

    return spoil


def _plain_without(folder: Path, site: str, **plan: object) -> Path:
    config = _config(folder, **plan)
    _fault(config, site, "raises")
    return simulate(config).model


def test_a_site_whose_shares_two_others_cannot_read_is_named_and_the_round_is_summed_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _dealing_falsely(monkeypatch, _unreadable("AB"))
    hidden = _config(tmp_path / "hidden", rounds=1, **SECURE)
    _same_model(simulate(hidden).model, _plain_without(tmp_path / "plain", "E", rounds=1))
    refused = [(1, name, "share_unreadable") for name in "AB"]
    assert sorted(_reasons(hidden.out)) == sorted([*refused, (1, "E", "false_share")])


def test_a_site_that_deals_what_it_dealt_the_round_before_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first: list[Dealing] = []

    def again(dealing: Dealing) -> Dealing:
        first.append(dealing)
        return first[0]

    _dealing_falsely(monkeypatch, again)
    config = _config(tmp_path, **SECURE)
    result = simulate(config)
    assert [reason for reason in _reasons(config.out) if reason[1] == "E"] == [(2, "E", "false_share")]
    assert {site.site: site.rounds for site in result.sites} == {**dict.fromkeys("ABCD", 2), "E": 1}


def test_who_alone_cannot_read_a_share_is_left_out_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One site alone may lie about another."""
    _dealing_falsely(monkeypatch, _unreadable("A"))
    hidden = _config(tmp_path / "hidden", rounds=1, **SECURE)
    _same_model(simulate(hidden).model, _plain_without(tmp_path / "plain", "A", rounds=1))
    assert _reasons(hidden.out) == [(1, "A", "share_unreadable")]


def test_a_site_that_signs_another_list_is_named_and_harms_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = masking.Participant.agree

    def lie(self: masking.Participant, order: SurvivorList) -> Agreement:
        agreement = honest(self, order)
        return agreement.model_copy(update={"signature": "00" * 64}) if agreement.site == "B" else agreement

    monkeypatch.setattr(masking.Participant, "agree", lie)
    hidden = _config(tmp_path / "hidden", rounds=1, **SECURE)
    _same_model(simulate(hidden).model, simulate(_config(tmp_path / "plain", rounds=1)).model)
    assert _reasons(hidden.out) == [(1, "B", "key_not_trusted")]


def _hurried(config: SimulationConfig, deadline_s: float) -> SimulationConfig:
    return config.model_copy(update={"participation": Participation(deadline_s=deadline_s)})


def test_a_round_with_a_deadline_waits_for_the_threshold_of_all_that_sent_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of five sites four have to stay, also where one of the five dealt nothing."""

    def nothing(_: Dealing) -> Dealing:
        raise masking.ProtocolError

    _dealing_falsely(monkeypatch, nothing)
    ask = Link.ask
    # The deadline is long past in training alone.
    monkeypatch.setattr(Link, "ask", lambda link, texts, stage, _: ask(link, texts, stage, lambda _: True))
    config = _hurried(_config(tmp_path, rounds=1, **SECURE), 1e-9)
    assert [site.rounds for site in simulate(config).sites] == [1, 1, 1, 1, 0]


@pytest.mark.parametrize("stage", ["advertise", "share", "agree", "unmask"])
def test_a_stage_ends_at_the_deadline_once_enough_have_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    pull, waited = InProcessGrid.pull_messages, [0.0]

    def silent(self: InProcessGrid, names: Sequence[str]) -> list[Message]:
        about = {name: self._waiting[name].metadata for name in names}
        heard = [name for name in names if (about[name].dst_node_id, about[name].message_type) != (1, f"query.{stage}")]
        return pull(self, heard) if heard else []

    monkeypatch.setattr(InProcessGrid, "pull_messages", silent)
    # Only waiting takes time here.
    monkeypatch.setattr(flower, "time", SimpleNamespace(monotonic=lambda: waited[0]))
    monkeypatch.setattr(Link, "pause", lambda _, __: waited.append(waited.pop() + 10.0))
    config = _hurried(_config(tmp_path, rounds=1, **SECURE), 60.0)
    simulate(config)
    assert waited == [60.0]
    assert _reasons(config.out) == [(1, "A", "no_reply")]


def test_a_site_that_comes_back_with_another_key_stays_out(tmp_path: Path) -> None:
    config = _config(tmp_path, **SECURE)
    simulate(config.model_copy(update={"plan": config.plan.model_copy(update={"rounds": 1})}))
    (config.out / "sites" / "E" / "identity.key").unlink()
    plan = json.loads((config.out / "plan.json").read_text("utf-8"))
    (config.out / "plan.json").write_text(json.dumps(plan | {"rounds": 2}), "utf-8")
    simulate(config)
    assert _reasons(config.out) == [(2, "E", "key_not_trusted")]


@pytest.mark.parametrize("strategy", [FedMedian(), Krum(), Scaffold(), FedAvg(weighting="patients")])
def test_strategies_that_need_more_than_the_mean_are_refused_in_one_line(tmp_path: Path, strategy: Rule) -> None:
    config = _config(tmp_path, **SECURE).model_copy(update={"strategy": strategy})
    with pytest.raises(InputError, match="secure aggregation"):
        simulate(config)
    assert not config.out.exists()


def test_an_adaptive_strategy_works_on_the_mean(tmp_path: Path) -> None:
    models = []
    for name, plan in (("plain", {}), ("hidden", SECURE)):
        config = _config(tmp_path / name, **plan)
        models.append(simulate(config.model_copy(update={"strategy": FedYogi()})).model)
    first, second = (load_checkpoint(model).weights for model in models)
    for name in first:
        np.testing.assert_allclose(first[name], second[name], atol=1e-4)


def test_a_plan_needs_three_sites() -> None:
    with pytest.raises(ValidationError, match="min_sites of at least 3"):
        TrainingPlan(secure_aggregation={}, min_sites=2)


@pytest.fixture
def careful_site(tmp_path: Path) -> Site:
    """Return a site whose policy shows its update to nobody."""
    (dataset,) = make_sites(tmp_path, ["A"])
    site = Site("A", dataset, tmp_path / "state")
    site.state.mkdir()
    policy = 'epsilon_budget = 99.0\nrequire_secure_aggregation = true\ntrainer = "tiny_trainer"\n'
    (site.state / "site.toml").write_text(policy, "utf-8")
    return site


@pytest.mark.parametrize(
    ("secure", "mask_order", "reason"),
    [
        (None, None, "plan_not_allowed"),
        ({}, None, "protocol_violated"),
        ({}, "{}", "protocol_violated"),
    ],
)
def test_a_server_cannot_talk_a_site_out_of_its_mask(
    careful_site: Site, secure: object, mask_order: str | None, reason: str
) -> None:
    plan = TrainingPlan.model_validate({"secure_aggregation": secure, "min_sites": 3})
    order = RoundOrder(run="r", round=1, plan=plan)
    answer = answer_order(careful_site, order, {"layer": np.ones(3, np.float32)}, mask_order)
    assert isinstance(answer, SiteRefusal)
    assert answer.reason == reason
    assert Ledger(careful_site.dataset / "ledger.jsonl").history() == ()
