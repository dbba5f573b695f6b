"""The runs of a federation as the page shows them: read from their event logs, whoever wrote those."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fedpsma.errors import InputError
from fedpsma.history.events import Event
from fedpsma.history.summary import RunSummary, events_of, summary_of
from fedpsma.io.chain import verify_chain

EVENTS_FILE = "events.jsonl"


@dataclass(frozen=True)
class SeenRun:
    """A run: how it stands, what happened, and whether its log is whole; ``problem`` says why it cannot be read."""

    name: str
    summary: RunSummary | None = None
    events: tuple[Event, ...] = ()
    log: str = ""
    problem: str = ""


def find_runs(folder: Path | None) -> tuple[Path, ...]:
    """Return the run folders below a folder, the one that was written last first."""
    if folder is None or not folder.is_dir():
        return ()
    plans = [path.parent for path in folder.rglob(EVENTS_FILE) if (path.parent / "plan.json").is_file()]
    return tuple(sorted(plans, key=lambda path: -(path / EVENTS_FILE).stat().st_mtime))


def read_run(folder: Path) -> SeenRun:
    """Read how a run stands now."""
    try:
        summary, events = summary_of(folder), events_of(folder)
        log = f"{verify_chain(folder / EVENTS_FILE).lines} events, each chained to the one before"
    except (InputError, ValueError) as error:
        return SeenRun(folder.name, problem=str(error).splitlines()[0])
    return SeenRun(folder.name, summary, tuple(events), log)
