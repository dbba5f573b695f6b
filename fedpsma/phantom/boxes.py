"""The box round a mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Box = tuple[slice, slice, slice]


def bounding_box(mask: NDArray[np.bool_], margin: int = 0) -> Box | None:
    """Return the smallest box that holds a mask (x, y, z) and a margin of voxels; ``None`` for an empty mask.

    Example:
        >>> bounding_box(np.eye(3, dtype=bool)[:, :, None], margin=1)
        (slice(0, 3, None), slice(0, 3, None), slice(0, 1, None))
    """
    found = [np.flatnonzero(mask.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    if not len(found[0]):
        return None
    x, y, z = (
        slice(max(int(one[0]) - margin, 0), min(int(one[-1]) + 1 + margin, size))
        for one, size in zip(found, mask.shape, strict=True)
    )
    return x, y, z
