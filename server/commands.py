"""The command ``fedpsma simulate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from server.simulation import SimulationConfig, SimulationResult


def simulate(
    datasets: Annotated[
        list[Path] | None, typer.Argument(help="Data set folders, one a site.", show_default=False)
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="TOML file with any settings, or a recipe: single-steps, whole-network. Options go over it."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; run again to go on in it. Default: federation.")] = None,
    strategy: Annotated[
        str | None, typer.Option(help="fedavg, fedmedian, trimmed_mean, multi_krum, fedprox, scaffold, fedbn, ...")
    ] = None,
    epsilon: Annotated[
        str | None,
        typer.Option(help="Privacy loss of each site over all rounds (8; 50 at most), or none: without privacy."),
    ] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds of training and averaging. Default: 3.")] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Also train pooled and alone, and judge all on held-out patients.")
    ] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any other setting; give it as often.")
    ] = None,
) -> None:
    """Train one model over several data sets as a federation on this machine, privately by default.

    Each data set is a site: its patients stay with it, its ledger counts what they pay, and only weights are averaged.
    The same command again goes on where a run was stopped. Ends with simulation.html: curves by site, epsilon against
    budget, and with --compare the table against pooled and single-site training. docs/simulate.md names all settings.
    Research use only, not for clinical use.

    Example: fedpsma simulate site_a site_b site_c --strategy fedmedian --compare --set attack=sign_flip --set seed=1
    """
    from rich.console import Console

    from server.display import closing_table
    from server.simulation.settings import read_config

    options: dict[str, Any] = {
        "datasets": datasets or None,
        "out": out,
        "strategy": strategy,
        "plan.target_epsilon": epsilon,
        "plan.rounds": rounds,
        "compare": compare or None,
    }
    wanted = read_config(config, options, settings or [])
    console = Console()
    result = _run(wanted, console)
    console.print(closing_table(result, wanted.plan.delta if wanted.plan.target_epsilon else None))
    page = _report(wanted, console)
    console.print(f"model: {result.model}", soft_wrap=True)
    console.print(f"page: {page}", soft_wrap=True)


def _run(config: SimulationConfig, console: Console, title: str = "") -> SimulationResult:
    from server import simulation
    from server.display import progress_bar

    with progress_bar(console, config.plan.rounds, title) as on_event:
        return simulation.simulate(config, on_event)


def _report(config: SimulationConfig, console: Console) -> Path:
    """Train what the shared model is compared with, judge all models, and write the page."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from server.simulation.page import write_report
    from server.simulation.report import baselines, judged_items, make_report

    for name, one in baselines(config).items():
        _run(one, console, name)
    items = judged_items(config)
    columns: tuple[Any, ...] = (TextColumn("judging held-out patients"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not items) as bar:
        task = bar.add_task("", total=items)
        report = make_report(config, lambda: bar.advance(task))
    return write_report(config.out, report)
