"""Patients of random numbers, to try a network on before it sees a real one."""

from __future__ import annotations

import torch

from fedpsma.model.config import VOXEL_CLASSES
from fedpsma.model.losses import DenseTargets
from fedpsma.training.patches import PatchBatch


def trial_patients(
    count: int, patches: int, edge: int, *, channels: int = 5, tracers: int = 5, device: torch.device | None = None
) -> list[PatchBatch]:
    """Return so many patients with cubic patches of ``edge`` voxels, always the same ones."""
    generator = torch.Generator().manual_seed(0)
    shape = (patches, edge, edge, edge)

    def patient() -> PatchBatch:
        image = torch.randn(patches, channels, edge, edge, edge, generator=generator)
        tracer = torch.rand(patches, tracers, generator=generator)
        voxel = torch.randint(len(VOXEL_CLASSES), shape, generator=generator)
        anatomy = torch.randint(2, shape, generator=generator)
        tracer = tracer / tracer.sum(1, keepdim=True)
        return PatchBatch(image.to(device), tracer.to(device), DenseTargets(voxel.to(device), anatomy.to(device)))

    return [patient() for _ in range(count)]
