"""How the commands compute what a site tells, and write it for a person to read before it leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel

    from fedpsma.io.dataset import Dataset

Step = Callable[[], None]


def write_answer(dataset: Path, state: Path, out: Path, answer: Callable[[Dataset, Step], BaseModel]) -> BaseModel:
    """Compute an answer about a data set under a progress bar, and write it.

    Args:
        dataset: Data set folder.
        state: Folder of the site's own state.
        out: File to write.
        answer: Makes the answer and calls its second argument after each study.

    Raises:
        InputError: The data set cannot be read, or ``state`` is no folder.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from fedpsma.io.dataset import read_dataset
    from fedpsma.io.files import require_folder_or_nothing, write_text

    require_folder_or_nothing(state)
    data = read_dataset(dataset)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading studies", total=len(data.rows))
        told = answer(data, lambda: progress.advance(task))
    write_text(out, told.model_dump_json(indent=1) + "\n")
    typer.echo(f"written to {out}; read it before you give it away", err=True)
    return told
