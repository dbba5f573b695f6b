"""The making of the base checkpoint: non-private, pooled training on synthetic patients.

Run it with ``python -m fedpsma.training.pretrain --out base.safetensors``; the same command goes on where an earlier
one was stopped. The patients are those of ``data/base_recipe.json``, made anew each time from their seeds.
"""

from __future__ import annotations

import copy
import io
import json
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib import resources
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from pydantic import BaseModel, ConfigDict
from torch import nn

from fedpsma.domain.tracer import Tracer
from fedpsma.io.files import write_bytes
from fedpsma.model.checkpoint import ModelCard, apply_weights, load_checkpoint, save_checkpoint, weights_of
from fedpsma.model.config import NetworkConfig
from fedpsma.model.inputs import GridStudy, to_grid
from fedpsma.model.losses import dense_loss
from fedpsma.model.network import LesionNet, build
from fedpsma.phantom.patient import PhantomOptions, draw_patient
from fedpsma.phantom.sites import site_profile, site_profiles
from fedpsma.training.patches import (
    Edges,
    PatchBatch,
    PatchSource,
    cross_section,
    cut_patches,
    draw_patches,
    patch_source,
)

OnStep = Callable[[float, float], None]


class BaseRecipe(BaseModel):
    """Which synthetic patients the base checkpoint learns from: every pair of site and tracer but those held out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    note: str
    spacing_mm: float
    seed: int
    patients_per_pair: int
    held_out: tuple[tuple[str, Tracer], ...]

    @property
    def pairs(self) -> tuple[tuple[str, Tracer], ...]:
        """The pairs of site and tracer to learn from."""
        every = ((site, tracer) for site in site_profiles() for tracer in Tracer)
        return tuple(pair for pair in every if pair not in self.held_out)


@cache
def base_recipe() -> BaseRecipe:
    """Return the recipe of the base checkpoint that comes with the package."""
    return BaseRecipe.model_validate(
        json.loads(resources.files(__package__).joinpath("data/base_recipe.json").read_text("utf-8"))
    )


@dataclass(frozen=True)
class PretrainPlan:
    """How to learn: AdamW with a cosine learning rate over ``minutes`` of wall time, an average of weights at the end.

    A step sees one slab over the whole cross-section of one patient, or ``cubes`` cubes of as many patients. ``start``
    names a checkpoint to go on from; without it the weights are drawn from ``seed``.
    """

    minutes: float = 70.0
    slab_share: float = 0.35
    levels: int = 48
    cubes: int = 2
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    warmup_share: float = 0.02
    largest_gradient_norm: float = 5.0
    average_decay: float = 0.999
    save_every_s: float = 120.0
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


def phantom_sources(recipe: BaseRecipe, network: NetworkConfig, workers: int = 2) -> Iterator[PatchSource]:
    """Yield the patients of a recipe as they are made, in the order of its pairs."""
    jobs = [
        (site, tracer, number, recipe, network)
        for number in range(recipe.patients_per_pair)
        for site, tracer in recipe.pairs
    ]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from map(patch_source, pool.map(_grid_patient, jobs, chunksize=4))


def _grid_patient(job: tuple[str, Tracer, int, BaseRecipe, NetworkConfig]) -> GridStudy:
    site, tracer, number, recipe, network = job
    torch.set_num_threads(1)
    options = PhantomOptions(spacing_mm=recipe.spacing_mm, tracer=tracer)
    return to_grid(draw_patient(site, number, recipe.seed + list(Tracer).index(tracer), options).study, network)


def pretrain(sources: list[PatchSource], plan: PretrainPlan, out: Path, on_step: OnStep | None = None) -> ModelCard:
    """Train the base network and write its checkpoint.

    Args:
        sources: The patients to learn from.
        plan: How to learn.
        out: The checkpoint to write; ``out`` with the suffix ``.state`` keeps the state of an unfinished run.
        on_step: Called after each step with (share of the time spent, running mean of the loss).
    """
    state = _resume(_fresh(plan), out)
    saved = time.monotonic()
    started = saved - state.seconds
    while state.seconds < 60 * plan.minutes:
        _step(state, _batch(sources, plan, state.generator), plan)
        state.seconds = time.monotonic() - started
        if on_step is not None:
            on_step(min(1.0, state.seconds / (60 * plan.minutes)), state.running_loss)
        if time.monotonic() - saved > plan.save_every_s:
            write_bytes(_state_path(out), _packed(state))
            saved = time.monotonic()
    card = _card(len(sources), plan, state)
    save_checkpoint(out, plan.network, weights_of(state.average), card)
    _state_path(out).unlink(missing_ok=True)
    return card


def _fresh(plan: PretrainPlan) -> _State:
    net = build(plan.network, seed=plan.seed)
    if plan.start is not None:
        apply_weights(net, load_checkpoint(Path(plan.start)).weights, where=plan.start)
    optimizer = torch.optim.AdamW(net.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay)
    return _State(net, copy.deepcopy(net), optimizer, torch.Generator().manual_seed(plan.seed + 1))


def _batch(sources: list[PatchSource], plan: PretrainPlan, generator: torch.Generator) -> PatchBatch:
    """Draw a slab of one patient, or cubes of several."""
    slab = float(torch.rand((), generator=generator)) < plan.slab_share
    chosen = torch.randint(len(sources), (1 if slab else plan.cubes,), generator=generator).tolist()
    edge: int | Edges = plan.levels
    if slab:
        edge = cross_section(sources[chosen[0]].study, plan.levels, plan.network.stride)
    draws = [draw for index in chosen for draw in draw_patches([sources[index]], 1, edge, generator)]
    return cut_patches(draws, edge)


def _step(state: _State, batch: PatchBatch, plan: PretrainPlan) -> None:
    rate = plan.learning_rate * rate_factor(state.seconds / (60 * plan.minutes), plan.warmup_share)
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.net.train()
    state.optimizer.zero_grad(set_to_none=True)
    loss = dense_loss(state.net(batch.image, batch.tracer), batch.targets)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(state.net.parameters(), plan.largest_gradient_norm, error_if_nonfinite=True)
    state.optimizer.step()
    state.step += 1
    _average(state, plan)
    now = float(loss.detach())
    state.running_loss = now if math.isnan(state.running_loss) else 0.99 * state.running_loss + 0.01 * now


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


def _card(patients: int, plan: PretrainPlan, state: _State) -> ModelCard:
    recipe = base_recipe()
    told = {name: value for name, value in asdict(plan).items() if name not in ("network", "start")}
    told["start_sha256"] = None if plan.start is None else load_checkpoint(Path(plan.start)).card.sha256
    names = ", ".join(site_profile(site).name for site in site_profiles())
    return ModelCard(
        name="fedpsma base",
        data=f"{patients} synthetic patients of {names}, all tracers",
        recipe={
            "optimizer": "AdamW, cosine learning rate, averaged weights",
            **told,
            "steps": state.step,
            "cohort": recipe.model_dump(mode="json", exclude={"note"}),
        },
        metrics={},
    )


def _main(
    out: Annotated[Path, typer.Option(help="Checkpoint to write (.safetensors).")],
    minutes: Annotated[float, typer.Option(help="Wall time to train for.", min=0.01)] = PretrainPlan.minutes,
    threads: Annotated[int, typer.Option(help="CPU threads.", min=1)] = 1,
    seed: Annotated[int, typer.Option(help="Decides initial weights and patches.")] = 0,
    start: Annotated[Path | None, typer.Option(help="Checkpoint to go on from instead of drawn weights.")] = None,
) -> None:
    """Train the base checkpoint on synthetic patients."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    torch.set_num_threads(threads)
    plan = PretrainPlan(minutes=minutes, seed=seed, start=None if start is None else str(start))
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    recipe = base_recipe()
    with Progress(*columns) as progress:
        wanted = recipe.patients_per_pair * len(recipe.pairs)
        made = progress.track(phantom_sources(recipe, plan.network), total=wanted, description="making patients")
        sources = list(made)
        task = progress.add_task("training", total=1.0)

        def on_step(share: float, loss: float) -> None:
            progress.update(task, completed=share, description=f"training, loss {loss:.3f}")

        card = pretrain(sources, plan, out, on_step)
    typer.echo(f"{card.recipe['steps']} steps, written to {out}")


if __name__ == "__main__":
    typer.run(_main)
