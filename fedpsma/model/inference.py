"""Whole-body inference in overlapping windows."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from monai.inferers import sliding_window_inference
from torch import Tensor, nn

from fedpsma.domain.study import Study, VoxelPrediction
from fedpsma.model.config import PHYSIOLOGICAL, SUSPICIOUS, VOXEL_CLASSES, NetworkConfig
from fedpsma.model.inputs import AIR_HU, GridStudy, image_of, to_grid, to_pet_grid
from fedpsma.model.network import LesionNet

WINDOW_VOXELS = 64
OVERLAP_VOXELS = 16
# Two windows at once: with a single one the CPU convolutions of torch take a slower path for small layers.
_WINDOWS_AT_ONCE = 2

OnPatch = Callable[[int, int], None]


def predict(net: LesionNet, study: Study, on_patch: OnPatch | None = None) -> VoxelPrediction:
    """Predict voxel classes and anatomy of a study on its own PET grid.

    Args:
        net: The network; its weights are not changed.
        study: PET, with a CT and a tracer where known.
        on_patch: Called with (windows done, windows in all) as the work goes on.
    """
    grid = to_grid(study, net.config)
    voxel, anatomy = predict_grid(net, grid, on_patch)
    shape = study.pet.shape
    return VoxelPrediction(
        suspicious=to_pet_grid(voxel[SUSPICIOUS], grid, shape, "trilinear").clip(0, 1),
        physiological=to_pet_grid(voxel[PHYSIOLOGICAL], grid, shape, "trilinear").clip(0, 1),
        anatomy=to_pet_grid(anatomy, grid, shape, "nearest-exact").astype("uint8"),
    )


def predict_grid(net: LesionNet, grid: GridStudy, on_patch: OnPatch | None = None) -> tuple[Tensor, Tensor]:
    """Predict on the cropped working grid: class probabilities (3, x, y, z) and anatomy class numbers (x, y, z)."""
    windows = [_windows(size, net.config) for size in grid.pet.shape]
    roi = [window for window, _ in windows]
    image = _padded_image(grid, roi)
    total = math.prod(count for _, count in windows)
    progress = _Progress(total, on_patch)

    def both_heads(batch: Tensor) -> Tensor:
        logits = net(batch, grid.tracer.expand(len(batch), -1))
        progress.advance(len(batch))
        return torch.cat([torch.softmax(logits.voxel, 1), logits.anatomy], dim=1)

    net.eval()
    with torch.inference_mode():
        found = sliding_window_inference(
            inputs=image[None],
            roi_size=roi,
            sw_batch_size=_WINDOWS_AT_ONCE,
            predictor=both_heads,
            overlap=[_overlap_share(edge) for edge in roi],
            mode="gaussian",
        )[0]
        x, y, z = grid.pet.shape
        found = found[:, :x, :y, :z]
        return found[: len(VOXEL_CLASSES)], found[len(VOXEL_CLASSES) :].argmax(dim=0)


class _Progress:
    """Counts windows and tells the caller."""

    def __init__(self, total: int, tell: OnPatch | None) -> None:
        self.done, self.total, self.tell = 0, total, tell

    def advance(self, windows: int) -> None:
        self.done += windows
        if self.tell is not None:
            self.tell(min(self.done, self.total), self.total)


def _windows(size: int, config: NetworkConfig) -> tuple[int, int]:
    """Return the edge and number of equal windows that cover an axis with the wanted overlap."""
    count = max(1, round((size - OVERLAP_VOXELS) / (WINDOW_VOXELS - OVERLAP_VOXELS)))
    edge = math.ceil((size + (count - 1) * OVERLAP_VOXELS) / count / config.stride) * config.stride
    return max(edge, 2 * config.stride), count


def _overlap_share(edge: int) -> float:
    """Return the overlap as a share; a quarter voxel less, since MONAI cuts edge * (1 - overlap) to an integer."""
    return min(0.5, (OVERLAP_VOXELS - 0.25) / edge)


def _padded_image(grid: GridStudy, roi: list[int]) -> Tensor:
    """Continue a study that is smaller than a window with air."""
    missing = [max(0, edge - size) for edge, size in zip(roi, grid.pet.shape, strict=True)]
    pad = (0, missing[2], 0, missing[1], 0, missing[0])
    ct = None if grid.ct is None else nn.functional.pad(grid.ct, pad, value=AIR_HU)
    return image_of(nn.functional.pad(grid.pet, pad), ct)
