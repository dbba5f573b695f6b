"""A run from its preparation to its export, and how it stands in between; with a SuperLink that only takes notes."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from made_up_federation import NotingSuperLink, made_up_home, request_of
from tiny_trainer import make_checkpoint
from typer.testing import CliRunner

from fedpsma.contract import SecureAggregation, TrainingPlan
from fedpsma.errors import InputError
from fedpsma.io.files import held_alone
from server.federation.admission import admit, revoke
from server.federation.export import export, verify
from server.federation.home import FederationHome
from server.federation.runs import FederationRun, RunConfig, prepare, request_stop, resume_cut_off, start
from server.federation_commands import federation
from server.run_folder import RoundOutcome, RoundState, SiteState
from server.strategies import FedAvg


@pytest.fixture
def home(tmp_path: Path) -> FederationHome:
    """A federation with three admitted sites."""
    made = made_up_home(tmp_path)
    for name, patients in (("north", 40), ("south", 3), ("west", None)):
        admit(made, request_of(tmp_path, name, patients=patients))
    return made


@pytest.fixture
def superlink(home: FederationHome) -> NotingSuperLink:
    return NotingSuperLink(home.flower)


@pytest.fixture
def run(home: FederationHome, tmp_path: Path) -> FederationRun:
    return prepare(home, "first", _config(tmp_path))


def _config(folder: Path, **changes: object) -> RunConfig:
    settings = {"plan": TrainingPlan(rounds=2), "init": make_checkpoint(folder / "initial.safetensors"), **changes}
    return RunConfig.model_validate(settings)


def _play(run: FederationRun, rounds: int, *, end: bool = False) -> None:
    """Write what a process would that plays so many rounds."""
    events, federation = run.folder.events, run.folder.federation()
    state = run.folder.last_state()
    names = tuple(site.name for site in federation.sites)
    events.append("run_started" if state.round == 0 else "run_resumed", round=state.round, rounds=2)
    for number in range(state.round + 1, state.round + rounds + 1):
        events.append("round_started", round=number, rounds=2, sites=names)
        for name in names[:2]:
            events.append("site_reported", round=number, site=name, epsilon=2.0 * number + (number == 1))
        events.append("site_refused", round=number, site=names[2], reason="budget_exceeded")
        events.append("round_ended", round=number, seconds=10.0, model_sha256="ab")
        sites = {name: SiteState(rounds=number, epsilon=2.0 * number) for name in names[:2]}
        weights = run.folder.weights(state)
        state = RoundState(run=federation.run, round=number, model_sha256=state.model_sha256, sites=sites)
        card = _card(run)
        run.folder.finish_round(state, RoundOutcome(weights, {}, {}), card)
    if end:
        _write_model(run, state)
        events.append("run_ended", round=state.round, model_sha256=state.model_sha256)


def _card(run: FederationRun):
    from fedpsma.model.checkpoint import load_checkpoint

    return load_checkpoint(run.folder.initial_path).card


def _write_model(run: FederationRun, state: RoundState) -> None:
    from fedpsma.model.checkpoint import save_checkpoint

    card = _card(run)
    save_checkpoint(run.folder.model_path, card.network, run.folder.weights(state), card)


def test_a_run_knows_its_sites_by_their_keys_and_not_who_was_revoked(home: FederationHome, tmp_path: Path) -> None:
    revoke(home, "west")
    made = prepare(home, "first", _config(tmp_path)).folder.federation()
    assert [site.name for site in made.sites] == ["north", "south"]
    assert all(site.key for site in made.sites)
    assert (made.name, made.signing_key) == ("prostate", home.signing_key_path.resolve())


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("../out", {}, "is no name of a run"),
        ("first", {"sites": ("east",)}, "east: is not admitted"),
        ("first", {"sites": ("north",)}, "1 admitted, the plan with fedavg needs 2"),
        ("first", {"strategy": "multi_krum"}, "needs"),
        ("first", {"strategy": FedAvg(weighting="patients")}, "west: registered no number of patients"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_is_written(
    home: FederationHome, tmp_path: Path, name: str, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        prepare(home, name, _config(tmp_path, **changes))
    assert not list(home.runs.iterdir())


def test_a_site_without_a_number_need_not_count_by_it(home: FederationHome, tmp_path: Path) -> None:
    counting = FedAvg(weighting="patients")
    prepare(home, "first", _config(tmp_path / "a", strategy=counting, sites=("north", "south")))
    hidden = TrainingPlan(secure_aggregation=SecureAggregation(most_patients=20), min_sites=3)
    prepare(home, "second", _config(tmp_path / "b", strategy=counting, plan=hidden))


def test_a_message_too_large_for_flower_is_refused_early(
    home: FederationHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.federation.runs.LARGEST_MESSAGE_BYTES", 100)
    with pytest.raises(InputError, match="a message may have"):
        prepare(home, "first", _config(tmp_path))


def test_settings_are_given_once(run: FederationRun, home: FederationHome, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is there already"):
        prepare(home, "first", _config(tmp_path))


def test_how_a_run_stands_is_read_from_its_files(run: FederationRun, superlink: NotingSuperLink) -> None:
    assert run.standing == "prepared"
    start(run, superlink)  # type: ignore[arg-type]
    assert run.standing == "starting"
    with held_alone(run.folder.path):
        assert run.standing == "running"
    _older(run.flower_path)
    _play(run, 1)
    assert run.standing == "cut off"
    with pytest.raises(InputError, match="is cut off"):
        request_stop(run)
    run.folder.events.append("run_failed", round=1, reason="stopped")
    assert run.standing == "stopped"
    _play(run, 1, end=True)
    assert run.standing == "finished"
    with pytest.raises(InputError, match="is finished"):
        start(run, superlink)  # type: ignore[arg-type]


def _older(path: Path) -> None:
    past = time.time() - 10
    os.utime(path, (past, past))


def test_a_run_is_started_once_at_a_time(run: FederationRun, superlink: NotingSuperLink) -> None:
    start(run, superlink)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="runs already"):
        start(run, superlink)  # type: ignore[arg-type]


def test_only_what_was_cut_off_goes_on_by_itself(
    home: FederationHome, superlink: NotingSuperLink, tmp_path: Path
) -> None:
    said: list[str] = []
    ends = {"cut": None, "stopped": "stopped", "failed": "too_few_sites"}
    for name, reason in ends.items():
        one = prepare(home, name, _config(tmp_path / name))
        _play(one, 1)
        if reason:
            one.folder.events.append("run_failed", round=1, reason=reason)
    prepare(home, "new", _config(tmp_path / "new"))
    resume_cut_off(home, superlink, said.append)  # type: ignore[arg-type]
    assert said == ["cut was cut off and goes on after round 1"]
    assert [call[0] for call in superlink.calls] == ["run"]
    superlink.broken = True
    _play(FederationRun(home, "new"), 1)
    resume_cut_off(home, superlink, said.append)  # type: ignore[arg-type]
    assert "does not start again" in said[-1]


def test_the_view_tells_rounds_money_and_why_and_withholds_small_counts(run: FederationRun) -> None:
    _play(run, 1)
    view = run.summary()
    assert (view.round, view.rounds, view.seconds_left, view.epsilon_budget) == (1, 2, 10.0, 8.0)
    north, south, west = view.sites
    assert (north.doing, north.rounds, north.missed, north.patients) == ("reported", 1, 0, 40)
    assert (north.epsilon, north.epsilon_at_end) == (3.0, 6.0)
    assert (south.patients, west.patients) == (None, None)
    assert (west.doing, west.missed) == ("refused", 1)
    assert "privacy budget" in str(west.why)
    _play(run, 1, end=True)
    assert [site.epsilon_at_end for site in run.summary().sites] == [4.0, 4.0, None]


def test_an_export_can_be_verified_and_a_changed_one_cannot(run: FederationRun, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no model"):
        export(run, tmp_path / "early")
    _play(run, 2, end=True)
    out = export(run, tmp_path / "out")
    assert {path.name for path in out.iterdir()} == {
        "events.jsonl", "model.safetensors", "model.card.json", "record.json", "record.sig"
    }  # fmt: skip
    assert verify(out / "events.jsonl").lines == len(run.folder.events.read()[0])
    record = json.loads((out / "record.json").read_text("utf-8"))
    assert record["sites"][1]["patients"] is None
    whole = (out / "events.jsonl").read_bytes()
    (out / "events.jsonl").write_bytes(b"\n".join(whole.split(b"\n")[:-2]) + b"\n")
    with pytest.raises(InputError, match="not the history that its record names"):
        verify(out / "events.jsonl")
    (out / "events.jsonl").write_bytes(whole)
    (out / "record.json").write_text(json.dumps({**record, "rounds": 9}), "utf-8")
    with pytest.raises(InputError, match="not signed"):
        verify(out / "events.jsonl")


def test_a_coordinator_sees_the_run_as_table_and_as_json(run: FederationRun, home: FederationHome) -> None:
    _play(run, 2, end=True)
    shown = CliRunner().invoke(federation, ["watch", "first", "--folder", str(home.folder)])
    assert shown.exit_code == 0, shown.output
    assert "finished, round 2 of 2" in shown.output
    told = CliRunner().invoke(federation, ["watch", "first", "--format", "json", "--folder", str(home.folder)])
    assert json.loads(told.output)["standing"] == "finished"


def test_a_coordinator_draws_the_run_with_tensorboard(run: FederationRun, home: FederationHome, tmp_path: Path) -> None:
    _play(run, 1)
    board = str(tmp_path / "board")
    for name in ("first", str(run.folder.path)):
        drawn = CliRunner().invoke(federation, ["tensorboard", name, "--out", board, "--folder", str(home.folder)])
        assert "1 rounds written" in drawn.output
    with pytest.raises(InputError, match="is no run"):
        CliRunner().invoke(federation, ["tensorboard", "no", "--folder", str(home.folder)], catch_exceptions=False)


def test_nothing_is_started_while_the_federation_is_down(run: FederationRun, home: FederationHome) -> None:
    result = CliRunner().invoke(federation, ["run", "first", "--folder", str(home.folder)])
    assert isinstance(result.exception, InputError)
    assert "is not up" in str(result.exception)
