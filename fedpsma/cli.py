"""The ``fedpsma`` command: finds the commands of every folder through entry points and runs one of them.

A command module imports nothing heavy at its top, so that ``fedpsma --help`` answers at once; what a command needs it
imports inside. Exit codes: 0 done, 1 failed, 2 the input is wrong.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any

import typer
import typer.core

from fedpsma import __version__
from fedpsma.errors import InputError
from fedpsma.offline import go_offline

COMMANDS_GROUP = "fedpsma.commands"
DEBUG_VARIABLE = "FEDPSMA_DEBUG"
STOPPED_CODE = 130
STOPPED = "stopped; run the same command again: it goes on where it can, or starts anew with nothing half-written"


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fedpsma {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and leave.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Train PSMA-PET/CT lesion models across hospitals, and draft structured reports.

    Research software: not a medical device, and no clinician has reviewed its rules yet.
    New here? Run: fedpsma quickstart
    """


def build_app() -> typer.Typer:
    """Collect the commands that the installed folders offer, in alphabetical order.

    A command that cannot be loaded stands in the list all the same and says why when it is run.
    """
    # Help is plain text here, but typer escapes its brackets as soon as rich is installed.
    typer.core.HAS_RICH = False
    app = typer.Typer(
        name="fedpsma",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        add_completion=False,
    )
    app.callback()(_root)
    for entry in sorted(entry_points(group=COMMANDS_GROUP), key=lambda found: found.name):
        _attach_entry(app, entry)
    return app


def _attach_entry(app: typer.Typer, entry: EntryPoint) -> None:
    try:
        command = entry.load()
    except Exception as error:
        _attach_broken(app, entry.name, error)
    else:
        _attach(app, entry.name, command)


def _attach_broken(app: typer.Typer, name: str, cause: Exception) -> None:
    reason = " ".join(f"cannot be loaded: {type(cause).__name__}: {cause}".split())

    def explain() -> None:
        raise ImportError(f"the command {name} {reason}") from cause

    anything = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command(name=name, help=f"This command {reason}", context_settings=anything)(explain)


def _attach(app: typer.Typer, name: str, command: typer.Typer | Callable[..., Any]) -> None:
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=name)
    else:
        app.command(name=name)(command)


def main() -> None:
    """Run the command line. The wish of a scheduler or a container to end it (SIGTERM) is heeded like Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    go_offline()
    run(build_app)


def run(make_app: Callable[[], typer.Typer]) -> None:
    """Run an app and turn errors, and Ctrl-C, into one line and an exit code."""
    try:
        make_app()()
    except InputError as error:
        _leave(f"error: {error}", code=2)
    except KeyboardInterrupt:
        _leave(STOPPED, code=STOPPED_CODE)
    except SystemExit as error:
        # Typer turns Ctrl-C into this code without a word.
        if error.code == STOPPED_CODE:
            typer.echo(STOPPED, err=True)
        raise
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        _leave(f"failed: {type(error).__name__}: {error} (set {DEBUG_VARIABLE}=1 to see where)", code=1)


def _leave(line: str, code: int) -> None:
    typer.echo(line, err=True)
    sys.exit(code)
