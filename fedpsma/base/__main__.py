"""The steps that make the base checkpoint: ``python -m fedpsma.base --help``."""

from __future__ import annotations

import shutil
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from fedpsma.base.cohorts import write_cohorts
from fedpsma.base.judge import phantom_foci
from fedpsma.base.recipe import base_recipe
from fedpsma.base.testing import read_studies, tasks_of, write_figures
from fedpsma.base.training import train_base
from fedpsma.io.files import write_text
from fedpsma.model.checkpoint import judge_path, load_checkpoint
from fedpsma.training.calibration import fit_judge

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Make the base checkpoint: synthetic patients, training, judge, test. Each step goes on where it stopped.",
)


class Cohorts(StrEnum):
    """The cohorts of the recipe."""

    TRAINING = "training"
    JUDGING = "judging"
    TESTING = "testing"


Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the making of the base happens.")]


@app.command()
def cohorts(folder: Folder, split: Annotated[Cohorts, typer.Option(help="Which patients.")] = Cohorts.TRAINING) -> None:
    """Write the synthetic patients of a split, one data set for each pair of site and tracer."""
    recipe = base_recipe()
    written = write_cohorts(folder / split.value, recipe, split.value)
    for path in track(written, total=len(recipe.pairs(split.value)), description="making patients"):
        typer.echo(str(path))


@app.command()
def train(
    folder: Folder,
    minutes: Annotated[float | None, typer.Option(help="Wall time instead of that of the recipe.", min=0.01)] = None,
    start: Annotated[Path | None, typer.Option(help="Checkpoint to go on from; drawn weights when left out.")] = None,
) -> None:
    """Train on the cohort "training"; the best weights are written as FOLDER/base.safetensors."""
    with_cohort = sorted(path for path in (folder / Cohorts.TRAINING.value).iterdir() if path.is_dir())
    model = train_base(
        with_cohort, folder / "run", base_recipe(), minutes, None if start is None else load_checkpoint(start)
    )
    for suffix in (".safetensors", ".card.json"):
        shutil.copyfile(model.with_name(f"model{suffix}"), folder / f"base{suffix}")
    typer.echo(f"written to {folder / 'base.safetensors'}")


@app.command()
def judge(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Checkpoint; its judge is written beside it.")],
) -> None:
    """Fit the judge of a checkpoint on the cohort "judging"."""
    jobs = base_recipe().jobs("judging")
    foci = [one for found in track(phantom_foci(jobs, model), total=len(jobs), description="judging") for one in found]
    fitted = fit_judge(
        foci,
        fitted_on=f"{len(jobs)} synthetic patients of the sites and tracers that the network was trained on",
        model_sha256=load_checkpoint(model).card.sha256,
    )
    write_text(judge_path(model), fitted.model_dump_json(indent=1) + "\n")
    typer.echo(f"{len(foci)} foci, {sum(one.malignant for one in foci)} of them lesions: {judge_path(model)}")


@app.command()
def test(
    folder: Folder,
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Checkpoint; the figures go into its model card.")],
) -> None:
    """Measure a checkpoint on the cohort "testing": FOLDER/evaluation, and the headline figures on its model card."""
    folders = sorted(path for path in (folder / Cohorts.TESTING.value).iterdir() if path.is_dir())
    tasks, out = tasks_of(folders), folder / "evaluation"
    for _ in track(read_studies(tasks, model, out), total=len(tasks), description="testing"):
        pass
    write_figures(tasks, model, out)
    typer.echo(f"written to {out / 'evaluation.html'} and the model card")


if __name__ == "__main__":
    app()
