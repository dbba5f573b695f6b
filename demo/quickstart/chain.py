"""Runs steps one after the other, remembers which are done, and goes on from there when started again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from demo.quickstart.config import QuickstartConfig
from fedpsma.errors import InputError
from fedpsma.io.files import read_json, write_json

STATE_FILE = "quickstart.json"


@dataclass(frozen=True)
class Workplace:
    """Where a quickstart works, with what settings, and where it talks to the user."""

    folder: Path
    config: QuickstartConfig
    console: Console

    def bar(self) -> Progress:
        """Return a progress bar with an estimate of the time left."""
        return Progress(
            TextColumn("   {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        )


@dataclass(frozen=True)
class Step:
    """One step: its name, what is said before it, and the work, which returns what is said after it."""

    name: str
    announcement: str
    run: Callable[[Workplace], str]


def run_steps(steps: Sequence[Step], place: Workplace) -> dict[str, float]:
    """Run what is not done yet and return the seconds of every step by its name.

    Raises:
        InputError: The folder holds a quickstart with other settings.
    """
    state = _open_state(place)
    for number, step in enumerate(steps, start=1):
        title = f"[bold]{number}/{len(steps)}[/bold] {step.announcement}"
        if step.name in state["steps"]:
            place.console.print(f"{title} [dim](done before)[/dim]")
            place.console.print(f"   {state['steps'][step.name]['result']}", style="dim")
            continue
        place.console.print(title)
        started = time.monotonic()
        result = step.run(place)
        state["steps"][step.name] = {"seconds": round(time.monotonic() - started, 1), "result": result}
        write_json(place.folder / STATE_FILE, state)
        place.console.print(f"   {result} [dim]({state['steps'][step.name]['seconds']:.0f} s)[/dim]")
    return {name: done["seconds"] for name, done in state["steps"].items()}


def _open_state(place: Workplace) -> dict[str, Any]:
    config = place.config.model_dump(mode="json")
    path = place.folder / STATE_FILE
    if not path.exists():
        _require_free(place.folder)
        write_json(path, {"config": config, "steps": {}})
    state: dict[str, Any] = read_json(path)
    if state["config"] != config:
        raise InputError(
            "holds a quickstart with other settings", where=str(place.folder), remedy="give another folder with --out"
        )
    return state


def _require_free(folder: Path) -> None:
    if folder.is_file():
        raise InputError("is a file, not a folder", where=str(folder), remedy="give another folder with --out")
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError("holds other files", where=str(folder), remedy="give an empty folder with --out")
