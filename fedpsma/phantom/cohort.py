"""A data set folder of synthetic patients.

Patient k of a site is the same whatever the size of the cohort, so train and held-out patients simply have different
indices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from fedpsma.errors import InputError
from fedpsma.io.dataset import Dataset, DatasetInfo, StudyRow, read_dataset, write_dataset
from fedpsma.io.files import write_json
from fedpsma.io.nifti import write_volume
from fedpsma.phantom.patient import PhantomPatient, draw_patient
from fedpsma.phantom.sites import site_profile

# PET on disk is rounded to this SUV step, a power of two, so that the files compress.
_SUV_STEP = 2.0**-7


def write_cohort(
    folder: Path,
    site: str,
    patients: Iterable[int],
    seed: int,
    on_patient: Callable[[str], None] | None = None,
) -> Dataset:
    """Write the patients with these indices as a data set, and go on where an earlier call stopped.

    Each patient gets ``pet/<id>.nii.gz`` (SUV, float32), ``ct/`` (HU, int16), ``mask/`` (lesion numbers, int16),
    ``anatomy/`` (class numbers, uint8) and ``truth/<id>.json``. Patients that are already there are kept as they are;
    the index lists all of them. ``on_patient`` is called with the id of each patient when he is there.

    Raises:
        InputError: There is no such site, or the folder holds another data set.
    """
    info = cohort_info(site, seed)
    rows = {row.id: row for row in _existing(folder, info)}
    data = Dataset(folder, info, tuple(rows.values()))
    for index in patients:
        name = f"{site}{index:04d}"
        if name not in rows:
            rows[name] = _write_patient(folder, draw_patient(site, index, seed))
            data = write_dataset(folder, info, sorted(rows.values(), key=lambda row: row.id))
        if on_patient is not None:
            on_patient(name)
    if not rows:
        raise InputError("there is no patient to make", where=str(folder), remedy="ask for at least one patient")
    return data


def cohort_info(site: str, seed: int) -> DatasetInfo:
    """Return what ``dataset.json`` says of a synthetic cohort."""
    profile = site_profile(site)
    return DatasetInfo(
        name=f"{profile.name}, seed {seed}",
        site=site,
        contour=profile.contour,
        synthetic=True,
        citation="synthetic patients of fedpsma; no real person",
        licence="Apache-2.0",
    )


def _existing(folder: Path, info: DatasetInfo) -> tuple[StudyRow, ...]:
    if not (folder / "dataset.json").exists():
        return ()
    found = read_dataset(folder)
    if found.info != info:
        raise InputError(
            f"holds {found.info.name!r}, not {info.name!r}", where=str(folder), remedy="name another folder"
        )
    return found.rows


def _write_patient(folder: Path, patient: PhantomPatient) -> StudyRow:
    study, name = patient.study, patient.study.study_id
    pet = np.rint(study.pet / np.float32(_SUV_STEP)) * np.float32(_SUV_STEP)
    volumes = {"pet": pet}
    if study.ct is not None:
        volumes["ct"] = study.ct.astype(np.int16)
    if study.lesions is not None and study.anatomy is not None:
        volumes |= {"mask": study.lesions.astype(np.int16), "anatomy": study.anatomy}
    for kind, data in volumes.items():
        write_volume(folder / kind / f"{name}.nii.gz", data, study.affine)
    write_json(folder / "truth" / f"{name}.json", patient.truth.model_dump(mode="json"))
    paths = {kind: f"{kind}/{name}.nii.gz" for kind in volumes}
    x, y, z = (round(edge, 4) for edge in study.spacing_mm)
    return StudyRow(
        id=name,
        patient=study.patient_id,
        tracer=study.tracer,
        spacing=(x, y, z),
        technique=study.technique,
        pet=paths["pet"],
        ct=paths.get("ct"),
        mask=paths.get("mask"),
        anatomy=paths.get("anatomy"),
    )
