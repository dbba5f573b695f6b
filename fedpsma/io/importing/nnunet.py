"""An nnU-Net raw data set: ``imagesTr/CASE_0000.nii.gz`` (CT), ``CASE_0001.nii.gz`` (SUV), ``labelsTr/CASE.nii.gz``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError
from fedpsma.io.importing.autopet import (
    METADATA_FILE,
    SUV_BY_COLLECTION,
    AutopetCase,
    PsmaMetadata,
    fdg_record,
    find_autopet_folders,
    parse_case,
    read_psma_metadata,
    safe_id,
)
from fedpsma.io.importing.nifti_study import NiftiStudy, declared_suv, read_nifti_study
from fedpsma.io.importing.nnunet_description import Description, read_description
from fedpsma.io.importing.source import ImportedStudy, StudySource
from fedpsma.io.provenance import TracerRecord


@dataclass(frozen=True)
class NnunetOptions:
    """What the caller says.

    ``tracers`` are those of cases that do not tell theirs, one for each radionuclide; ``patient`` is a regular
    expression whose one group finds the patient in the name of a case; ``suv_declared`` says that PET is in SUVbw.
    """

    tracers: tuple[Tracer, ...] = ()
    patient: str | None = None
    suv_declared: bool = False


@dataclass(frozen=True)
class _Case:
    """One case by its name, with what its name and the collection's metadata say."""

    name: str
    patient: str
    autopet: AutopetCase | None
    metadata: PsmaMetadata | None


def find_nnunet_studies(folder: Path, options: NnunetOptions) -> tuple[StudySource, ...]:
    """Find the cases of an nnU-Net raw data set, or of the autoPET collection's NIfTI folders, by name.

    Raises:
        InputError: There is none; ``dataset.json`` does not tell what is what; nobody says that the PET is in SUVbw; or
            the patient of a case is unknown, who is the unit of privacy and never guessed.
    """
    if not (folder / "imagesTr").is_dir():
        found = find_autopet_folders(folder)
        if not found:
            raise InputError(
                "has neither imagesTr nor PETCT_*/*/SUV.nii.gz", where=str(folder), remedy="name the folder above them"
            )
        return found
    description = read_description(folder)
    names = _case_names(folder / "imagesTr", description)
    metadata = read_psma_metadata(folder)
    patients = _Patients(options.patient)
    cases = [_Case(name, patients.of(name), parse_case(name), metadata.get(name.lower())) for name in names]
    if not (description.says_suv or options.suv_declared) and not all(case.autopet for case in cases):
        raise InputError("does not say that its PET is in SUVbw", where=str(folder), remedy="say --units suv if it is")
    return tuple(
        StudySource(case.name, safe_id(case.name), case.patient, partial(_read, case, folder, description, options))
        for case in cases
    )


class _Patients:
    """Finds the patient in the name of a case."""

    def __init__(self, pattern: str | None) -> None:
        self._pattern = None if pattern is None else _compile(pattern)

    def of(self, case: str) -> str:
        if self._pattern is not None:
            found = self._pattern.search(case)
            if found is None or not found[1]:
                raise InputError(f"finds no patient in {case!r}", where="--patient", remedy="correct the expression")
            return str(found[1])
        named = parse_case(case)
        if named is None:
            raise InputError(
                f"the patient of {case!r} is unknown, who is the unit of privacy",
                where="imagesTr",
                remedy="say --patient REGEX with one group that finds the patient in the name of a case, for example "
                "'^([^_]+)_', or '(.*)' if each case is a patient of his own",
            )
        return named.patient


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(f"is no regular expression: {error}", where="--patient", remedy="correct it") from error
    if compiled.groups != 1:
        raise InputError(
            f"has {compiled.groups} groups instead of one", where="--patient", remedy="put the patient into (...)"
        )
    return compiled


def _case_names(images: Path, description: Description) -> list[str]:
    ending = re.compile(r"(.+)_(\d{4})" + re.escape(description.ending))
    names = sorted({found[1] for path in images.iterdir() if (found := ending.fullmatch(path.name))})
    if not names:
        raise InputError(
            f"has no CASE_0000{description.ending}", where=str(images), remedy="name the folder of an nnU-Net data set"
        )
    return names


def _read(case: _Case, folder: Path, description: Description, options: NnunetOptions) -> ImportedStudy:
    images, labels = folder / "imagesTr", folder / "labelsTr"
    pet = images / f"{case.name}_{description.pet_channel:04d}{description.ending}"
    ct = None
    if description.ct_channel is not None:
        ct = images / f"{case.name}_{description.ct_channel:04d}{description.ending}"
    parts = NiftiStudy(
        study_id=safe_id(case.name),
        patient_id=case.patient,
        pet=pet,
        suv=declared_suv(_who_says_suv(case, description, options)),
        ct=ct,
        mask=labels / f"{case.name}{description.ending}" if labels.is_dir() else None,
        labels=description.labels,
        tracer=_tracer(case, options.tracers),
        date=case.autopet.date if case.autopet else None,
        scanner=case.metadata.scanner if case.metadata else None,
        notes=description.notes,
    )
    return read_nifti_study(parts)


def _who_says_suv(case: _Case, description: Description, options: NnunetOptions) -> str:
    if description.says_suv:
        return "SUVbw by the name of the channel in dataset.json"
    return "the caller says that the PET is in SUVbw" if options.suv_declared else SUV_BY_COLLECTION


def _tracer(case: _Case, given: tuple[Tracer, ...]) -> TracerRecord:
    """Take FDG from the name of a case, else the one tracer of the caller that agrees with what is known."""
    if case.autopet is not None and case.autopet.family == "fdg":
        return fdg_record("the name of the case")
    nuclide = case.metadata.radionuclide if case.metadata else None
    fitting = [
        tracer
        for tracer in given
        if nuclide in (None, tracer.facts.radionuclide) and (case.autopet is None or tracer.facts.targets_psma)
    ]
    if len(fitting) == 1:
        return TracerRecord(tracer=fitting[0], radionuclide=fitting[0].facts.radionuclide, decided_by="caller")
    if given:
        known = f"{nuclide or 'an unknown radionuclide'}{' and PSMA' if case.autopet else ''}"
        raise InputError(
            f"has {known}, which fits {len(fitting)} of the tracers {', '.join(given)}",
            where=case.name,
            remedy=f"give --tracer once for each radionuclide; {METADATA_FILE} tells which case has which",
        )
    return TracerRecord(tracer=None, radionuclide=nuclide, decided_by="nobody")
