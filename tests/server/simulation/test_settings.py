"""One description of a run, from a TOML file, options and single settings."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from fedpsma.contract import SecureAggregation, TrainingPlan
from fedpsma.errors import InputError
from fedpsma.settings import RECIPES, read_settings, setting_names
from server.federation.runs import RunConfig
from server.simulation.config import AttackKind, SimulationConfig
from server.simulation.settings import read_config

TOML = """
datasets = ["data/a", "data/b"]
out = "run"
strategy = "fedprox"
compare = true

[plan]
rounds = 7
target_epsilon = "none"
seed = 3

[partition]
by = "dirichlet"
alpha = 0.2
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(TOML, "utf-8")
    return path


def test_the_file_is_read_and_its_paths_count_from_its_folder(file: Path) -> None:
    config = read_config(file, {}, [])
    assert config.datasets == (file.parent / "data/a", file.parent / "data/b")
    assert config.out == file.parent / "run"
    assert (config.strategy.name, config.plan.rounds, config.plan.target_epsilon) == ("fedprox", 7, None)
    assert config.full_plan.proximal_mu == 0.1
    assert config.partition is not None
    assert (config.partition.alpha, config.held_out_share) == (0.2, 0.2)


def test_options_go_over_the_file_and_settings_over_both(file: Path) -> None:
    options = {"out": Path("elsewhere"), "plan.rounds": 2, "plan.target_epsilon": "3", "compare": None}
    config = read_config(file, options, ["rounds=5", "alpha=0.9", "strategy.mu=0.7", "norm_limit=none"])
    assert (config.out, config.plan.rounds, config.plan.target_epsilon) == (Path("elsewhere"), 5, 3)
    assert config.plan.seed == 3
    assert config.partition is not None
    assert config.partition.alpha == 0.9
    assert config.full_plan.proximal_mu == 0.7
    assert config.participation.norm_limit is None


@pytest.mark.parametrize("name", get_args(AttackKind))
def test_every_attack_can_be_given_by_its_name(file: Path, name: str) -> None:
    for setting in ("attack", "attack.kind"):
        attack = read_config(file, {}, [f"{setting}={name}"]).attack
        assert attack is not None
        assert attack.kind == name


def test_what_is_not_a_number_is_no_number_of_a_setting(file: Path) -> None:
    with pytest.raises(InputError, match=r"plan\.learning_rate"):
        read_config(file, {}, ["plan.learning_rate=nan"])


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_serves_simulations_and_real_runs(name: str) -> None:
    simulated = read_config(Path(name), {"datasets": [Path("a"), Path("b")]}, ["rounds=5"])
    real = read_settings(RunConfig, Path(name), {}, ["rounds=5"])
    assert simulated.plan == real.plan
    assert (simulated.plan.rounds, simulated.strategy, simulated.averaging) == (5, real.strategy, real.averaging)
    assert real != RunConfig(plan=TrainingPlan(rounds=5))


def test_a_file_of_the_name_of_a_recipe_goes_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("single-steps").write_text("[plan]\nrounds = 3\n", "utf-8")
    assert read_config(Path("single-steps"), {"datasets": [Path("a"), Path("b")]}, []).plan.steps_per_round == 8


def test_what_is_neither_a_file_nor_a_recipe_is_named() -> None:
    with pytest.raises(InputError, match=r"single-step: is neither a file nor a recipe; .* single-steps"):
        read_config(Path("single-step"), {}, [])
    with pytest.raises(InputError, match="is neither a file nor a recipe"):
        read_config(Path("a" * 5000), {}, [])


def test_another_strategy_does_not_inherit_settings_and_the_same_one_keeps_them(file: Path) -> None:
    file.write_text(TOML.replace('strategy = "fedprox"', "") + '[strategy]\nname = "fedprox"\nmu = 0.4\n', "utf-8")
    assert read_config(file, {"strategy": "fedprox"}, []).full_plan.proximal_mu == 0.4
    assert read_config(file, {"strategy": "fedmedian"}, []).strategy.name == "fedmedian"


@pytest.mark.parametrize(
    ("setting", "where", "what"),
    [
        ("learning_rat=1", "learning_rat", "plan.learning_rate"),
        ("sites=3", "sites", "partition.sites or attack.sites"),
        ("rounds", "rounds", "name=value"),
        ("rounds=none", "plan.rounds", "valid integer"),
        ("strategy=fedsgd", "strategy", "fedavg"),
        ("attack=bomb", "attack.kind", "sign_flip"),
        ("held_out=0", "settings", "held_out"),
        ("zzzzzz=1", "zzzzzz", "docs/simulate.md"),
    ],
)
def test_what_is_wrong_is_named(file: Path, setting: str, where: str, what: str) -> None:
    with pytest.raises(InputError) as failed:
        read_config(file, {}, [setting])
    assert where in failed.value.where
    assert what in str(failed.value)


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("rounds = = 3", "utf-8")
    with pytest.raises(InputError, match="is not TOML"):
        read_config(path, {}, [])
    with pytest.raises(InputError, match="is neither a file nor a recipe"):
        read_config(tmp_path / "none.toml", {}, [])


def test_one_site_alone_is_a_federation_of_one() -> None:
    assert read_config(None, {"datasets": [Path("a")]}, []).plan.min_sites == 1
    assert read_config(None, {"datasets": [Path("a"), Path("b")]}, []).plan.min_sites == 2
    assert read_config(None, {"datasets": [Path("a")]}, ["partition=tracer"]).plan.min_sites == 2


def test_hiding_the_updates_takes_three_sites_unless_more_are_asked_for(file: Path) -> None:
    hidden = read_config(file, {}, ["secure_aggregation=true"]).plan
    assert (hidden.min_sites, hidden.secure_aggregation) == (3, SecureAggregation())
    asked = read_config(file, {}, ["secure_aggregation=true", "update_norm=2", "min_sites=4"]).plan
    assert (asked.min_sites, asked.secure_aggregation) == (4, SecureAggregation(update_norm=2))
    shown = read_config(file, {}, ["update_norm=2", "secure_aggregation=false"]).plan
    assert (shown.min_sites, shown.secure_aggregation) == (2, None)
    with pytest.raises(InputError, match="min_sites"):
        read_config(file, {}, ["secure_aggregation=true", "min_sites=2"])


def test_every_setting_is_documented() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "simulate.md").read_text("utf-8")
    missing = [name for name in setting_names(SimulationConfig) if f"`{name}`" not in text]
    assert not missing
