"""A run on the terminal: a bar that follows its events, and a closing table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from fedpsma.history.events import Event, OnEvent
from fedpsma.history.reasons import plain
from server.simulation import SimulationResult


@contextmanager
def progress_bar(console: Console, rounds: int, title: str = "") -> Iterator[OnEvent]:
    """Give a callback for the events of a run that moves a bar, one part a site and round."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    front = f"{title}, " if title else ""
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(f"{front}waiting for the sites", total=rounds)
        share = 1.0

        def on_event(event: Event) -> None:
            nonlocal share
            if event.kind == "round_started" and event.round is not None:
                share = 1 / max(len(event.sites or ()), 1)
                bar.update(task, description=f"{front}round {event.round}/{rounds}", completed=event.round - 1)
            elif event.kind == "site_reported":
                bar.advance(task, share)
            elif event.kind in ("site_refused", "site_quarantined"):
                bar.advance(task, share if event.round else 0)
                console.print(_left_out(event))

        yield on_event


def _left_out(event: Event) -> str:
    verb = "refused" if event.kind == "site_refused" else "was left out"
    when = f"round {event.round}: " if event.round else ""
    return f"{when}{event.site or 'an unknown site'} {verb} {plain(event.reason)}"


def closing_table(result: SimulationResult, delta: float | None) -> Table:
    """Return what each site gave and what its patients paid; ``delta`` is ``None`` where nothing protects them."""
    table = Table(title=f"{result.rounds} rounds in {result.seconds:.0f} s")
    table.add_column("site")
    table.add_column("patients", justify="right")
    table.add_column("epsilon" if delta is None else f"epsilon (delta {delta:g})", justify="right")
    table.add_column("rounds", justify="right")
    for site in result.sites:
        epsilon = "no privacy" if delta is None else "-" if site.epsilon is None else f"{site.epsilon:.2f}"
        table.add_row(site.site, str(site.patients), epsilon, str(site.rounds))
    return table
