"""``fedpsma train``: data sets go in, a checkpoint with its model card comes out."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

if TYPE_CHECKING:
    from rich.progress import Progress

    from fedpsma.model.checkpoint import Checkpoint, ModelCard
    from fedpsma.model.config import NetworkConfig
    from fedpsma.training.supervised.recipe import TrainRecipe
    from fedpsma.training.supervised.run import Watch
    from fedpsma.training.supervised.task import TrainTask

_BASE = "base"


class Device(StrEnum):
    """Where to train."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class _Beginning(NamedTuple):
    network: NetworkConfig
    checkpoint: Checkpoint | None


def train(
    datasets: Annotated[list[Path], typer.Argument(help="Data set folders with lesion masks.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder of the run; the same command again goes on in it.")],
    steps: Annotated[int | None, typer.Option(min=1, help="Budget in steps. Give this or --minutes.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Budget in wall time, validation included.")] = None,
    start: Annotated[
        str, typer.Option(help="base, a checkpoint (.safetensors), or a network of drawn weights: small or large.")
    ] = _BASE,
    device: Annotated[Device, typer.Option(help="auto takes a GPU where there is one.")] = Device.AUTO,
    seed: Annotated[int, typer.Option(min=0, help="Decides who is held out, the patches, and drawn weights.")] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A detail, may be repeated: name or licence of the model, or of the recipe learning_rate, "
            "patch_voxels, patients_per_step, slab_share, mass_share, weight_decay, warmup_share, average_decay, "
            "largest_gradient_norm, validation_share, validate_every.",
        ),
    ] = None,
) -> None:
    """Train the lesion network on all given data sets together, without differential privacy.

    Writes model.safetensors with model.card.json, run.json (options; who is held out), log.jsonl, events for
    TensorBoard, and state.pt, from which a stopped run goes on. Patients are held out by patient, never by study. The
    weights kept are the best at a validation, by the mean of lesion average precision and mean Dice of the held-out
    studies with lesions; of equal ones the earlier.

    Weights trained on real patients can give away something of them: share them only as your data allow, or train
    privately as a federation. Research use only, not for clinical use.

    Example: fedpsma train data/site_a data/site_b --out runs/pooled --steps 2000
    """
    from fedpsma.model.memory import keep_freed_memory
    from fedpsma.training.supervised.device import compute_on
    from fedpsma.training.supervised.recipe import FINE_TUNING_RATE, FROM_SCRATCH_RATE, recipe_of, settings_of
    from fedpsma.training.supervised.run import train as run

    beginning, told = _beginning(start), settings_of(settings or (), ("name", "licence"))
    usual = FROM_SCRATCH_RATE if beginning.checkpoint is None else FINE_TUNING_RATE
    details = {"learning_rate": usual, **told.recipe, "steps": steps, "minutes": minutes, "seed": seed}
    model = {"name": out.resolve().name, **told.others}
    task = _task(datasets, recipe_of(details), beginning, model)
    keep_freed_memory()
    with _stop_asked() as asked, _progress() as bar:
        done = run(task, out, compute_on(device.value), _watch(bar, asked))
    if not done:
        raise KeyboardInterrupt
    _show(out)


def _beginning(start: str) -> _Beginning:
    """Return network and weights to begin with."""
    from fedpsma.model.checkpoint import load_checkpoint
    from fedpsma.model.presets import network_preset, preset_names

    if start in preset_names():
        return _Beginning(network_preset(start), None)
    checkpoint = load_checkpoint(None if start == _BASE else Path(start))
    return _Beginning(checkpoint.network, checkpoint)


def _task(datasets: list[Path], recipe: TrainRecipe, beginning: _Beginning, model: dict[str, str]) -> TrainTask:
    from fedpsma.errors import InputError
    from fedpsma.io.dataset import read_dataset
    from fedpsma.training.supervised.task import task_of_datasets

    folders = [folder.resolve() for folder in datasets]
    twice = next((folder for folder in datasets if folders.count(folder.resolve()) > 1), None)
    if twice is not None:
        raise InputError("is given twice", where=str(twice), remedy="name each data set once")
    opened = [read_dataset(folder) for folder in datasets]
    return task_of_datasets(opened, recipe, beginning.network, beginning.checkpoint, **model)


@contextmanager
def _stop_asked() -> Iterator[Event]:
    """Turn the first Ctrl-C, or the wish of a scheduler to end the job, into an event; a second one ends at once."""
    asked = Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}

    def ask(number: int, _: object) -> None:
        asked.set()
        signal.signal(number, before[signal.Signals(number)])
        typer.echo("stopping after this step", err=True)

    for number in signals:
        signal.signal(number, ask)
    try:
        yield asked
    finally:
        for number in signals:
            signal.signal(number, before[number])


def _progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _watch(bar: Progress, asked: Event) -> Watch:
    from fedpsma.training.supervised.run import Watch

    steps = bar.add_task("training", total=1.0)
    studies = bar.add_task("", total=1, visible=False)

    def on_step(share: float, step: int, loss: float | None) -> None:
        text = None if loss is None else f"training, step {step}, loss {loss:.3f}"
        bar.update(steps, completed=share, description=text)

    def on_study(what: str, done: int, total: int) -> None:
        bar.update(studies, description=what, completed=done, total=total, visible=done < total)

    def on_validation(step: int, figures: dict[str, float | None]) -> None:
        bar.console.print(f"step {step}: {_line(figures)}", soft_wrap=True)

    return Watch(on_step, on_study, on_validation, asked.is_set)


def _line(figures: dict[str, Any]) -> str:
    shown = {
        "selection": "selection",
        "lesion_average_precision": "lesion AP",
        "mean_dice_of_studies_with_lesions": "Dice",
        "lesion_sensitivity": "sensitivity",
        "false_positives_per_study": "false positives a study",
        "anatomy_accuracy_inside_body": "anatomy",
    }
    return ", ".join(f"{text} {figures[key]:.3f}" for key, text in shown.items() if figures[key] is not None)


def _show(out: Path) -> None:
    from fedpsma.model.checkpoint import load_checkpoint

    model = out / "model.safetensors"
    card: ModelCard = load_checkpoint(model).card
    typer.echo(f"best at step {card.recipe['best_step']}: {_line(card.metrics)}")
    typer.echo(f"model: {model}")
