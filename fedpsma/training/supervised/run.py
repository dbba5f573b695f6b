"""The run of a training: steps, validation, the best checkpoint, and going on after a stop.

The folder of a run holds ``run.json`` (recipe, network, start, who is held out), ``state.pt``, ``log.jsonl``, events
for TensorBoard, and the best weights so far as ``model.safetensors`` with ``model.card.json``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from fedpsma.errors import InputError
from fedpsma.io.files import held_alone, read_json, require_folder_or_nothing, write_json
from fedpsma.model.checkpoint import save_checkpoint, weights_of
from fedpsma.model.inputs import GridStudy
from fedpsma.training.dp import TrainingDivergedError
from fedpsma.training.patches import PatchBatch
from fedpsma.training.supervised.device import Compute, prefetched
from fedpsma.training.supervised.log import TrainLog
from fedpsma.training.supervised.state import TrainState, fresh_state, restore_state, save_state, train_step
from fedpsma.training.supervised.task import TrainTask
from fedpsma.training.validation import SELECTION, StudyScore, score_study, summary

MODEL_FILE, RUN_FILE, STATE_FILE = "model.safetensors", "run.json", "state.pt"
_LOG_EVERY = 10
_SAVE_EVERY_S = 120.0


@dataclass(frozen=True)
class Watch:
    """What is told of a run as it goes on, and how it is asked to stop.

    ``on_step`` gets the share of the budget spent, the step and the mean loss since the log's last line where it is
    new; ``on_study`` what is done, how many studies are done and how many there are, while held-out patients are read
    or predicted; ``on_validation`` the step and its figures. ``stop`` is asked between steps and between held-out
    studies.
    """

    on_step: Callable[[float, int, float | None], None] = lambda share, step, loss: None
    on_study: Callable[[str, int, int], None] = lambda what, done, total: None
    on_validation: Callable[[int, dict[str, float | None]], None] = lambda step, figures: None
    stop: Callable[[], bool] = lambda: False


class _StopAskedError(Exception):
    """The run was asked to stop."""


@dataclass
class _Run:
    task: TrainTask
    out: Path
    compute: Compute
    watch: Watch
    state: TrainState
    log: TrainLog
    validation: tuple[GridStudy, ...]
    started: float
    saved: float

    @property
    def share(self) -> float:
        return self.task.recipe.share(self.state.step, self.state.seconds)


def train(task: TrainTask, out: Path, compute: Compute, watch: Watch | None = None) -> bool:
    """Train, or go on with a stopped training, until the budget is spent.

    On one machine's CPU a stopped and resumed run ends with the very weights of an uninterrupted one, if its budget is
    in steps.

    Returns:
        Whether the budget is spent; ``False`` where the run was asked to stop, its state being saved.

    Raises:
        InputError: The folder holds another run or something else, or another process trains in it, no held-out study
            has a lesion, or a study cannot be read.
        TrainingDivergedError: The loss is not finite.
    """
    _claim(task, out)
    with held_alone(out):
        return _train(task, out, compute, watch or Watch())


def _train(task: TrainTask, out: Path, compute: Compute, watch: Watch) -> bool:
    state = fresh_state(task.recipe, task.network, task.start, compute)
    if (out / STATE_FILE).is_file():
        restore_state(out / STATE_FILE, state)
    if _finished(task, state):
        return True
    try:
        validation = tuple(_read(task, watch))
    except _StopAskedError:
        return False
    with TrainLog(out, state.step) as log, prefetched(task.batches.batch, state.step, compute) as batches:
        now = time.monotonic()
        run = _Run(task, out, compute, watch, state, log, validation, started=now - state.seconds, saved=now)
        return _until_done(run, batches)


def _claim(task: TrainTask, out: Path) -> None:
    """Make sure that the folder is new or holds this very run."""
    require_folder_or_nothing(out)
    record, path = task.run_record(), out / RUN_FILE
    if not path.is_file() and out.is_dir() and any(out.iterdir()):
        raise InputError("is not empty and holds no training", where=str(out), remedy="name a new folder")
    if (out / STATE_FILE).is_file():
        kept = read_json(path)
        changed = [name for name in record if kept.get(name) != record[name]]
        if changed:
            problem = f"holds a training that differs in {' and '.join(name.replace('_', ' ') for name in changed)}"
            raise InputError(problem, where=str(out), remedy="give the same options and data, or name a new folder")
    write_json(path, record)


def _finished(task: TrainTask, state: TrainState) -> bool:
    return task.recipe.share(state.step, state.seconds) >= 1 and state.validated_at == state.step


def _read(task: TrainTask, watch: Watch) -> Iterator[GridStudy]:
    for done, study in enumerate(task.held_out, start=1):
        _heed(watch)
        watch.on_study("reading held-out studies", done, len(task.held_out))
        yield study


def _until_done(run: _Run, batches: Iterator[PatchBatch]) -> bool:
    try:
        while True:
            if _validation_due(run):
                _validate(run)
            if run.share >= 1:
                return True
            _heed(run.watch)
            _step(run, next(batches))
    except _StopAskedError:
        _save(run)
        return False


def _step(run: _Run, batch: PatchBatch) -> None:
    state = run.state
    train_step(state, batch, run.task.recipe, run.compute)
    loss = _logged(run) if state.step % _LOG_EVERY == 0 else None
    state.seconds = time.monotonic() - run.started
    run.watch.on_step(run.share, state.step, loss)
    if time.monotonic() - run.saved > _SAVE_EVERY_S:
        _save(run)


def _logged(run: _Run) -> float:
    state = run.state
    loss = _finite(state.losses) / _LOG_EVERY
    state.losses.zero_()
    run.log.write("train", state.step, {"loss": loss, "learning_rate": state.optimizer.param_groups[0]["lr"]})
    return loss


def _validation_due(run: _Run) -> bool:
    """Weights to start from are validated too, so that the log shows what the training adds to them."""
    state, recipe = run.state, run.task.recipe
    if state.step == state.validated_at or (state.step == 0 and run.task.start is None):
        return False
    return state.step % recipe.validate_every == 0 or run.share >= 1


def _validate(run: _Run) -> None:
    state = run.state
    figures = summary(list(_scores(run)))
    state.validated_at = state.step
    run.log.write("validation", state.step, figures)
    selection = figures[SELECTION]
    if selection is None:
        raise InputError("hold no lesion", where="the held-out studies", remedy="hold out others")
    if selection > state.best:
        state.best, state.best_step = selection, state.step
        progress = {"device": str(run.compute), "best_step": state.step, "seconds_to_best": round(state.seconds, 1)}
        card = run.task.card(progress, figures)
        save_checkpoint(run.out / MODEL_FILE, run.task.network, weights_of(state.average), card)
    state.seconds = time.monotonic() - run.started
    _save(run)
    run.watch.on_validation(state.step, figures)


def _scores(run: _Run) -> Iterator[StudyScore]:
    for done, study in enumerate(run.validation, start=1):
        _heed(run.watch)
        with run.compute.autocast():
            score = score_study(run.state.average, study)
        yield score
        run.watch.on_study("validating", done, len(run.validation))


def _save(run: _Run) -> None:
    _finite(run.state.losses)
    save_state(run.out / STATE_FILE, run.state)
    run.saved = time.monotonic()


def _finite(losses: Tensor) -> float:
    total = float(losses)
    if not math.isfinite(total):
        raise TrainingDivergedError("the loss is not finite; lower the learning rate")
    return total


def _heed(watch: Watch) -> None:
    if watch.stop():
        raise _StopAskedError
