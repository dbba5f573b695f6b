from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from fedpsma.contract import TrainingPlan
from fedpsma.errors import InputError
from fedpsma.io.dataset import Dataset
from fedpsma.model.checkpoint import Weights, model_hash, weights_of
from fedpsma.model.config import NetworkConfig
from fedpsma.model.inputs import to_grid
from fedpsma.model.losses import DenseTargets
from fedpsma.model.network import DenseLogits, LesionNet, build
from fedpsma.training import private_round, site_round
from fedpsma.training.accounting import epsilon_of, sample_rate
from fedpsma.training.descent import Descent
from fedpsma.training.dp import TrainingDivergedError
from fedpsma.training.gradients.choice import GradientChoice
from fedpsma.training.patches import PatchBatch
from fedpsma.training.site_round import train_round

SMALL = NetworkConfig(channels=(16, 16), norm_groups=4)
PLAN = TrainingPlan(steps_per_round=2, patients_per_step=2, patch_voxels=16, seed=1, rounds=3)


@pytest.fixture(scope="module")
def site(toy: Callable[[int], Dataset]) -> Dataset:
    return toy(5)


@pytest.fixture(scope="module")
def start() -> Weights:
    return weights_of(build(SMALL))


def _round(start: Weights, site: Dataset, plan: TrainingPlan = PLAN, number: int = 1, name: str = "A", **more):
    return train_round(start, site, plan, number, name, network=SMALL, **more)


def test_a_seeded_round_is_bit_identical_and_another_round_or_site_is_not(start: Weights, site: Dataset) -> None:
    first = model_hash(_round(start, site).weights)
    assert first == model_hash(_round(start, site).weights)
    assert (
        len(
            {
                first,
                model_hash(_round(start, site, number=2).weights),
                model_hash(_round(start, site, name="B").weights),
            }
        )
        == 3
    )


def test_without_a_seed_the_same_round_gives_other_noise(start: Weights, site: Dataset) -> None:
    plan = PLAN.model_copy(update={"seed": None, "steps_per_round": 1})
    assert model_hash(_round(start, site, plan).weights) != model_hash(_round(start, site, plan).weights)


def test_the_report_says_what_all_rounds_have_cost(start: Weights, site: Dataset) -> None:
    first = _round(start, site)
    assert first.spend is not None
    second = _round(start, site, number=2, history=[first.spend])
    assert second.report.epsilon == pytest.approx(epsilon_of([first.spend] * 2, PLAN.delta), abs=1e-9)
    assert first.report.epsilon is not None
    assert first.report.epsilon < second.report.epsilon < 8
    assert (second.report.site, second.report.round, second.report.steps) == ("A", 2, 2)
    assert second.report.noise_multiplier == first.spend.noise_multiplier


def test_adaptive_scope_leaves_the_other_weights_as_they_came(start: Weights, site: Dataset) -> None:
    found = _round(start, site).weights
    changed = {name for name in start if not np.array_equal(start[name], found[name])}
    assert "voxel_head.weight" in changed
    assert "stem.conv.unit0.adn.N.weight" in changed
    assert not any(name.endswith("conv.weight") for name in changed)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_patient_shows_cubes_or_one_slab_of_his_whole_cross_section(
    start: Weights, site: Dataset, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    cut = site_round.cut_patches
    monkeypatch.setattr(site_round, "cut_patches", lambda *args: seen.append(cut(*args).image.shape) or cut(*args))
    _round(start, site, PLAN.model_copy(update={"slab_share": share}))
    patient = to_grid(site.load(site.rows[0]), SMALL).pet.shape
    width, depth = (-(-edge // SMALL.stride) * SMALL.stride for edge in patient[:2])
    assert set(seen) == {(1, 5, width, depth, 16) if share else (2, 5, 16, 16, 16)}


def test_patients_with_cubes_are_gathered_and_a_slab_goes_alone() -> None:
    def batch(*edges: int) -> PatchBatch:
        return PatchBatch(torch.zeros(1, 5, *edges), torch.zeros(1, 5), DenseTargets(torch.zeros(1), torch.zeros(1)))

    cube, slab = batch(16, 16, 16), batch(32, 24, 16)
    groups = list(site_round._in_groups([cube, slab, cube, cube, slab, slab], 2, 16))
    assert sorted([one.image.shape[2] for one in group] for group in groups) == [[16], [16, 16], [32], [32], [32]]


def test_the_given_weights_stay_untouched(start: Weights, site: Dataset) -> None:
    before = model_hash(start)
    _round(start, site)
    assert model_hash(start) == before


def test_one_patient_moves_the_sum_by_no_more_than_the_clip_norm(start: Weights, site: Dataset, monkeypatch) -> None:
    def sums(clip_norm: float) -> float:
        plan = PLAN.model_copy(
            update={"patients_per_step": 5.0, "steps_per_round": 1, "clip_norm": clip_norm, "learning_rate": 1.0}
        )
        monkeypatch.setattr(site_round, "randomness_of", lambda *_: _Silent())
        found = _round(start, site, plan).weights
        return float(np.sqrt(sum(((found[name] - start[name]) ** 2).sum() for name in start)))

    # Five patients, mean of five: the step is no longer than the clip norm, and reaches it where gradients are larger.
    assert 0.0001 < sums(0.001) <= 0.001 * 1.01


def test_a_round_in_which_nobody_is_drawn_is_noise_alone(start: Weights, site: Dataset, monkeypatch) -> None:
    plan = PLAN.model_copy(update={"patients_per_step": 1e-9, "steps_per_round": 3, "learning_rate": 1.0})
    monkeypatch.setattr(site_round, "_patches", lambda *_: pytest.fail("a patient was drawn"))
    # So rare a draw needs hardly any noise, but never none.
    monkeypatch.setattr(Descent, "step", lambda _, gradient: steps.append(gradient))
    steps: list[torch.Tensor] = []
    found = _round(start, site, plan)
    assert found.spend is not None
    expected = found.spend.noise_multiplier * plan.clip_norm / (sample_rate(plan, 5) * 5)
    assert [float(step.std()) for step in steps] == pytest.approx([expected] * 3, rel=0.1)
    assert found.report.steps == 3


@pytest.mark.parametrize("clipping", ["flat", "per_layer", "adaptive"])
def test_every_kind_of_clipping_costs_the_same_and_trains(start: Weights, site: Dataset, clipping: str) -> None:
    plan = PLAN.model_copy(update={"clipping": clipping})
    found = _round(start, site, plan)
    assert found.spend == _round(start, site).spend
    assert model_hash(found.weights) != model_hash(start)
    assert all(np.isfinite(array).all() for array in found.weights.values())


def test_how_long_a_private_round_took_is_not_told(start: Weights, site: Dataset) -> None:
    assert _round(start, site).report.seconds is None
    open_plan = PLAN.model_copy(update={"target_epsilon": None, "steps_per_round": 1})
    assert (_round(start, site, open_plan).report.seconds or 0) > 0


def test_both_ways_to_gradients_train_the_same(start: Weights, site: Dataset, monkeypatch, caplog) -> None:
    loop = _round(start, site)
    assert loop.gradients.method == "loop"
    grouped = GradientChoice("grouped", 2, "tried")
    monkeypatch.setattr(site_round, "_way_to_gradients", lambda *_: grouped)
    found = _round(start, site)
    assert found.gradients is grouped
    assert max(float(np.abs(found.weights[name] - loop.weights[name]).max()) for name in start) < 1e-5


def test_the_way_is_chosen_by_trial_once_and_noted(start: Weights, site: Dataset, caplog) -> None:
    site_round._way_to_gradients.cache_clear()
    plan = PLAN.model_copy(update={"seed": None, "steps_per_round": 1})
    with caplog.at_level("INFO", logger="fedpsma.training"):
        first, second = _round(start, site, plan), _round(start, site, plan, number=2)
    assert first.gradients is second.gradients
    assert [record.message for record in caplog.records] == [
        f"{first.gradients.method}, {first.gradients.patients_at_once} patients at once: {first.gradients.reason}"
    ]


def test_a_network_that_hides_batch_statistics_is_refused_before_any_patient_is_read(
    start: Weights, site: Dataset, monkeypatch
) -> None:
    class Hiding(LesionNet):
        def forward(self, image: torch.Tensor, tracer: torch.Tensor) -> DenseLogits:
            return super().forward(image - image.mean(dim=0, keepdim=True), tracer)

    monkeypatch.setattr(site_round, "LesionNet", Hiding)
    monkeypatch.setattr(site_round, "_patches", lambda *_: pytest.fail("a patient was read"))
    with pytest.raises(InputError, match="mixes the patients of a batch") as caught:
        _round(start, site)
    assert caught.value.where is not None
    assert caught.value.where.startswith("stem.")


class _Silent:
    """Draws everybody and adds no noise."""

    def uniform(self, count: int) -> torch.Tensor:
        return torch.zeros(count)

    def normal(self, count: int) -> torch.Tensor:
        return torch.zeros(count, dtype=torch.float64)


@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 0.2), ("adam", 0.01)])
def test_training_without_protection_lowers_the_loss(
    start: Weights, site: Dataset, optimizer: str, rate: float
) -> None:
    plan = PLAN.model_copy(
        update={
            "target_epsilon": None,
            "scope": "all",
            "steps_per_round": 12,
            "patients_per_step": 5.0,
            "learning_rate": rate,
            "optimizer": optimizer,
        }
    )
    found = _round(start, site, plan)
    assert found.report.epsilon is None
    assert found.report.delta is None
    assert found.spend is None
    assert _loss(found.weights, site) < 0.95 * _loss(start, site)


def _loss(weights: Weights, site: Dataset) -> float:
    from fedpsma.model.checkpoint import apply_weights
    from fedpsma.model.losses import dense_loss
    from fedpsma.training.patches import cut_patches, draw_patches
    from fedpsma.training.sources import SourceCache

    net = build(SMALL)
    apply_weights(net, weights)
    sources = [SourceCache().get(site, row, SMALL) for row in site.rows]
    batch = cut_patches(draw_patches(sources, 8, 16, torch.Generator().manual_seed(7)), 16)
    with torch.no_grad():
        return dense_loss(net(batch.image, batch.tracer), batch.targets).item()


def test_threads_are_put_back(start: Weights, site: Dataset) -> None:
    threads = torch.get_num_threads()
    _round(start, site)
    assert torch.get_num_threads() == threads


def test_wrong_orders_are_refused_before_any_gradient(start: Weights, site: Dataset, monkeypatch) -> None:
    monkeypatch.setattr(private_round, "private_gradient", lambda *_: pytest.fail("a gradient was computed"))
    with pytest.raises(InputError, match="delta"):
        _round(start, site, PLAN.model_copy(update={"delta": 0.3}))
    with pytest.raises(InputError, match="unknown parameter"):
        _round({**start, "more": np.zeros(1, np.float32)}, site)
    with pytest.raises(InputError, match="multiple of 16"):
        train_round({}, site, PLAN.model_copy(update={"patch_voxels": 20}), 1, "A")


def test_weights_that_overflow_end_a_round_without_privacy_and_tell_nothing_in_one_with_it(
    start: Weights, site: Dataset
) -> None:
    """Who could see that a round failed could find out whether a patient, on whom alone it does, was drawn."""
    huge = {name: values * np.float32(1e30) for name, values in start.items()}
    plan = PLAN.model_copy(update={"patients_per_step": 5.0})
    with pytest.raises(TrainingDivergedError):
        _round(huge, site, plan.model_copy(update={"target_epsilon": None}))
    released = _round(huge, site, plan).weights
    assert all(np.isfinite(values).all() for values in released.values())
