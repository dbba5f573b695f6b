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
from fedpsma.io.files import require_folder_or_nothing, write_json, write_text
from fedpsma.io.nifti import write_volume
from fedpsma.phantom.patient import PhantomOptions, PhantomPatient
from fedpsma.phantom.providers import PARAMETRIC
from fedpsma.phantom.series import draw_series
from fedpsma.phantom.sites import site_profile

# PET on disk is rounded to this SUV step, a power of two, so that the files compress.
_SUV_STEP = 2.0**-7
_NO_REAL_PERSON = "SYNTHETIC PATIENT"
_OWN = "synthetic patients of fedpsma; no real person"
_FROM_MAPS = "synthetic uptake and lesions of fedpsma in bodies from organ label maps, whose licence holds for them"


def write_cohort(
    folder: Path,
    site: str,
    patients: Iterable[int],
    seed: int,
    on_patient: Callable[[str], None] | None = None,
    *,
    options: PhantomOptions = PhantomOptions(),  # noqa: B008 (frozen)
    follow_ups: int = 0,
) -> Dataset:
    """Write the patients with these indices as a data set, and go on where an earlier call stopped.

    Each study gets ``pet/<id>.nii.gz`` (SUV, float32), ``ct/`` (HU, int16), ``mask/`` (lesion numbers, int16),
    ``anatomy/`` (class numbers, uint8) and in ``truth/`` ``<id>.json``, ``<id>.assessment.json`` and
    ``<id>.report.txt``. The first study of a patient has his pseudonym as id, later ones ``<pseudonym>-2`` and so on.
    Studies that are already there are kept as they are; the index lists all of them. ``on_patient`` is called with the
    pseudonym of each patient when all his studies are there.

    Raises:
        InputError: There is no such site, or the folder holds another data set.
    """
    info = cohort_info(site, seed, options)
    rows = {row.id: row for row in _existing(folder, info)}
    for index in patients:
        name = f"{site}{index:04d}"
        if not set(study_ids(name, follow_ups)) <= set(rows):
            for patient in draw_series(site, index, seed, options, follow_ups):
                if patient.study.study_id not in rows:
                    rows[patient.study.study_id] = _write_study(folder, patient)
                    write_dataset(folder, info, _sorted(rows.values()))
        if on_patient is not None:
            on_patient(name)
    if not rows:
        raise InputError("there is no patient to make", where=str(folder), remedy="ask for at least one patient")
    return Dataset(folder, info, tuple(_sorted(rows.values())))


def study_ids(patient: str, follow_ups: int) -> list[str]:
    """Return the ids of a patient's studies.

    Example:
        >>> study_ids("A0003", 2)
        ['A0003', 'A0003-2', 'A0003-3']
    """
    return [patient, *(f"{patient}-{number}" for number in range(2, follow_ups + 2))]


def cohort_info(site: str, seed: int, options: PhantomOptions) -> DatasetInfo:
    """Return what ``dataset.json`` says of a synthetic cohort; two cohorts made differently have different names."""
    profile = site_profile(site)
    own = options.anatomy is PARAMETRIC
    return DatasetInfo(
        name=", ".join([profile.name, f"seed {seed}", *options.told]),
        site=site,
        contour=profile.contour,
        synthetic=True,
        citation=_OWN if own else _FROM_MAPS,
        licence="Apache-2.0" if own else None,
    )


def _existing(folder: Path, info: DatasetInfo) -> tuple[StudyRow, ...]:
    require_folder_or_nothing(folder)
    if not (folder / "dataset.json").exists():
        return ()
    found = read_dataset(folder)
    if found.info != info:
        raise InputError(
            f"holds {found.info.name!r}, not {info.name!r}", where=str(folder), remedy="name another folder"
        )
    return found.rows


def _sorted(rows: Iterable[StudyRow]) -> list[StudyRow]:
    return sorted(rows, key=lambda row: (row.patient, row.date or "", row.id))


def _write_study(folder: Path, patient: PhantomPatient) -> StudyRow:
    study, name = patient.study, patient.study.study_id
    pet = np.rint(study.pet / np.float32(_SUV_STEP)) * np.float32(_SUV_STEP)
    volumes = {"pet": pet}
    if study.ct is not None:
        volumes["ct"] = study.ct.astype(np.int16)
    if study.lesions is not None and study.anatomy is not None:
        volumes |= {"mask": study.lesions.astype(np.int16), "anatomy": study.anatomy}
    for kind, data in volumes.items():
        write_volume(folder / kind / f"{name}.nii.gz", data, study.affine)
    truth = folder / "truth"
    write_json(truth / f"{name}.json", patient.truth.model_dump(mode="json"))
    write_json(truth / f"{name}.assessment.json", patient.assessment.model_dump(mode="json"))
    write_text(truth / f"{name}.report.txt", f"{_NO_REAL_PERSON}\n\n{patient.report}")
    paths = {kind: f"{kind}/{name}.nii.gz" for kind in volumes}
    x, y, z = (round(edge, 4) for edge in study.spacing_mm)
    return StudyRow(
        id=name,
        patient=study.patient_id,
        date=study.date,
        tracer=study.tracer,
        spacing=(x, y, z),
        scanner=patient.truth.scanner,
        technique=study.technique,
        pet=paths["pet"],
        ct=paths.get("ct"),
        mask=paths.get("mask"),
        anatomy=paths.get("anatomy"),
    )
