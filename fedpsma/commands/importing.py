"""What the import commands share: the options of the data set, the progress bar, the summary."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.progress import Progress

    from fedpsma.domain.tracer import Tracer
    from fedpsma.io.dataset import DatasetInfo, StudyRow
    from fedpsma.io.importing.source import StudySource
    from fedpsma.io.importing.writer import Outcome, Refused

_IDS_SHOWN = 3


@dataclass(frozen=True)
class Target:
    """The data set to write, by the options that all layouts share."""

    out: Path
    name: str
    site: str
    contour: str

    def info(self, tracer: Tracer | None) -> DatasetInfo:
        """Check the options.

        Raises:
            InputError: One of them is wrong.
        """
        from fedpsma.io.dataset import DatasetInfo, parse_record

        content = {"name": self.name, "site": self.site, "contour": self.contour, "tracer": tracer}
        return parse_record(DatasetInfo, content, "options")


def with_target(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of :class:`Target` in place of its parameter ``target``, after its argument."""
    shared = inspect.signature(_target, eval_str=True).parameters
    argument, *own = [
        one for one in inspect.signature(command, eval_str=True).parameters.values() if one.name != "target"
    ]

    @wraps(command)
    def run(**given: Any) -> None:
        target = _target(**{name: given.pop(name) for name in shared})
        command(target=target, **given)

    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (argument, *shared.values(), *own)]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def _target(
    out: Annotated[Path, typer.Option(help="Data set folder to write; run again to go on in it.")],
    name: Annotated[str, typer.Option(help="Name of the data set.")],
    site: Annotated[str, typer.Option(help="Name of the site.")],
    contour: Annotated[
        str, typer.Option(help="How the lesions were outlined: suv3, suv4, pct41, pct45, pct50, liver or manual.")
    ],
) -> Target:
    return Target(out, name, site, contour)


def run_import(
    sources: Sequence[StudySource], target: Target, info: DatasetInfo, *, damaged: tuple[str, ...] = ()
) -> None:
    """Import under a progress bar, name what was refused, and sum up; exit code 2 where anything was refused.

    Args:
        sources: The studies.
        target: Where to write them.
        info: What holds for the data set.
        damaged: Files that could not even be assigned to a study.
    """
    from fedpsma.io.importing.writer import Refused, import_studies

    for one in damaged:
        typer.echo(f"damaged: {one}", err=True)
    outcomes = _shown(import_studies(sources, target.out, info), len(sources))
    _sum_up(target.out, outcomes)
    if damaged or any(isinstance(outcome, Refused) for outcome in outcomes):
        raise typer.Exit(2)


def _shown(steps: Iterator[Outcome], total: int) -> list[Outcome]:
    from fedpsma.io.importing.writer import Refused

    outcomes: list[Outcome] = []
    with _progress() as progress:
        task = progress.add_task("importing", total=total)
        for outcome in steps:
            outcomes.append(outcome)
            if isinstance(outcome, Refused):
                progress.console.print(_refusal(outcome), markup=False, highlight=False, soft_wrap=True)
            progress.advance(task)
    return outcomes


@contextmanager
def count_files() -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar over files, and give what moves it: number done, number of all."""
    with _progress() as progress:
        task = progress.add_task("reading headers", total=None)

        def on_file(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield on_file


def _progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _refusal(refused: Refused) -> str:
    told = str(refused.error)
    return f"refused: {told}" if told.startswith(refused.name) else f"refused: {refused.name}: {told}"


def _sum_up(out: Path, outcomes: Sequence[Outcome]) -> None:
    from fedpsma.io.dataset import read_dataset

    kinds = Counter(type(outcome).__name__.lower() for outcome in outcomes)
    told = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
    if not (out / "dataset.json").is_file():
        typer.echo(f"{out}: nothing was imported ({told or 'no study found'})")
        return
    data = read_dataset(out)
    rows = data.rows
    tracers = Counter(row.tracer or data.info.tracer or "unknown" for row in rows)
    typer.echo(f"{out}: {_count(rows, 'study', 'studies')} of {_count(data.patients, 'patient', 'patients')} ({told})")
    typer.echo(f"  tracer: {', '.join(f'{name} {number}' for name, number in tracers.most_common())}")
    with_ct, with_mask = sum(row.ct is not None for row in rows), sum(row.mask is not None for row in rows)
    typer.echo(f"  with CT: {with_ct}, with a mask of lesions: {with_mask}")
    for note, ids in _by_note(rows).items():
        more = f" and {len(ids) - _IDS_SHOWN} more" if len(ids) > _IDS_SHOWN else ""
        typer.echo(f"  {note}: {', '.join(ids[:_IDS_SHOWN])}{more}")


def _count(things: Sequence[object], one: str, many: str) -> str:
    return f"{len(things)} {one if len(things) == 1 else many}"


def _by_note(rows: Sequence[StudyRow]) -> dict[str, list[str]]:
    """Gather studies by their notes; notes that differ in numbers alone are shown as the first of them."""
    first: dict[str, str] = {}
    ids: dict[str, list[str]] = {}
    for row in rows:
        for note in row.notes:
            shown = first.setdefault(re.sub(r"\d+(\.\d+)?", "#", note), note)
            ids.setdefault(shown, []).append(row.id)
    return ids
