from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import watershed

from fedpsma.lesions.basins import basins


def row(*heights):
    return np.array(heights, dtype=float).reshape(-1, 1, 1)


@pytest.mark.parametrize(
    ("heights", "drop", "expected"),
    [
        ((1, 5, 2, 4, 1), 1.9, [1, 1, 1, 2, 2]),
        ((1, 5, 2, 4, 1), 2.1, [1, 1, 1, 1, 1]),
        ((5, 3, 4, 3.5, 4.5), 0.6, [1, 1, 2, 2, 2]),  # the middle one joins the right, over the higher saddle
    ],
)
def test_by_hand(heights, drop, expected):
    found = basins(row(*heights), np.ones((len(heights), 1, 1), dtype=bool), drop).ravel()
    boundary_free = [index for index, height in enumerate(heights) if height not in (1, 2, 3)]
    assert [found[index] for index in boundary_free] == [expected[index] for index in boundary_free]


def test_nothing_and_flat_land():
    empty = np.zeros((3, 3, 3), dtype=bool)
    assert not basins(np.ones((3, 3, 3)), empty, 0.5).any()
    assert np.array_equal(basins(np.ones((3, 3, 3)), ~empty, 0.5), np.ones((3, 3, 3)))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), drop=st.sampled_from([0.05, 0.3, 1.0]), smooth=st.sampled_from([0.0, 0.8]))
def test_the_basins_are_those_of_h_maxima_and_watershed(seed, drop, smooth):
    rng = np.random.default_rng(seed)
    height = ndimage.gaussian_filter(rng.normal(size=(8, 9, 7)), smooth)
    island = ndimage.gaussian_filter(rng.normal(size=height.shape), 1.0) > -0.2
    found = basins(height, island, drop)
    assert np.array_equal(found > 0, island)
    floor = height.min() - 10.0
    terrain = np.where(island, height, floor)
    domes = reconstruction(np.where(island, height - drop, floor), terrain, method="dilation")
    tops, count = ndimage.label(local_maxima(domes) & island, structure=np.ones((3, 3, 3)))
    assert found.max(initial=0) == count
    reference = watershed(-terrain, tops, mask=island, connectivity=3)
    for number in range(1, count + 1):
        inside = tops == number
        assert len(np.unique(found[inside & (height > domes)])) <= 1
        peak = np.argmax(np.where(reference == number, height, -np.inf))
        assert (found == found.ravel()[peak]).sum() > 0
    peaks = {int(np.argmax(np.where(found == number, height, -np.inf))) for number in range(1, count + 1)}
    assert peaks == {int(np.argmax(np.where(tops == number, height, -np.inf))) for number in range(1, count + 1)}
