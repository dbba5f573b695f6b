"""``fedpsma site statistics``: what the coordinator would be told, to be read before it leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def statistics(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Data set folder.")],
    state: Annotated[Path, typer.Option(help="Folder of the site's own state: policy, ledger, what was told.")],
    out: Annotated[Path, typer.Option(help="File to write, for the coordinator.")] = Path("statistics.json"),
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that read studies.")] = 2,
) -> None:
    """Write what may leave the site before training: counts of patients in fives, none of fewer than five.

    Nothing is sent. The same answer is given until five patients have come, gone or changed, so that two answers cannot
    be subtracted from each other.

    Example: fedpsma site statistics data/ours --state site
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from client.answers.statistics import statistics_of
    from fedpsma.io.dataset import read_dataset
    from fedpsma.io.files import require_folder_or_nothing, write_text

    require_folder_or_nothing(state)
    data = read_dataset(dataset)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("measuring", total=len(data.rows))
        told = statistics_of(data, state, workers=workers, on_study=lambda _: progress.advance(task))
    write_text(out, told.model_dump_json(indent=1) + "\n")
    typer.echo(told.model_dump_json(indent=1))
    typer.echo(f"written to {out}; read it before you give it away", err=True)
