"""Where breathing moves what: along the body by the height of the diaphragm, across it by tissue."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from fedpsma.domain.anatomy import anatomy_number
from fedpsma.phantom.anatomy import Anatomy
from fedpsma.phantom.placement import PlacedFocus
from fedpsma.phantom.scanner_table import scanner_table
from fedpsma.phantom.tables import tissue_number, tissues

# The liver is looked for in every so many voxels across the body.
_STRIDE = 3


def height_share(anatomy: Anatomy) -> NDArray[np.float32]:
    """Return the share (0 to 1) of the diaphragm's motion at each z of the working grid; 0 where no liver is seen."""
    seen = (anatomy.tissue[::_STRIDE, ::_STRIDE] == tissue_number("liver")).any(axis=(0, 1))
    z = anatomy.grid.axes[2]
    if not seen.any():
        return np.zeros_like(z)
    low, high = float(z[seen].min()), float(z[seen].max())
    first, second, third, fourth = scanner_table().breathing.fade_mm
    return np.interp(z, [low + first, low + second, high + third, high + fourth], [0.0, 1.0, 1.0, 0.0]).astype("f4")


@cache
def tissue_mobility() -> NDArray[np.float32]:
    """Return for each tissue label how much of the motion at its height it follows."""
    table = scanner_table().breathing.mobility
    return np.array([table.get(tissue.name, 0.0) for tissue in tissues()], dtype=np.float32)


@cache
def _station_mobility() -> dict[int, float]:
    return {anatomy_number(name): share for name, share in scanner_table().breathing.stations.items()}


def focus_motion_mm(placed: PlacedFocus, anatomy: Anatomy, amplitude_mm: float) -> float:
    """Return how far a focus moves from top to bottom when the diaphragm moves by ``amplitude_mm``."""
    grid = anatomy.grid
    index = np.rint((np.array(placed.centre_mm) - grid.origin_mm) / grid.spacing_mm).astype(int)
    x, y, z = np.clip(index, 0, np.array(grid.shape) - 1)
    own = _station_mobility().get(placed.class_number, float(tissue_mobility()[anatomy.tissue[x, y, z]]))
    return amplitude_mm * own * float(height_share(anatomy)[z]) if own else 0.0
