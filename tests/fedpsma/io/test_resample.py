"""The CT on the PET grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedpsma.io.nifti import Volume
from fedpsma.io.resample import ct_on_grid, share_covered


@given(
    slopes=st.tuples(*[st.floats(-5, 5)] * 3),
    origin=st.tuples(*[st.floats(-3, 3)] * 3),
    spacing=st.tuples(*[st.floats(0.7, 3)] * 3),
)
@settings(max_examples=40)
def test_linear_interpolation_keeps_a_linear_field(slopes, origin, spacing) -> None:
    """A field linear in mm comes out exactly at every voxel centre inside the CT."""
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = origin
    index = np.stack(np.meshgrid(*[np.arange(n) for n in (20, 18, 16)], indexing="ij"), axis=-1)
    ct = Volume(((index @ affine[:3, :3] + origin) @ slopes).astype(np.float32), affine)
    wanted = np.diag([1.5, 1.1, 1.3, 1.0])
    wanted[:3, 3] = np.array(origin) + 0.5
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in (4, 5, 6)], indexing="ij"), axis=-1)
    expected = (grid @ wanted[:3, :3] + wanted[:3, 3]) @ slopes
    assert ct_on_grid(ct, (4, 5, 6), wanted) == pytest.approx(expected, abs=1e-2)


def test_rotated_grid_is_followed() -> None:
    turn = np.array([[0.0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    ct = Volume(np.arange(27, dtype=np.float32).reshape(3, 3, 3), np.eye(4))
    wanted = turn.copy()
    wanted[:3, 3] = [2, 0, 0]
    assert np.array_equal(ct_on_grid(ct, (3, 3, 3), wanted)[0, 2], ct.data[0, 0])


def test_coverage_is_the_share_of_slices() -> None:
    ct = Volume(np.zeros((10, 10, 5), np.float32), np.eye(4))
    assert share_covered(ct, (10, 10, 10), np.eye(4)) == 0.5
    assert share_covered(ct, (10, 10, 5), np.eye(4)) == 1.0
    away = np.eye(4)
    away[2, 3] = 50
    assert share_covered(ct, (10, 10, 10), away) == 0.0
