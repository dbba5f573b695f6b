"""Why the network suspects a lesion: how much every voxel of PET and CT adds to its probability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpsma.domain.study import Affine, FloatVolume


@dataclass(frozen=True)
class Saliency:
    """Integrated gradients of the pooled suspicion of one lesion, in the slab of the body that the network looks at.

    Arrays are (x, y, z) in RAS+ on the working grid of the network, which ``affine`` maps to millimetres. ``pet``
    (SUVbw) and ``ct`` (HU within the network's window; ``None`` where there is none) are what the network saw;
    ``pooled`` are the voxels that its suspicion is the mean of. ``pet_share`` and ``ct_share`` say what each voxel adds
    to that probability, negative where it takes away. ``suspicion`` is the pooled probability, ``baseline`` that of the
    same slab without a patient: no uptake, and air.
    """

    pet: FloatVolume
    ct: FloatVolume | None
    pooled: NDArray[np.bool_]
    pet_share: FloatVolume
    ct_share: FloatVolume | None
    affine: Affine
    suspicion: float
    baseline: float

    @property
    def from_pet(self) -> float:
        """What the PET adds to the baseline, in units of probability."""
        return float(self.pet_share.sum(dtype=np.float64))

    @property
    def from_ct(self) -> float | None:
        """What the CT adds to the baseline, in units of probability; ``None`` without a CT."""
        return None if self.ct_share is None else float(self.ct_share.sum(dtype=np.float64))

    @property
    def remainder(self) -> float:
        """What the shares do not account for: 0 in theory, here the error of integrating in steps."""
        return self.suspicion - self.baseline - self.from_pet - (self.from_ct or 0.0)
