"""The one function that brings a volume to the working orientation, so that left stays left."""

from __future__ import annotations

from typing import TypeVar

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from fedpsma.domain.study import Affine

Scalar = TypeVar("Scalar", bound=np.generic)
_SLAB = 16


def to_working_orientation(data: NDArray[Scalar], affine: Affine) -> tuple[NDArray[Scalar], Affine]:
    """Permute and flip the axes so that they run as close as possible to RAS+.

    No voxel value is changed and every voxel keeps its place in the body; an oblique volume stays oblique.

    Args:
        data: Any of the 48 axis orders, three axes.
        affine: 4 x 4, maps voxel indices of ``data`` to mm in RAS+ space.

    Returns:
        The volume (x, y, z), contiguous, and its affine.

    Raises:
        ValueError: The affine cannot be inverted, so that the axes have no direction.

    Example:
        >>> data, affine = to_working_orientation(np.arange(2).reshape(2, 1, 1), np.diag([-3.0, 3.0, 3.0, 1.0]))
        >>> data.ravel().tolist(), affine[0].tolist()
        ([1, 0], [3.0, 0.0, 0.0, -3.0])
    """
    if not is_usable_affine(affine):
        raise ValueError("the affine does not map voxels to millimetres")
    turn = nib.orientations.io_orientation(affine)
    turned = _contiguous(nib.orientations.apply_orientation(data, turn))
    # Adding zero turns the -0.0 of flipped axes into 0.0.
    return turned, affine @ nib.orientations.inv_ornt_aff(turn, data.shape) + 0.0


def from_working_orientation(data: NDArray[Scalar], affine: Affine) -> NDArray[Scalar]:
    """Undo :func:`to_working_orientation`: bring a volume back to the axis order of the grid it came from.

    Args:
        data: A volume (x, y, z) in the working orientation.
        affine: 4 x 4 of the grid that it came from, before it was turned.

    Example:
        >>> turned, _ = to_working_orientation(np.arange(2).reshape(2, 1, 1), np.diag([-3.0, 3.0, 3.0, 1.0]))
        >>> from_working_orientation(turned, np.diag([-3.0, 3.0, 3.0, 1.0])).ravel().tolist()
        [0, 1]
    """
    working = nib.orientations.axcodes2ornt(("R", "A", "S"))
    turn = nib.orientations.ornt_transform(working, nib.orientations.io_orientation(affine))
    return _contiguous(nib.orientations.apply_orientation(data, turn))


def _contiguous(data: NDArray[Scalar]) -> NDArray[Scalar]:
    """Copy a volume into C order slab by slab: three times as fast as at once, since both orders stay in the cache."""
    if data.flags.c_contiguous:
        return data
    copy = np.empty(data.shape, data.dtype)
    for start in range(0, data.shape[2], _SLAB):
        copy[:, :, start : start + _SLAB] = data[:, :, start : start + _SLAB]
    return copy


def is_usable_affine(affine: Affine) -> bool:
    """Tell whether an affine is 4 x 4, finite and can be inverted."""
    if affine.shape != (4, 4) or not np.isfinite(affine).all():
        return False
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    return bool((spacing > 0).all() and abs(np.linalg.det(affine[:3, :3] / spacing)) > 1e-3)


def same_grid(shape: tuple[int, ...], affine: Affine, other_shape: tuple[int, ...], other_affine: Affine) -> bool:
    """Tell whether two grids put every voxel in the same place, to a hundredth of a voxel edge."""
    if tuple(shape) != tuple(other_shape):
        return False
    corners = np.array([[i, j, k, 1.0] for i in (0, shape[0]) for j in (0, shape[1]) for k in (0, shape[2])])
    apart = np.abs(corners @ (affine - other_affine).T).max()
    return bool(apart <= 0.01 * np.linalg.norm(affine[:3, :3], axis=0).min())
