"""``fedpsma import``: bring a site's own studies into a data set."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fedpsma.commands.importing import Target, count_files, run_import, with_target
from fedpsma.commands.options import tracer_named

import_ = typer.Typer(
    no_args_is_help=True,
    help="Bring your own studies into a data set. Run again to go on: studies that are there stay, refused ones are "
    "tried again. Exit code 2 where a study was refused.",
)


class Units(StrEnum):
    """What the caller can say of a PET without units."""

    SUV = "suv"


class Dates(StrEnum):
    """What becomes of the dates of studies."""

    KEEP = "keep"
    SHIFT = "shift"
    DROP = "drop"


TracerOption = Annotated[str | None, typer.Option(help="Tracer of studies that do not tell it, e.g. 68Ga-PSMA-11.")]
UnitsOption = Annotated[
    Units | None, typer.Option(help="Say that every PET is in SUVbw, where the files do not say so themselves.")
]


@import_.command("nifti")
@with_target
def nifti(
    table: Annotated[Path, typer.Argument(help="CSV table: id, patient, pet and, if there, ct, mask, tracer, date.")],
    target: Target,
    tracer: TracerOption = None,
    units: UnitsOption = None,
) -> None:
    """Copy the NIfTI studies of a table into a data set.

    The CSV table has the columns id, patient, pet and, if there, ct, mask, tracer and date; its paths are relative to
    it. Ids and patients become part of the data set: use pseudonyms. A PET needs --units suv, or NAME.json beside it
    with {"units": "SUVbw"}. Volumes are turned to one orientation, a mask becomes one number a lesion (18 neighbours).
    A wrong line of the table stops before anything is written; a study that cannot be converted is refused, and the
    others go on (exit code 2).

    Example: fedpsma import nifti table.csv --out data/ours --name ours --site A --contour manual --units suv
    """
    from fedpsma.io.importing.table import read_import_table

    told = tracer_named(tracer)
    info = target.info(told)
    sources = read_import_table(table).sources(tracer=told, suv_declared=units is not None)
    run_import(sources, target, info)


@import_.command("nnunet")
@with_target
def nnunet(
    folder: Annotated[Path, typer.Argument(help="nnU-Net raw data set, or the PETCT_* folders of autoPET.")],
    target: Target,
    tracer: Annotated[
        list[str] | None, typer.Option(help="Tracer of cases that do not tell it; give it once for each radionuclide.")
    ] = None,
    units: UnitsOption = None,
    patient: Annotated[
        str | None, typer.Option(help="Regular expression with one group: the patient in the name of a case.")
    ] = None,
) -> None:
    """Copy an nnU-Net or autoPET data set: imagesTr/CASE_0000 (CT) and _0001 (SUV), labelsTr/CASE.

    The order of channels and the label of lesions are read from dataset.json. Names of autoPET cases tell patient, date
    and FDG; psma_metadata.csv tells the radionuclide. For other names --patient is needed, because the patient is the
    unit of privacy: '^([^_]+)_' takes what stands before the first underscore, '(.*)' says that each case is a patient
    of his own. Names of cases and patients become part of the data set: use pseudonyms. A study that cannot be
    converted is refused, and the others go on (exit code 2).

    Example: fedpsma import nnunet Dataset221_AutoPET --out data/autopet --name autopet --site LMU --contour manual
    """
    from fedpsma.io.importing.nnunet import NnunetOptions, find_nnunet_studies

    told = tuple(one for one in map(tracer_named, tracer or ()) if one is not None)
    info = target.info(told[0] if len(told) == 1 else None)
    options = NnunetOptions(tracers=told, patient=patient, suv_declared=units is not None)
    run_import(find_nnunet_studies(folder, options), target, info)


@import_.command("bids")
@with_target
def bids(
    folder: Annotated[Path, typer.Argument(help="BIDS data set with sub-*/[ses-*/]pet/*_pet.nii.gz.")],
    target: Target,
    tracer: Annotated[str | None, typer.Option(help="Tracer, e.g. 68Ga-PSMA-11; outranks TracerName.")] = None,
) -> None:
    """Copy the static PET of a BIDS data set, as SUVbw by the fields of *_pet.json.

    Activity becomes SUV by InjectedRadioactivity, InjectionStart, ImageDecayCorrectionTime, TracerRadionuclide and the
    body weight (kg) in participants.tsv or sessions.tsv. A *_ct.nii.gz of the same session is its CT; a mask or dseg
    below derivatives with "lesion" in label or desc holds its lesions. Subjects become patients of the data set: use
    pseudonyms. A study that cannot be converted (a field missing, several frames) is refused with the field named, and
    the others go on (exit code 2).

    Example: fedpsma import bids study --out data/ours --name ours --site A --contour manual
    """
    from fedpsma.io.importing.bids import find_bids_studies

    told = tracer_named(tracer)
    run_import(find_bids_studies(folder, tracer=told), target, target.info(told))


@import_.command("dicom")
@with_target
def dicom(
    folder: Annotated[Path, typer.Argument(help="Folder with DICOM files of any number of studies, in any nesting.")],
    target: Target,
    tracer: Annotated[str | None, typer.Option(help="Tracer of all studies; outranks what the headers say.")] = None,
    key: Annotated[
        Path | None, typer.Option(help="Key of the pseudonyms; by default yours, made on first use.")
    ] = None,
    series: Annotated[str | None, typer.Option(help="Which PET series: its number, or a pattern like '*AC*'.")] = None,
    lesions: Annotated[
        str | None, typer.Option(help="Which contours are lesions: patterns of their names, comma separated.")
    ] = None,
    dates: Annotated[
        Dates, typer.Option(help="Dates: moved by one offset a patient (intervals stay right), kept, or dropped.")
    ] = Dates.SHIFT,
) -> None:
    """Convert every PET/CT study below a folder: PET in SUVbw, CT on its grid, lesions from SEG or RTSTRUCT.

    Patients and studies get pseudonyms by your key, and nothing that names a patient is written: keep the key, for with
    another one the same patient gets another pseudonym. A study that cannot be converted is refused with the tag named,
    and the others go on (exit code 2). study.json beside each study's volumes holds every factor that was used.

    Example: fedpsma import dicom export --out data/ours --name ours --site A --contour manual
    """
    from fedpsma.io.dicom.convert import DicomOptions
    from fedpsma.io.importing.dicom import find_dicom_studies
    from fedpsma.io.pseudonym import default_key_path, read_or_create_key

    told = tracer_named(tracer)
    info = target.info(told)
    options = DicomOptions(
        key=read_or_create_key(key or default_key_path()),
        tracer=told,
        series=series,
        lesions=lesions,
        dates=dates.value,
    )
    with count_files() as on_file:
        sources, damaged = find_dicom_studies(folder, options, on_file)
    run_import(sources, target, info, damaged=tuple(map(str, damaged)))
