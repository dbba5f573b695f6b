from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedpsma.domain.study import Study
from fedpsma.lesions.geometry import world_mm
from fedpsma.model.config import NetworkConfig
from fedpsma.model.inference import predict
from fedpsma.model.network import DenseLogits, LesionNet, build
from fedpsma.model.saliency import COMPLETENESS, explain, steps_by_change

SMALL = NetworkConfig(channels=(16, 16), norm_groups=4)
LOG_CHANNEL, CT_CHANNEL = 2, 3


class _Formula(LesionNet):
    """Stands in for a network: the suspicious logit is a weighted sum of input channels, averaged over 3 x 3 x 3."""

    def __init__(self, weights: dict[int, float], offset: float) -> None:
        super().__init__(SMALL)
        self.formula, self.offset = weights, offset

    def forward(self, image: torch.Tensor, tracer: torch.Tensor) -> DenseLogits:
        seen = sum(weight * image[:, channel] for channel, weight in self.formula.items())
        near = torch.nn.functional.avg_pool3d(seen, 3, stride=1, padding=1)
        zero = torch.zeros_like(near)
        anatomy = torch.zeros(len(near), self.config.anatomy_classes, *(size // 2 for size in near.shape[1:]))
        return DenseLogits(torch.stack([zero, zero, near + self.offset], dim=1), anatomy)


@pytest.fixture
def study() -> Study:
    draw = np.random.default_rng(3)
    pet = draw.uniform(0.5, 9.0, (16, 16, 20)).astype(np.float32)
    ct = draw.uniform(-900, 900, pet.shape).astype(np.float32)
    return Study("s", "p", pet=pet, ct=ct, affine=np.diag([4.0, 4.0, 4.0, 1.0]))


def _one_voxel(study: Study, index: tuple[int, int, int] = (7, 8, 9)) -> np.ndarray:
    core = np.zeros(study.pet.shape, dtype=bool)
    core[index] = True
    return core


def test_a_function_of_a_weighted_sum_shares_itself_out_by_the_summands(study: Study) -> None:
    """Sundararajan et al. 2017: the gradients along the path are parallel, so each share is weight times change."""
    found = explain(_Formula({LOG_CHANNEL: 20.0}, -4.0), study, _one_voxel(study))
    summands = np.zeros(study.pet.shape)
    summands[6:9, 7:10, 8:11] = np.log1p(study.pet[6:9, 7:10, 8:11].astype(np.float16).astype(float))
    expected = summands / summands.sum() * found.from_pet
    np.testing.assert_allclose(found.pet_share, expected, atol=2e-6)
    assert found.suspicion - found.baseline > 0.5
    assert found.from_pet == pytest.approx(found.suspicion - found.baseline, abs=COMPLETENESS)
    assert np.abs(found.ct_share).max() == 0


def test_ct_counts_from_air_within_the_networks_window(study: Study) -> None:
    found = explain(_Formula({CT_CHANNEL: 6.0}, -1.0), study, _one_voxel(study))
    near = np.zeros(study.pet.shape)
    near[6:9, 7:10, 8:11] = np.clip(study.ct[6:9, 7:10, 8:11].astype(np.float16).astype(float), -300, 300) + 300
    np.testing.assert_allclose(found.ct_share, near / near.sum() * found.from_ct, atol=2e-6)
    assert np.abs(found.pet_share).max() == 0


@pytest.mark.parametrize("steepness", [20.0, 60.0, 200.0])
def test_shares_sum_to_the_suspicion_however_steep_the_way_there(study: Study, steepness: float) -> None:
    net = _Formula({LOG_CHANNEL: steepness, 0: steepness / 4, CT_CHANNEL: 2.0}, -steepness / 3)
    found = explain(net, study, study.pet > 8.5)
    assert found.suspicion - found.baseline > 0.5
    assert abs(found.remainder) <= COMPLETENESS
    whole = found.baseline + float(found.pet_share.sum()) + float(found.ct_share.sum())
    assert whole == pytest.approx(found.suspicion, abs=COMPLETENESS + 1e-4)


def test_the_suspicion_is_that_of_the_whole_prediction_on_any_grid() -> None:
    """Also where voxels are finer than the network's, and the body is cropped and padded on the way."""
    draw = np.random.default_rng(5)
    pet = np.zeros((33, 30, 41), dtype=np.float32)
    pet[6:30, 5:28, 3:40] = draw.uniform(0.5, 9.0, (24, 23, 37))
    study = Study("s", "p", pet=pet, affine=np.diag([2.5, 2.5, 3.0, 1.0]))
    core = np.zeros(pet.shape, dtype=bool)
    core[12:15, 10:13, 20:22] = True
    net = build(SMALL, seed=1)
    found = explain(net, study, core)
    assert found.suspicion == pytest.approx(float(predict(net, study).suspicious[core].mean()), abs=1e-5)
    assert found.ct is None
    assert found.ct_share is None
    assert found.from_ct is None
    where = world_mm(found.affine, np.argwhere(found.pooled)).mean(axis=0)
    assert np.abs(where - world_mm(study.affine, np.argwhere(core)).mean(axis=0)).max() < 2.0


def test_of_a_long_body_the_slab_round_the_lesion_is_explained() -> None:
    draw = np.random.default_rng(6)
    pet = draw.uniform(0.5, 3.0, (12, 12, 150)).astype(np.float32)
    pet[5:7, 5:7, 120:122] = 12.0
    study = Study("s", "p", pet=pet, affine=np.diag([4.0, 4.0, 4.0, 1.0]))
    net = build(SMALL, seed=1)
    found = explain(net, study, pet > 10)
    assert found.pet.shape[2] < 100
    assert found.suspicion == pytest.approx(float(predict(net, study).suspicious[pet > 10].mean()), abs=1e-5)
    x, y, z = world_mm(found.affine, np.argwhere(found.pooled)).mean(axis=0)
    assert (x, y, z) == pytest.approx((22, 22, 482))


def test_progress_ends_at_its_own_total_and_the_network_is_left_alone(study: Study) -> None:
    net, seen = build(SMALL, seed=2), []
    before = {name: value.clone() for name, value in net.named_parameters()}
    explain(net, study, _one_voxel(study), lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == list(range(1, len(seen) + 1))
    assert seen[-1][0] == seen[-1][1]
    assert all(torch.equal(value, before[name]) and value.grad is None for name, value in net.named_parameters())


def test_nothing_to_explain_is_refused(study: Study) -> None:
    with pytest.raises(ValueError, match="no voxel"):
        explain(build(SMALL), study, np.zeros(study.pet.shape, dtype=bool))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8), st.integers(8, 40))
def test_every_section_has_a_step_and_none_is_lost(levels: list[float], steps: int) -> None:
    shared_out = steps_by_change(levels, steps)
    assert sum(shared_out) == steps
    assert min(shared_out) >= 1
