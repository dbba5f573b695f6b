"""``fedpsma site``: what the staff of a site does with its own data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from client.commands.code import code
from client.commands.evaluation import evaluate, scores
from client.commands.membership import COMMANDS
from client.commands.statistics import statistics

if TYPE_CHECKING:
    from fedpsma.io.dataset import Dataset
    from fedpsma.site_check.problems import Problem
    from fedpsma.site_check.report import CheckReport
    from fedpsma.site_check.summary import DatasetSummary, Spread

site = typer.Typer(no_args_is_help=True, help="Look after the data of your own site, and take part in a federation.")
for _command in (*COMMANDS, code, statistics, evaluate, scores):
    site.command(_command.__name__)(_command)

_PROBLEMS_SHOWN = 30
_KIND_SHOWN = 4
_COLOURS = {"error": "bold red", "warning": "yellow", "note": "dim"}
_NOT_READY = 2


@site.command("check")
def check(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Data set folder.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the report; DATASET/check if left out.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that read studies.")] = 2,
    json: Annotated[bool, typer.Option("--json", help="Print the whole report as JSON instead of tables.")] = False,
) -> None:
    """Check a data set before it joins a federation.

    Counts, distributions, plausibility of the uptake, contours, duplicates and outliers; each problem comes with its
    file and what to do. Writes check.json and check.html; they stay at the site. Only studies whose files changed
    since the last check are read again. Exit code 2 means that training must not start.

    Example: fedpsma site check data/ours
    """
    from fedpsma.io.dataset import read_dataset
    from fedpsma.io.files import require_folder_or_nothing

    data = read_dataset(dataset)
    place = out or dataset / "check"
    require_folder_or_nothing(place)
    report = _run(data, place, workers)
    if json:
        typer.echo(report.model_dump_json(indent=1))
    else:
        _show(report, place)
    if not report.ready:
        raise typer.Exit(_NOT_READY)


@site.command("ledger")
def ledger(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Data set folder, or a ledger file.")],
    state: Annotated[
        Path | None, typer.Option(help="State folder of the site: its policy says where the ledger lies.")
    ] = None,
    delta: Annotated[
        float | None, typer.Option(min=0, max=1, help="At which delta; the smallest promised one if left out.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the whole account as JSON instead of a table.")] = False,
) -> None:
    """Show what the patients of a data set have paid in privacy, over all runs and restarts.

    Counts every round that was charged, also those that failed or were cut off. Exit code 2 means that the ledger
    cannot be trusted: then no private round runs on it.

    Example: fedpsma site ledger data/ours
    """
    from rich.console import Console

    from client.commands.ledger_view import open_ledger, table_of, verdict_of
    from client.commands.spending import spending_of
    from client.ledger import LedgerError
    from fedpsma.errors import InputError

    book, policy, trainer = open_ledger(dataset, state)
    try:
        found = spending_of(book, trainer, delta)
    except LedgerError as error:
        raise InputError(str(error), where=str(book.path), remedy="bring back the file that the site wrote") from error
    if json:
        typer.echo(found.model_dump_json(indent=1))
        return
    console = Console(highlight=False)
    console.print(table_of(found))
    console.print(verdict_of(found, policy), soft_wrap=True)


def _run(data: Dataset, place: Path, workers: int) -> CheckReport:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from fedpsma.site_check.check import check_dataset

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("checking", total=len(data.rows))
        return check_dataset(data, place, workers=workers, on_study=lambda _: progress.advance(task))


def _show(report: CheckReport, place: Path) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    kind = " (synthetic patients)" if report.dataset.synthetic else ""
    console.print(Text(f"{report.dataset.name}, site {report.dataset.site}{kind}", style="bold"))
    console.print(_overview(report.summary))
    console.print(_uptake(report.summary))
    if report.problems:
        console.print(_problems(report.problems))
    hidden = len(report.problems) - len(_shown(report.problems))
    if hidden:
        console.print(Text(f"and {hidden} more in the report"))
    console.print(Text(f"report: {place / 'check.html'} and check.json; limits are not reviewed by a clinician"))
    colour = "bold green" if report.ready else _COLOURS["error"]
    rest = f" ({report.warnings} warnings, {report.notes} notes)"
    console.print(Text.assemble((report.verdict, colour), rest))


def _overview(found: DatasetSummary) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False)
    per_patient = ", ".join(f"{patients} with {count}" for count, patients in found.studies_per_patient.items())
    rows = {
        "patients, studies": f"{found.patients}, {found.studies} ({per_patient})",
        "with CT, with mask, no lesion": f"{found.with_ct}, {found.with_mask}, {found.without_lesion}",
        "scanners": _counted(found.scanners) or "not named",
        "PET voxels (mm)": _counted(found.voxel_sizes),
        "field of view, length (mm)": _spread(found.length_mm, digits=0),
        "lesions per study": _spread(found.lesions_per_study, digits=0),
        "lesion volume (ml)": _spread(found.lesion_ml, digits=2),
        "lesion SUVmax": _spread(found.lesion_suvmax, digits=1),
        "contour": _contour(found),
    }
    for name, value in rows.items():
        table.add_row(Text(name, style="dim"), Text(value))
    return table


def _uptake(found: DatasetSummary) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, title="median SUV (least to largest)", title_justify="left")
    table.add_column("tracer")
    for name in ("studies", "liver", "blood pool", "body mean"):
        table.add_column(name, justify="right")
    for one in found.tracers:
        cells = [_range(organ) for organ in (one.liver, one.blood_pool, one.body_mean)]
        table.add_row(one.tracer or "unknown", str(one.studies), *cells)
    return table


def _problems(problems: tuple[Problem, ...]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False, title="problems", title_justify="left")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", ratio=1)
    for one in _shown(problems):
        table.add_row(Text(one.severity, style=_COLOURS[one.severity]), Text(f"{one.file}: {one.what}; {one.remedy}"))
    return table


def _shown(problems: tuple[Problem, ...]) -> list[Problem]:
    """Keep a few of each kind, so that one kind does not hide the others."""
    kept: dict[str, int] = {}
    shown: list[Problem] = []
    for one in problems:
        kept[one.code] = kept.get(one.code, 0) + 1
        if kept[one.code] <= _KIND_SHOWN and len(shown) < _PROBLEMS_SHOWN:
            shown.append(one)
    return shown


def _counted(counts: dict[str, int]) -> str:
    return "; ".join(f"{name} ({count})" for name, count in counts.items())


def _spread(spread: Spread | None, digits: int) -> str:
    if spread is None:
        return "none"
    least, q25, median, q75, largest = (
        f"{value:.{digits}f}" for value in (spread.least, spread.q25, spread.median, spread.q75, spread.largest)
    )
    return f"{median} (quartiles {q25} and {q75}, {least} to {largest})"


def _range(spread: Spread | None) -> str:
    return "-" if spread is None else f"{spread.median:.2f} ({spread.least:.2f} to {spread.largest:.2f})"


def _contour(found: DatasetSummary) -> str:
    contour = found.contour
    if contour.edge_suv is None or contour.edge_fraction is None:
        return f"{contour.declared} declared; too few lesions to see which one the outlines follow"
    looks = contour.suggested or "no single threshold"
    return (
        f"{contour.declared} declared; outlines at SUV {contour.edge_suv:.1f}, {contour.edge_fraction:.0%} of SUVmax "
        f"(medians): {looks}"
    )
