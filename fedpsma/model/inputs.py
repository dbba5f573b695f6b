"""From a study to what the network sees, and back to the study's own grid.

The working grid spans the same field of view as the PET in isotropic voxels (their edge differs from
``NetworkConfig.grid_mm`` by the rounding to whole voxels only) and is cropped to the body.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

from fedpsma.domain.study import Study
from fedpsma.domain.tracer import Tracer
from fedpsma.model.config import BACKGROUND, PHYSIOLOGICAL, SUSPICIOUS, NetworkConfig

PHYSIOLOGICAL_SUV = 3.0
UNLABELLED = 255
DISPUTED = -1
"""In a lesion mask: whether the voxel belongs to a lesion depends on who draws it."""

AIR_HU = -1024.0
_NARROW_SUV, _WIDE_SUV, _LOG_SUV = 5.0, 20.0, 100.0
CT_HALF_WINDOW_HU = 300.0
_BODY_SUV, _BODY_MARGIN, _BODY_SLICE_VOXELS = 0.15, 2, 4
_SMOOTH_FROM_RATIO = 1.5


@dataclass(frozen=True)
class GridStudy:
    """A study on the working grid, cropped to the body, small enough to be kept in memory.

    Volumes are (x, y, z): ``pet`` in SUV and ``ct`` in HU as float16, ``lesions`` int16 lesion numbers, ``anatomy``
    uint8 class numbers; ``None`` where the study has none. ``tracer`` is the conditioning vector. ``corner`` is where
    the crop starts in the whole working grid of ``whole`` voxels.
    """

    study_id: str
    patient_id: str
    tracer: Tensor
    pet: Tensor
    ct: Tensor | None
    lesions: Tensor | None
    anatomy: Tensor | None
    corner: tuple[int, int, int]
    whole: tuple[int, int, int]


def to_grid(study: Study, config: NetworkConfig) -> GridStudy:
    """Resample a study to the working grid: PET and CT linearly, labels by the nearest voxel."""
    ratio = tuple(config.grid_mm / spacing for spacing in study.spacing_mm)
    x, y, z = (max(1, round(size / step)) for size, step in zip(study.pet.shape, ratio, strict=True))
    whole = (x, y, z)
    pet = _resampled(_without_aliasing(study.pet, ratio), whole, "trilinear").clamp_(0)
    box = _body_box(pet)

    def label(volume: NDArray[np.integer] | None, kind: torch.dtype) -> Tensor | None:
        return None if volume is None else _resampled(volume, whole, "nearest-exact")[box].to(kind)

    ct = None if study.ct is None else _resampled(_without_aliasing(study.ct, ratio), whole, "trilinear")[box].half()
    return GridStudy(
        study_id=study.study_id,
        patient_id=study.patient_id,
        tracer=tracer_vector(study.tracer, config),
        pet=pet[box].half(),
        ct=ct,
        lesions=label(study.lesions, torch.int16),
        anatomy=label(study.anatomy, torch.uint8),
        corner=(box[0].start, box[1].start, box[2].start),
        whole=whole,
    )


def tracer_vector(tracer: Tracer | None, config: NetworkConfig) -> Tensor:
    """Return the conditioning vector: one-hot, or the uniform mixture where the network does not know the tracer.

    Example:
        >>> tracer_vector(None, NetworkConfig()).sum().item()
        1.0
    """
    if tracer not in config.tracers:
        return torch.full((len(config.tracers),), 1 / len(config.tracers))
    return torch.tensor([float(tracer == one) for one in config.tracers])


def image_of(pet: Tensor, ct: Tensor | None) -> Tensor:
    """Return the (5, x, y, z) float32 image of the network.

    Channels: SUV clipped to 0-5, to 0-20, log(1 + SUV) up to SUV 100, each scaled to 0-1; CT clipped to +-300 HU and
    scaled to -1..1; 1 where there is a CT. Both CT channels are 0 where there is none.
    """
    suv = pet.float().clamp(min=0)
    windows = [
        suv.clamp(max=_NARROW_SUV) / _NARROW_SUV,
        suv.clamp(max=_WIDE_SUV) / _WIDE_SUV,
        torch.log1p(suv.clamp(max=_LOG_SUV)) / math.log1p(_LOG_SUV),
    ]
    if ct is None:
        return torch.stack([*windows, torch.zeros_like(suv), torch.zeros_like(suv)])
    hounsfield = ct.float().clamp(-CT_HALF_WINDOW_HU, CT_HALF_WINDOW_HU) / CT_HALF_WINDOW_HU
    return torch.stack([*windows, hounsfield, torch.ones_like(suv)])


def voxel_targets(pet: Tensor, lesions: Tensor) -> Tensor:
    """Return voxel classes (int64): suspicious in a lesion, physiological at SUV >= 3 elsewhere, else background.

    Voxels that are :data:`DISPUTED` are ``UNLABELLED``.
    """
    target = torch.full(pet.shape, BACKGROUND, dtype=torch.int64)
    target[pet >= PHYSIOLOGICAL_SUV] = PHYSIOLOGICAL
    target[lesions > 0] = SUSPICIOUS
    target[lesions == DISPUTED] = UNLABELLED
    return target


def to_pet_grid(
    volume: Tensor, grid: GridStudy, shape: tuple[int, ...], mode: Literal["trilinear", "nearest-exact"]
) -> NDArray[np.float32]:
    """Bring a volume of the cropped working grid back to the PET grid of ``shape``; 0 outside the crop."""
    whole = torch.zeros(grid.whole)
    whole[tuple(slice(start, start + size) for start, size in zip(grid.corner, volume.shape, strict=True))] = volume
    back: NDArray[np.float32] = _resampled(whole.numpy(), shape, mode).numpy()
    return back


def _resampled(volume: NDArray[np.generic], shape: tuple[int, ...], mode: str) -> Tensor:
    tensor = torch.from_numpy(np.array(volume, dtype=np.float32, order="C"))[None, None]
    if tuple(volume.shape) == tuple(shape):
        return tensor[0, 0]
    corners = {"align_corners": False} if mode == "trilinear" else {}
    return nn.functional.interpolate(tensor, size=shape, mode=mode, **corners)[0, 0]


def _without_aliasing(volume: NDArray[np.float32], ratio: tuple[float, ...]) -> NDArray[np.float32]:
    """Low-pass filter before coarsening, where a working voxel spans at least one and a half PET voxels."""
    sigma = [(step - 1) / 2 if step >= _SMOOTH_FROM_RATIO else 0.0 for step in ratio]
    if not any(sigma):
        return volume
    smooth: NDArray[np.float32] = ndimage.gaussian_filter(volume, sigma, mode="nearest", truncate=2.5)
    return smooth


def _body_box(pet: Tensor) -> tuple[slice, slice, slice]:
    # padded by hand: the pooling's own padding refuses a volume of fewer than three slices
    averaged = nn.functional.avg_pool3d(nn.functional.pad(pet[None, None], (1,) * 6), 3, stride=1)[0, 0]
    body = averaged > _BODY_SUV
    box = []
    for axis in range(3):
        others = [other for other in range(3) if other != axis]
        kept = torch.nonzero(body.sum(dim=others) >= _BODY_SLICE_VOXELS).ravel()
        first, last = (int(kept[0]), int(kept[-1])) if len(kept) else (0, pet.shape[axis] - 1)
        box.append(slice(max(0, first - _BODY_MARGIN), min(pet.shape[axis], last + 1 + _BODY_MARGIN)))
    return box[0], box[1], box[2]
