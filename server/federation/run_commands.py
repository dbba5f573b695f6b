"""``fedpsma federation run|watch|stop|export|tensorboard|verify``: a coordinator trains a model with the sites."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from server.federation.commands import HOME, Folder

if TYPE_CHECKING:
    from server.federation.runs import FederationRun

Run = Annotated[str, typer.Argument(metavar="RUN", help="Name of the run.")]


def run(
    name: Run,
    config: Annotated[
        Path | None,
        typer.Option(help="TOML file with any settings, or a recipe: single-steps, whole-network. Options go over it."),
    ] = None,
    sites: Annotated[list[str] | None, typer.Option("--site", help="A site to ask. Default: all admitted.")] = None,
    epsilon: Annotated[
        str | None,
        typer.Option(help="Privacy loss of each site over all rounds (8; 50 at most), or none: without privacy."),
    ] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds of training and averaging. Default: 3.")] = None,
    secure: Annotated[
        bool, typer.Option("--secure", help="Hide each site's update from you; needs three sites.")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any other setting, like strategy=fedprox; give it as often."),
    ] = None,
    folder: Folder = HOME,
) -> None:
    """Start a run with the sites that are admitted, or go on with one that was stopped or failed.

    Settings are given once; the same name without any goes on after the last finished round. Every site decides for
    itself whether its policy allows what you ask.

    Example: fedpsma federation run first --rounds 20 --epsilon 8 --secure
    """
    from fedpsma.settings import read_settings
    from server.federation.home import FederationHome
    from server.federation.runs import FederationRun, RunConfig, prepare, running_superlink, start
    from server.federation.supervisor import superlink_of

    home = FederationHome(folder)
    home.config()
    superlink = running_superlink(home, superlink_of)
    options: dict[str, Any] = {
        "sites": sites or None,
        "plan.target_epsilon": epsilon,
        "plan.rounds": rounds,
        "plan.secure_aggregation": secure or None,
    }
    wanted = FederationRun(home, name)
    given = config is not None or bool(settings) or any(value is not None for value in options.values())
    if given or not wanted.folder.is_prepared:
        wanted = prepare(home, name, read_settings(RunConfig, config, options, settings or []))
    start(wanted, superlink)
    typer.echo(f"started; see: fedpsma federation watch {name}")


def watch(
    name: Run,
    format: Annotated[str, typer.Option(help="table, or json: one line each time something changes.")] = "table",
    once: Annotated[bool, typer.Option("--once", help="Show it once and leave.")] = False,
    folder: Folder = HOME,
) -> None:
    """Watch a run: rounds, who is late or failed and why, what patients have paid, time left.

    Ends with the run; Ctrl-C ends the watching only.

    Example: fedpsma federation watch first
    """
    from fedpsma.errors import InputError
    from server.federation.watching import watch_json, watch_table

    if format not in ("table", "json"):
        raise InputError("is neither table nor json", where="--format", remedy="take one of them")
    (watch_json if format == "json" else watch_table)(_run(folder, name), once=once)


def stop(name: Run, folder: Folder = HOME) -> None:
    """Stop a run: training ends at every site within seconds. What was begun stays paid; fedpsma run goes on with it.

    Example: fedpsma federation stop first
    """
    from server.federation.runs import request_stop, wait_until_over

    found = _run(folder, name)
    request_stop(found)
    typer.echo("asked the sites to stop")
    typer.echo(f"the run is {wait_until_over(found)}")


def export(
    name: Run,
    out: Annotated[Path | None, typer.Option(help="Folder to write. Default: RUN-export.")] = None,
    folder: Folder = HOME,
) -> None:
    """Write the model of a finished run with its card, a signed record of how it came about, and its history.

    Example: fedpsma federation export first --out model
    """
    from server.federation.export import export as write

    place = out or Path(f"{name}-export")
    typer.echo(f"written to {write(_run(folder, name), place)}")


def tensorboard(
    name: Annotated[str, typer.Argument(metavar="RUN", help="Name of the run, or the folder of a simulation.")],
    out: Annotated[Path | None, typer.Option(help="Folder to write. Default: RUN-tensorboard.")] = None,
    folder: Folder = HOME,
) -> None:
    """Write the history of a run for TensorBoard; look at it with: tensorboard --logdir FOLDER.

    The run may still go on; then call it again.

    Example: fedpsma federation tensorboard first --out board
    """
    from fedpsma.history.tensorboard import write_tensorboard

    simulated = (Path(name) / "plan.json").is_file()
    run_folder = Path(name) if simulated else _run(folder, name).folder.path
    place = out or Path(f"{run_folder.resolve().name}-tensorboard")
    rounds = write_tensorboard(run_folder, place)
    typer.echo(f"{rounds} rounds written to {place}")


def verify(
    log: Annotated[Path, typer.Argument(metavar="LOG", help="events.jsonl of a run, an export, a site, or a journal.")],
) -> None:
    """Check that no line of a history was changed, taken out or put in; of an export also its end and its record.

    Exit code 2 means that it was.

    Example: fedpsma federation verify model/events.jsonl
    """
    from server.federation.export import verify as check

    links = check(log)
    typer.echo(f"{links.lines} lines follow each other; the last one has SHA-256 {links.head}")


def _run(folder: Path, name: str) -> FederationRun:
    from server.federation.home import FederationHome
    from server.federation.runs import FederationRun

    home = FederationHome(folder)
    home.config()
    found = FederationRun(home, name)
    found.require()
    return found
