"""The training of the base checkpoint: the supervised trainer on the cohorts of the recipe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.progress import Progress

from fedpsma.base.recipe import BaseRecipe
from fedpsma.io.dataset import read_dataset
from fedpsma.model.checkpoint import Checkpoint
from fedpsma.model.config import NetworkConfig
from fedpsma.model.memory import keep_freed_memory
from fedpsma.training.supervised.device import compute_on
from fedpsma.training.supervised.run import MODEL_FILE, Watch
from fedpsma.training.supervised.run import train as run
from fedpsma.training.supervised.task import task_of_datasets


def _told(patients: int) -> str:
    return (
        f"{patients} synthetic patients of all synthetic sites and tracers, except the pairs of site and tracer that "
        "fedpsma/base/data/recipe.json holds out"
    )


def train_base(
    folders: list[Path], out: Path, recipe: BaseRecipe, minutes: float | None = None, start: Checkpoint | None = None
) -> Path:
    """Train on data sets, or go on with it, and return the best checkpoint.

    ``minutes`` of wall time stand in for those of the recipe; without ``start`` the first weights are drawn.
    """
    keep_freed_memory()
    how = recipe.training if minutes is None else recipe.training.model_copy(update={"minutes": minutes})
    datasets = [read_dataset(folder) for folder in folders]
    task = task_of_datasets(datasets, how, NetworkConfig(), start, name="fedpsma base")
    task = replace(task, data=_told(sum(len(one.patients) for one in datasets) - len(task.held_out)))
    with Progress() as bar:
        steps = bar.add_task("training", total=1.0)

        def on_step(share: float, step: int, loss: float | None) -> None:
            told = {} if loss is None else {"description": f"training, step {step}, loss {loss:.3f}"}
            bar.update(steps, completed=share, **told)  # type: ignore[arg-type]

        run(task, out, compute_on("auto"), Watch(on_step=on_step))
    return out / MODEL_FILE
