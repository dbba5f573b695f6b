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
from fedpsma.io.dicom.find import ENHANCED_PET_CLASSES, DicomStudy, find_studies
from fedpsma.io.dicom.tags import Tags, read_tags
from fedpsma.io.dicom.volume import SeriesVolume
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
    """The files of a PET series without their pixels: one a slice by rising place, or one multi-frame file.

    ``affine`` maps (column, row, slice) to mm, RAS+, slices by rising place; ``order`` names the slice of each image
    or frame.
    """

    headers: tuple[Dataset, ...]
    affine: Affine
    order: tuple[int, ...]

    def to_slices(self, labels: LabelVolume) -> NDArray[np.int32]:
        """Bring labels (x, y, z) of the study to the stored images: (image or frame, row, column)."""
        slices = np.transpose(from_working_orientation(labels, self.affine), (2, 1, 0))
        return np.ascontiguousarray(slices[list(self.order)])


def find_pet_source(folder: Path, study: Study) -> PetSource:
    """Find the PET series of a study below a folder, and make sure by its voxels that it is the one.

    A derived object copies name and number of the patient from here, so a similar series is not enough: grid and SUV
    of every voxel have to be those of the study.

    Raises:
        InputError: There is no such series, or it is damaged.
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
    first = found.pet[0].first
    if first.sop_class in ENHANCED_PET_CLASSES:
        return _multi_frame(read_tags(first.path), stored)
    headers = tuple(_complete(one.dataset) for one in stored.slices)
    return PetSource(headers, stored.affine, tuple(range(len(headers))))


def _multi_frame(tags: Tags, stored: SeriesVolume) -> PetSource:
    """Find the slice of each frame by its place; the volume that was read holds them by rising place."""
    slices = {one.numbers("ImagePositionPatient"): number for number, one in enumerate(stored.slices)}
    frames = tags.items("PerFrameFunctionalGroupsSequence")
    places = [one.item("PlanePositionSequence").numbers("ImagePositionPatient") for one in frames]
    return PetSource((_complete(tags.dataset),), stored.affine, tuple(slices[place] for place in places))


def _complete(header: Dataset) -> Dataset:
    """Add as empty what the standard lets be empty but not missing (type 2), since derived objects copy it."""
    for keyword in _MAY_BE_EMPTY:
        if keyword not in header:
            setattr(header, keyword, "")
    return header
