"""``fedpsma analyze``: a study goes in, a table of lesions comes out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedpsma.commands.options import Contour, Units, tracer_named

if TYPE_CHECKING:
    from fedpsma.analysis import Analysis
    from fedpsma.commands.study_input import StudyInput
    from fedpsma.model.checkpoint import ModelCard

_ROWS_SHOWN = 40
_INDETERMINATE_SHOWN = 5
_REASONS_SHOWN = 4


def analyze(
    path: Annotated[Path, typer.Argument(metavar="INPUT", help="DICOM folder, NIfTI PET, or data set folder.")],
    out: Annotated[Path, typer.Option(help="Folder to write; replaces an earlier analysis and its explanations.")],
    study: Annotated[str | None, typer.Option(help="Which study, if INPUT is a data set.")] = None,
    ct: Annotated[Path | None, typer.Option(help="NIfTI CT in HU that goes with a NIfTI PET.")] = None,
    tracer: Annotated[str | None, typer.Option(help="Tracer, e.g. 68Ga-PSMA-11; outranks what the files say.")] = None,
    units: Annotated[
        Units | None, typer.Option(help="Say that a NIfTI PET is in SUVbw; otherwise it needs NAME.json beside it.")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="Checkpoint (.safetensors); the base model if left out.")] = None,
    contour: Annotated[
        Contour | None, typer.Option(help="How lesions are outlined; by default as the data set says, else pct45.")
    ] = None,
) -> None:
    """Find the lesions of one study and measure them.

    Writes exam.json (for fedpsma stage and fedpsma report), lesions.csv, lesions.nii.gz (numbers as in the table),
    mip.png, key_images.png and analysis.json (model, rules, notes, timing) into one folder, whole or not at all.
    """
    from time import perf_counter

    from fedpsma.analysis_folder import FILES, SUMMARY_FILE
    from fedpsma.commands.study_input import read_study
    from fedpsma.io.files import require_own_folder

    require_own_folder(out, SUMMARY_FILE, FILES)
    clock = [perf_counter()]
    given = read_study(path, study, tracer_named(tracer), ct=ct, suv_declared=units is not None)
    clock.append(perf_counter())
    found, card = _run(given, model, contour or given.contour or Contour.PCT45)
    clock.append(perf_counter())
    seconds = {"reading": clock[1] - clock[0], "network and measuring": clock[2] - clock[1]}
    _write(out, given, found, card, seconds)
    _show(given, found, card, out)


def _run(given: StudyInput, model: Path | None, contour: Contour) -> tuple[Analysis, ModelCard]:
    """Let the network and the measurements run under a progress bar."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("loading the model", total=None)
        from fedpsma.analysis import AnalysisOptions, analyze, judge_beside
        from fedpsma.lesions.candidates import CandidateOptions
        from fedpsma.model.checkpoint import load_checkpoint, load_network
        from fedpsma.model.memory import keep_freed_memory

        keep_freed_memory()
        card, net = load_checkpoint(model).card, load_network(model)

        def on_patch(done: int, total: int) -> None:
            progress.update(task, description="looking for lesions", completed=done, total=total)

        options = AnalysisOptions(candidates=CandidateOptions(contour=contour.value, judge=judge_beside(model)))
        return analyze(given.study, net, options, on_patch), card


def _write(out: Path, given: StudyInput, found: Analysis, card: ModelCard, seconds: dict[str, float]) -> None:
    from fedpsma.analysis_folder import write_analysis

    write_analysis(out, given.study, found, card, synthetic=given.synthetic, seconds=seconds)


def _show(given: StudyInput, found: Analysis, card: ModelCard, out: Path) -> None:
    from rich.console import Console

    from fedpsma.analysis_folder import DISCLAIMER, notes_for_reader

    console = Console(highlight=False)
    if given.synthetic:
        console.print("SYNTHETIC PATIENT: no real person.")
    if found.exam.lesions:
        console.print(_table(found))
    else:
        console.print("No lesion found.")
    if found.exam.psma_vol_ml is not None:
        console.print(f"PSMA-TV of the lesions called malignant: {found.exam.psma_vol_ml:.1f} ml")
    for line in _why_indeterminate(found):
        console.print(line, markup=False)
    for note in notes_for_reader(found, card, synthetic=given.synthetic):
        console.print(f"note: {note}", markup=False)
    console.print(f"{DISCLAIMER}\nwritten to {out}", markup=False)


def _why_indeterminate(found: Analysis) -> list[str]:
    """Say of the first indeterminate foci what speaks for and what against malignancy; the rest stands in the file."""
    from fedpsma.lesions.judge import INDETERMINATE
    from fedpsma.lesions.reasons import reasons

    lines = []
    for lesion, one in zip(found.exam.lesions, found.listed, strict=True):
        if lesion.label == INDETERMINATE and one.judgement is not None:
            told = reasons(one.judgement)[:_REASONS_SHOWN]
            facts = "; ".join(f"{reason.text} ({reason.log_odds:+.1f})" for reason in told)
            lines.append(f"{lesion.lesion_id} is indeterminate: {facts}")
    more = len(lines) - _INDETERMINATE_SHOWN
    return [*lines[:_INDETERMINATE_SHOWN], *([f"{more} more in analysis.json"] if more > 0 else [])]


def _table(found: Analysis) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("", "region", "side", "model says", "prob"):
        table.add_column(name)
    for name in ("SUVmax", "SUVpeak", "ml", "mm"):
        table.add_column(name, justify="right")
    lesions = found.exam.lesions
    for one in lesions[:_ROWS_SHOWN]:
        words = (one.lesion_id, one.region.facts.name_en, one.side, one.label, one.model_prob)
        numbers = (one.suvmax, one.suvpeak, one.volume_ml, one.size_mm)
        table.add_row(*map(_cell, (*words, *numbers)))
    if len(lesions) > _ROWS_SHOWN:
        table.add_row("...", f"{len(lesions) - _ROWS_SHOWN} more in lesions.csv")
    return table


def _cell(value: str | float | None) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else f"{value:g}"
