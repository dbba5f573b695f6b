"""A federation in this process, with a trainer of a few numbers: what it leaves, what it survives, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tiny_trainer
from tiny_trainer import SECRET, make_checkpoint, make_sites, tiny_config

from client.ledger import Ledger
from fedpsma.errors import InputError
from fedpsma.history.events import Event
from fedpsma.io.dataset import read_dataset
from fedpsma.io.files import read_json
from fedpsma.model.checkpoint import Weights, load_checkpoint
from fedpsma.training.trainer import TrainingTask
from server.failures import FederationError
from server.run_folder import RunFolder
from server.simulation import SimulationConfig, simulate


def _events(folder: Path) -> list[Event]:
    return RunFolder(folder).events.read()[0]


def _fault(config_folder: Path, site: str, fault: str) -> None:
    (config_folder / f"data_{site}" / "fault.txt").write_text(fault, "utf-8")


def _task(weights: Weights, config: SimulationConfig, site: str) -> TrainingTask:
    dataset = read_dataset(config.datasets["CAB".index(site)])
    return TrainingTask(weights, dataset, config.plan, 1, site, {}, None, ())


def test_the_model_is_the_mean_of_what_the_sites_trained(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, rounds=1)
    result = simulate(config)
    start = load_checkpoint(config.init).weights
    updates = [tiny_trainer.train(_task(start, config, name)) for name in "ABC"]
    final = load_checkpoint(result.model).weights
    for name in start:
        expected = np.mean([update[name].astype(np.float64) for update in updates], axis=0)
        np.testing.assert_allclose(final[name], expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(final["frozen"], start["frozen"])


def test_the_run_folder_tells_the_whole_story(tmp_path: Path) -> None:
    seen: list[Event] = []
    result = simulate(tiny_config(tmp_path), seen.append)
    assert seen == _events(result.folder)
    kinds = [event.kind for event in seen]
    one_round = ["round_started", *["site_reported"] * 3, "round_ended"]
    assert kinds == ["run_started", *one_round, *one_round, "run_ended"]
    assert [event.site for event in seen if event.site] == ["A", "B", "C"] * 2
    reported = [event for event in seen if event.kind == "site_reported"]
    assert all(event.bytes and (event.seconds is None) == (event.epsilon is not None) for event in reported)
    card = load_checkpoint(result.model).card
    assert card.sha256 == result.model_sha256 == seen[-1].model_sha256
    assert card.recipe["synthetic"] is True
    assert {name: site["rounds"] for name, site in card.recipe["sites"].items()} == {"A": 2, "B": 2, "C": 2}
    assert card.epsilon == max(site.epsilon or 0 for site in result.sites) > 0
    assert [(site.site, site.patients, site.rounds) for site in result.sites] == [
        ("C", 12, 2),
        ("A", 12, 2),
        ("B", 12, 2),
    ]
    for number in (1, 2):
        assert load_checkpoint(result.folder / "checkpoints" / f"round_{number:02d}.safetensors")


def test_nothing_about_patients_stands_in_what_the_server_writes(tmp_path: Path) -> None:
    result = simulate(tiny_config(tmp_path))
    texts = [path.read_text("utf-8") for path in result.folder.rglob("*.json*") if "sites" not in path.parts]
    assert not any("A-p1" in text or "patients_count" in text for text in texts)


def test_same_seed_same_model_and_another_seed_another_model(tmp_path: Path) -> None:
    hashes = [
        simulate(tiny_config(tmp_path / str(number), seed=seed)).model_sha256 for number, seed in enumerate([3, 3, 4])
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def test_the_order_of_the_data_sets_does_not_change_the_model(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    turned = config.model_copy(update={"datasets": config.datasets[::-1], "out": tmp_path / "turned"})
    assert simulate(config).model_sha256 == simulate(turned).model_sha256


FAULTS = {
    "extra_array": "extra_array",
    "missing_array": "missing_array",
    "wrong_shape": "wrong_shape",
    "wrong_dtype": "wrong_dtype",
    "not_finite": "not_finite",
    "raises": "internal_error",
}


@pytest.mark.parametrize(("fault", "reason"), FAULTS.items())
def test_a_bad_site_is_left_out_with_a_code_and_the_others_train_on(tmp_path: Path, fault: str, reason: str) -> None:
    config = tiny_config(tmp_path / "bad")
    _fault(tmp_path / "bad", "B", fault)
    result = simulate(config)
    named = [(event.site, event.reason) for event in _events(result.folder) if event.reason]
    assert named == [("B", reason)] * 2
    assert {site.site: site.rounds for site in result.sites} == {"A": 2, "B": 0, "C": 2}
    # The model is that of the two good sites alone.
    good = tiny_config(tmp_path / "good")
    alone = good.model_copy(update={"datasets": tuple(path for path in good.datasets if path.name != "data_B")})
    assert result.model_sha256 == simulate(alone).model_sha256


def test_no_text_of_a_site_reaches_the_servers_files(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    _fault(tmp_path, "B", "raises")
    folder = simulate(config).folder
    server_files = [path for path in folder.rglob("*") if path.is_file() and "sites" not in path.parts]
    assert server_files
    assert not any(SECRET.encode() in path.read_bytes() for path in server_files)


def test_too_few_valid_updates_fail_the_run_and_say_why(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    for site, fault in {"A": "not_finite", "B": "raises", "C": "wrong_shape"}.items():
        _fault(tmp_path, site, fault)
    with pytest.raises(FederationError) as failed:
        simulate(config)
    assert str(failed.value) == (
        "round 1: 0 valid updates, 2 needed (A: not_finite, B: internal_error, C: wrong_shape)"
    )
    last = _events(config.out)[-1]
    assert (last.kind, last.reason) == ("run_failed", "too_few_sites")
    assert not (config.out / "model").exists()


def test_a_failed_run_goes_on_once_the_sites_are_well_again(tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "a")
    for site in "AB":
        _fault(tmp_path / "a", site, "not_finite")
    with pytest.raises(FederationError):
        simulate(config)
    for site in "AB":
        (tmp_path / "a" / f"data_{site}" / "fault.txt").unlink()
    assert simulate(config).model_sha256 == simulate(tiny_config(tmp_path / "b")).model_sha256
    assert "run_resumed" in {event.kind for event in _events(config.out)}


def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    first = simulate(config)
    events = _events(config.out)
    again = simulate(config)
    assert (again.model_sha256, again.sites) == (first.model_sha256, first.sites)
    assert _events(config.out) == events


def test_an_interruption_in_a_round_repeats_that_round_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_config(tmp_path / "a", rounds=3)
    train = tiny_trainer.train

    def stop(task: TrainingTask) -> Weights:
        if (task.round, task.site) == (2, "B"):
            raise KeyboardInterrupt
        return train(task)

    monkeypatch.setattr(tiny_trainer, "train", stop)
    with pytest.raises(KeyboardInterrupt):
        simulate(config)
    assert _events(config.out)[-1].reason == "stopped"
    monkeypatch.undo()
    result = simulate(config)
    assert result.model_sha256 == simulate(tiny_config(tmp_path / "b", rounds=3)).model_sha256
    started = [event.round for event in _events(config.out) if event.kind == "round_started"]
    assert started == [1, 2, 2, 3]
    charged = {site: len(Ledger(config.out / "sites" / site / "ledger.jsonl").history()) for site in "ABC"}
    assert charged == {"A": 4, "B": 4, "C": 3}, "a round that is repeated is charged again"
    epsilon = {site.site: site.epsilon for site in result.sites}
    assert epsilon["A"] == pytest.approx(4 / 3 * (epsilon["C"] or 0))


def test_a_checkpoint_that_was_changed_is_not_gone_on_from(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    simulate(config)
    (config.out / "model" / "model.safetensors").unlink()
    state = config.out / "checkpoints" / "round_02.json"
    state.write_text(json.dumps(read_json(state) | {"model_sha256": "0" * 64}), "utf-8")
    with pytest.raises(InputError, match="other weights"):
        simulate(config)


def test_training_without_privacy_is_said_everywhere(tmp_path: Path) -> None:
    result = simulate(tiny_config(tmp_path, target_epsilon=None))
    card = load_checkpoint(result.model).card
    assert (card.epsilon, card.delta) == (None, None)
    assert {site.epsilon for site in result.sites} == {None}
    assert Ledger(result.folder / "sites" / "A" / "ledger.jsonl").history() == (None, None)


def test_one_site_alone_trains_the_same_plan(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    alone = config.alone(config.datasets[0])
    assert alone.plan.rounds == config.plan.rounds
    assert [site.site for site in simulate(alone).sites] == ["C"]


def test_other_settings_in_the_same_folder_are_refused(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    simulate(config)
    other = config.model_copy(update={"plan": config.plan.model_copy(update={"seed": 9})})
    with pytest.raises(InputError, match="other settings"):
        simulate(other)


def test_wrong_data_sets_are_named(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    with pytest.raises(InputError, match="belongs to site 'A'"):
        simulate(config.model_copy(update={"datasets": (tmp_path / "data_A", tmp_path / "data_A")}))
    with pytest.raises(InputError, match="with fedavg needs 2"):
        simulate(config.model_copy(update={"datasets": (tmp_path / "data_A",)}))
    with pytest.raises(InputError, match="12 patients"):
        simulate(config.model_copy(update={"plan": config.plan.model_copy(update={"delta": 0.09})}))
    (strange,) = make_sites(tmp_path / "strange", ["A"])
    info = read_json(strange / "dataset.json") | {"site": "../A"}
    (strange / "dataset.json").write_text(json.dumps(info), "utf-8")
    with pytest.raises(InputError, match="not a name"):
        simulate(config.model_copy(update={"datasets": (strange, tmp_path / "data_B")}))
    assert not config.out.exists()


def test_the_checkpoint_to_start_from_has_to_be_one(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        simulate(config.model_copy(update={"init": tmp_path / "none.safetensors"}))
    assert make_checkpoint(tmp_path / "x.safetensors").exists()
