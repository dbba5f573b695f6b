"""What a NIfTI PET cannot say of itself: ``NAME.json`` beside it, or the caller's word."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from fedpsma.domain.exam import Technique
from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError
from fedpsma.io.dataset import parse_record
from fedpsma.io.files import read_json, require_file
from fedpsma.io.importing.nifti_study import UNKNOWN_TRACER, NiftiStudy, declared_suv
from fedpsma.io.nifti import nifti_stem
from fedpsma.io.provenance import TracerRecord


class Sidecar(BaseModel):
    """``NAME.json`` beside ``NAME.nii.gz``.

    ``units`` has to be "SUVbw"; ``id`` and ``patient`` are pseudonyms, by default the file's name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    units: Literal["SUVbw"]
    id: str | None = Field(default=None, min_length=1)
    patient: str | None = Field(default=None, min_length=1)
    tracer: Tracer | None = None
    date: str | None = Field(default=None, pattern=r"^\d{4}-\d{2}-\d{2}$")
    technique: Technique = Technique()


def lone_pet(pet: Path, *, tracer: Tracer | None, default: Tracer | None = None, suv_declared: bool) -> NiftiStudy:
    """Describe a PET that has no layout around it, from its sidecar where there is one.

    Args:
        pet: The file.
        tracer: What the caller says of this study; it outranks the sidecar.
        default: What the caller says of studies that nothing else names.
        suv_declared: The caller says that the PET is in SUVbw; otherwise the sidecar must.

    Raises:
        InputError: The sidecar is wrong, or nobody says that the PET is in SUVbw.
    """
    require_file(pet)
    sidecar = _read(pet, suv_declared=suv_declared)
    study_id = sidecar.id or nifti_stem(pet)
    unit = "the caller says that the PET is in SUVbw" if suv_declared else "SUVbw by the sidecar"
    return NiftiStudy(
        study_id=study_id,
        patient_id=sidecar.patient or study_id,
        pet=pet,
        suv=declared_suv(unit),
        tracer=_tracer(tracer, sidecar.tracer, default),
        date=sidecar.date,
        technique=sidecar.technique,
    )


def _tracer(caller: Tracer | None, sidecar: Tracer | None, default: Tracer | None) -> TracerRecord:
    if caller is None and sidecar is not None:
        return TracerRecord(tracer=sidecar, radionuclide=sidecar.facts.radionuclide, decided_by="sidecar")
    return tracer_of_caller(caller or default)


def tracer_of_caller(tracer: Tracer | None) -> TracerRecord:
    """Record a tracer that the caller named, or that nobody did."""
    if tracer is None:
        return UNKNOWN_TRACER
    return TracerRecord(tracer=tracer, radionuclide=tracer.facts.radionuclide, decided_by="caller")


def _read(path: Path, *, suv_declared: bool) -> Sidecar:
    place = path.with_name(nifti_stem(path) + ".json")
    if not place.is_file():
        if suv_declared:
            return Sidecar(units="SUVbw")
        raise InputError(
            "is a PET without units",
            where=str(path),
            remedy=f'say --units suv if it is SUVbw, or write {place.name} with {{"units": "SUVbw"}} beside it',
        )
    return parse_record(Sidecar, read_json(place), str(place))
