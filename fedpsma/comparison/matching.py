"""Matches lesions of two aligned studies by linear assignment, then finds what split and what merged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpsma.domain.region import Region, Side

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Cloud:
    """One lesion as the millimetre points of its voxels (n, 3), in the space of the earlier study."""

    lesion_id: str
    points: Points
    region: Region
    side: Side | None

    @property
    def centre(self) -> Points:
        """The centroid."""
        return np.asarray(self.points.mean(axis=0), dtype=np.float64)

    @property
    def reach_mm(self) -> float:
        """The distance from the centroid within which nearly all of the lesion lies."""
        return float(np.percentile(np.linalg.norm(self.points - self.centre, axis=1), 90))


@dataclass(frozen=True)
class MatchOptions:
    """How far apart a lesion may lie from itself after alignment, in mm; project policy.

    ``gap_mm`` is the widest gap between the two outlines, ``drift_mm`` what the centroids may be apart beyond what
    growth explains. Another side or region costs ``stranger_mm``. A part of a lesion that split lies within ``part_mm``
    of its former outline; one that was swallowed by a neighbour's growth within ``merge_mm`` of the present one.
    """

    gap_mm: float = 7.0
    drift_mm: float = 14.0
    stranger_mm: float = 10.0
    part_mm: float = 3.0
    merge_mm: float = 6.0


@dataclass(frozen=True)
class Group:
    """Lesions that are the same one, by id: several ``now`` are a split, several ``before`` a merge."""

    before: tuple[str, ...]
    now: tuple[str, ...]


def match_lesions(
    before: Sequence[Cloud],
    now: Sequence[Cloud],
    options: MatchOptions = MatchOptions(),
) -> tuple[Group, ...]:
    """Return the groups of lesions that are the same one, in the order of ``now``; what is in none is new or gone.

    Example:
        >>> point = np.zeros((1, 3))
        >>> was = [Cloud("P1", point, Region.LIVER, None)]
        >>> here, far = (Cloud(name, point + mm, Region.LIVER, None) for name, mm in (("L1", 3), ("L2", 90)))
        >>> match_lesions(was, [here, far])
        (Group(before=('P1',), now=('L1',)),)
    """
    if not before or not now:
        return ()
    from scipy.optimize import linear_sum_assignment

    gaps = np.array([[_gap_mm(old, new) for new in now] for old in before])
    costs = np.array([[_cost(old, new, options) for new in now] for old in before])
    allowed = (costs < np.inf) & (gaps <= options.gap_mm)
    # What must not match costs more than everything else together, so that as many pairs as possible are made.
    penalty = 1.0 + float(costs[allowed].sum()) if allowed.any() else 1.0
    rows, columns = linear_sum_assignment(np.where(allowed, costs, penalty))
    pairs = [(int(row), int(column)) for row, column in zip(rows, columns, strict=True) if allowed[row, column]]
    return _grouped(before, now, pairs, gaps, options)


def _cost(old: Cloud, new: Cloud, options: MatchOptions) -> float:
    distance = float(np.linalg.norm(old.centre - new.centre))
    if distance > options.drift_mm + abs(old.reach_mm - new.reach_mm) + max(old.reach_mm, new.reach_mm) / 2:
        return float("inf")
    strange = (old.region is not new.region) + _on_opposite_sides(old, new)
    return distance + strange * options.stranger_mm


def _on_opposite_sides(one: Cloud, other: Cloud) -> bool:
    return len({one.side, other.side} - {None, "B"}) > 1


def _gap_mm(old: Cloud, new: Cloud) -> float:
    """Return the smallest distance between two lesions, 0 where they overlap."""
    from scipy.spatial import cKDTree

    few, many = sorted((old.points, new.points), key=len)
    if float(np.linalg.norm(old.centre - new.centre)) > 150.0:
        return float("inf")
    return float(cKDTree(many).query(few)[0].min())


def _grouped(
    before: Sequence[Cloud],
    now: Sequence[Cloud],
    pairs: list[tuple[int, int]],
    gaps: NDArray[np.float64],
    options: MatchOptions,
) -> tuple[Group, ...]:
    """Join what the assignment left over to the pair in whose lesion it lies: a split or a merge."""
    olds = {row: {row} for row, _ in pairs}
    news = {row: {column} for row, column in pairs}
    row_of = {column: row for row, column in pairs}
    for column in range(len(now)):
        if column not in row_of:
            near = [row for row in olds if _lies_within(now[column], before[row], gaps[row, column], options.part_mm)]
            if near:
                news[min(near, key=lambda row: float(gaps[row, column]))].add(column)
    for row in range(len(before)):
        if row not in olds:
            near = [
                column
                for column in row_of
                if len(news[row_of[column]]) == 1
                and _lies_within(before[row], now[column], gaps[row, column], options.merge_mm)
            ]
            if near:
                olds[row_of[min(near, key=lambda column: float(gaps[row, column]))]].add(row)
    groups = [
        Group(
            tuple(before[at].lesion_id for at in sorted(olds[row])),
            tuple(now[at].lesion_id for at in sorted(news[row])),
        )
        for row in olds
    ]
    order = {one.lesion_id: at for at, one in enumerate(now)}
    return tuple(sorted(groups, key=lambda group: order[group.now[0]]))


def _lies_within(part: Cloud, whole: Cloud, gap: float, reach_mm: float) -> bool:
    """Tell whether a lesion is a part of another: it touches it, and its centre lies in or close to it."""
    from scipy.spatial import cKDTree

    if gap > reach_mm or part.region is not whole.region or _on_opposite_sides(part, whole):
        return False
    return float(cKDTree(whole.points).query(part.centre)[0]) <= reach_mm + part.reach_mm / 2
