"""Whether the CT shows the body that the PET shows."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from fedpsma.domain.study import FloatVolume
from fedpsma.site_check.coarse import CoarseGrid, Mask
from fedpsma.site_check.references import body_of_ct

_SMOOTH_MM = 6.0
_WARM_SHARE = 0.2
_LEAST_MM = 200.0


def ct_fit(body: Mask, ct: FloatVolume, grid: CoarseGrid) -> float | None:
    """Return Dice of the body in the PET and in the CT (HU), both (x, y, z) on the coarse grid, where the CT reaches.

    ``None`` where less than 20 cm show a body in both.
    """
    solid = body_of_ct(ct)
    common = body.any(axis=(0, 1)) & solid.any(axis=(0, 1))
    if common.sum() * grid.spacing_mm[2] < _LEAST_MM:
        return None
    body, solid = body[:, :, common], solid[:, :, common]
    return float(2.0 * (body & solid).sum() / (body.sum() + solid.sum()))


def body_of_pet(pet: FloatVolume, grid: CoarseGrid) -> Mask:
    """Return the body in a PET (x, y, z) of any unit: what takes up a fifth of the usual, filled slice by slice."""
    smooth = ndimage.gaussian_filter(pet, [_SMOOTH_MM / 2.355 / edge for edge in grid.spacing_mm])
    warm = smooth > 0.2 * float(smooth.mean())
    if not warm.any():
        return np.zeros(pet.shape, dtype=bool)
    inside = smooth > _WARM_SHARE * float(np.median(smooth[warm]))
    filled = np.stack([ndimage.binary_fill_holes(inside[:, :, z]) for z in range(pet.shape[2])], axis=2)
    pieces, count = ndimage.label(ndimage.binary_opening(filled))
    if count == 0:
        return np.zeros(pet.shape, dtype=bool)
    return np.asarray(pieces == 1 + np.bincount(pieces.ravel())[1:].argmax())
