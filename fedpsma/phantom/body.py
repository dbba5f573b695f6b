"""The parameters of one synthetic body: drawn first, applied by :mod:`fedpsma.phantom.anatomy`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedpsma.phantom.tables import organ_sizes

Prostate = Literal["in_situ", "removed"]

_BOWEL_BENDS = 44
# The share of the displacement of the diaphragm that these organs follow.
_WITH_DIAPHRAGM = {"liver": 0.9, "spleen": 0.9, "stomach": 0.8, "heart": 0.6, "gall_bladder": 0.8}
_SKULL_BASE_MM, _VERTEX_MM = 700.0, 832.0


@dataclass(frozen=True)
class BodyParameters:
    """One man: ``scale`` stretches the standard body along x, y and z, everything else is in its millimetres.

    ``organ_scale`` holds linear factors and ``organ_shift`` displacements by organ name; ``bowel`` the bends of the
    small bowel (n, 3) from jejunum to ileum; ``field`` the lowest and highest z of the field of view in real mm.
    """

    height_cm: float
    weight_kg: float
    scale: tuple[float, float, float]
    fat_mm: float
    prostate: Prostate
    organ_scale: Mapping[str, float]
    organ_shift: Mapping[str, tuple[float, float, float]]
    diaphragm_mm: float
    rib_drop: float
    bowel: NDArray[np.float32]
    field: tuple[float, float]


def draw_body(rng: np.random.Generator, prostate: Prostate) -> BodyParameters:
    """Draw a man's build, organ sizes and places, and the field of view of his scan."""
    height = float(np.clip(rng.normal(176, 7), 158, 196))
    bmi = float(np.clip(rng.normal(27, 3.6), 19, 40))
    stature = height / 176
    girth = (bmi / 27) ** 0.25
    width = float(girth * rng.normal(1, 0.025))
    depth = float(girth * rng.normal(1, 0.03))
    scale = (width, depth, stature)
    diaphragm = float(np.clip(rng.normal(0, 10), -22, 22))
    return BodyParameters(
        height_cm=round(height),
        weight_kg=round(bmi * (height / 100) ** 2, 1),
        scale=scale,
        fat_mm=float(np.clip(18 + 2.0 * (bmi - 27) + rng.normal(0, 2), 5, 38)),
        prostate=prostate,
        organ_scale=_draw_scales(rng, float(np.prod(scale))),
        organ_shift=_draw_shifts(rng, diaphragm),
        diaphragm_mm=diaphragm,
        rib_drop=float(rng.normal(1, 0.12)),
        bowel=_draw_bowel(rng),
        field=_draw_field(rng, stature),
    )


def _draw_scales(rng: np.random.Generator, body_scale: float) -> dict[str, float]:
    """Turn drawn volumes into linear factors of the standard shapes, given how the body itself is stretched."""
    scales = {}
    for name, size in organ_sizes().items():
        volume = size.median_ml * np.exp(np.clip(rng.normal(0, size.log_sd), -2 * size.log_sd, 2 * size.log_sd))
        if size.log_sd == 0:
            volume *= body_scale
        scales[name] = float(np.cbrt(volume / size.reference_ml / body_scale))
    scales["kidney_left"] = float(scales["kidney_right"] * rng.normal(1.01, 0.03))
    return scales


def _draw_shifts(rng: np.random.Generator, diaphragm_mm: float) -> dict[str, tuple[float, float, float]]:
    """Draw where each organ lies; what hangs on the diaphragm goes with it."""
    shifts = {}
    for name, size in organ_sizes().items():
        x, y, z = np.clip(rng.normal(0, size.shift_mm), -2 * np.array(size.shift_mm), 2 * np.array(size.shift_mm))
        shifts[name] = (float(x), float(y), float(z + _WITH_DIAPHRAGM.get(name, 0.0) * diaphragm_mm))
    return shifts


def _draw_bowel(rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw the bends of the small bowel: jejunum in the left upper abdomen, ileum in the right lower."""
    share = np.linspace(0, 1, _BOWEL_BENDS)
    side = np.where(np.arange(_BOWEL_BENDS) % 2, 1.0, -1.0)
    middle = np.interp(share, [0, 0.3, 0.6, 1], [-52, -38, -5, 28])
    reach = np.interp(share, [0, 0.3, 0.6, 1], [30, 46, 66, 40])
    x = middle + side * reach * rng.uniform(0.35, 1.0, _BOWEL_BENDS)
    y = rng.uniform(24, 80, _BOWEL_BENDS)
    z = np.interp(share, [0, 0.35, 1], [226, 168, 42]) + rng.normal(0, 13, _BOWEL_BENDS)
    return np.stack([x, y, z], axis=1).astype(np.float32)


def _draw_field(rng: np.random.Generator, stature: float) -> tuple[float, float]:
    """Mid thigh to skull base, or in part of the men to the vertex."""
    top = _VERTEX_MM if rng.random() < 0.3 else _SKULL_BASE_MM + rng.normal(0, 12)
    return float(rng.normal(-158, 18)) * stature, float(top) * stature
