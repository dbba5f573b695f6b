from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import watershed

from fedpsma.lesions.basins import basins

CORNERS = np.ones((3, 3, 3))


def row(*heights):
    return np.array(heights, dtype=float).reshape(-1, 1, 1)


def whole(height):
    return np.ones(height.shape, dtype=bool)


@pytest.mark.parametrize(
    ("heights", "drop", "expected"),
    [
        ((1, 5, 2, 4, 1), 0.49, [1, 1, 1, 2, 2]),
        ((1, 5, 2, 4, 1), 0.51, [1, 1, 1, 1, 1]),
        ((5, 3, 4, 3.5, 4.5), 0.2, [1, 1, 2, 2, 2]),  # the middle one joins the right, over the higher saddle
        ((9, 1, 5, 4.5, 6, 1, 8), 0.5, [1, 1, 2, 2, 2, 3, 3]),
    ],
)
def test_by_hand(heights, drop, expected):
    assert basins(row(*heights), whole(row(*heights)), drop).labels.ravel().tolist() == expected


def test_tops_and_saddles_by_hand():
    """A chain of three: the middle one looks over the lower of its two saddles only if the higher is its own."""
    ridge = row(1, 10, 4, 6, 3, 8, 1)
    found = basins(ridge, whole(ridge), 0.1)
    assert found.tops.tolist() == [10, 6, 8]
    assert np.isnan(found.saddles[0])
    assert found.saddles[1:].tolist() == [4, 3]  # from 8 the way to 10 leads over 6, and its lowest point is 3
    assert [found.prominence(number) for number in (1, 2, 3)] == [None, pytest.approx(1 / 3), pytest.approx(5 / 8)]


def test_two_islands_do_not_know_of_each_other():
    ridge = row(5, 3, 0.1, 4, 2)
    found = basins(ridge, ridge > 1, 0.2)
    assert found.labels.ravel().tolist() == [1, 1, 0, 2, 2]
    assert np.isnan(found.saddles).all()


def test_nothing_and_flat_land():
    empty = np.zeros((3, 3, 3), dtype=bool)
    found = basins(np.ones((3, 3, 3)), empty, 0.5)
    assert not found.labels.any()
    assert found.tops.size == found.saddles.size == 0
    assert np.array_equal(basins(np.ones((3, 3, 3)), ~empty, 0.5).labels, np.ones((3, 3, 3)))
    assert basins(np.ones((1, 1, 1)), np.ones((1, 1, 1), dtype=bool), 0.5).labels.tolist() == [[[1]]]


def test_the_layout_in_memory_does_not_matter():
    height = np.random.default_rng(3).gamma(2.0, 2.0, (9, 8, 7)).astype(np.float32)
    island = height > 1
    found, turned = (basins(np.asarray(height, order=order), np.asarray(island, order=order), 0.3) for order in "CF")
    assert np.array_equal(found.labels, turned.labels)


@settings(max_examples=80)
@given(
    shape=st.tuples(*[st.integers(1, 10)] * 3),
    seed=st.integers(0, 2**32 - 1),
    drop=st.sampled_from([0.05, 0.2, 0.5]),
    smooth=st.sampled_from([0.0, 0.8]),
    contrast=st.sampled_from([0.5, 1.0, 3.0]),
)
def test_the_basins_are_those_of_h_maxima_and_watershed(shape, seed, drop, smooth, contrast):
    """Voxel for voxel, where all values differ: reconstruction and flooding as scikit-image does them."""
    rng = np.random.default_rng(seed)
    height = np.exp(contrast * ndimage.gaussian_filter(rng.normal(size=shape), smooth))
    island = ndimage.gaussian_filter(rng.normal(size=shape), 1.0) > -0.2
    found = basins(height, island, drop)
    reference, peaks = _h_maxima_and_watershed(height, island, drop)
    count = len(peaks)
    assert len(found.tops) == count
    numbers = np.concatenate([[0], found.labels[tuple(peaks.T)]]) if count else np.zeros(1, dtype=int)
    assert sorted(numbers) == list(range(count + 1))
    assert np.array_equal(numbers[reference], found.labels)
    assert np.array_equal(found.tops[numbers[1:] - 1], height[tuple(peaks.T)])


def _h_maxima_and_watershed(height, island, drop):
    ground = np.log(height).min() - 10.0
    # a rim of lower ground, so that a plateau over the whole box is a maximum as well
    log = np.pad(np.where(island, np.log(height), ground), 1, constant_values=ground)
    inside = np.pad(island, 1)
    domes = reconstruction(np.where(inside, log + np.log1p(-drop), ground), log)
    tops, count = ndimage.label(local_maxima(domes) & inside, structure=CORNERS)
    peaks = np.array(ndimage.maximum_position(log, tops, np.arange(1, count + 1)), dtype=int).reshape(count, 3) - 1
    return watershed(-log, tops, mask=inside, connectivity=3)[1:-1, 1:-1, 1:-1], peaks


@settings(max_examples=60)
@given(
    height=arrays(np.float32, st.tuples(*[st.integers(1, 6)] * 3), elements=st.sampled_from([0.5, 1, 2, 3, 4, 8])),
    drop=st.sampled_from([0.2, 0.6]),
)
def test_plateaus_part_the_island_and_keep_what_the_drop_promises(height, drop):
    """Few values, hence plateaus everywhere: the saddle from each top to a higher one is what a search finds."""
    island = height > 0.6
    found = basins(height, island, drop)
    assert np.array_equal(found.labels > 0, island)
    assert len(found.tops) == found.labels.max()
    for number, (top, saddle) in enumerate(zip(found.tops, found.saddles, strict=True), start=1):
        assert top == height[found.labels == number].max()
        assert np.isnan(saddle) or saddle <= (1 - drop) * top
        _, pieces = ndimage.label(found.labels == number, structure=CORNERS)
        assert pieces == 1
        expected = _highest_way_to_a_higher_one(height, found.labels == number, island)
        assert np.array_equal(saddle, expected, equal_nan=True)


def _highest_way_to_a_higher_one(height, basin, island):
    """Search from the highest level down; of equal voxels the later one counts as the higher."""
    order = np.argsort(height, axis=None, kind="stable")
    rank = np.argsort(order).reshape(height.shape)
    top = np.argmax(np.where(basin, rank, -1))
    for level in np.unique(height[island])[::-1]:
        pieces, _ = ndimage.label((height >= level) & island, structure=CORNERS)
        if pieces.flat[top] and rank[pieces == pieces.flat[top]].max() > rank.flat[top]:
            return level
    return np.nan
