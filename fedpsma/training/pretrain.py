"""The making of the base checkpoint: non-private, pooled training on phantom patients.

Run it with ``python -m fedpsma.training.pretrain --data FOLDER --out base.safetensors --minutes 50``; the same command
goes on where an earlier one was stopped.
"""

from __future__ import annotations

import copy
import io
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import nn

from fedpsma.errors import InputError
from fedpsma.io.dataset import Dataset, read_dataset
from fedpsma.io.files import write_bytes
from fedpsma.model.checkpoint import ModelCard, apply_weights, load_checkpoint, save_checkpoint, weights_of
from fedpsma.model.config import NetworkConfig
from fedpsma.model.losses import dense_loss
from fedpsma.model.network import LesionNet, build
from fedpsma.training.patches import PatchDraw, cut_patches, draw_patches
from fedpsma.training.sources import SourceCache
from fedpsma.training.validation import score_study, summary

OnStep = Callable[[float, float], None]


@dataclass(frozen=True)
class PretrainPlan:
    """The recipe: AdamW with a cosine learning rate over ``minutes`` of wall time, an average of weights at the end.

    ``start`` names a checkpoint to go on from; without it the weights are drawn from ``seed``.
    """

    minutes: float = 50.0
    patch_voxels: int = 48
    patches_per_step: int = 2
    learning_rate: float = 1.5e-3
    weight_decay: float = 1e-4
    warmup_share: float = 0.03
    largest_gradient_norm: float = 5.0
    average_decay: float = 0.998
    held_out_patients: int = 8
    save_every_s: float = 60.0
    seed: int = 0
    start: str | None = None
    network: NetworkConfig = field(default_factory=NetworkConfig)


@dataclass
class _State:
    """Everything that a stopped run needs to go on."""

    net: LesionNet
    average: LesionNet
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    step: int = 0
    seconds: float = 0.0
    running_loss: float = float("nan")


Patient = tuple[Dataset, str]


def pretrain(datasets: list[Dataset], plan: PretrainPlan, out: Path, on_step: OnStep | None = None) -> ModelCard:
    """Train the base network and write its checkpoint.

    Args:
        datasets: Data sets with lesion masks; anatomy maps are used where there are any.
        plan: The recipe.
        out: The checkpoint to write; ``out`` with the suffix ``.state`` keeps the state of an unfinished run.
        on_step: Called after each step with (share of the time spent, running mean of the loss).

    Raises:
        InputError: There are not more patients than are to be held out, or a study cannot be read.
    """
    learning, held_out = _split(datasets, plan)
    cache = SourceCache(capacity=10_000)
    state = _resume(_fresh(plan), out)
    saved = time.monotonic()
    started = saved - state.seconds
    while state.seconds < 60 * plan.minutes:
        _step(state, _draw(learning, cache, plan, state.generator), plan)
        state.seconds = time.monotonic() - started
        if on_step is not None:
            on_step(min(1.0, state.seconds / (60 * plan.minutes)), state.running_loss)
        if time.monotonic() - saved > plan.save_every_s:
            write_bytes(_state_path(out), _packed(state))
            saved = time.monotonic()
    scores = [
        score_study(state.average, source.study)
        for dataset, patient in held_out
        for source in cache.of_patient(dataset, patient, plan.network)
    ]
    card = _card(datasets, plan, state, len(learning), summary(scores))
    save_checkpoint(out, plan.network, weights_of(state.average), card)
    _state_path(out).unlink(missing_ok=True)
    return card


def _split(datasets: list[Dataset], plan: PretrainPlan) -> tuple[list[Patient], list[Patient]]:
    patients = [(dataset, patient) for dataset in datasets for patient in dataset.patients]
    if len(patients) <= plan.held_out_patients:
        raise InputError(
            f"hold {len(patients)} patients, not more than the {plan.held_out_patients} to be held out",
            where=", ".join(str(dataset.folder) for dataset in datasets),
            remedy="give more data or hold out fewer",
        )
    order = torch.randperm(len(patients), generator=torch.Generator().manual_seed(plan.seed)).tolist()
    shuffled = [patients[index] for index in order]
    return shuffled[plan.held_out_patients :], shuffled[: plan.held_out_patients]


def _fresh(plan: PretrainPlan) -> _State:
    net = build(plan.network, seed=plan.seed)
    if plan.start is not None:
        apply_weights(net, load_checkpoint(Path(plan.start)).weights, where=plan.start)
    optimizer = torch.optim.AdamW(net.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay)
    return _State(net, copy.deepcopy(net), optimizer, torch.Generator().manual_seed(plan.seed + 1))


def _draw(
    patients: list[Patient], cache: SourceCache, plan: PretrainPlan, generator: torch.Generator
) -> list[PatchDraw]:
    draws: list[PatchDraw] = []
    for _ in range(plan.patches_per_step):
        dataset, patient = patients[int(torch.randint(len(patients), (), generator=generator))]
        sources = cache.of_patient(dataset, patient, plan.network)
        draws += draw_patches(sources, 1, plan.patch_voxels, generator)
    return draws


def _step(state: _State, draws: list[PatchDraw], plan: PretrainPlan) -> None:
    rate = plan.learning_rate * rate_factor(state.seconds / (60 * plan.minutes), plan.warmup_share)
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    batch = cut_patches(draws, plan.patch_voxels)
    state.net.train()
    state.optimizer.zero_grad(set_to_none=True)
    loss = dense_loss(state.net(batch.image, batch.tracer), batch.targets)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(state.net.parameters(), plan.largest_gradient_norm, error_if_nonfinite=True)
    state.optimizer.step()
    state.step += 1
    _average(state, plan)
    now = float(loss.detach())
    state.running_loss = now if math.isnan(state.running_loss) else 0.98 * state.running_loss + 0.02 * now


def _average(state: _State, plan: PretrainPlan) -> None:
    decay = min(plan.average_decay, state.step / (state.step + 10))
    with torch.no_grad():
        for mean, value in zip(state.average.parameters(), state.net.parameters(), strict=True):
            mean.lerp_(value, 1 - decay)


def rate_factor(share: float, warmup: float) -> float:
    """Return the factor on the learning rate after ``share`` of the time: a linear warm-up, then a cosine to zero.

    Example:
        >>> [round(rate_factor(share, 0.1), 2) for share in (0.05, 0.1, 0.55, 1.0)]
        [0.5, 1.0, 0.5, 0.0]
    """
    if share < warmup:
        return max(share / warmup, 0.01)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (share - warmup) / (1 - warmup))))


def _state_path(out: Path) -> Path:
    return out.with_suffix(".state")


def _packed(state: _State) -> bytes:
    buffer = io.BytesIO()
    torch.save(
        {
            "net": state.net.state_dict(),
            "average": state.average.state_dict(),
            "optimizer": state.optimizer.state_dict(),
            "generator": state.generator.get_state(),
            "progress": (state.step, state.seconds, state.running_loss),
        },
        buffer,
    )
    return buffer.getvalue()


def _resume(state: _State, out: Path) -> _State:
    path = _state_path(out)
    if not path.is_file():
        return state
    kept = torch.load(path, weights_only=True)
    state.net.load_state_dict(kept["net"])
    state.average.load_state_dict(kept["average"])
    state.optimizer.load_state_dict(kept["optimizer"])
    state.generator.set_state(kept["generator"])
    state.step, state.seconds, state.running_loss = kept["progress"]
    return state


def _card(
    datasets: list[Dataset], plan: PretrainPlan, state: _State, patients: int, metrics: dict[str, Any]
) -> ModelCard:
    synthetic = all(dataset.info.synthetic for dataset in datasets)
    recipe = {name: value for name, value in asdict(plan).items() if name not in ("network", "start")}
    recipe["start_sha256"] = None if plan.start is None else load_checkpoint(Path(plan.start)).card.sha256
    return ModelCard(
        name="fedpsma base",
        data=f"{patients} {'synthetic' if synthetic else 'real'} patients of "
        + ", ".join(sorted({dataset.info.name for dataset in datasets})),
        recipe={"optimizer": "AdamW, cosine learning rate, averaged weights", **recipe, "steps": state.step},
        metrics={"on": "held-out patients of the same data, working grid, suspicion above 0.5", **metrics},
    )


def _main(
    data: Annotated[list[Path], typer.Option(help="Data set folder; give it once for each.")],
    out: Annotated[Path, typer.Option(help="Checkpoint to write (.safetensors).")],
    minutes: Annotated[float, typer.Option(help="Wall time to train for.", min=0.01)] = PretrainPlan.minutes,
    held_out: Annotated[int, typer.Option(help="Patients kept aside for the figures of the model card.", min=1)] = 8,
    threads: Annotated[int, typer.Option(help="CPU threads.", min=1)] = 1,
    seed: Annotated[int, typer.Option(help="Decides split, initial weights and patches.")] = 0,
    start: Annotated[Path | None, typer.Option(help="Checkpoint to go on from instead of drawn weights.")] = None,
) -> None:
    """Train the base checkpoint on phantom patients."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    torch.set_num_threads(threads)
    plan = PretrainPlan(
        minutes=minutes, held_out_patients=held_out, seed=seed, start=None if start is None else str(start)
    )
    columns = (TextColumn("training, loss {task.fields[loss]:.3f}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("", total=1.0, loss=float("nan"))
        card = pretrain(
            [read_dataset(folder) for folder in data],
            plan,
            out,
            lambda share, loss: progress.update(task, completed=share, loss=loss),
        )
    typer.echo("\n".join(f"{name}: {value}" for name, value in card.metrics.items()))


if __name__ == "__main__":
    typer.run(_main)
