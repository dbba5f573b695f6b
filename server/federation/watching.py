"""A run on the terminal or as lines of JSON, for as long as it goes on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fedpsma.history.summary import RunSummary, SiteSummary
from server.federation.clocks import clock_in_words, clocks_apart
from server.federation.runs import FederationRun

LOOK_S = 1.0
_GOES_ON = ("starting", "running", "cut off")


def watch_json(run: FederationRun, *, once: bool) -> None:
    """Write the view as one line of JSON, and again each time it changes."""
    shown = ""
    while True:
        view = run.summary()
        line = view.model_dump_json()
        if line != shown:
            typer.echo(line)
            shown = line
        if once or view.standing not in _GOES_ON:
            return
        time.sleep(LOOK_S)


def watch_table(run: FederationRun, *, once: bool) -> None:
    """Show the view as a table that changes in place."""
    console = Console(highlight=False)
    view, clocks = run.summary(), clocks_apart(run.home)
    if not once and view.standing in _GOES_ON:
        with Live(table_of(view, clocks), console=console, auto_refresh=False, transient=True) as live:
            while view.standing in _GOES_ON:
                time.sleep(LOOK_S)
                view, clocks = run.summary(), clocks_apart(run.home)
                live.update(table_of(view, clocks), refresh=True)
    console.print(table_of(view, clocks))


def table_of(view: RunSummary, clocks: Mapping[str, float] | None = None) -> Group:
    """Return a run as a line and a table, one row a site, and whose clock differs by how many seconds."""
    table = Table(box=None, pad_edge=False)
    for title in ("site", "now", "rounds", "missed"):
        table.add_column(title, overflow="fold")
    if view.epsilon_budget is not None:
        table.add_column("epsilon", justify="right")
        table.add_column(f"at the end, of {view.epsilon_budget:g}", justify="right")
    for site in view.sites:
        table.add_row(*_row(site, private=view.epsilon_budget is not None))
    apart = [(site.site, (clocks or {}).get(site.site)) for site in view.sites]
    notes = [Text(f"{name}: {clock_in_words(by)}", style="yellow") for name, by in apart if by is not None]
    return Group(Text(_title(view), style="bold"), table, *notes)


def _title(view: RunSummary) -> str:
    parts = [f"{view.run}: {view.standing}", f"round {view.round} of {view.rounds}"]
    if view.seconds_left and view.standing == "running":
        parts.append(f"about {timedelta(seconds=round(view.seconds_left))} left")
    if view.why:
        parts.append(view.why)
    if view.standing == "cut off":
        parts.append("its process died; fedpsma federation up goes on with it")
    return ", ".join(parts)


def _row(site: SiteSummary, *, private: bool) -> list[str]:
    doing = f"{site.doing} {site.why}" if site.why else site.doing
    row = [site.site, doing, str(site.rounds), str(site.missed)]
    if private:
        row += ["-" if value is None else f"{value:.2f}" for value in (site.epsilon, site.epsilon_at_end)]
    return row
