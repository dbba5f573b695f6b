"""Matching on aligned points: pairs, splits, merges, and what stays alone."""

from __future__ import annotations

import numpy as np
import pytest

from fedpsma.comparison.matching import Cloud, match_lesions
from fedpsma.domain.region import Region


def ball(lesion_id, centre, radius=5.0, region=Region.BONE_PELVIS, side="R"):
    axis = np.arange(-radius, radius + 1, 2.0)
    grid = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3)
    inside = grid[np.linalg.norm(grid, axis=1) <= radius]
    return Cloud(lesion_id, inside + np.array(centre, dtype=float), region, side)


def groups(before, now):
    return {(one.before, one.now) for one in match_lesions(before, now)}


def test_neighbours_keep_their_partners_although_all_moved():
    before = [ball(f"P{at}", (0, 0, 30 * at)) for at in range(4)]
    now = [ball(f"L{at}", (4, 3, 30 * at + 6)) for at in range(4)]
    assert groups(before, now) == {((f"P{at}",), (f"L{at}",)) for at in range(4)}


def test_what_is_far_away_is_new_or_gone():
    assert groups([ball("P1", (0, 0, 0))], [ball("L1", (80, 0, 0))]) == set()
    assert groups([], [ball("L1", (0, 0, 0))]) == set()
    assert groups([ball("P1", (0, 0, 0))], []) == set()


def test_the_other_side_is_taken_only_where_nothing_fits_better():
    old = ball("P1", (0, 0, 0))
    near_but_left, fitting = ball("L1", (6, 0, 0), side="L"), ball("L2", (9, 0, 0))
    assert (("P1",), ("L2",)) in groups([old], [near_but_left, fitting])


def test_a_lesion_that_falls_apart():
    parts = [ball("L1", (-8, 0, 0), 4), ball("L2", (8, 0, 0), 4)]
    assert groups([ball("P1", (0, 0, 0), 12)], parts) == {(("P1",), ("L1", "L2"))}


def test_two_lesions_that_grow_together():
    before = [ball("P1", (-8, 0, 0), 4), ball("P2", (8, 0, 0), 4)]
    assert groups(before, [ball("L1", (0, 0, 0), 13)]) == {(("P1", "P2"), ("L1",))}


def test_a_new_neighbour_is_no_part():
    now = [ball("L1", (0, 0, 0)), ball("L2", (25, 0, 0))]
    assert groups([ball("P1", (0, 0, 0))], now) == {(("P1",), ("L1",))}


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_the_lesions_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    before = [ball(f"P{at}", rng.uniform(0, 300, 3)) for at in range(12)]
    now = [ball(f"L{at}", one.centre + rng.normal(0, 3, 3)) for at, one in enumerate(before)]
    assert groups(before, now) == groups(before[::-1], now[::-1])
