"""One way in: a DICOM folder or a NIfTI PET becomes a study."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from fedpsma.domain.exam import Technique
from fedpsma.domain.study import FloatVolume, Study
from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError
from fedpsma.io.dataset import parse_record
from fedpsma.io.dicom.study import load_dicom_study
from fedpsma.io.files import read_json
from fedpsma.io.nifti import Volume, nifti_stem, read_volume
from fedpsma.io.orientation import same_grid
from fedpsma.io.pseudonym import default_key_path, read_or_create_key
from fedpsma.io.resample import CT_OUTSIDE_HU, ct_beside_pet
from fedpsma.io.resample import NO_CT as NO_CT
from fedpsma.io.suv import check_suv_range


class Sidecar(BaseModel):
    """``NAME.json`` beside ``NAME.nii.gz``: what a NIfTI PET cannot say of itself.

    ``units`` has to be "SUVbw"; ``id`` and ``patient`` are pseudonyms, by default the file's name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    units: Literal["SUVbw"]
    id: str | None = Field(default=None, min_length=1)
    patient: str | None = Field(default=None, min_length=1)
    tracer: Tracer | None = None
    date: str | None = Field(default=None, pattern=r"^\d{4}-\d{2}-\d{2}$")
    technique: Technique = Technique()


def load_study(
    path: Path,
    *,
    ct: Path | None = None,
    tracer: Tracer | None = None,
    suv_declared: bool = False,
    key: bytes | None = None,
) -> Study:
    """Read one study, PET in SUVbw and CT on its grid.

    Args:
        path: A folder with DICOM files, or a NIfTI PET. A NIfTI PET has no unit: a sidecar of the same name ending in
            ``.json`` with ``"units": "SUVbw"`` tells it, or the caller does.
        ct: A NIfTI CT in HU for a NIfTI PET; brought to the PET grid if it lies on another. A DICOM folder brings its
            own.
        tracer: What the caller says the tracer is; it outranks header and sidecar.
        suv_declared: The caller says that the NIfTI PET is in SUVbw.
        key: The site's key for the pseudonyms of a DICOM study; by default that of the user, created on first use.

    Raises:
        InputError: The input is missing, broken, contradicts itself or is not SUVbw.
    """
    if path.is_dir():
        if ct is not None:
            raise InputError("goes with a NIfTI PET only", where=str(ct), remedy="put the CT series into the folder")
        used = key if key is not None else read_or_create_key(default_key_path())
        return load_dicom_study(path, key=used, tracer=tracer)
    return _load_nifti_study(path, ct=ct, tracer=tracer, suv_declared=suv_declared)


def _load_nifti_study(path: Path, *, ct: Path | None, tracer: Tracer | None, suv_declared: bool) -> Study:
    pet = read_volume(path)
    sidecar = _sidecar(path, suv_declared)
    ct_data, ct_notes = _ct(ct, pet)
    stem = nifti_stem(path)
    study_id = sidecar.id or stem
    unit = "the caller says that the PET is in SUVbw" if suv_declared else "SUVbw by the sidecar"
    return Study(
        study_id=study_id,
        patient_id=sidecar.patient or study_id,
        pet=pet.data,
        affine=pet.affine,
        tracer=tracer or sidecar.tracer,
        ct=ct_data,
        date=sidecar.date,
        technique=sidecar.technique,
        notes=(unit, *pet.notes, *check_suv_range(pet.data, pet.affine, where=str(path)), *ct_notes),
    )


def _sidecar(path: Path, suv_declared: bool) -> Sidecar:
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


def _ct(path: Path | None, pet: Volume) -> tuple[FloatVolume | None, tuple[str, ...]]:
    if path is None:
        return None, (NO_CT,)
    ct = read_volume(path, outside=CT_OUTSIDE_HU)
    if same_grid(pet.data.shape, pet.affine, ct.data.shape, ct.affine):
        return ct.data, ct.notes
    data, notes = ct_beside_pet(ct, pet)
    if data is None:
        raise InputError("does not reach the PET", where=str(path), remedy="give the CT of the same study")
    return data, (*ct.notes, "the CT was interpolated to the PET grid", *notes)
