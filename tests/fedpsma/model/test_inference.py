from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from fedpsma.domain.study import Study
from fedpsma.model.config import NetworkConfig
from fedpsma.model.inference import OVERLAP_VOXELS, predict, predict_grid, slab_starts, slabs
from fedpsma.model.inputs import to_grid
from fedpsma.model.network import DenseLogits, LesionNet, build

SMALL = NetworkConfig(channels=(16, 16), norm_groups=4)


class _SeesUptake(LesionNet):
    """Stands in for a trained network: suspicious where the SUV is above 4, anatomy 7 where it is above 1."""

    def forward(self, image: torch.Tensor, tracer: torch.Tensor) -> DenseLogits:
        suv = 20 * image[:, 1]
        zero = torch.zeros_like(suv)
        coarse = torch.nn.functional.avg_pool3d(suv, 2)
        anatomy = torch.zeros(len(suv), self.config.anatomy_classes, *coarse.shape[1:])
        anatomy[:, 7] = 50 * (coarse - 1)
        anatomy[:, 9] = 100 * (coarse - 4)
        return DenseLogits(torch.stack([zero, zero, 50 * (suv - 4)], dim=1), anatomy)


def _study(shape: tuple[int, int, int], spacing: float = 4.0) -> Study:
    pet = np.full(shape, 2, np.float32)
    pet[2:6, 3:7, 4:8] = 8
    return Study("s", "p", pet=pet, affine=np.diag([spacing, spacing, spacing, 1.0]))


@pytest.mark.parametrize("shape", [(12, 10, 9), (70, 20, 150)])
def test_every_voxel_lands_where_it_came_from(shape: tuple[int, int, int]) -> None:
    study = _study(shape)
    found = predict(_SeesUptake(SMALL), study)
    assert ((found.suspicious > 0.5) == (study.pet > 4)).all()
    assert (found.anatomy[study.pet < 4] == 7).mean() > 0.95
    assert found.suspicious.dtype == np.float32
    assert found.anatomy.dtype == np.uint8


def test_a_finer_pet_grid_gets_its_own_shape_back() -> None:
    study = _study((24, 20, 30), spacing=2.0)
    found = predict(_SeesUptake(SMALL), study)
    assert found.suspicious.shape == found.physiological.shape == found.anatomy.shape == study.pet.shape


def test_probabilities_add_up_and_do_not_depend_on_the_run() -> None:
    net, grid = build(SMALL), to_grid(_study((30, 20, 80)), SMALL)
    first, again = predict_grid(net, grid), predict_grid(net, grid)
    torch.testing.assert_close(first[0].sum(dim=0), torch.ones(grid.pet.shape))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])


def test_progress_ends_at_the_number_of_windows() -> None:
    seen: list[tuple[int, int]] = []
    predict(_SeesUptake(SMALL), _study((20, 20, 150)), lambda done, total: seen.append((done, total)))
    assert seen[-1] == (3, 3)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize("levels", [1, 17, 47, 64, 65, 72, 100, 215, 500])
def test_slabs_cover_an_axis_with_the_overlap_and_start_on_the_anatomys_grid(levels: int) -> None:
    depth, count = slabs(levels, NetworkConfig())
    starts = slab_starts(levels, depth, count)
    assert depth % NetworkConfig().stride == 0
    assert depth <= 96
    assert (starts[0], len(starts)) == (0, count)
    assert levels <= starts[-1] + depth <= max(levels + 1, depth)
    assert all(start % 2 == 0 for start in starts)
    assert all(one + depth - other >= OVERLAP_VOXELS for one, other in itertools.pairwise(starts))


def test_the_anatomy_of_a_hot_cube_lands_on_it_to_the_voxel_of_its_own_grid() -> None:
    pet = np.full((32, 32, 90), 2, np.float32)
    pet[8:16, 12:20, 60:70] = 8
    study = Study("s", "p", pet=pet, affine=np.diag([4.0, 4.0, 4.0, 1.0]))
    found = predict(_SeesUptake(SMALL), study).anatomy
    middle = np.argwhere(found == 9).mean(axis=0)
    np.testing.assert_allclose(middle, [11.5, 15.5, 64.5], atol=0.01)
