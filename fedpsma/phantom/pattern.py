"""Uptake inside organs: no organ is even, and the two of a pair are not alike. Drawn first, then applied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fedpsma.domain.study import FloatVolume
from fedpsma.domain.tracer import Tracer
from fedpsma.phantom.anatomy import Anatomy
from fedpsma.phantom.biodistribution import activity_by_tissue, organ_uptakes
from fedpsma.phantom.grid import Grid, sample_linear
from fedpsma.phantom.tables import tissues

# Distance of the knots that uptake varies between: about the size of a renal lobe, or of a segment of bowel.
_KNOTS_MM = 12.0
# Values linear between independent knots have this SD on average over a cell: sqrt(2 / 3) a dimension.
_BETWEEN_KNOTS = (2 / 3) ** 1.5
_LARGEST_SCORE = 2.5


@dataclass(frozen=True)
class UptakePattern:
    """How uptake varies inside a man's organs.

    ``texture`` is the log SD inside an organ and ``sides`` the logarithm of left over right, both by organ; ``seed``
    makes the field that says where it is more and where less.
    """

    texture: Mapping[str, float]
    sides: Mapping[str, float]
    seed: int


def draw_pattern(rng: np.random.Generator, tracer: Tracer) -> UptakePattern:
    """Draw how uneven each organ is."""
    texture, sides = {}, {}
    for name, row in organ_uptakes().items():
        unevenness, asymmetry = np.clip(rng.standard_normal(2), -_LARGEST_SCORE, _LARGEST_SCORE)
        median, spread = row.texture.get(tracer, (0.0, 0.0))
        texture[name] = float(median * np.exp(spread * unevenness))
        sides[name] = float(row.sides[0] + row.sides[1] * asymmetry)
    return UptakePattern(texture, sides, int(rng.integers(2**63)))


def activity_volume(anatomy: Anatomy, uptake: Mapping[str, float], pattern: UptakePattern) -> FloatVolume:
    """Return the true SUV (x, y, z) on the working grid; the mean over each tissue is that of ``activity_by_tissue``.

    Args:
        anatomy: The body.
        uptake: SUVmean by organ.
        pattern: How it varies inside organs.
    """
    side = _by_tissue(pattern.sides)
    factor = (_by_tissue(pattern.texture) * _tissue_texture())[anatomy.tissue]
    factor *= _field(anatomy.grid, pattern.seed)
    factor += side[anatomy.tissue] * _side(anatomy)[:, None, :]
    np.exp(factor, out=factor)
    return factor * _evened(anatomy.tissue, factor, activity_by_tissue(uptake))[anatomy.tissue]


def _by_tissue(values: Mapping[str, float]) -> NDArray[np.float32]:
    return np.array([0.0 if t.organ is None else values[t.organ] for t in tissues()], dtype=np.float32)


@cache
def _tissue_texture() -> NDArray[np.float32]:
    """Return what the texture of an organ is multiplied by in each tissue."""
    organs = organ_uptakes()
    factors = [1.0 if t.organ is None else organs[t.organ].tissue_texture.get(t.name, 1.0) for t in tissues()]
    return np.array(factors, dtype=np.float32)


def _field(grid: Grid, seed: int) -> FloatVolume:
    """Return a field with mean 0 and SD 1 that is linear between independent normal values at knots."""
    knots = grid.with_spacing((_KNOTS_MM,) * 3)
    shape = (knots.shape[0] + 1, knots.shape[1] + 1, knots.shape[2] + 1)
    values = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32) / np.float32(_BETWEEN_KNOTS)
    return sample_linear(values, Grid(shape, knots.spacing_mm, knots.origin_mm), grid)


def _side(anatomy: Anatomy) -> NDArray[np.float32]:
    """Return half of 1 on the left and half of -1 on the right of the body's axis, (x, z)."""
    x, _, z = anatomy.grid.axes
    return np.where(x[:, None] < anatomy.parameters.axis_mm(z)[0], np.float32(0.5), np.float32(-0.5))


def _evened(tissue: NDArray[np.uint8], factor: FloatVolume, activity: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the activity of each tissue over the mean of the factor in it."""
    flat = tissue.ravel()
    count = np.bincount(flat, minlength=len(activity))
    total = np.bincount(flat, weights=factor.ravel(), minlength=len(activity))
    return np.asarray(activity * count / np.maximum(total, 1e-6), dtype=np.float32)
