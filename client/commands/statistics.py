"""``fedpsma site statistics``: what the coordinator would be told, to be read before it leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from client.commands.answering import write_answer


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
    from client.answers.statistics import statistics_of

    told = write_answer(
        dataset, state, out, lambda data, step: statistics_of(data, state, workers=workers, on_study=lambda _: step())
    )
    typer.echo(told.model_dump_json(indent=1))
