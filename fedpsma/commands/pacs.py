"""``fedpsma pacs``: find and fetch studies of an archive over DICOMweb, and store what was made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fedpsma.io.dicomweb.client import Pacs
    from fedpsma.io.dicomweb.find import Answer

pacs = typer.Typer(
    no_args_is_help=True,
    help="Find and fetch studies of a PACS over DICOMweb, and store SEG, SR and PDF there. The login comes from "
    "FEDPSMA_PACS_USER and FEDPSMA_PACS_PASSWORD (or FEDPSMA_PACS_TOKEN), or from the file that pacs.toml names.",
)

Url = Annotated[str | None, typer.Option(help="Root of the DICOMweb services, https://HOST/PATH.")]
Config = Annotated[
    Path | None, typer.Option("--pacs", help="TOML file with url and, if needed, credentials, ca_file, timeout_s.")
]
Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Studies from or up to this day.")]


@pacs.command("find")
def find(
    url: Url = None,
    config: Config = None,
    patient: Annotated[
        str | None, typer.Option(help="Patient ID as the archive knows it; - asks for it, out of sight of other users.")
    ] = None,
    since: Day = None,
    until: Day = None,
    modality: Annotated[str, typer.Option(help="Modality that the study has to hold.")] = "PT",
) -> None:
    """List the studies of a patient or of some days.

    Example: fedpsma pacs find --pacs pacs.toml --since 2026-01-05 --until 2026-01-05
    """
    from fedpsma.io.dicomweb.find import StudyQuery, find_archived

    if patient == "-":
        patient = typer.prompt("patient ID")
    query = StudyQuery(patient, since and since.date(), until and until.date(), modality)
    _show(find_archived(_connect(url, config), query))


@pacs.command("get")
def get(
    study: Annotated[str, typer.Argument(metavar="STUDY_UID", help="Study Instance UID, as pacs find shows it.")],
    out: Annotated[Path, typer.Option(help="Private folder (mode 0700); run again to go on where it stopped.")],
    url: Url = None,
    config: Config = None,
) -> None:
    """Fetch PET, CT, SEG and RTSTRUCT of a study, and check that the DICOM import can read it.

    The files keep the patient's name: the folder is for you alone, and fedpsma import dicom makes pseudonyms of it.

    Example: fedpsma pacs get 1.2.840.113619.2.1 --pacs pacs.toml --out incoming
    """
    from fedpsma.io.dicom.study import load_dicom_study
    from fedpsma.io.dicomweb.fetch import fetch_study
    from fedpsma.io.pseudonym import KEY_BYTES

    with _progress("fetching") as on_step:
        fetched = fetch_study(_connect(url, config), study, out, on_step)
    typer.echo(f"{fetched.new} instances fetched, {fetched.kept} were there: {fetched.folder}")
    read = load_dicom_study(fetched.folder, key=bytes(KEY_BYTES))
    x, y, z = read.pet.shape
    typer.echo(f"readable: PET of {x} x {y} x {z} voxels, {read.tracer or 'tracer unknown'}")
    for note in read.notes:
        typer.echo(f"note: {note}")
    typer.echo(f"next: fedpsma analyze {fetched.folder} --out ANALYSIS")


@pacs.command("store")
def store(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="SEG, SR or PDF in DICOM.")],
    url: Url = None,
    config: Config = None,
) -> None:
    """Store files that fedpsma report export wrote.

    Example: fedpsma pacs store outbox/lesions.seg.dcm outbox/report.sr.dcm --pacs pacs.toml
    """
    from fedpsma.io.dicomweb.store import read_derived
    from fedpsma.io.dicomweb.store import store as store_files

    derived = [read_derived(path) for path in files]
    with _progress("storing") as on_step:
        store_files(_connect(url, config), derived, on_step)
    for one in derived:
        typer.echo(f"stored: {one.kind}, {one.tags.text('SeriesDescription') or 'no description'} ({one.uid})")


def _connect(url: str | None, config: Path | None) -> Pacs:
    from fedpsma.io.dicomweb.client import connect
    from fedpsma.io.dicomweb.settings import read_settings

    return connect(read_settings(url, config))


def _show(answer: Answer) -> None:
    """Print two lines a study: a UID fits no column of a table on a narrow screen."""
    for one in answer.studies:
        count = None if one.images is None else f"{one.images} images"
        told = (one.date, one.patient_id, "/".join(one.modalities), count, one.description)
        typer.echo("  ".join(cell or "-" for cell in told))
        typer.echo(f"    {one.uid}")
    if not answer.studies:
        typer.echo("no study found")
    if answer.cut:
        typer.echo("there are more: narrow the query")


@contextmanager
def _progress(task: str) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        bar = shown.add_task(task, total=None)
        yield lambda done, total: shown.update(bar, completed=done, total=total)
