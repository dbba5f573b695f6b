"""The runs of a federation as the page shows them: read from their event logs, whoever wrote those."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fedpsma.errors import InputError
from fedpsma.io.chain import verify_chain

if TYPE_CHECKING:
    from server.events import Event
    from server.federation.view import RunView

EVENTS_FILE = "events.jsonl"


@dataclass(frozen=True)
class SeenRun:
    """A run: how it stands, what happened, and whether its log is whole; ``problem`` says why it cannot be read."""

    name: str
    view: RunView | None = None
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
    # The server's modules load the network's, which the page needs for nothing else.
    from server.federation.home import FederationHome
    from server.federation.runs import FederationRun
    from server.federation.view import view_of
    from server.run_folder import RunFolder

    class RunAnywhere(FederationRun):
        """A run whose folder does not lie below a federation's."""

        @property
        def folder(self) -> RunFolder:
            return RunFolder(folder.resolve())

    run = RunAnywhere(FederationHome(folder), folder.name)
    try:
        view = view_of(run)
        events, _ = run.folder.events.read()
        log = f"{verify_chain(folder / EVENTS_FILE).lines} events, each chained to the one before"
    except (InputError, ValueError) as error:
        return SeenRun(folder.name, problem=str(error).splitlines()[0])
    return SeenRun(folder.name, view, tuple(events), log)
