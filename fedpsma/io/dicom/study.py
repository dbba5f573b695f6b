"""A folder of DICOM files becomes one study: PET in SUVbw, CT on its grid, nothing that names the patient."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset

from fedpsma.domain.exam import Technique
from fedpsma.domain.study import FloatVolume, Study
from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError
from fedpsma.io.dicom.header import moment, pet_header, radiopharmaceutical_header, text
from fedpsma.io.dicom.series import Series, find_series, read_slices, series_volume
from fedpsma.io.nifti import Volume
from fedpsma.io.pseudonym import pseudonym
from fedpsma.io.radiopharmaceutical import guess_tracer
from fedpsma.io.resample import NO_CT, ct_beside_pet
from fedpsma.io.suv import PetHeader, SuvFactor, check_suv_range, suv_factor

PET_CLASS = "1.2.840.10008.5.1.4.1.1.128"
ENHANCED_PET_CLASSES = ("1.2.840.10008.5.1.4.1.1.130", "1.2.840.10008.5.1.4.1.1.128.1")


@dataclass(frozen=True)
class _Choice:
    """The series that make up the study, and what the reader must know of the choice."""

    pet: Series
    ct: Series | None
    notes: tuple[str, ...]


def load_dicom_study(folder: Path, *, key: bytes, tracer: Tracer | None = None) -> Study:
    """Read the one PET/CT study below a folder.

    The study's ids are pseudonyms under ``key``; its date stays, because a later study is compared by it.

    Args:
        folder: Holds the PET series, and the CT of the same study if there is one, in any nesting.
        key: The site's key for pseudonyms.
        tracer: What the user says the tracer is; otherwise the header decides, ``None`` where it does not tell.

    Raises:
        InputError: There is no PET, or more than one that could be meant; a tag that the SUV needs is missing; slices
            are missing, doubled or uneven.
    """
    choice = _choose(find_series(folder), folder)
    slices = read_slices(choice.pet)
    where = f"{folder}, {choice.pet.name}"
    _require_all_slices(slices, where)
    header = pet_header(slices, where=where)
    factor = suv_factor(header, where=where)
    stored = series_volume(slices, where=where)
    pet = Volume(stored.data * stored.data.dtype.type(factor.factor), stored.affine)
    ct, ct_notes = _ct(choice.ct, pet, folder)
    named, tracer_notes = (tracer, ()) if tracer else guess_tracer(radiopharmaceutical_header(slices[0], where=where))
    patient = text(slices[0], "PatientID")
    patient_notes = () if patient else ("no Patient ID: the study counts as a patient of its own",)
    start = moment(slices[0], "Series", where)
    return Study(
        study_id=pseudonym(key, "study", choice.pet.study_uid),
        patient_id=pseudonym(key, "patient", _patient_identity(slices[0]) or choice.pet.study_uid),
        pet=pet.data,
        affine=pet.affine,
        tracer=named,
        ct=ct,
        date=start.date().isoformat() if start else None,
        technique=_technique(header, factor),
        notes=(
            *choice.notes,
            *factor.notes,
            *check_suv_range(pet.data, pet.affine, where=where),
            *tracer_notes,
            *patient_notes,
            *ct_notes,
        ),
    )


def _patient_identity(header: Dataset) -> str | None:
    patient, issuer = text(header, "PatientID"), text(header, "IssuerOfPatientID")
    return f"{issuer}/{patient}" if patient and issuer else patient


def _technique(header: PetHeader, factor: SuvFactor) -> Technique:
    return Technique(
        activity_mbq=None if not header.dose_bq else round(header.dose_bq / 1e6, 1),
        uptake_min=None if factor.uptake_min is None else round(factor.uptake_min, 1),
        weight_kg=header.weight_kg or None,
    )


def _choose(series: list[Series], folder: Path) -> _Choice:
    if not series:
        raise InputError("holds no DICOM image", where=str(folder), remedy="name the folder of the exported study")
    pets = [one for one in series if text(one.header, "SOPClassUID") == PET_CLASS]
    if not pets:
        raise _no_pet(series, folder)
    corrected = [one for one in pets if "ATTN" in (one.header.get("CorrectedImage") or ())]
    candidates = corrected or pets
    if len(candidates) > 1:
        names = "; ".join(sorted(one.name for one in candidates))
        raise InputError(
            f"holds {len(candidates)} PET series: {names}", where=str(folder), remedy="leave the one to read there"
        )
    pet = candidates[0]
    left = tuple(f"not read: {one.name}, without attenuation correction" for one in pets if one is not pet)
    ct, ct_notes = _choose_ct(series, pet)
    return _Choice(pet, ct, (*left, *ct_notes))


def _no_pet(series: list[Series], folder: Path) -> InputError:
    if any(text(one.header, "SOPClassUID") in ENHANCED_PET_CLASSES for one in series):
        return InputError(
            "holds an enhanced (multi-frame) PET", where=str(folder), remedy="export it as classic single-frame images"
        )
    found = ", ".join(sorted({one.modality for one in series}))
    return InputError(f"holds no PET series (only {found})", where=str(folder), remedy="export the PET as well")


def _choose_ct(series: list[Series], pet: Series) -> tuple[Series | None, tuple[str, ...]]:
    """Take the CT of the same study and frame of reference that covers most of the PET, with the most slices."""
    same_study = [one for one in series if one.modality == "CT" and one.study_uid == pet.study_uid and _is_stack(one)]
    fitting = [
        one
        for one in same_study
        if one.frame_of_reference is not None and one.frame_of_reference == pet.frame_of_reference
    ]
    if not fitting:
        other = ("the CT lies in another frame of reference than the PET and was not read",) if same_study else ()
        return None, (*other, NO_CT)
    best = max(fitting, key=lambda one: (round(_overlap(one, pet), 2), len(one.paths), one.name))
    left = tuple(f"not read: {one.name}" for one in fitting if one is not best)
    return best, left


def _is_stack(series: Series) -> bool:
    return len(series.paths) > 1 and "LOCALIZER" not in (series.header.get("ImageType") or ())


def _overlap(ct: Series, pet: Series) -> float:
    shared = min(max(ct.places_mm), max(pet.places_mm)) - max(min(ct.places_mm), min(pet.places_mm))
    return max(shared, 0.0) / max(max(pet.places_mm) - min(pet.places_mm), 1e-6)


def _ct(series: Series | None, pet: Volume, folder: Path) -> tuple[FloatVolume | None, tuple[str, ...]]:
    if series is None:
        return None, ()
    return ct_beside_pet(series_volume(read_slices(series), where=f"{folder}, {series.name}"), pet)


def _require_all_slices(slices: list[Dataset], where: str) -> None:
    expected = text(slices[0], "NumberOfSlices")
    if expected and expected.isdigit() and len(slices) < int(expected):
        raise InputError(
            f"has {len(slices)} of {expected} slices: NumberOfSlices (0054,0081)",
            where=where,
            remedy="export the series again",
        )
