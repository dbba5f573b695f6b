"""``fedpsma evaluate``: how good a model is on studies with known lesions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedpsma.commands.options import Contour

if TYPE_CHECKING:
    from fedpsma.domain.contour import ContourConvention
    from fedpsma.evaluation.report import DatasetTold, Evaluation, Reading


def evaluate(
    data: Annotated[
        list[Path],
        typer.Argument(metavar="DATASET...", help="Data sets with lesion masks; or one mask, with --predicted MASK."),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write; studies already read there are not read again.")],
    model: Annotated[
        list[Path] | None,
        typer.Option(help="Checkpoint (.safetensors); the base model if left out. Repeat it to compare models."),
    ] = None,
    predicted: Annotated[
        Path | None,
        typer.Option(help="Somebody else's masks: a folder of <study id>.nii.gz, or one mask to go with one mask."),
    ] = None,
    patients: Annotated[
        str | None, typer.Option(help="Only these: pseudonyms separated by commas, FIRST..LAST for a range.")
    ] = None,
    contour: Annotated[
        Contour | None, typer.Option(help="How lesions are outlined; by default as each data set says.")
    ] = None,
) -> None:
    """Measure how well lesions are found, outlined, located, staged and judged.

    Writes evaluation.json and evaluation.html (every figure with its 95 % interval over patients) and keeps the scores
    of each study in OUT/studies, so that a stopped evaluation goes on where it was. The first model is the reference
    that the others are compared with.
    """
    from fedpsma.evaluation.page import write_report
    from fedpsma.evaluation.report import evaluate as report_of
    from fedpsma.io.files import require_folder_or_nothing

    require_folder_or_nothing(out)
    if predicted is not None and predicted.is_file():
        _require_alone(predicted, patients=patients, contour=contour)
        readings, told = _read_pair(data, predicted, model)
    else:
        readings, told = _read_studies(data, out, model, predicted, patients=patients, contour=contour)
    report = report_of(readings, told)
    write_report(out, report)
    _show(report, out)


def _require_alone(predicted: Path, *, patients: str | None, contour: Contour | None) -> None:
    """Refuse options that one mask against one mask has no use for."""
    from fedpsma.errors import InputError

    for name, value in (("--patients", patients), ("--contour", contour)):
        if value is not None:
            raise InputError("has no meaning for one mask", where=name, remedy=f"leave it out with {predicted.name}")


def _read_pair(data: list[Path], predicted: Path, model: list[Path] | None) -> tuple[list[Reading], list[DatasetTold]]:
    from fedpsma.errors import InputError
    from fedpsma.evaluation.mask_pair import read_pair

    if len(data) != 1 or not data[0].is_file() or model:
        what = "is one mask, and goes with one true mask and no model"
        raise InputError(what, where=str(predicted), remedy="name a folder of masks")
    return read_pair(data[0], predicted)


def _read_studies(
    data: list[Path],
    out: Path,
    model: list[Path] | None,
    predicted: Path | None,
    *,
    patients: str | None,
    contour: Contour | None,
) -> tuple[list[Reading], list[DatasetTold]]:
    """Read every study under a progress bar."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from fedpsma.io.dataset import read_dataset

    sets = [read_dataset(folder) for folder in data]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        shown = progress.add_task("loading the models", total=None)
        from fedpsma.evaluation.readers import readers_of
        from fedpsma.evaluation.report import Reading, tell
        from fedpsma.evaluation.run import KEPT_FOLDER, plan, read_all
        from fedpsma.model.memory import keep_freed_memory

        keep_freed_memory()
        outlined_by: ContourConvention | None = None if contour is None else contour.value
        tasks = plan(sets, outlined_by, patients)
        readers = readers_of(model or [], predicted)
        progress.update(shown, description="reading studies", total=len(tasks) * len(readers))
        scores = read_all(tasks, readers, out / KEPT_FOLDER, lambda: progress.advance(shown))
    readings = [Reading(reader.name, found, reader.epsilon) for reader, found in zip(readers, scores, strict=True)]
    return readings, [tell(one.info, outlined_by) for one in sets]


def _show(report: Evaluation, out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from fedpsma.evaluation.figures import figure_facts

    console = Console(highlight=False)
    whole = report.models[0].groups[0]
    kind = "synthetic patients" if report.synthetic else "patients"
    console.print(f"{whole.patients} {kind}, {whole.scans} scans, {whole.lesions} lesions", markup=False)
    table = Table(box=None, pad_edge=False)
    for name in ("", *(one.name for one in report.models)):
        table.add_column(name)
    for facts in figure_facts():
        if facts.headline:
            table.add_row(facts.title, *(str(one.groups[0].figures.get(facts.name, "-")) for one in report.models))
    console.print(table)
    console.print(f"in brackets: 95 % interval over patients. {report.caution}", markup=False)
    console.print(f"written to {out / 'evaluation.html'} and evaluation.json", markup=False)
