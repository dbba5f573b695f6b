from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedpsma.phantom.grid import Grid, sample_linear, sample_nearest
from fedpsma.phantom.shapes import Canvas

GRID = Grid((60, 50, 70), (2.0, 2.0, 2.0), (-59.0, -49.0, -69.0))


def canvas() -> Canvas:
    return Canvas(np.zeros(GRID.shape, dtype=np.uint8), *GRID.axes)


def test_ellipsoid_has_its_analytic_volume_and_place():
    drawn = canvas()
    drawn.ellipsoid(3, (10, -5, 8), (20, 15, 30))
    index = np.argwhere(drawn.labels == 3)
    assert len(index) * GRID.voxel_ml == pytest.approx(4 / 3 * np.pi * 20 * 15 * 30 / 1000, rel=0.02)
    assert np.array(GRID.origin_mm) + 2 * index.mean(axis=0) == pytest.approx([10, -5, 8], abs=0.2)


def test_tilt_leans_the_top_towards_smaller_x():
    drawn = canvas()
    drawn.ellipsoid(1, (0, 0, 0), (10, 10, 40), tilt_deg=20)
    x, z = GRID.axes[0], GRID.axes[2]
    top = np.argwhere(drawn.labels[:, :, z > 20])[:, 0]
    bottom = np.argwhere(drawn.labels[:, :, z < -20])[:, 0]
    assert x[top].mean() < -5 < 5 < x[bottom].mean()


def test_stroke_is_a_tube_with_round_ends_and_stops_at_the_border():
    drawn = canvas()
    drawn.stroke(1, np.array([[0, 0, -30], [0, 0, 30]]), 8.0)
    expected = (np.pi * 64 * 60 + 4 / 3 * np.pi * 512) / 1000
    assert drawn.labels.sum() * GRID.voxel_ml == pytest.approx(expected, rel=0.05)
    drawn.stroke(2, np.array([[0, 0, 60], [0, 0, 900]]), 8.0)
    assert not (drawn.labels[:, :, GRID.axes[2] < 50] == 2).any()


def test_plate_has_no_holes():
    drawn = canvas()
    drawn.plate(1, np.array([[-20, 0, -20], [-20, 0, 20]]), np.array([[20, 0, -20], [20, 0, 20]]), 3.0)
    inner = drawn.labels[np.ix_(abs(GRID.axes[0]) < 18, abs(GRID.axes[1]) < 1.5, abs(GRID.axes[2]) < 18)]
    assert inner.all()


def test_column_with_power_two_is_an_elliptic_cylinder():
    drawn = canvas()
    drawn.column(1, np.array([[-40, 20, 25, -15], [40, 20, 25, -15]]), power=2.0)
    assert drawn.labels.sum() * GRID.voxel_ml == pytest.approx(np.pi * 20 * 20 * 80 / 1000, rel=0.02)


def test_over_protects_what_may_not_be_covered():
    drawn = canvas()
    drawn.ellipsoid(2, (0, 0, 0), (20, 20, 20))
    before = drawn.labels.copy()
    drawn.ellipsoid(3, (15, 0, 0), (20, 20, 20), over=np.arange(256) == 0)
    assert ((drawn.labels == 2) == (before == 2)).all()
    assert (drawn.labels == 3).any()


@settings(max_examples=25)
@given(st.tuples(*[st.floats(1.1, 6.0)] * 3), st.tuples(*[st.floats(-1, 1)] * 4))
def test_linear_sampling_is_exact_for_linear_images_inside_the_volume(spacing, slope):
    def plane(grid: Grid) -> np.ndarray:
        x, y, z = grid.axes
        return (slope[0] * x[:, None, None] + slope[1] * y[None, :, None] + slope[2] * z + slope[3]).astype(np.float32)

    source = Grid((20, 16, 24), (2.0, 2.0, 2.0), (-19.0, -15.0, -23.0))
    whole = source.with_spacing(spacing)
    target = whole.crop(whole.box((-18, -14, -22), (18, 14, 22)))
    assert np.abs(sample_linear(plane(source), source, target) - plane(target)).max() < 1e-3


def test_nearest_sampling_keeps_labels_in_place():
    drawn = canvas()
    drawn.ellipsoid(7, (20, 0, 30), (15, 15, 15))
    target = GRID.with_spacing((3.3, 2.7, 5.0))
    found = sample_nearest(drawn.labels, GRID, target)
    assert set(np.unique(found)) == {0, 7}
    centre = np.argwhere(found).mean(axis=0) * target.spacing_mm + np.array(target.origin_mm)
    assert centre == pytest.approx([20, 0, 30], abs=0.7)
