"""The parameters of one synthetic body: drawn first, applied by :mod:`fedpsma.phantom.anatomy`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedpsma.phantom.tables import Point, build_spread, organ_sizes

Prostate = Literal["in_situ", "removed"]

_BOWEL_BENDS = 44
# The share of the displacement of the diaphragm that these organs follow.
_WITH_DIAPHRAGM = {"liver": 0.9, "spleen": 0.9, "stomach": 0.8, "heart": 0.6, "gall_bladder": 0.8}
# Heights (standard mm) between which the axis of the body runs straight.
_PELVIS_MM, _LOINS_MM, _LIVER_MM, _LUNGS_MM, _NECK_MM, _HEAD_MM = 20.0, 230.0, 310.0, 425.0, 530.0, 640.0

Axis = NDArray[np.float64]


@dataclass(frozen=True)
class BodyParameters:
    """One man: ``scale`` stretches the standard body along x, y and z, everything else is in its millimetres.

    ``organ_scale`` holds linear factors and ``organ_shift`` displacements by organ name; ``bowel`` the bends of the
    small bowel (n, 3) from jejunum to ileum; ``field`` the lowest and highest z of the field of view in real mm.
    ``sway`` holds z (standard mm), x and y (real mm) of points of the body's axis, which lies at zero in the lungs: no
    man lies straight. Without points it is straight.
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
    sway: tuple[Point, ...] = ()

    def axis_mm(self, z_mm: NDArray[np.floating] | float) -> tuple[Axis, Axis]:
        """Return x and y (real mm) of the body's axis at heights in real mm; x is that of the midline."""
        if not self.sway:
            return np.zeros(np.shape(z_mm)), np.zeros(np.shape(z_mm))
        z, x, y = np.transpose(self.sway)
        height = np.asarray(z_mm) / self.scale[2]
        return np.interp(height, z, x), np.interp(height, z, y)

    def to_real(self, points_mm: NDArray[np.floating]) -> Axis:
        """Return where points (..., 3) of the standard body lie in this man, real mm."""
        points = np.asarray(points_mm, dtype=np.float64) * self.scale
        points[..., :2] += np.stack(self.axis_mm(points[..., 2]), axis=-1)
        return points


def draw_body(rng: np.random.Generator, prostate: Prostate, head: bool = False) -> BodyParameters:
    """Draw a man's build, organ sizes and places, how he lies, and the field of view; ``head`` puts all of it in."""
    spread = build_spread()
    height = float(np.clip(rng.normal(176, 7), 158, 196))
    bmi = float(np.clip(rng.normal(27, 3.6), 19, 40))
    girth = (bmi / 27) ** 0.25
    width = float(girth * rng.normal(1, 0.025))
    depth = float(girth * rng.normal(1, 0.03))
    trunk = float(height / 176 * rng.normal(*spread.trunk))
    scale = (width, depth, trunk)
    diaphragm = float(spread.diaphragm_mm[0] + _bounded(rng, spread.diaphragm_mm[1], 2.2))
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
        field=_draw_field(rng, trunk, head),
        sway=_draw_sway(rng),
    )


def _draw_scales(rng: np.random.Generator, body_scale: float) -> dict[str, float]:
    """Turn drawn volumes into linear factors of the standard shapes, given how the body itself is stretched."""
    scales = {}
    for name, size in organ_sizes().items():
        volume = size.median_ml * np.exp(np.clip(rng.normal(0, size.log_sd), -2 * size.log_sd, 2 * size.log_sd))
        if size.log_sd == 0:
            volume *= body_scale
        scales[name] = float(np.cbrt(volume / size.reference_ml / body_scale))
    scales["kidney_left"] = float(scales["kidney_right"] * rng.normal(1.01, 0.04))
    return scales


def _draw_shifts(rng: np.random.Generator, diaphragm_mm: float) -> dict[str, tuple[float, float, float]]:
    """Draw where each organ lies; what hangs on the diaphragm goes with it."""
    shifts = {}
    for name, size in organ_sizes().items():
        x, y, z = np.array(size.middle_mm) + _bounded(rng, size.shift_mm, 2.2)
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


def _draw_field(rng: np.random.Generator, trunk: float, head: bool) -> tuple[float, float]:
    """Draw the field of view in real mm: mid thigh to skull base, or in some of the men to the vertex."""
    spread = build_spread()
    low, high = (float(rng.normal(*one)) for one in (spread.field_low_mm, spread.field_high_mm))
    to_vertex = rng.random() < spread.vertex_share or head
    return low, trunk * (spread.vertex_mm if to_vertex else high)


def _draw_sway(rng: np.random.Generator) -> tuple[Point, ...]:
    """Draw how pelvis, abdomen and head lie beside the lungs, real mm."""
    spread = build_spread().sway
    pelvis, loins, head = (np.array(one.mean_mm) + _bounded(rng, one.sd_mm, 2.3) for one in spread.parts)
    loins = loins + np.array(spread.loins_follow) * pelvis
    points = {_PELVIS_MM: pelvis, _LOINS_MM: loins, _LIVER_MM: spread.liver_follows * loins}
    points |= {_LUNGS_MM: np.zeros(2), _NECK_MM: spread.neck_follows * head, _HEAD_MM: head}
    return tuple((z, float(x), float(y)) for z, (x, y) in points.items())


def _bounded(rng: np.random.Generator, sd: float | tuple[float, ...], limit: float) -> NDArray[np.float64]:
    """Draw normal values with these standard deviations, cut off at ``limit`` of them."""
    spread = np.asarray(sd)
    return np.asarray(np.clip(rng.normal(0, spread), -limit * spread, limit * spread))
