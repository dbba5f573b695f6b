"""``fedpsma calibrate``: fit what turns a model's maps into probabilities that keep their word."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fedpsma.io.dataset import Dataset
    from fedpsma.lesions.judge import Judge
    from fedpsma.training.calibration import KnownFocus


def calibrate(
    data: Annotated[
        list[Path], typer.Argument(metavar="DATASET...", help="Data sets with lesion masks that the model never saw.")
    ],
    model: Annotated[Path, typer.Option(help="Checkpoint (.safetensors); its judge is written beside it.")],
    error_level: Annotated[
        float,
        typer.Option(help="Share of either class that may get the wrong label.", min=0.01, max=0.5),
    ] = 0.05,
) -> None:
    """Fit the judge of a model on studies with known lesions.

    Writes MODEL.judge.json: how the facts of a focus add up to a probability, a temperature for each tracer, and from
    which probabilities on a focus is called malignant, indeterminate or physiological. Use patients that the model was
    not trained on; folds are split by patient.
    """
    from fedpsma.io.dataset import read_dataset
    from fedpsma.io.files import write_text
    from fedpsma.model.checkpoint import judge_path, load_checkpoint
    from fedpsma.training.calibration import fit_judge

    sets = [read_dataset(folder) for folder in data]
    card = load_checkpoint(model).card
    foci = _foci(sets, model)
    names = ", ".join(one.info.name for one in sets)
    told = f"{len({one.patient for one in foci})} {_kind(sets)}patients of {names}"
    judge = fit_judge(foci, fitted_on=told, model_sha256=card.sha256, error_level=error_level)
    write_text(judge_path(model), judge.model_dump_json(indent=1) + "\n")
    _show(judge, foci, judge_path(model))


def _kind(sets: list[Dataset]) -> str:
    return "synthetic " if all(one.info.synthetic for one in sets) else ""


def _foci(sets: list[Dataset], model: Path) -> list[KnownFocus]:
    """Collect the foci of all studies; a pseudonym that stands in several data sets is taken for one man."""
    from rich.console import Console
    from rich.progress import track

    from fedpsma.evaluation.origins import on_uncontoured_lesion
    from fedpsma.evaluation.truth import read_truth
    from fedpsma.model.checkpoint import load_network
    from fedpsma.model.inference import predict
    from fedpsma.model.memory import keep_freed_memory
    from fedpsma.training.calibration import known_foci

    keep_freed_memory()
    net = load_network(model)
    studies = [(one, row) for one in sets for row in one.rows]
    found = []
    for data, row in track(studies, description="looking at studies", console=Console(stderr=True), transient=True):
        study = data.load(row)
        unsure = on_uncontoured_lesion(read_truth(data.folder, row.id).foci or (), study)
        found += known_foci(study, predict(net, study), unsure)
    return found


def _show(judge: Judge, foci: list[KnownFocus], path: Path) -> None:
    lesions = sum(one.malignant for one in foci)
    typer.echo(f"{len(foci)} foci, {lesions} of them lesions; fitted on {judge.fitted_on}")
    for tracer, temperature in judge.temperature.items():
        typer.echo(f"temperature of {tracer}: {temperature:.2f}")
    typer.echo(
        f"malignant from {judge.malignant_from:.3f} on, indeterminate from {judge.indeterminate_from:.3f} on; "
        f"at most {judge.error_level:.0%} of either class are expected to get the wrong label\nwritten to {path}"
    )
