"""What the volumes of one study show, measured once and kept in a file until the volumes change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from fedpsma.domain.study import CT_OUTSIDE_HU, FloatVolume, LabelVolume, Study, VoxelPrediction
from fedpsma.errors import InputError
from fedpsma.io.dataset import StudyRow
from fedpsma.io.nifti import Volume, read_labels_like, read_volume, read_volume_like
from fedpsma.io.orientation import same_grid
from fedpsma.lesions.contours import OrganUptake
from fedpsma.lesions.references import measure_references
from fedpsma.site_check.coarse import CoarseGrid, Mask, coarse_grid
from fedpsma.site_check.duplicates import digest, fingerprint
from fedpsma.site_check.limits import limits
from fedpsma.site_check.masks import MaskFacts, mask_facts
from fedpsma.site_check.outline import body_of_pet, ct_fit
from fedpsma.site_check.references import FoundOrgan, attenuation_at, find_blood_pool, find_liver

RefusalCode = Literal["file_missing", "file_unreadable", "grid_mismatch", "mask_not_labels"]
Side = Literal["R", "L"]
Read = TypeVar("Read")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Refusal(_Record):
    """A file of the study that could not be used; ``file`` is relative to the data set."""

    code: RefusalCode
    file: str
    what: str
    remedy: str


class OrganSuv(_Record):
    """Uptake (SUV, g/ml) of a reference organ and whether the anatomical map or the rules found it."""

    mean: float
    sd: float
    found_by: Literal["anatomy", "rules"]


class CtFacts(_Record):
    """Hash of the CT's voxels and how it fits the PET.

    ``body_overlap`` is Dice of the body outlines where both show one; ``liver_hu`` the attenuation where the rules find
    the liver in the PET.
    """

    digest: str
    body_overlap: float | None
    liver_hu: float | None


class PetFacts(_Record):
    """The PET by itself, in the unit of its file, which ought to be SUVbw.

    ``body_mean`` is the mean inside the outline of the body, ``None`` where there is none; ``liver_side`` is where the
    rules find the liver, whatever the anatomical map says.
    """

    digest: str
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    maximum: float
    body_mean: float | None
    liver: OrganSuv | None
    liver_side: Side | None
    blood_pool: OrganSuv | None
    fingerprint: tuple[tuple[float, float, float, float], ...]

    @property
    def field_mm(self) -> tuple[float, float, float]:
        """Lengths of the field of view along x, y and z in mm."""
        x, y, z = (count * edge for count, edge in zip(self.shape, self.spacing_mm, strict=True))
        return x, y, z


class StudyFacts(_Record):
    """All that the check needs of one study's volumes; a part is ``None`` where its file is absent or was refused."""

    pet: PetFacts | None = None
    ct: CtFacts | None = None
    mask: MaskFacts | None = None
    refusals: tuple[Refusal, ...] = ()


class _Reader:
    """Reads the volumes of one study and notes what is refused."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.refusals: list[Refusal] = []

    def pet(self, name: str) -> Volume | None:
        return self._try(name, read_volume, None)

    def ct(self, name: str | None, pet: Volume) -> FloatVolume | None:
        if name is None:
            return None
        read = self._try(name, lambda path: read_volume_like(path, pet, outside=CT_OUTSIDE_HU), pet)
        return None if read is None else read.data

    def labels(self, name: str | None, pet: Volume) -> LabelVolume | None:
        return None if name is None else self._try(name, lambda path: read_labels_like(path, pet), pet)

    def _try(self, name: str, read: Callable[[Path], Read], pet: Volume | None) -> Read | None:
        path = self._folder / name
        try:
            return read(path)
        except InputError as error:
            code = _reason(path, pet)
            self.refusals.append(Refusal(code=code, file=name, what=error.what, remedy=error.remedy))
            return None


def _reason(path: Path, pet: Volume | None) -> RefusalCode:
    """Name the reason of a refusal; what was read is read again, which happens only for broken files."""
    if not path.is_file():
        return "file_missing"
    try:
        volume = read_volume(path)
    except InputError:
        return "file_unreadable"
    if pet is not None and not same_grid(pet.data.shape, pet.affine, volume.data.shape, volume.affine):
        return "grid_mismatch"
    return "mask_not_labels"


def study_facts(folder: Path, row: StudyRow) -> StudyFacts:
    """Read and measure the volumes of one study of the data set in ``folder``; a bad file is noted, not raised."""
    reader = _Reader(folder)
    pet = reader.pet(row.pet)
    if pet is None:
        return StudyFacts(refusals=tuple(reader.refusals))
    ct, labels = reader.ct(row.ct, pet), reader.labels(row.mask, pet)
    anatomy = reader.labels(row.anatomy, pet)
    study = Study(row.id, row.patient, pet.data, pet.affine, ct=ct, lesions=labels)
    grid = coarse_grid(study.spacing_mm)
    coarse_pet = grid.mean_of(pet.data)
    coarse_ct = None if ct is None else grid.mean_of(ct)
    organs = _organs_by_map(study, anatomy) if anatomy is not None else (None, None)
    views = _Views(grid, coarse_pet, coarse_ct, body_of_pet(coarse_pet, grid), find_liver(coarse_pet, grid))
    return StudyFacts(
        pet=_pet_facts(study, views, organs),
        ct=None if ct is None else _ct_facts(ct, views),
        mask=None if labels is None else mask_facts(pet.data, labels, study.spacing_mm, limits().rules.low_suv.value),
        refusals=tuple(reader.refusals),
    )


Organs = tuple[OrganSuv | None, OrganSuv | None]


@dataclass(frozen=True)
class _Views:
    """The study on the coarse grid, and the body and the liver that the rules find there."""

    grid: CoarseGrid
    pet: FloatVolume
    ct: FloatVolume | None
    body: Mask
    liver: FoundOrgan | None

    @property
    def liver_hu(self) -> float | None:
        """Attenuation where the liver is found in the PET."""
        return None if self.liver is None or self.ct is None else attenuation_at(self.liver, self.ct, self.grid)

    @property
    def confirmed_liver(self) -> FoundOrgan | None:
        """The liver, unless the CT shows something else there."""
        low, high = limits().rules.liver_hu.value
        return self.liver if self.liver_hu is None or low <= self.liver_hu <= high else None


def _pet_facts(study: Study, views: _Views, organs: Organs) -> PetFacts:
    blood_pool = None if views.ct is None else find_blood_pool(views.pet, views.ct, views.grid)
    x, y, z = study.pet.shape
    profile = fingerprint(views.pet, views.grid)
    return PetFacts(
        digest=digest(study.pet),
        shape=(x, y, z),
        spacing_mm=study.spacing_mm,
        maximum=float(study.pet.max()),
        body_mean=_mean_inside(views.pet, views.body),
        liver=organs[0] or _by_rules(views.confirmed_liver),
        liver_side=None if views.liver is None else views.liver.side,
        blood_pool=organs[1] or _by_rules(blood_pool),
        fingerprint=tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in profile.round(4)),
    )


def _ct_facts(ct: FloatVolume, views: _Views) -> CtFacts:
    overlap = None if views.ct is None else ct_fit(views.body, views.ct, views.grid)
    return CtFacts(digest=digest(ct), body_overlap=overlap, liver_hu=views.liver_hu)


def _organs_by_map(study: Study, anatomy: LabelVolume) -> Organs:
    """Measure liver and blood pool where the anatomical map has them, away from the lesions of the mask."""
    lesions = np.zeros_like(study.pet) if study.lesions is None else (study.lesions > 0).astype(np.float32)
    prediction = VoxelPrediction(lesions, np.zeros((0, 0, 0), np.float32), anatomy.astype(np.uint8))
    found = measure_references(study, prediction)
    return _by_map(found.liver), _by_map(found.blood_pool)


def _by_map(found: OrganUptake | None) -> OrganSuv | None:
    return None if found is None else OrganSuv(mean=found.mean, sd=found.sd, found_by="anatomy")


def _by_rules(found: FoundOrgan | None) -> OrganSuv | None:
    return None if found is None else OrganSuv(mean=found.mean, sd=found.sd, found_by="rules")


def _mean_inside(volume: FloatVolume, mask: Mask) -> float | None:
    return float(volume[mask].mean(dtype=np.float64)) if mask.any() else None
