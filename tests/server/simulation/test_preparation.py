"""What a run needs is written once, for settings that can be carried out, and by nobody else meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedpsma.contract import TrainingPlan
from fedpsma.errors import InputError
from fedpsma.io.dataset import read_dataset, write_dataset
from fedpsma.io.files import held_alone
from server.simulation.config import SimulationConfig
from server.simulation.preparation import prepared

BY_SIZE = {"by": "size", "sites": 3, "alpha": 1e6}


def _config(pool: Path, **more: object) -> SimulationConfig:
    settings = {"partition": BY_SIZE, "held_out": 0.25, "plan": TrainingPlan(seed=4), **more}
    return SimulationConfig(datasets=(pool,), out=pool.parent / "run", **settings)


def _files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"strategy": "krum"}, "data sets: 3 given, the plan with krum needs 5"),
        ({"strategy": "scaffold", "plan": TrainingPlan(optimizer="adam")}, "scaffold: needs plain gradient descent"),
        ({"participation": {"sites_per_round": 1}}, "participation.sites_per_round: 1 asked in a round, .* needs 2"),
        ({"plan": TrainingPlan(delta=0.2)}, "delta: 0.2 is not below one over the 8 patients of site-1"),
        ({"attack": {"kind": "nan", "sites": ("P",)}}, "attack.sites: 'P' is no site"),
        ({"plan": TrainingPlan(device="cuda")}, "plan.device: no CUDA device is available; set device=cpu"),
    ],
)
def test_settings_that_cannot_be_carried_out_leave_nothing(
    pool: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, object], told: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InputError, match=told):
        prepared(_config(pool, **settings))
    assert not (pool.parent / "run").exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"plan": TrainingPlan(seed=5)},
        {"attack": {"kind": "nan"}},
        {"attack": {"kind": "label_flip"}},
        {"partition": {**BY_SIZE, "by": "dirichlet"}},
        {"held_out": 0.3},
    ],
)
def test_a_run_with_other_settings_is_left_as_it_is(pool: Path, settings: dict[str, object]) -> None:
    folder, sites = prepared(_config(pool))
    before = _files(folder.path)
    with pytest.raises(InputError, match="holds a run with other settings"):
        prepared(_config(pool, **settings))
    assert _files(folder.path) == before
    assert prepared(_config(pool))[1] == sites
    assert _files(folder.path) == before


def test_a_run_goes_on_by_another_path_to_the_same_data(pool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, sites = prepared(_config(pool))
    monkeypatch.chdir(pool.parent)
    elsewhere = _config(pool).model_copy(update={"datasets": (Path(pool.name),)})
    assert prepared(elsewhere)[1] == sites


def test_a_run_does_not_go_on_with_other_patients(pool: Path) -> None:
    folder, _ = prepared(_config(pool))
    before = _files(folder.path)
    whole = read_dataset(pool)
    renamed = [row.model_copy(update={"patient": row.patient.replace("p1", "q1")}) for row in whole.rows]
    write_dataset(pool, whole.info, renamed)
    with pytest.raises(InputError, match="holds a run with other settings"):
        prepared(_config(pool))
    assert _files(folder.path) == before


def test_nothing_is_written_into_a_run_that_another_process_plays(pool: Path) -> None:
    folder, _ = prepared(_config(pool))
    before = _files(folder.path)
    with held_alone(folder.path), pytest.raises(InputError, match="in use by another process"):
        prepared(_config(pool))
    assert _files(folder.path) == before


def test_real_patients_of_several_data_sets_are_not_dealt_out(pool: Path) -> None:
    whole = read_dataset(pool)
    real = write_dataset(pool.parent / "real", whole.info.model_copy(update={"synthetic": False}), list(whole.rows))
    config = _config(pool)
    with pytest.raises(InputError, match="partition: deals out real patients of several data sets"):
        prepared(config.model_copy(update={"datasets": (pool, real.folder)}))
    folder, _ = prepared(config.model_copy(update={"datasets": (real.folder,)}))
    assert str(real.folder.resolve() / "ledger.jsonl") in (folder.path / "sites/site-1/site.toml").read_text("utf-8")
