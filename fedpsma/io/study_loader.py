"""One way in: a DICOM folder or a NIfTI PET becomes a study."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fedpsma.domain.study import Study
from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError
from fedpsma.io.dicom.study import load_dicom_study
from fedpsma.io.importing.nifti_study import read_nifti_study
from fedpsma.io.importing.sidecar import lone_pet
from fedpsma.io.pseudonym import default_key_path, read_or_create_key
from fedpsma.io.resample import NO_CT as NO_CT


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
    pet = lone_pet(path, tracer=tracer, suv_declared=suv_declared)
    return read_nifti_study(replace(pet, ct=ct)).study
