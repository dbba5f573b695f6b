"""Left stays left, whichever way a scanner stores its volume."""

from __future__ import annotations

from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedpsma.io.orientation import is_usable_affine, same_grid, to_working_orientation

AXIS_ORDERS = [(order, flips) for order in permutations(range(3)) for flips in product((1, -1), repeat=3)]


def _stored(
    order: tuple[int, ...], flips: tuple[int, ...], spacing: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """A volume whose axis k runs along world axis ``order[k]``, up or down, and its affine."""
    shape = tuple((4, 5, 6)[axis] for axis in order)
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis in range(3):
        affine[order[axis], axis] = flips[axis] * spacing[order[axis]]
    affine[:3, 3] = [-30, 12, 400]
    return np.random.default_rng(1).normal(size=shape), affine


@pytest.mark.parametrize(("order", "flips"), AXIS_ORDERS)
def test_all_48_axis_orders_keep_every_voxel_in_its_place(order: tuple[int, ...], flips: tuple[int, ...]) -> None:
    data, affine = _stored(order, flips, (2.0, 3.0, 4.0))
    turned, new_affine = to_working_orientation(data, affine)
    assert turned.shape == (4, 5, 6)
    assert nib.aff2axcodes(new_affine) == ("R", "A", "S")
    assert np.diag(new_affine)[:3] == pytest.approx([2, 3, 4])
    indices = np.array(list(np.ndindex(*data.shape)))
    world = indices @ affine[:3, :3].T + affine[:3, 3]
    back = np.rint((world - new_affine[:3, 3]) @ np.linalg.inv(new_affine[:3, :3]).T).astype(int)
    assert np.array_equal(turned[tuple(back.T)], data[tuple(indices.T)])


@given(
    angles=st.tuples(*[st.floats(-0.5, 0.5)] * 3),
    stored=st.sampled_from(AXIS_ORDERS),
    spacing=st.tuples(*[st.floats(0.5, 6)] * 3),
)
@settings(max_examples=60)
def test_oblique_volumes_keep_every_voxel_in_its_place(angles, stored, spacing) -> None:
    data, affine = _stored(*stored, spacing)
    affine[:3, :3] = nib.eulerangles.euler2mat(*angles) @ affine[:3, :3]
    turned, new_affine = to_working_orientation(data, affine)
    peak, new_peak = (np.unravel_index(one.argmax(), one.shape) for one in (data, turned))
    assert new_affine @ [*new_peak, 1] == pytest.approx(affine @ [*peak, 1], abs=1e-6)
    assert np.linalg.det(new_affine[:3, :3]) > 0


def test_working_orientation_changes_nothing_twice() -> None:
    once = to_working_orientation(*_stored((2, 0, 1), (-1, 1, -1), (2.0, 3.0, 4.0)))
    twice = to_working_orientation(*once)
    assert np.array_equal(once[0], twice[0])
    assert np.array_equal(once[1], twice[1])


@pytest.mark.parametrize("broken", [np.zeros((4, 4)), np.full((4, 4), np.nan), np.eye(3), np.diag([1.0, 0, 1, 1])])
def test_affine_without_directions_is_refused(broken: np.ndarray) -> None:
    assert not is_usable_affine(broken)
    with pytest.raises(ValueError, match="does not map voxels"):
        to_working_orientation(np.zeros((2, 2, 2)), broken)


def test_same_grid_sees_a_tenth_of_a_voxel_but_not_rounding() -> None:
    grid = np.diag([4.0, 4.0, 3.0, 1.0])
    rounded = grid.astype(np.float32).astype(np.float64) + 1e-6
    shifted = grid.copy()
    shifted[2, 3] += 0.3
    assert same_grid((5, 5, 5), grid, (5, 5, 5), rounded)
    assert not same_grid((5, 5, 5), grid, (5, 5, 5), shifted)
    assert not same_grid((5, 5, 5), grid, (5, 5, 6), grid)
    assert not same_grid((5, 5, 5), grid, (5, 5, 5), grid * [[-1], [1], [1], [1]])
