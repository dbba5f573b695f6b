from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedpsma.domain.study import Study
from fedpsma.domain.tracer import Tracer
from fedpsma.model.config import NetworkConfig
from fedpsma.model.inputs import image_of, to_grid, to_pet_grid, tracer_vector, voxel_targets

CONFIG = NetworkConfig()


def _study(shape=(30, 20, 25), spacing=(4.0, 4.0, 4.0), **more) -> Study:
    pet = np.ones(shape, np.float32)
    return Study("s", "p", pet=more.pop("pet", pet), affine=np.diag([*spacing, 1.0]), **more)


def test_windows_scale_suv_and_hounsfield_as_stated() -> None:
    image = image_of(torch.tensor([[[2.5, 10.0, 200.0]]]), torch.tensor([[[-1000.0, 150.0, 3000.0]]]))
    assert image[0].flatten().tolist() == pytest.approx([0.5, 1, 1])
    assert image[1].flatten().tolist() == pytest.approx([0.125, 0.5, 1])
    assert image[2].flatten().tolist() == pytest.approx(
        [math.log(3.5) / math.log(101), math.log(11) / math.log(101), 1]
    )
    assert image[3].flatten().tolist() == pytest.approx([-1, 0.5, 1])
    assert image[4].flatten().tolist() == [1, 1, 1]


def test_a_missing_ct_is_told_apart_from_water() -> None:
    absent, water = image_of(torch.ones(1, 1, 1), None), image_of(torch.ones(1, 1, 1), torch.zeros(1, 1, 1))
    assert absent[3:].flatten().tolist() == [0, 0]
    assert water[3:].flatten().tolist() == [0, 1]


def test_lesions_win_over_uptake_and_uptake_over_background() -> None:
    target = voxel_targets(torch.tensor([1.0, 3.0, 9.0, 1.0]), torch.tensor([0, 0, 2, 1]))
    assert target.tolist() == [0, 1, 2, 2]


def test_tracer_is_one_hot_or_a_uniform_mixture() -> None:
    assert tracer_vector(Tracer.DCFPYL, CONFIG).tolist() == [0, 1, 0, 0, 0]
    assert tracer_vector(None, CONFIG).tolist() == pytest.approx([0.2] * 5)


def test_a_study_on_the_working_grid_keeps_its_voxels_and_labels() -> None:
    rng = np.random.default_rng(0)
    pet = rng.uniform(1, 9, (30, 20, 25)).astype(np.float32)
    lesions = np.zeros(pet.shape, np.int32)
    lesions[5:8, 6:9, 7:9] = 300
    grid = to_grid(_study(pet=pet, lesions=lesions, ct=pet * 10), CONFIG)
    torch.testing.assert_close(grid.pet, torch.from_numpy(pet).half())
    assert grid.lesions is not None
    assert grid.lesions.numpy().tolist() == lesions.tolist()
    assert grid.anatomy is None


def test_crop_to_the_body_is_undone_on_the_way_back() -> None:
    pet = np.zeros((40, 36, 50), np.float32)
    pet[10:30, 12:26, 5:45] = 2
    grid = to_grid(_study(pet=pet), CONFIG)
    assert grid.pet.numel() < pet.size / 2
    assert (to_pet_grid(grid.pet, grid, pet.shape, "trilinear") == pet).all()


@settings(max_examples=25)
@given(st.tuples(*[st.floats(1.6, 6.0)] * 3), st.integers(0, 2))
def test_a_ramp_in_mm_survives_the_way_there_and_back(spacing: tuple[float, float, float], axis: int) -> None:
    shape = tuple(max(8, round(120 / step)) for step in spacing)
    position = (np.indices(shape)[axis] + 0.5) * spacing[axis]
    study = _study(pet=(1 + position / 20).astype(np.float32), spacing=spacing)
    grid = to_grid(study, CONFIG)
    back = to_pet_grid(grid.pet, grid, shape, "trilinear")
    inner = tuple(slice(size // 4, -(size // 4)) for size in shape)
    assert np.abs(back - study.pet)[inner].max() < 0.06


def test_nearest_labels_come_back_as_labels() -> None:
    anatomy = np.random.default_rng(0).integers(0, 42, (30, 20, 25)).astype(np.uint8)
    study = _study(anatomy=anatomy)
    grid = to_grid(study, CONFIG)
    assert grid.anatomy is not None
    assert (to_pet_grid(grid.anatomy, grid, anatomy.shape, "nearest-exact") == anatomy).all()


def test_an_empty_pet_is_not_cropped_to_nothing() -> None:
    assert tuple(to_grid(_study(pet=np.zeros((12, 10, 9), np.float32)), CONFIG).pet.shape) == (12, 10, 9)
