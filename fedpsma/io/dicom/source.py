"""The PET series that a study was read from: the headers that derived objects copy, and the way back to its slices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from fedpsma.domain.study import Affine, LabelVolume, Study
from fedpsma.errors import InputError
from fedpsma.io.dicom.convert import read_chosen_pet
from fedpsma.io.dicom.find import PET_CLASS, DicomStudy, find_studies
from fedpsma.io.orientation import from_working_orientation, same_grid

# An analysis rounds the PET it keeps to steps of this SUV, and an importer to 32-bit numbers.
SUV_TOLERANCE = 2.0**-7
# Patient, General Study and their type 2 attributes: DICOM PS3.3 C.7.1.1 and C.7.2.1.
_MAY_BE_EMPTY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)


@dataclass(frozen=True)
class PetSource:
    """The slices of a PET series, without pixels, in the order of their places.

    ``affine`` maps (column, row, slice) to mm, RAS+.
    """

    headers: tuple[Dataset, ...]
    affine: Affine

    def to_slices(self, labels: LabelVolume) -> NDArray[np.int32]:
        """Bring labels (x, y, z) of the study to the stored slices: (slice, row, column)."""
        return np.ascontiguousarray(np.transpose(from_working_orientation(labels, self.affine), (2, 1, 0)))


def find_pet_source(folder: Path, study: Study) -> PetSource:
    """Find the PET series of a study below a folder, and make sure by its voxels that it is the one.

    A derived object copies name and number of the patient from here, so a similar series is not enough: grid and SUV
    of every voxel have to be those of the study.

    Raises:
        InputError: There is no such series, it is damaged, or it is multi-frame.
    """
    # One series at a time: where a study holds several, the voxels decide which it was.
    candidates = [replace(one, pet=(series,)) for one in find_studies(folder).studies for series in one.pet]
    if not candidates:
        raise InputError("holds no PET in DICOM", where=str(folder), remedy="name the folder of the PET series")
    problems = []
    for one in candidates:
        try:
            return _source(one, study)
        except InputError as error:
            problems.append(error)
    raise problems[0]


def _source(found: DicomStudy, study: Study) -> PetSource:
    pet, stored = read_chosen_pet(found)
    same_place = same_grid(pet.data.shape, pet.affine, study.pet.shape, study.affine)
    if not same_place or float(np.abs(pet.data - study.pet).max()) > SUV_TOLERANCE:
        raise InputError(
            "holds another PET than the one that was read",
            where=found.name,
            remedy="name the folder of the series that this study came from",
        )
    headers = tuple(_complete(one.dataset) for one in stored.slices)
    if headers[0].get("SOPClassUID") != PET_CLASS:
        raise InputError(
            "holds a multi-frame PET, which a segmentation cannot refer to yet",
            where=found.name,
            remedy="export classic single-frame images",
        )
    return PetSource(headers, stored.affine)


def _complete(header: Dataset) -> Dataset:
    """Add as empty what the standard lets be empty but not missing (type 2), since derived objects copy it."""
    for keyword in _MAY_BE_EMPTY:
        if keyword not in header:
            setattr(header, keyword, "")
    return header
