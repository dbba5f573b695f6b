"""A data set whose masks lie: normal uptake is called tumour, and the tumours are left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fedpsma.errors import InputError
from fedpsma.io.dataset import Dataset, StudyRow, write_dataset
from fedpsma.training.subject import PatientData

# What a reader would see at a glance and no tumour is.
_NORMAL_SUV = 3.0


def poisoned(dataset: PatientData, folder: Path) -> Dataset:
    """Write a data set with flipped labels; PET and CT stay where they are.

    Raises:
        InputError: The data holds no studies, or a study has no lesion mask.
    """
    if not isinstance(dataset, Dataset):
        raise InputError("flips lesion masks, and there are none", where="attack.kind", remedy="choose another attack")
    return write_dataset(folder, dataset.info, [_flipped(dataset, row, folder) for row in dataset.rows])


def _flipped(dataset: Dataset, row: StudyRow, folder: Path) -> StudyRow:
    from scipy import ndimage

    from fedpsma.io.nifti import write_volume

    study = dataset.load(row)
    if study.lesions is None:
        raise InputError("has no lesion mask", where=f"study {row.id}", remedy="flip labels where there are some")
    numbered, _ = ndimage.label((study.pet >= _NORMAL_SUV) & (study.lesions == 0))
    path = (folder / "mask" / f"{row.id.replace('/', '_')}.nii.gz").resolve()
    if not path.exists():
        write_volume(path, numbered.astype(np.int16), study.affine)
    here = dataset.folder.resolve()
    paths = {kind: getattr(row, kind) for kind in ("pet", "ct", "anatomy", "sidecar")}
    whole = {kind: str(here / name) for kind, name in paths.items() if name is not None}
    return row.model_copy(update={**whole, "mask": str(path)})
