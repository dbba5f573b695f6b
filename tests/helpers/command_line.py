"""The command line: one command in this process, or all of it in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import typer
from click.testing import Result
from typer.testing import CliRunner


def in_process(command: Callable[..., None]) -> Callable[..., Result]:
    """Return what runs one command in this process; an exception other than an exit is raised again."""
    app = typer.Typer()
    app.command()(command)

    def run(*arguments: object) -> Result:
        result = CliRunner().invoke(app, [str(one) for one in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def run_fedpsma(
    *arguments: object, cwd: Path | None = None, timeout: float = 120, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run ``fedpsma`` with these arguments; the caller looks at the exit code."""
    return subprocess.run(
        [sys.executable, "-c", "from fedpsma.cli import main; main()", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
