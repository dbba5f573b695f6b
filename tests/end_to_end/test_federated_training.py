"""The real training in a real federation, small: two sites, a small network, volumes of noise with one lesion each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from small_sites import small_site, untrained

from client.ledger import Ledger
from fedpsma.contract import TrainingPlan
from fedpsma.model.checkpoint import load_checkpoint, save_checkpoint
from fedpsma.model.config import NetworkConfig
from server.run_folder import RunFolder
from server.simulation import SimulationConfig, simulate

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PLAN = TrainingPlan(
    rounds=2, steps_per_round=2, patients_per_step=2, patches_per_patient=1, patch_voxels=16, delta=0.05, seed=11
)


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Two data sets of four patients."""
    rng = np.random.default_rng(1)
    return tuple(small_site(tmp_path_factory.mktemp(name), name, rng) for name in ("north", "south"))


@pytest.fixture(scope="module")
def initial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("initial") / "initial.safetensors")


def _config(sites: tuple[Path, ...], initial: Path, out: Path) -> SimulationConfig:
    return SimulationConfig(datasets=sites, out=out, plan=PLAN, init=initial)


def test_it_trains_repeatably_and_accounts_for_every_step(
    sites: tuple[Path, ...], initial: Path, tmp_path: Path
) -> None:
    from opacus.accountants import PRVAccountant, RDPAccountant

    result = simulate(_config(sites, initial, tmp_path / "a"))
    assert simulate(_config(sites, initial, tmp_path / "b")).model_sha256 == result.model_sha256
    before, after = load_checkpoint(initial).weights, load_checkpoint(result.model).weights
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    assert any(name.startswith("voxel_head") for name in moved)
    assert moved < before.keys(), "the adaptive plan leaves the convolutions bit for bit as they were"

    for site in result.sites:
        history = Ledger(result.folder / "sites" / site.site / "ledger.jsonl").history()
        spent = []
        for accountant in (RDPAccountant(), PRVAccountant()):
            accountant.history = [(c.noise_multiplier, c.sample_rate, c.steps) for c in history if c]
            assert sum(steps for _, _, steps in accountant.history) == PLAN.rounds * PLAN.steps_per_round
            merged = [(history[0].noise_multiplier, history[0].sample_rate, 4)] if history[0] else []
            accountant.history = merged
            spent.append(accountant.get_epsilon(delta=PLAN.delta))
        assert site.epsilon == pytest.approx(max(spent), abs=1e-9)
        assert 0 < max(spent) <= (PLAN.target_epsilon or 0)


def test_ray_workers_train_the_same_weights_bit_for_bit(sites: tuple[Path, ...], initial: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    here = simulate(_config(sites, initial, tmp_path / "here"))
    there = simulate(_config(sites, initial, tmp_path / "there").model_copy(update={"engine": "ray"}))
    assert there.model.read_bytes() == here.model.read_bytes()
    assert [site.epsilon for site in there.sites] == [site.epsilon for site in here.sites]
    events = RunFolder(there.folder).events.read()[0]
    assert [event.round for event in events if event.kind == "round_ended"] == [1, 2]


def test_without_privacy_it_is_another_model_and_claims_no_loss(
    sites: tuple[Path, ...], initial: Path, tmp_path: Path
) -> None:
    private = simulate(_config(sites, initial, tmp_path / "private"))
    plain = _config(sites, initial, tmp_path / "plain")
    open_plan = PLAN.model_copy(update={"target_epsilon": None})
    without = simulate(plain.model_copy(update={"plan": open_plan}))
    assert private.model_sha256 != without.model_sha256
    assert {site.epsilon for site in without.sites} == {None}


def test_weights_of_another_network_are_refused_not_trained(
    sites: tuple[Path, ...], initial: Path, tmp_path: Path
) -> None:
    from server.failures import FederationError

    checkpoint = load_checkpoint(initial)
    wrong = tmp_path / "wrong.safetensors"
    save_checkpoint(wrong, NetworkConfig(channels=(8, 16, 32), norm_groups=4), checkpoint.weights, checkpoint.card)
    with pytest.raises(FederationError, match="north: data_unreadable"):
        simulate(_config(sites, wrong, tmp_path / "run"))


@pytest.mark.parametrize(("strategy", "part"), [("fedbn", ".N."), ("personal_head", "voxel_head.")])
def test_what_a_site_keeps_never_leaves_it_and_makes_it_a_model_of_its_own(
    sites: tuple[Path, ...], initial: Path, tmp_path: Path, strategy: str, part: str
) -> None:
    from server.simulation.report import baselines, make_report

    wanted = {"strategy": strategy, "held_out": 0.25, "compare": True}
    settings = {**_config(sites, initial, tmp_path / "run").model_dump(), **wanted}
    config = SimulationConfig.model_validate(settings)
    result = simulate(config)
    before, after = load_checkpoint(initial).weights, load_checkpoint(result.model).weights
    kept = {name for name in before if part in name}
    assert kept
    assert all(np.array_equal(before[name], after[name]) for name in kept)
    assert any(not np.array_equal(before[name], after[name]) for name in before.keys() - kept)
    own = [load_file(path) for path in sorted(result.folder.glob("sites/*/runs/*/round_0002.safetensors"))]
    assert [{name.removeprefix("own/") for name in one} for one in own] == [kept, kept]
    assert any(not np.array_equal(own[0][name], own[1][name]) for name in own[0])
    for one in baselines(config).values():
        simulate(one)
        assert any(
            not np.array_equal(before[name], load_checkpoint(RunFolder(one.out).model_path).weights[name])
            for name in kept
        )
    report = make_report(config)
    assert [line.kind for line in report.models] == ["start", "shared", "all shared", "pooled", "alone", "alone"]
    assert report.rounds[-1].judgement == report.models[1].judgement, "each site with its own part"
    assert report.rounds[0].judgement != report.rounds[1].judgement
    assert {site.held_out for site in report.sites} == {1}


def test_an_adaptive_bound_travels_through_the_rounds_and_never_leaves(
    sites: tuple[Path, ...], initial: Path, tmp_path: Path
) -> None:
    config = _config(sites, initial, tmp_path / "run")
    # No gradient is that short, so the bound grows with every patient drawn.
    plan = config.plan.model_copy(update={"clipping": "adaptive", "clip_norm": 1e-6, "target_epsilon": None})
    result = simulate(config.model_copy(update={"plan": plan}))
    assert load_checkpoint(result.model).weights.keys() == load_checkpoint(initial).weights.keys()
    for site in ("north", "south"):
        files = [next(result.folder.glob(f"sites/{site}/runs/*/round_000{number}.safetensors")) for number in (1, 2)]
        first, second = (float(load_file(file)["clip/norm"]) for file in files)
        assert 1e-6 < first < second
