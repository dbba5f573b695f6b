"""The command ``fedpsma simulate``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fedpsma.contract import TrainingPlan


class Engine(StrEnum):
    """What runs the sites."""

    INPROCESS = "inprocess"
    RAY = "ray"


class Scope(StrEnum):
    """Which weights are trained."""

    ADAPTIVE = "adaptive"
    ALL = "all"


def simulate(  # noqa: PLR0913 - a command has as many parameters as options
    datasets: Annotated[list[Path], typer.Argument(help="Data set folders, one a site.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Run folder; run again to go on in it.")] = Path("federation"),
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of training and averaging.")] = 3,
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps of a site in a round.")] = 8,
    epsilon: Annotated[
        str, typer.Option(help="Privacy loss of each site over all rounds; 'none' trains without privacy.")
    ] = "8",
    delta: Annotated[float, typer.Option(help="Less than one over the patients of every site.")] = 0.01,
    scope: Annotated[Scope, typer.Option(help="Train the few adaptive weights or all of them.")] = Scope.ADAPTIVE,
    engine: Annotated[
        Engine, typer.Option(help="Sites one by one in this process, or as Ray workers.")
    ] = Engine.INPROCESS,
    secure: Annotated[
        bool, typer.Option("--secure", help="Hide each site's update from the server; needs three sites.")
    ] = False,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Same seed, same model. Known noise protects nobody: not for release.")
    ] = None,
    init: Annotated[
        Path | None, typer.Option(help="Checkpoint to start from. Default: the base checkpoint.", show_default=False)
    ] = None,
) -> None:
    """Train one model over several data sets as a federation on this machine, privately by default.

    Each data set is a site: its patients stay with it, its ledger counts what they pay, and only weights are averaged.
    Research use only, not for clinical use.
    """
    from rich.console import Console

    from server.display import closing_table, progress_bar
    from server.simulation import SimulationConfig
    from server.simulation import simulate as run

    plan = _plan(
        rounds=rounds,
        steps_per_round=steps,
        target_epsilon=_epsilon(epsilon),
        delta=delta,
        scope=scope.value,
        seed=seed,
        min_sites=3 if secure else min(2, len(datasets)),
        secure_aggregation={} if secure else None,
    )
    config = SimulationConfig(datasets=tuple(datasets), out=out, plan=plan, engine=engine.value, init=init)
    console = Console()
    with progress_bar(console, rounds, len(datasets)) as on_event:
        result = run(config, on_event)
    console.print(closing_table(result, plan.delta if plan.target_epsilon else None))
    console.print(f"model: {result.model}", soft_wrap=True)


def _epsilon(text: str) -> float | None:
    from fedpsma.errors import InputError

    if text.lower() == "none":
        return None
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"{text!r} is not a number", where="--epsilon", remedy="give a number or 'none'") from error


def _plan(**settings: object) -> TrainingPlan:
    from pydantic import ValidationError

    from fedpsma.contract import TrainingPlan
    from fedpsma.errors import InputError

    try:
        return TrainingPlan.model_validate(settings)
    except ValidationError as error:
        problem = error.errors()[0]
        field = ".".join(str(part) for part in problem["loc"])
        raise InputError(problem["msg"], where=field, remedy="correct the option") from error
