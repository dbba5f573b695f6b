"""Who is asked in a round, who is away, whose update is out of line, and when waiting ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_trainer
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_trainer import make_sites, tiny_config

from fedpsma.errors import InputError
from fedpsma.history.events import Event
from fedpsma.history.reasons import FAILURES
from fedpsma.model.checkpoint import Weights, load_checkpoint
from fedpsma.training.local_rules import RoundMemory
from fedpsma.training.trainer import TrainingTask
from server.failures import FederationError
from server.participation import Participation, away_sites, drawn_sites
from server.run_folder import RunFolder
from server.simulation import SimulationConfig, simulate
from server.updates import StoredUpdate, overlong, stepped

NAMES = [f"s{number}" for number in range(10)]


def _events(config: SimulationConfig) -> list[Event]:
    return RunFolder(config.out).events.read()[0]


def _asked(config: SimulationConfig) -> list[tuple[str, ...] | None]:
    return [event.sites for event in _events(config) if event.kind == "round_started"]


def _with(config: SimulationConfig, **rules: object) -> SimulationConfig:
    return config.model_copy(update={"participation": Participation.model_validate(rules)})


@settings(max_examples=30)
@given(st.lists(st.sampled_from(NAMES), unique=True, min_size=1), st.integers(1, 12), st.text(max_size=5))
def test_as_many_are_drawn_as_wanted_whoever_came_first(names: list[str], wanted: int, key: str) -> None:
    rules = Participation(sites_per_round=wanted)
    drawn = drawn_sites(names, rules, key)
    assert len(drawn) == min(wanted, len(names))
    assert set(drawn) <= set(names)
    assert drawn == drawn_sites(names[::-1], rules, key)


def test_every_site_is_drawn_about_as_often() -> None:
    rules = Participation(sites_per_round=3)
    counts = dict.fromkeys(NAMES, 0)
    for number in range(600):
        for name in drawn_sites(NAMES, rules, f"7/{number}"):
            counts[name] += 1
    assert all(140 < count < 220 for count in counts.values())


def test_sites_are_away_with_the_chance_that_was_asked_for() -> None:
    away = [len(away_sites(NAMES, Participation(dropout=0.3), f"7/{number}")) for number in range(300)]
    assert np.mean(away) == pytest.approx(3.0, abs=0.3)
    assert not away_sites(NAMES, Participation(), "7/1")


def test_a_round_of_two_sites_trains_with_two_and_is_the_same_again(tmp_path: Path) -> None:
    config = _with(tiny_config(tmp_path / "a", rounds=4), sites_per_round=2)
    again = _with(tiny_config(tmp_path / "b", rounds=4), sites_per_round=2)
    assert simulate(config).model_sha256 == simulate(again).model_sha256
    assert [len(sites or ()) for sites in _asked(config)] == [2] * 4
    assert _asked(config) == _asked(again)
    assert len({*_asked(config)}) > 1


def test_a_site_that_is_away_is_named_and_pays_nothing(tmp_path: Path) -> None:
    config = _with(tiny_config(tmp_path, rounds=4, min_sites=1), dropout=0.5)
    result = simulate(config)
    away = [(event.round, event.site) for event in _events(config) if event.reason == "away"]
    paid = [(event.round, event.site) for event in _events(config) if event.kind == "site_reported"]
    assert away
    assert not set(away) & set(paid)
    assert len(away) + len(paid) == 12
    rounds = {site.site: site.rounds for site in result.sites}
    assert all(rounds[name] == sum(site == name for _, site in paid) for name in "ABC")


def test_too_many_away_fail_the_run_and_say_so(tmp_path: Path) -> None:
    config = _with(tiny_config(tmp_path, min_sites=3), dropout=0.999)
    with pytest.raises(FederationError, match="A: away"):
        simulate(config)


def _away(config: SimulationConfig) -> list[list[str]]:
    """Return who was away in each round that began, attempt for attempt."""
    found: list[list[str]] = []
    for event in _events(config):
        if event.kind == "round_started":
            found.append([])
        if event.reason == "away":
            found[-1].append(str(event.site))
    return found


def test_a_round_that_failed_for_want_of_sites_is_drawn_anew_and_a_killed_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With this seed the first attempt lacks B and C, the second all, the third nobody."""
    config = _with(tiny_config(tmp_path, min_sites=3), dropout=0.5)
    with pytest.raises(FederationError):
        simulate(config)
    log = config.out / "events.jsonl"
    *before, failed = log.read_bytes().splitlines(keepends=True)
    assert b"too_few_sites" in failed
    log.write_bytes(b"".join(before))  # As if killed before the failure was written down.
    for _ in range(2):
        with pytest.raises(FederationError):
            simulate(config)

    def stopped(task: TrainingTask) -> Weights:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tiny_trainer, "train", stopped)
        with pytest.raises(KeyboardInterrupt):
            simulate(config)
    assert simulate(config).rounds == 2
    assert _away(config) == [["B", "C"], ["B", "C"], ["A", "B", "C"], [], [], []]


def test_a_round_that_was_cut_off_asks_the_same_sites_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _with(tiny_config(tmp_path / "whole", rounds=4), sites_per_round=2)
    cut = _with(tiny_config(tmp_path / "cut", rounds=4), sites_per_round=2)
    honest = tiny_trainer.train

    def interrupted(task: TrainingTask) -> Weights:
        if task.round == 3:
            raise KeyboardInterrupt
        return honest(task)

    with monkeypatch.context() as patch:
        patch.setattr(tiny_trainer, "train", interrupted)
        with pytest.raises(KeyboardInterrupt):
            simulate(cut)
    assert simulate(cut).model_sha256 == simulate(whole).model_sha256
    asked = _asked(whole)
    assert _asked(cut) == [*asked[:3], *asked[2:]]


@pytest.mark.parametrize("late", [True, False])
def test_stragglers_are_not_waited_for_after_the_deadline_once_enough_are_there(tmp_path: Path, late: bool) -> None:
    """The sites work one after the other, each for half a second; the deadline is after the first, or never."""
    for name in make_sites(tmp_path / "data"):
        (name / "fault.txt").write_text("slow", "utf-8")
    config = tiny_config(tmp_path, rounds=1)
    config = _with(config, deadline_s=0.1 if late else None).model_copy(
        update={"datasets": tuple((tmp_path / "data").iterdir())}
    )
    result = simulate(config)
    named = [(event.site, event.reason) for event in _events(config) if event.reason]
    assert named == ([("C", "no_reply")] if late else [])
    assert sum(site.rounds for site in result.sites) == (2 if late else 3)


def test_an_update_far_longer_than_the_others_is_out_of_line() -> None:
    lengths = {name: 1.0 + 0.1 * number for number, name in enumerate(NAMES)}
    assert not overlong(lengths, 5.0)
    assert overlong(lengths | {"s3": 20.0}, 5.0) == {"s3"}
    assert not overlong({"s0": 1.0, "s1": 99.0}, 5.0), "of two nobody can tell"
    assert not overlong(dict.fromkeys(NAMES[:8], 0.0) | {"s9": 1.0}, 5.0), "who alone trained is not the bad one"


@given(st.integers(0, 8))
def test_sites_that_drew_nobody_do_not_hide_an_overlong_update(idle: int) -> None:
    away = dict.fromkeys(NAMES[:idle], 0.0)
    assert overlong(away | {"A": 1.0, "B": 1.2, "C": 30.0}, 5.0) == {"C"}
    assert not overlong(away | {"A": 1.0, "B": 1.2, "C": 3.0}, 5.0)
    assert overlong({"A": 1e6, "B": 0.0, "C": 0.0, "D": 1.0}, 5.0) == {"A"}


def test_an_update_on_disk_is_the_exact_difference(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    sent = {name: rng.normal(size=(3, 4)).astype(np.float32) for name in ("a", "frozen")}
    trained = {"a": sent["a"] + np.float32(1e-3), "frozen": sent["frozen"].copy()}
    update = StoredUpdate(tmp_path / "x" / "A.safetensors", sent, trained)
    assert sorted(update) == ["a", "frozen"]
    np.testing.assert_array_equal(update["a"], trained["a"].astype(np.float64) - sent["a"].astype(np.float64))
    np.testing.assert_array_equal(update["frozen"], 0)
    assert update.length == pytest.approx(float(np.linalg.norm(update["a"])))
    stepped_back = stepped(sent, update)
    assert all(np.array_equal(stepped_back[name], trained[name]) for name in sent)
    assert (tmp_path / "x" / "A.safetensors").stat().st_size < 200, "what nobody changed takes no room"


def test_no_sites_own_weights_stay_with_the_coordinator(tmp_path: Path) -> None:
    result = simulate(tiny_config(tmp_path, rounds=1))
    assert not (result.folder / "incoming").exists()


@pytest.mark.parametrize("end", [FederationError, KeyboardInterrupt])
def test_nor_do_they_after_a_round_that_failed(
    tmp_path: Path, end: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(tmp_path, rounds=1, min_sites=3)
    honest = tiny_trainer.train

    def train(task: TrainingTask) -> Weights:
        if task.site == "C":
            assert (config.out / "incoming" / "A.safetensors").exists()
            raise KeyboardInterrupt if end is KeyboardInterrupt else RuntimeError
        return honest(task)

    monkeypatch.setattr(tiny_trainer, "train", train)
    with pytest.raises(end):
        simulate(config)
    assert not (config.out / "incoming").exists()


@pytest.mark.parametrize(("attack", "reason"), [("nan", "not_finite"), ("scaled", "too_long"), ("sign_flip", None)])
def test_attackers_are_set_aside_where_their_reply_shows_it(tmp_path: Path, attack: str, reason: str | None) -> None:
    config = SimulationConfig.model_validate({**tiny_config(tmp_path, rounds=1).model_dump(), "attack": attack})
    result = simulate(config)
    named = [(event.site, event.reason) for event in _events(config) if event.reason]
    assert named == ([("A", reason)] if reason else [])
    start = load_checkpoint(config.init).weights
    trained = {
        name: tiny_trainer.train(tiny_trainer.task_of(start, config, name))["layer"].astype(np.float64)
        for name in "ABC"
    }
    if reason:
        expected = (trained["B"] + trained["C"]) / 2
    else:
        expected = (start["layer"] - 4 * (trained["A"] - start["layer"]) + trained["B"] + trained["C"]) / 3
    np.testing.assert_allclose(load_checkpoint(result.model).weights["layer"], expected, rtol=1e-5, atol=1e-6)


def test_an_attacker_who_is_caught_does_not_end_a_run_that_withstands_one(tmp_path: Path) -> None:
    five = {"datasets": make_sites(tmp_path / "five", "ABCDE"), "strategy": "multi_krum", "attack": "nan"}
    config = SimulationConfig.model_validate({**tiny_config(tmp_path, rounds=1).model_dump(), **five})
    result = simulate(config)
    assert [(event.site, event.reason) for event in _events(config) if event.reason] == [("A", "not_finite")]
    assert {site.site: site.rounds for site in result.sites} == {"A": 0, **dict.fromkeys("BCDE", 1)}


def test_norms_are_not_checked_where_that_is_switched_off(tmp_path: Path) -> None:
    config = SimulationConfig.model_validate({**tiny_config(tmp_path, rounds=1).model_dump(), "attack": "scaled"})
    simulate(_with(config, norm_limit=None))
    assert not [event for event in _events(config) if event.reason]


@pytest.mark.parametrize("strategy", ["fedadam", "fedyogi", "scaffold"])
def test_what_a_strategy_keeps_survives_an_interruption(
    tmp_path: Path, strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def config(folder: str) -> SimulationConfig:
        return SimulationConfig.model_validate(
            {**tiny_config(tmp_path / folder, rounds=4).model_dump(), "strategy": strategy}
        )

    whole = simulate(config("whole"))
    honest, calls = tiny_trainer.train, []

    def interrupted(task: object) -> object:
        calls.append(task)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return honest(task)

    monkeypatch.setattr(tiny_trainer, "train", interrupted)
    cut = config("cut")
    with pytest.raises(KeyboardInterrupt):
        simulate(cut)
    assert RunFolder(cut.out).last_state().round == 2
    assert simulate(cut).model_sha256 == whole.model_sha256
    plain = simulate(tiny_config(tmp_path / "plain", rounds=4))
    assert plain.model_sha256 != whole.model_sha256


@pytest.mark.parametrize("bad_rounds", [(1,), (2, 3, 4)])
def test_the_common_control_variate_stays_the_mean_of_the_sites_where_an_update_did_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad_rounds: tuple[int, ...]
) -> None:
    raw = {**tiny_config(tmp_path, rounds=5).model_dump(), "strategy": "scaffold"}
    config, honest = SimulationConfig.model_validate(raw), tiny_trainer.train

    def train(task: TrainingTask) -> Weights:
        trained = honest(task)
        longer = 100 if task.site == "B" and task.round in bad_rounds else 1
        return {name: array + (longer - 1) * (array - task.weights[name]) for name, array in trained.items()}

    monkeypatch.setattr(tiny_trainer, "train", train)
    simulate(config)
    assert [(e.round, e.site, e.reason) for e in _events(config) if e.reason] == [
        (number, "B", "too_long") for number in bad_rounds
    ]
    folder = RunFolder(config.out)
    federation, state = folder.federation(), folder.last_state()
    own = [RoundMemory.of_run(config.out / str(site.state), federation.run).before(6) for site in federation.sites]
    for name, common in folder.memory(state).items():
        np.testing.assert_allclose(common, np.mean([one[name] for one in own], axis=0), rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("error")
def test_a_step_that_leaves_no_finite_model_is_refused_before_it_is_written(tmp_path: Path) -> None:
    rash = {"strategy": {"name": "fedadam", "learning_rate": 1e39}}
    config = SimulationConfig.model_validate({**tiny_config(tmp_path).model_dump(), **rash})
    with pytest.raises(InputError, match=r"round 1: the step of fedadam .* in bias; .* smaller strategy.learning_rate"):
        simulate(config)
    folder = RunFolder(config.out)
    assert folder.last_state().round == 0
    assert not folder.checkpoint_path(1).exists()
    last = _events(config)[-1]
    assert (last.kind, last.reason) == ("run_failed", "not_finite")
    assert last.reason in FAILURES


def test_a_strategy_with_too_few_sites_is_refused_at_the_start(tmp_path: Path) -> None:
    config = SimulationConfig.model_validate({**tiny_config(tmp_path).model_dump(), "strategy": "krum"})
    with pytest.raises(InputError, match="krum needs 5"):
        simulate(config)
    assert not config.out.exists()
