"""Bringing one volume onto the grid of another."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from fedpsma.domain.study import CT_OUTSIDE_HU, Affine, FloatVolume
from fedpsma.io.nifti import Volume

NO_CT = "no CT: findings rest on PET alone"
# A CT that reaches this share of the PET's slices counts as complete.
COMPLETE = 0.99


def ct_beside_pet(ct: Volume, pet: Volume) -> tuple[FloatVolume | None, tuple[str, ...]]:
    """Bring a CT to the PET grid, in HU, and say in words how much of the PET it reaches.

    Returns:
        The CT, ``None`` where it reaches no slice of the PET, and notes for the reader.
    """
    x, y, z = pet.data.shape
    covered = share_covered(ct, (x, y, z), pet.affine)
    if covered == 0.0:
        return None, ("the CT does not reach the PET", NO_CT)
    notes = () if covered >= COMPLETE else (f"the CT covers {covered:.0%} of the PET's slices",)
    return ct_on_grid(ct, (x, y, z), pet.affine), notes


def ct_on_grid(ct: Volume, shape: tuple[int, int, int], affine: Affine) -> FloatVolume:
    """Interpolate a CT linearly at the voxel centres of another grid, in HU; -1024 HU where the CT does not reach.

    The PET itself is never resampled for quantities.

    Args:
        ct: The CT, in any grid whose affine can be inverted.
        shape: Voxels (x, y, z) of the wanted grid.
        affine: Affine of the wanted grid in mm, RAS+.

    Example:
        >>> ct = Volume(np.full((2, 2, 2), 40, np.float32), np.eye(4))
        >>> ct_on_grid(ct, (1, 1, 2), np.diag([1, 1, 5.0, 1])).ravel().tolist()
        [40.0, -1024.0]
    """
    to_ct = np.linalg.inv(ct.affine) @ affine
    resampled: FloatVolume = ndimage.affine_transform(
        ct.data,
        to_ct[:3, :3],
        to_ct[:3, 3],
        output_shape=shape,
        output=np.float32,
        order=1,
        mode="constant",
        cval=CT_OUTSIDE_HU,
    )
    return resampled


def share_covered(ct: Volume, shape: tuple[int, int, int], affine: Affine) -> float:
    """Return the share (0 to 1) of a grid's slices along z whose centre lies within the CT's extent along z."""
    centre = np.array([(shape[0] - 1) / 2, (shape[1] - 1) / 2, 0.0, 1.0])
    columns = np.repeat(centre[:, None], shape[2], axis=1)
    columns[2] = np.arange(shape[2])
    z = (np.linalg.inv(ct.affine) @ affine @ columns)[2]
    return float(np.mean((z >= -0.5) & (z <= ct.data.shape[2] - 0.5)))
