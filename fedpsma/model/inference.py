"""Whole-body inference: slabs over the whole cross-section of the body, overlapping along its length."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from fedpsma.domain.study import Study, VoxelPrediction
from fedpsma.model.config import PHYSIOLOGICAL, SUSPICIOUS, VOXEL_CLASSES, NetworkConfig
from fedpsma.model.inputs import AIR_HU, GridStudy, image_of, to_grid, to_pet_grid
from fedpsma.model.network import LesionNet

SLAB_VOXELS = 64
OVERLAP_VOXELS = 16
# Raising 42 anatomical maps to the full grid all at once would need more memory than the network itself.
_LEVELS_AT_ONCE = 32

OnPatch = Callable[[int, int], None]


def predict(net: LesionNet, study: Study, on_patch: OnPatch | None = None) -> VoxelPrediction:
    """Predict voxel classes and anatomy of a study on its own PET grid.

    Args:
        net: The network; its weights are not changed.
        study: PET, with a CT and a tracer where known.
        on_patch: Called with (slabs done, slabs in all) as the work goes on.
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
    """Predict on the cropped working grid: class probabilities (3, x, y, z) and anatomy class numbers (x, y, z).

    The work is done on the device of the network; the results lie in main memory.
    """
    config = net.config
    x, y, z = grid.pet.shape
    depth, count = slabs(z, config)
    starts = slab_starts(z, depth, count)
    image = image_of(*padded(grid, depth, config))
    sums = _Sums.empty(config, image.shape[1:])
    share = _share_of_level(depth)
    device = next(net.parameters()).device
    tracer = grid.tracer[None].to(device)
    net.eval()
    with torch.inference_mode():
        for done, start in enumerate(starts, start=1):
            logits = net(image[None, ..., start : start + depth].to(device), tracer)
            sums.add(start, torch.softmax(logits.voxel[0].float(), 0).cpu(), logits.anatomy[0].float().cpu(), share)
            if on_patch is not None:
                on_patch(done, count)
        return (sums.voxel / sums.weight)[:, :x, :y, :z], sums.most_likely_anatomy()[:x, :y, :z]


class _Sums:
    """What the slabs said, weighted and added up; the anatomy on its own coarser grid."""

    def __init__(self, voxel: Tensor, anatomy: Tensor, weight: Tensor) -> None:
        self.voxel, self.anatomy, self.weight = voxel, anatomy, weight

    @classmethod
    def empty(cls, config: NetworkConfig, shape: torch.Size) -> _Sums:
        coarse = [size // 2 for size in shape]
        voxel = torch.zeros(len(VOXEL_CLASSES), *shape)
        return cls(voxel, torch.zeros(config.anatomy_classes, *coarse), torch.zeros(shape[-1]))

    def add(self, start: int, voxel: Tensor, anatomy: Tensor, share: Tensor) -> None:
        stop = start + len(share)
        self.voxel[..., start:stop] += voxel * share
        # the sum of weights is the same for all classes, so that the most likely one needs no division
        self.anatomy[..., start // 2 : stop // 2] += anatomy * share.view(-1, 2).mean(dim=1)
        self.weight[start:stop] += share

    def most_likely_anatomy(self) -> Tensor:
        """Return class numbers (x, y, z) at full resolution: logits between voxel centres are taken linearly."""
        levels = self.voxel.shape[-1]
        found = torch.empty(self.voxel.shape[1:], dtype=torch.uint8)
        for start in range(0, levels, _LEVELS_AT_ONCE):
            stop = min(levels, start + _LEVELS_AT_ONCE)
            low, high = max(0, start // 2 - 1), min(levels // 2, stop // 2 + 1)
            part = nn.functional.interpolate(
                self.anatomy[None, ..., low:high], scale_factor=2.0, mode="trilinear", align_corners=False
            )
            found[..., start:stop] = part[0, ..., start - 2 * low : stop - 2 * low].argmax(dim=0).to(torch.uint8)
        return found


def slabs(levels: int, config: NetworkConfig) -> tuple[int, int]:
    """Return depth and number of the equal slabs that cover so many axial levels with at least the wanted overlap."""
    count = max(1, round((levels - OVERLAP_VOXELS) / (SLAB_VOXELS - OVERLAP_VOXELS)))
    depth = _up(math.ceil((levels + (count - 1) * OVERLAP_VOXELS) / count), config.stride)
    return depth, count


def slab_starts(levels: int, depth: int, count: int) -> list[int]:
    """Return where the slabs start, evenly spread over the levels, on even numbers (the anatomy's grid).

    Example:
        >>> slab_starts(200, 64, 4)
        [0, 44, 90, 136]
        >>> slab_starts(40, 48, 1)
        [0]
    """
    room = max(0, levels - depth)
    step = room / max(1, count - 1)
    return [*(2 * math.floor(index * step / 2) for index in range(count - 1)), _even_up(room)]


def _even_up(value: int) -> int:
    return value + value % 2


def _up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


def _share_of_level(depth: int) -> Tensor:
    """Return the weight of each level of a slab: the middle counts fully, towards the ends it falls off linearly."""
    distance = torch.arange(depth) + 0.5
    return (torch.minimum(distance, depth - distance) / OVERLAP_VOXELS).clamp(max=1.0)


def padded(grid: GridStudy, depth: int, config: NetworkConfig) -> tuple[Tensor, Tensor | None]:
    """Continue PET (SUV) and CT (HU) with air up to what slabs of ``depth`` levels need.

    The network takes edges that are multiples of its stride, and the anatomy's grid an even number of levels.
    """
    x, y, z = grid.pet.shape
    wanted = (_up(x, config.stride), _up(y, config.stride), _even_up(max(z, depth)))
    missing = [edge - size for edge, size in zip(wanted, grid.pet.shape, strict=True)]
    pad = (0, missing[2], 0, missing[1], 0, missing[0])
    ct = None if grid.ct is None else nn.functional.pad(grid.ct, pad, value=AIR_HU)
    return nn.functional.pad(grid.pet, pad), ct
