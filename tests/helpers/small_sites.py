"""Data sets of a few volumes of noise with one lesion each, and a small network that was never trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fedpsma.domain.tracer import Tracer
from fedpsma.io.dataset import DatasetInfo, StudyRow, write_dataset
from fedpsma.io.nifti import write_volume
from fedpsma.model.checkpoint import ModelCard, save_checkpoint, weights_of
from fedpsma.model.config import NetworkConfig

NETWORK = NetworkConfig(channels=(8, 16), norm_groups=4)
EDGE = 20


def small_site(folder: Path, name: str, rng: np.random.Generator) -> Path:
    """Write a data set of four patients and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    mask = np.zeros((EDGE,) * 3, np.int16)
    mask[8:11, 8:11, 8:11] = 1
    rows = []
    for number in range(4):
        pet = rng.uniform(0.3, 1.5, mask.shape).astype(np.float32) + 9 * mask
        files = {"pet": pet, "ct": rng.normal(0, 50, mask.shape).astype(np.float32), "mask": mask}
        for kind, volume in files.items():
            write_volume(folder / f"{number}_{kind}.nii.gz", volume, affine)
        paths = {kind: f"{number}_{kind}.nii.gz" for kind in files}
        rows.append(StudyRow(id=f"{name}{number}", patient=f"p{number}", spacing=(4.0, 4.0, 4.0), **paths))
    info = DatasetInfo(name=name, site=name, tracer=next(iter(Tracer)), contour="manual", synthetic=True)
    write_dataset(folder, info, rows)
    return folder


def untrained(path: Path) -> Path:
    """Write a small network as it is initialised."""
    import torch

    from fedpsma.model.network import LesionNet

    torch.manual_seed(0)
    card = ModelCard(name="untrained", data="none", recipe={}, metrics={})
    save_checkpoint(path, NETWORK, weights_of(LesionNet(NETWORK)), card)
    return path
