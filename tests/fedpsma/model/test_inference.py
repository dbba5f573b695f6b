from __future__ import annotations

import numpy as np
import pytest
import torch

from fedpsma.domain.study import Study
from fedpsma.model.config import NetworkConfig
from fedpsma.model.inference import OVERLAP_VOXELS, _windows, predict, predict_grid
from fedpsma.model.inputs import to_grid
from fedpsma.model.network import DenseLogits, LesionNet, build

SMALL = NetworkConfig(channels=(16, 16), norm_groups=4)


class _SeesUptake(LesionNet):
    """Stands in for a trained network: suspicious where the SUV is above 4, anatomy 7 where it is above 1."""

    def forward(self, image: torch.Tensor, tracer: torch.Tensor) -> DenseLogits:
        suv = 20 * image[:, 1]
        zero = torch.zeros_like(suv)
        anatomy = torch.zeros(len(suv), self.config.anatomy_classes, *suv.shape[1:])
        anatomy[:, 7] = 50 * (suv - 1)
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
    assert (found.anatomy == 7).all()
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


@pytest.mark.parametrize("size", [1, 17, 64, 72, 100, 215, 500])
def test_windows_cover_an_axis_with_the_overlap(size: int) -> None:
    edge, count = _windows(size, NetworkConfig())
    assert edge % NetworkConfig().stride == 0
    assert edge <= 96
    assert count * edge - (count - 1) * OVERLAP_VOXELS >= size
