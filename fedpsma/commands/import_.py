"""``fedpsma import``: bring a site's own studies into a data set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fedpsma.io.dataset import StudyRow

import_ = typer.Typer(no_args_is_help=True, help="Bring your own studies into a data set.")


class Units(StrEnum):
    """What the caller can say of a PET without units."""

    SUV = "suv"


@import_.callback()
def _group() -> None:
    """Keep the group a group while it has one command."""


@import_.command("nifti")
def nifti(
    table: Annotated[Path, typer.Argument(help="CSV table: id, patient, pet and, if there, ct, mask, tracer, date.")],
    out: Annotated[Path, typer.Option(help="Data set folder to write; it must not exist.")],
    name: Annotated[str, typer.Option(help="Name of the data set.")],
    site: Annotated[str, typer.Option(help="Name of the site.")],
    contour: Annotated[
        str, typer.Option(help="How the lesions were outlined: suv3, suv4, pct41, pct45, pct50, liver or manual.")
    ],
    tracer: Annotated[str | None, typer.Option(help="Tracer of studies whose row has none, e.g. 68Ga-PSMA-11.")] = None,
    units: Annotated[
        Units | None, typer.Option(help="Say that every PET is in SUVbw; otherwise each needs NAME.json beside it.")
    ] = None,
) -> None:
    """Copy the NIfTI studies of a table into a data set.

    The CSV table has the columns id, patient, pet and, if there, ct, mask, tracer and date; its paths are relative to
    it. Ids and patients become part of the data set: use pseudonyms. Volumes are turned to one orientation, a mask
    becomes one number a lesion (18 neighbours). If one row is wrong, nothing is written.

    Example: fedpsma import nifti table.csv --out data/ours --name ours --site A --contour manual --units suv
    """
    from fedpsma.io.dataset import DatasetInfo, parse_record
    from fedpsma.io.importing.table import import_table, read_import_table

    content = {"name": name, "site": site, "contour": contour, "tracer": tracer}
    info = parse_record(DatasetInfo, content, "options")
    checked = read_import_table(table)
    steps = import_table(checked, out, info, suv_declared=units is not None)
    rows = list(_shown(steps, len(checked.rows)))
    typer.echo(f"{out}: {len(rows)} studies of {len({row.patient for row in rows})} patients")
    for note, ids in _by_note(rows).items():
        typer.echo(f"  {note}: {', '.join(ids[:3])}{f' and {len(ids) - 3} more' if len(ids) > 3 else ''}")


def _shown(steps: Iterator[StudyRow], total: int) -> Iterable[StudyRow]:
    from rich.console import Console
    from rich.progress import track

    return track(steps, total=total, description="importing", console=Console(stderr=True))


def _by_note(rows: list[StudyRow]) -> dict[str, list[str]]:
    ids: dict[str, list[str]] = {}
    for row in rows:
        for note in row.notes:
            ids.setdefault(note, []).append(row.id)
    return ids
