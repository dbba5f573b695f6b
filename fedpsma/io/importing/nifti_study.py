"""One study from NIfTI files, with the record of what was done to it; every NIfTI layout comes through here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from fedpsma import __version__
from fedpsma.domain.exam import Technique
from fedpsma.domain.study import CT_OUTSIDE_HU, FloatVolume, LabelVolume, Study
from fedpsma.errors import InputError
from fedpsma.io.importing.lesions import LesionLabels, keep_lesions, number_lesions
from fedpsma.io.importing.source import ImportedStudy
from fedpsma.io.nifti import Volume, read_grid, read_labels_like, read_volume
from fedpsma.io.orientation import same_grid
from fedpsma.io.provenance import ContourRecord, CtRecord, Provenance, SuvRecord, TracerRecord
from fedpsma.io.resample import NO_CT, ct_beside_pet, share_covered
from fedpsma.io.suv import check_suv_range

# The noise of a reconstruction stays far above this; the air of a CT lies below.
LOWEST_SUV = -100.0
UNKNOWN_TRACER = TracerRecord(tracer=None, decided_by="nobody")


@dataclass(frozen=True)
class NiftiStudy:
    """Where the volumes of one study lie, and what is known beside their voxels.

    Stored PET values become SUVbw when multiplied by the ``factor`` of ``suv``. ``labels`` gives the numbers of the
    mask a meaning; without it every number above 0 is a lesion.
    """

    study_id: str
    patient_id: str
    pet: Path
    suv: SuvRecord
    ct: Path | None = None
    mask: Path | None = None
    labels: LesionLabels | None = None
    tracer: TracerRecord = UNKNOWN_TRACER
    date: str | None = None
    technique: Technique = field(default_factory=Technique)
    manufacturer: str | None = None
    scanner: str | None = None
    layout: Literal["NIfTI", "BIDS"] = "NIfTI"
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Ct:
    data: FloatVolume | None
    record: CtRecord | None
    notes: tuple[str, ...]


def declared_suv(method: str) -> SuvRecord:
    """Record that the voxels hold SUVbw already; ``method`` says in words who says so."""
    return SuvRecord(method=method, units="SUVbw", factor=1.0)


def read_nifti_study(parts: NiftiStudy) -> ImportedStudy:
    """Read PET, CT and mask in the working orientation, the CT on the PET grid, one number a lesion.

    Raises:
        InputError: A file is missing or broken, the PET cannot be SUVbw, the CT does not reach it, or the mask lies on
            another grid or holds labels without a meaning.
    """
    pet = _pet(parts)
    range_notes = check_suv_range(pet.data, pet.affine, where=str(parts.pet))
    ct = _ct(parts.ct, pet)
    lesions, contours = _lesions(parts, pet)
    notes = (parts.suv.method, *parts.notes, *pet.notes, *range_notes, *ct.notes)
    study = Study(
        study_id=parts.study_id,
        patient_id=parts.patient_id,
        pet=pet.data,
        affine=pet.affine,
        tracer=parts.tracer.tracer,
        ct=ct.data,
        lesions=lesions,
        date=parts.date,
        technique=parts.technique,
        notes=notes,
    )
    provenance = Provenance(
        source=parts.layout,
        software=f"fedpsma {__version__}",
        manufacturer=parts.manufacturer,
        scanner=parts.scanner,
        pet=read_grid(parts.pet),
        suv=parts.suv,
        tracer=parts.tracer,
        technique=parts.technique,
        ct=ct.record,
        contours=contours,
        notes=notes,
    )
    return ImportedStudy(study, provenance)


def _pet(parts: NiftiStudy) -> Volume:
    stored = read_volume(parts.pet)
    pet = Volume(stored.data * np.float32(parts.suv.factor), stored.affine, stored.notes)
    lowest = float(pet.data.min())
    if lowest < LOWEST_SUV:
        raise InputError(
            f"holds values down to {lowest:.4g}, which is no SUVbw in g/ml",
            where=str(parts.pet),
            remedy="give the PET; perhaps this is the CT",
        )
    return pet


def _ct(path: Path | None, pet: Volume) -> _Ct:
    if path is None:
        return _Ct(None, None, (NO_CT,))
    ct = read_volume(path, outside=CT_OUTSIDE_HU)
    x, y, z = pet.data.shape
    if same_grid(pet.data.shape, pet.affine, ct.data.shape, ct.affine):
        return _Ct(ct.data, CtRecord(grid=read_grid(path), covered=1.0, resampled=False), ct.notes)
    data, notes = ct_beside_pet(ct, pet)
    if data is None:
        raise InputError("does not reach the PET", where=str(path), remedy="give the CT of the same study")
    covered = share_covered(ct, (x, y, z), pet.affine)
    record = CtRecord(grid=read_grid(path), covered=covered, resampled=True)
    return _Ct(data, record, (*ct.notes, "the CT was interpolated to the PET grid", *notes))


def _lesions(parts: NiftiStudy, pet: Volume) -> tuple[LabelVolume | None, ContourRecord | None]:
    if parts.mask is None:
        return None, None
    labels = read_labels_like(parts.mask, pet)
    if parts.labels is not None:
        labels = keep_lesions(labels, parts.labels, parts.mask)
    lesions = number_lesions(labels)
    return lesions, ContourRecord(kind="mask", objects=int(lesions.max()), grid=read_grid(parts.mask))
