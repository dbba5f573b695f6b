"""Recovery coefficients of a synthetic scanner: hot spheres in a warm background, imaged like any focus.

The diameters are those of the NEMA NU 2 image quality phantom; there is no noise, so the maximum is not raised by it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpsma.domain.anatomy import anatomy_number
from fedpsma.domain.region import Region
from fedpsma.phantom.anatomy import Anatomy
from fedpsma.phantom.body import draw_body
from fedpsma.phantom.grid import Grid
from fedpsma.phantom.lesions import Focus
from fedpsma.phantom.placement import PlacedFocus, shape_focus
from fedpsma.phantom.scanner import Exposure, add_foci, image_background, image_focus
from fedpsma.phantom.tables import tissue_number, tissues

NEMA_DIAMETERS_MM = (10.0, 13.0, 17.0, 22.0, 28.0, 37.0)
# Where the middle of a sphere lies inside a voxel of the image, in shares of its edges; the recoveries are averaged.
_OFFSETS = ((0.0, 0.0, 0.0), (0.5, 0.25, 0.125), (0.125, 0.5, 0.25), (0.25, 0.125, 0.5), (0.375, 0.375, 0.375))
# Room beside a sphere for its blur, and the voxel of the background's grid.
_ROOM_MM, _WORKING_MM = 26.0, 4.0


@dataclass(frozen=True)
class Recovery:
    """Contrast recovery (measured - background) / (true - background) of one sphere.

    ``mean`` is taken inside the sphere, ``mean_a50`` inside the isocontour half way between background and maximum (the
    A50 of EARL), ``maximum`` in the hottest voxel; each is the average over places of the sphere inside a voxel.
    """

    mean: float
    mean_a50: float
    maximum: float


def recovery_coefficients(
    exposure: Exposure, spacing_mm: tuple[float, float, float], contrast: float = 8.0
) -> dict[float, Recovery]:
    """Return the recovery by sphere diameter in mm, for a background of SUV 1 and spheres of SUV ``contrast``.

    Breathing plays no part.
    """
    return {diameter: _recovery(diameter, exposure, spacing_mm, contrast) for diameter in NEMA_DIAMETERS_MM}


def _recovery(
    diameter_mm: float, exposure: Exposure, spacing_mm: tuple[float, float, float], contrast: float
) -> Recovery:
    anatomy = _warm_box(diameter_mm)
    activity = np.ones(len(tissues()), dtype=np.float32)
    grid = anatomy.grid.with_spacing(spacing_mm)
    background = image_background(anatomy, activity, exposure, grid)
    found = []
    for offset in _OFFSETS:
        middle = np.array(offset) * spacing_mm + np.array(grid.origin_mm) + np.array(grid.shape) // 2 * spacing_mm
        placed = _sphere(diameter_mm, contrast, middle)
        imaged = image_focus(shape_focus(placed, anatomy, exposure.margin_mm), anatomy, activity, exposure, grid)
        share = (add_foci(background, [imaged]) - 1.0) / (contrast - 1.0)
        highest = float(share.max())
        inside = share[_distance(grid, middle) <= diameter_mm / 2]
        found.append((float(inside.mean()), float(share[share >= highest / 2].mean()), highest))
    return Recovery(*(float(value) for value in np.mean(found, axis=0)))


def _warm_box(diameter_mm: float) -> Anatomy:
    count = 2 * int((diameter_mm / 2 + _ROOM_MM) / _WORKING_MM) + 1
    edge = -(count // 2) * _WORKING_MM
    grid = Grid((count,) * 3, (_WORKING_MM,) * 3, (edge,) * 3)
    tissue = np.full(grid.shape, tissue_number("muscle"), dtype=np.uint8)
    classes = np.full(grid.shape, anatomy_number("soft_tissue"), dtype=np.uint8)
    return Anatomy(tissue, classes, grid, draw_body(np.random.default_rng(0), "in_situ"))


def _sphere(diameter_mm: float, suv: float, middle: NDArray[np.float64]) -> PlacedFocus:
    focus = Focus(
        kind="sphere",
        suspicious=True,
        region=Region.OTHER_SOFT_TISSUE,
        target="soft_tissue",
        path=None,
        spread_mm=0.0,
        volume_ml=float(np.pi / 6 * diameter_mm**3 / 1000),
        ratios=(1.0, 1.0, 1.0),
        angles=(0.0, 0.0),
        suvmax=suv,
        hu=None,
        ct_class="none",
        ct_correlate=None,
        category_hint="4",
        category_read="4",
    )
    centre = (float(middle[0]), float(middle[1]), float(middle[2]))
    return PlacedFocus(focus, centre, anatomy_number("soft_tissue"), Region.OTHER_SOFT_TISSUE, "M")


def _distance(grid: Grid, middle: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y, z = (axis - centre for axis, centre in zip(grid.axes, middle, strict=True))
    return np.asarray(np.sqrt(x[:, None, None] ** 2 + y[None, :, None] ** 2 + z**2))
