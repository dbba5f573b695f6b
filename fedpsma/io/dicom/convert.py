"""One DICOM study becomes a study in SUVbw with its CT, its lesions and the record of every factor used."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

import numpy as np

from fedpsma import __version__
from fedpsma.domain.exam import Technique
from fedpsma.domain.study import FloatVolume, Study
from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError
from fedpsma.io.dicom.choice import choose
from fedpsma.io.dicom.contours import Contours, read_contours
from fedpsma.io.dicom.find import DicomStudy, Series
from fedpsma.io.dicom.header import pet_header, radiopharmaceutical_header
from fedpsma.io.dicom.volume import SeriesVolume, read_ct, read_pet
from fedpsma.io.importing.source import ImportedStudy
from fedpsma.io.nifti import Volume
from fedpsma.io.pet_header import PetHeader
from fedpsma.io.provenance import CtRecord, Provenance, SuvRecord, TracerRecord
from fedpsma.io.pseudonym import pseudonym
from fedpsma.io.radiopharmaceutical import TracerGuess, guess_tracer, require_half_life
from fedpsma.io.resample import ct_beside_pet, share_covered
from fedpsma.io.suv import SuvFactor, check_suv_range, suv_factor

LONGEST_SHIFT_DAYS = 3650


@dataclass(frozen=True)
class DicomOptions:
    """How DICOM studies are converted.

    Attributes:
        key: The site's key for pseudonyms and date shifts.
        tracer: What the user says the tracer is; otherwise the header decides, ``None`` where it does not tell.
        series: A glob for number or description of the PET series where a study holds several.
        lesions: Patterns for the names of contours that are lesions.
        dates: What becomes of the study's date: it stays, all dates of a patient are moved by one offset so that
            intervals stay right, or it goes.
    """

    key: bytes
    tracer: Tracer | None = None
    series: str | None = None
    lesions: str | None = None
    dates: Literal["keep", "shift", "drop"] = "drop"


@dataclass(frozen=True)
class _Pet:
    """The PET in SUVbw with how it came about."""

    volume: Volume
    source: SeriesVolume
    header: PetHeader
    factor: SuvFactor
    guess: TracerGuess
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Ct:
    """The CT on the PET grid, as far as there is one."""

    data: FloatVolume | None = None
    record: CtRecord | None = None
    notes: tuple[str, ...] = ()


def study_ids(study: DicomStudy, key: bytes) -> tuple[str, str]:
    """Return the pseudonyms of a study and of its patient; a study without Patient ID counts as a patient."""
    return pseudonym(key, "study", study.uid), pseudonym(key, "patient", study.patient or study.uid)


def convert_study(study: DicomStudy, options: DicomOptions) -> ImportedStudy:
    """Convert one study: PET in SUVbw, CT on its grid, lesions from SEG or RTSTRUCT, nothing that names the patient.

    Args:
        study: As :func:`fedpsma.io.dicom.find.find_studies` found it.
        options: How to convert it.

    Raises:
        InputError: There is no PET, or more than one that could be meant; a tag that the SUV needs is missing, wrong,
            or not the same in all slices; slices are missing, doubled or uneven; a file is damaged.
    """
    if study.damaged:
        worst = study.damaged[0]
        raise InputError(
            f"lies beside the images of a study and {worst.reason}",
            where=str(worst.path),
            remedy="export or copy the study again",
        )
    choice = choose(study, options.series)
    pet = _read_pet(choice.pet, study)
    ct = _read_ct(choice.ct, pet.volume, study)
    contours = read_contours(study.contours, pet.volume, choice.pet.first.frame_of_reference, options.lesions)
    notes = (
        *choice.notes,
        *pet.notes,
        *(() if options.tracer else pet.guess.notes),
        *(() if study.patient else ("no Patient ID: the study counts as a patient of its own",)),
        *ct.notes,
        *(() if contours is None else contours.notes),
    )
    study_id, patient_id = study_ids(study, options.key)
    converted = Study(
        study_id=study_id,
        patient_id=patient_id,
        pet=pet.volume.data,
        affine=pet.volume.affine,
        tracer=options.tracer or pet.guess.tracer,
        ct=ct.data,
        lesions=None if contours is None else contours.labels,
        date=_day(pet.header, study, options),
        technique=_technique(pet),
        notes=notes,
    )
    return ImportedStudy(converted, _provenance(converted, pet, ct, contours, options))


def read_chosen_pet(study: DicomStudy, series: str | None = None) -> tuple[Volume, SeriesVolume]:
    """Read the PET that an import of this study would take: in SUVbw and working orientation, and as it is stored.

    Raises:
        InputError: As :func:`convert_study`.
    """
    pet = _read_pet(choose(study, series).pet, study)
    return pet.volume, pet.source


def date_offset(key: bytes, patient: str) -> timedelta:
    """Return by how many days all dates of a patient move into the past: 1 to 3650, fixed by the site's key.

    Example:
        >>> date_offset(bytes(32), "12345") == date_offset(bytes(32), "12345")
        True
    """
    digest = hmac.new(key, f"dates:{patient}".encode(), "sha256").digest()
    return timedelta(days=-1 - int.from_bytes(digest[:8], "big") % LONGEST_SHIFT_DAYS)


def _read_pet(series: Series, study: DicomStudy) -> _Pet:
    where = f"{study.name}, {series.name}"
    source = read_pet(series, where=where)
    _require_all_slices(source, where)
    header = pet_header(source.slices, where=where)
    tracer_header = radiopharmaceutical_header(source.slices[0])
    factor = suv_factor(header, where=where)
    if factor.decay_s is not None or factor.frame_factors:
        require_half_life(tracer_header, where=where)
    frames = np.array(factor.frame_factors or [1.0])[:, None, None]
    source = replace(source, data=source.data * (factor.factor * frames).astype(np.float32))
    volume = source.in_working_orientation()
    offset = ("the rescale intercept of the PET is not 0, as it should be: it was applied",)
    notes = (
        *factor.notes,
        *(offset if any(source.intercepts) else ()),
        *check_suv_range(volume.data, volume.affine, where=where),
    )
    return _Pet(volume, source, header, factor, guess_tracer(tracer_header), notes)


def _require_all_slices(source: SeriesVolume, where: str) -> None:
    expected = source.slices[0].number("NumberOfSlices")
    if expected is not None and len(source.slices) < expected:
        raise InputError(
            f"has {len(source.slices)} of {expected:.0f} slices: NumberOfSlices (0054,0081)",
            where=where,
            remedy="export the series again",
        )


def _read_ct(series: Series | None, pet: Volume, study: DicomStudy) -> _Ct:
    if series is None:
        return _Ct()
    source = read_ct(series, where=f"{study.name}, {series.name}")
    ct = source.in_working_orientation()
    x, y, z = pet.data.shape
    data, notes = ct_beside_pet(ct, pet)
    if data is None:
        return _Ct(notes=notes)
    covered = round(share_covered(ct, (x, y, z), pet.affine), 4)
    return _Ct(data, CtRecord(grid=source.grid, covered=covered, resampled=True), (*ct.notes, *notes))


def _technique(pet: _Pet) -> Technique:
    dose, uptake = pet.header.dose_bq, pet.factor.uptake_min
    return Technique(
        activity_mbq=round(dose / 1e6, 1) if dose is not None and dose > 0 else None,
        uptake_min=None if uptake is None else round(uptake, 1),
        weight_kg=pet.header.weight_kg if (pet.header.weight_kg or 0.0) > 0 else None,
    )


def _provenance(converted: Study, pet: _Pet, ct: _Ct, contours: Contours | None, options: DicomOptions) -> Provenance:
    first = pet.source.slices[0]
    return Provenance(
        source="DICOM",
        software=f"fedpsma {__version__}",
        manufacturer=first.text("Manufacturer"),
        scanner=first.text("ManufacturerModelName"),
        pet=pet.source.grid,
        suv=_suv_record(pet),
        tracer=_tracer_record(pet.guess, options.tracer),
        technique=converted.technique,
        ct=ct.record,
        contours=None if contours is None else contours.record,
        date_shifted=converted.date is not None and options.dates == "shift",
        notes=converted.notes,
    )


def _suv_record(pet: _Pet) -> SuvRecord:
    header, factor = pet.header, pet.factor
    frames = factor.frame_factors or (1.0,)
    return SuvRecord(
        method=factor.method,
        units=header.units or "",
        factor=factor.factor,
        decay_correction=header.decay_correction,
        decay_reference=factor.decay_reference,
        decay_s=factor.decay_s,
        uptake_min=factor.uptake_min,
        weight_kg=header.weight_kg,
        dose_bq=header.dose_bq,
        half_life_s=header.half_life_s,
        rescale_slope=(min(pet.source.slopes), max(pet.source.slopes)),
        frame_factor=(min(frames), max(frames)),
    )


def _tracer_record(guess: TracerGuess, told: Tracer | None) -> TracerRecord:
    if told is not None:
        return TracerRecord(tracer=told, radionuclide=guess.radionuclide, decided_by="caller")
    return TracerRecord(
        tracer=guess.tracer,
        radionuclide=guess.radionuclide,
        decided_by="nobody" if guess.tracer is None else "radiopharmaceutical",
        evidence=guess.evidence,
    )


def _day(header: PetHeader, study: DicomStudy, options: DicomOptions) -> str | None:
    if header.series_start is None or options.dates == "drop":
        return None
    day = header.series_start.date()
    if options.dates == "shift":
        day += date_offset(options.key, study.patient or study.uid)
    return day.isoformat()
