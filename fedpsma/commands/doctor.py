"""``fedpsma doctor``: what is installed, what is missing, what to do."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fedpsma.health import CheckResult


class Format(StrEnum):
    """How the results are shown."""

    TEXT = "text"
    JSON = "json"


def doctor(
    output: Annotated[Format, typer.Option("--format", help="Lines for people, or JSON for programs.")] = Format.TEXT,
) -> None:
    """Say what is installed, what is missing, what to do.

    Looks at versions, devices, memory and disk, offline switches, name clashes and the base checkpoint.
    Exit code 0: everything needed is there. Exit code 1: there is a problem. What is optional and absent is no problem.
    """
    import json
    from dataclasses import asdict

    from fedpsma.health import run_checks

    results = []
    for result in run_checks():
        results.append(result)
        if output is Format.TEXT:
            _show(result)
    problems = sum(result.state == "problem" for result in results)
    if output is Format.JSON:
        typer.echo(json.dumps({"passed": not problems, "checks": [asdict(result) for result in results]}, indent=1))
    else:
        typer.echo(f"problems: {problems}")
    raise typer.Exit(1 if problems else 0)


def _show(result: CheckResult) -> None:
    typer.echo(f"{result.state.upper():8} {result.name}: {result.detail}")
    if result.remedy:
        typer.echo(f"{'':8} -> {result.remedy}")
