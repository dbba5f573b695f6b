"""A BIDS data set with static PET: activity becomes SUVbw by the fields of ``*_pet.json``.

After the Brain Imaging Data Structure specification 1.10, section "Positron emission tomography". The arithmetic is
that of DICOM (:mod:`fedpsma.io.suv`): BIDS gives the same moments as seconds from its time zero.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from fedpsma.domain.exam import Technique
from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError
from fedpsma.io.dataset import parse_record
from fedpsma.io.decay import is_plausible
from fedpsma.io.importing.bids_files import (
    WEIGHT_COLUMNS,
    BidsFile,
    body_weight,
    find_ct,
    find_mask,
    find_pets,
    inherited_metadata,
    scan_date,
)
from fedpsma.io.importing.nifti_study import NiftiStudy, read_nifti_study
from fedpsma.io.importing.sidecar import tracer_of_caller
from fedpsma.io.importing.source import ImportedStudy, StudySource
from fedpsma.io.nifti import nifti_stem
from fedpsma.io.pet_header import FrameTiming, PetHeader
from fedpsma.io.provenance import SuvRecord, TracerRecord
from fedpsma.io.radiopharmaceutical import RadiopharmaceuticalHeader, guess_tracer, half_life_s, radionuclide
from fedpsma.io.suv import DOSE_BQ, WEIGHT_KG, suv_factor

# In Bq/ml, by the spelling in lower case; BQML is what dcm2niix copies from DICOM.
_ACTIVITY_UNITS = {"bq/ml": 1.0, "bqml": 1.0, "kbq/ml": 1e3}
_SUV_UNITS = frozenset({"suv", "suvbw", "g/ml"})
_DOSE_UNITS = {"Bq": 1.0, "kBq": 1e3, "MBq": 1e6, "GBq": 1e9, "mCi": 3.7e7}
_UNCORRECTED = frozenset({"", "none", "n/a", "no"})
# Only differences of moments count, so any day will do.
_TIME_ZERO = datetime(2000, 1, 2)
Number = Annotated[float, Field(allow_inf_nan=False)]
Value = TypeVar("Value")


class PetSidecar(BaseModel):
    """The fields of ``*_pet.json`` that matter here, by their BIDS names; ``None`` where a field is missing."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    Manufacturer: str | None = None
    ManufacturersModelName: str | None = None
    Units: str | None = None
    TracerName: str | None = None
    TracerRadionuclide: str | None = None
    InjectedRadioactivity: Number | None = None
    InjectedRadioactivityUnits: str | None = None
    ScanStart: Number | None = None
    InjectionStart: Number | None = None
    FrameTimesStart: tuple[Number, ...] = ()
    FrameDuration: tuple[Number, ...] = ()
    AttenuationCorrection: str | None = None
    ImageDecayCorrected: bool | None = None
    ImageDecayCorrectionTime: Number | None = None


def find_bids_studies(root: Path, *, tracer: Tracer | None) -> tuple[StudySource, ...]:
    """Find every PET of a BIDS data set; its subject is the patient.

    Args:
        root: The folder with ``participants.tsv`` and ``sub-*``.
        tracer: What the caller says; it outranks TracerName.

    Raises:
        InputError: There is none.
    """
    return tuple(
        StudySource(
            name=str(pet.path),
            study_id=nifti_stem(pet.path).removesuffix("_pet"),
            patient_id=pet.path.relative_to(root).parts[0],
            read=partial(_read, pet, root, tracer),
        )
        for pet in find_pets(root)
    )


def suv_record(fields: PetSidecar, weight_kg: float | None, *, where: str) -> SuvRecord:
    """Compute by what stored values are to be multiplied to be SUVbw.

    Args:
        fields: The metadata of the PET.
        weight_kg: Body weight, ``None`` where unknown.
        where: The file, for the error.

    Raises:
        InputError: A field that SUV needs is missing or wrong; the error names it.
    """
    unit = _require(fields.Units, "Units", where).strip()
    if unit.lower() in _SUV_UNITS:
        return SuvRecord(method=f"SUVbw by Units {unit}", units=unit, factor=1.0, uptake_min=_uptake(fields))
    if unit.lower() not in _ACTIVITY_UNITS:
        raise InputError(f"Units is {unit!r}", where=where, remedy="give Bq/mL, kBq/mL, g/mL or SUV")
    header = _header(fields, weight_kg, where)
    found = suv_factor(header, where=where)
    minutes = (found.decay_s or 0.0) / 60.0
    return SuvRecord(
        method=f"SUV from the dose decayed over {minutes:.1f} min, from InjectionStart to ImageDecayCorrectionTime",
        units=unit,
        factor=found.factor * _ACTIVITY_UNITS[unit.lower()],
        decay_reference="ImageDecayCorrectionTime",
        decay_s=found.decay_s,
        uptake_min=_uptake(fields),
        weight_kg=header.weight_kg,
        dose_bq=header.dose_bq,
        half_life_s=header.half_life_s,
    )


def _header(fields: PetSidecar, weight_kg: float | None, where: str) -> PetHeader:
    """Translate BIDS into what the arithmetic of DICOM takes, each field required by its own name."""
    if not _require(fields.ImageDecayCorrected, "ImageDecayCorrected", where):
        raise InputError("ImageDecayCorrected is false", where=where, remedy="give the decay-corrected PET")
    if _require(fields.AttenuationCorrection, "AttenuationCorrection", where).strip().lower() in _UNCORRECTED:
        raise InputError(
            "is not corrected for attenuation: AttenuationCorrection", where=where, remedy="give the corrected PET"
        )
    nuclide = radionuclide(
        RadiopharmaceuticalHeader(nuclide_meaning=_require(fields.TracerRadionuclide, "TracerRadionuclide", where))
    )
    if nuclide is None:
        raise InputError(
            f"TracerRadionuclide is {fields.TracerRadionuclide!r}", where=where, remedy="write it like F18 or Ga68"
        )
    injected = _require(fields.InjectionStart, "InjectionStart", where)
    corrected_to = _require(fields.ImageDecayCorrectionTime, "ImageDecayCorrectionTime", where)
    half_life = half_life_s(nuclide)
    if not is_plausible((corrected_to - injected) / 60.0, half_life):
        raise InputError(
            f"ImageDecayCorrectionTime is {(corrected_to - injected) / 60.0:.0f} min after InjectionStart",
            where=where,
            remedy="correct the wrong one; both are seconds from TimeZero",
        )
    return PetHeader(
        units="BQML",
        corrections=frozenset({"ATTN", "DECY"}),
        decay_correction="START",
        weight_kg=_weight(weight_kg, where),
        dose_bq=_dose(fields, where),
        half_life_s=half_life,
        injected=_moment(injected),
        decay_corrected_to=_moment(corrected_to),
        frames=(FrameTiming(),),
    )


def _moment(seconds: float) -> datetime:
    return _TIME_ZERO + timedelta(seconds=seconds)


def _weight(weight_kg: float | None, where: str) -> float:
    if weight_kg is None or not WEIGHT_KG[0] <= weight_kg <= WEIGHT_KG[1]:
        told = "has no body weight" if weight_kg is None else f"has a body weight of {weight_kg:g} kg"
        names = " or ".join(WEIGHT_COLUMNS)
        raise InputError(
            told, where=where, remedy=f"give a column {names} (kg) in participants.tsv or the subject's sessions.tsv"
        )
    return weight_kg


def _dose(fields: PetSidecar, where: str) -> float:
    amount = _require(fields.InjectedRadioactivity, "InjectedRadioactivity", where)
    unit = _require(fields.InjectedRadioactivityUnits, "InjectedRadioactivityUnits", where).strip()
    if unit not in _DOSE_UNITS:
        raise InputError(
            f"InjectedRadioactivityUnits is {unit!r}", where=where, remedy=f"give one of {', '.join(_DOSE_UNITS)}"
        )
    dose = amount * _DOSE_UNITS[unit]
    if not DOSE_BQ[0] <= dose <= DOSE_BQ[1]:
        raise InputError(
            f"InjectedRadioactivity is {amount:g} {unit}", where=where, remedy="correct the dose or its unit"
        )
    return dose


def _uptake(fields: PetSidecar) -> float | None:
    """Minutes from injection to the start of the scan, ``None`` where not told or not possible."""
    starts = [moment for moment in (fields.ScanStart, *fields.FrameTimesStart[:1]) if moment is not None]
    if not starts or fields.InjectionStart is None:
        return None
    minutes = (max(starts) - fields.InjectionStart) / 60.0
    return round(minutes, 1) if is_plausible(minutes, None) else None


def _read(pet: BidsFile, root: Path, tracer: Tracer | None) -> ImportedStudy:
    where, subject = str(pet.path), pet.path.relative_to(root).parts[0]
    if f"sub-{pet.entities.get('sub')}" != subject:
        raise InputError(f"lies in {subject} and is not named so", where=where, remedy="find out whose PET it is")
    fields = parse_record(PetSidecar, inherited_metadata(pet, root), f"{where}: its _pet.json")
    frames = max(len(fields.FrameTimesStart), len(fields.FrameDuration))
    if frames > 1:
        raise InputError(f"has {frames} frames", where=where, remedy="give a static PET, for example the summed frames")
    weight = body_weight(pet, root)
    suv = suv_record(fields, weight, where=f"{where}: its _pet.json")
    named, notes = _tracer(fields, tracer)
    parts = NiftiStudy(
        study_id=nifti_stem(pet.path).removesuffix("_pet"),
        patient_id=subject,
        pet=pet.path,
        suv=suv,
        ct=find_ct(pet),
        mask=find_mask(pet, root),
        tracer=named,
        date=scan_date(pet, root),
        technique=Technique(
            activity_mbq=None if suv.dose_bq is None else round(suv.dose_bq / 1e6, 1),
            uptake_min=suv.uptake_min,
            weight_kg=weight,
        ),
        manufacturer=fields.Manufacturer,
        scanner=fields.ManufacturersModelName,
        layout="BIDS",
        notes=notes,
    )
    return read_nifti_study(parts)


def _tracer(fields: PetSidecar, caller: Tracer | None) -> tuple[TracerRecord, tuple[str, ...]]:
    if caller is not None:
        return tracer_of_caller(caller), ()
    header = RadiopharmaceuticalHeader(name=fields.TracerName, nuclide_meaning=fields.TracerRadionuclide)
    guess = guess_tracer(header)
    record = TracerRecord(
        tracer=guess.tracer,
        radionuclide=guess.radionuclide,
        decided_by="nobody" if guess.tracer is None else "radiopharmaceutical",
        evidence=guess.evidence,
    )
    return record, guess.notes


def _require(value: Value | None, field: str, where: str) -> Value:
    if value is None:
        raise InputError(f"has no {field}", where=where, remedy="add the field to the JSON file")
    return value
