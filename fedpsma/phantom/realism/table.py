"""The realism report as a table for the terminal."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from fedpsma.phantom.realism.report import Check, Figure, RealismReport

_VERDICTS = {True: "[green]hit[/]", False: "[red]miss[/]", None: "-"}


def realism_table(report: RealismReport) -> Table:
    """Return the table: check, target, measured, hit or miss, tag and source."""
    table = Table(
        title=f"Synthetic patients against real ones: {report.patients_per_tracer} a tracer, seed {report.seed}",
        caption=escape(f"{summary(report)}\n{report.note}"),
        caption_justify="left",
    )
    for column in ("check", "target", "measured", "", "tag", "source", "n"):
        table.add_column(column)
    section = ""
    for check in report.checks:
        if check.section != section:
            section = check.section
            table.add_section()
            table.add_row(f"[bold]{section}[/]")
        targets, measured = _targets(check), ", ".join(_value(one) for one in check.figures)
        table.add_row(
            check.name, targets, measured, _VERDICTS[check.hit], check.tag, check.source, f"[dim]{check.note}[/]"
        )
    return table


def summary(report: RealismReport) -> str:
    """Return in one line how many checks of each section hold.

    Example:
        >>> check = Check(section="cost", name="", figures=(), tag="", source="")
        >>> summary(RealismReport(note="", patients_per_tracer=1, seed=1, checks=(check,)))
        'cost: 0 of 0 hold'
    """
    parts = []
    for name in dict.fromkeys(check.section for check in report.checks):
        judged = [check.hit for check in report.section(name) if check.hit is not None]
        parts.append(f"{name.split(' (')[0]}: {sum(judged)} of {len(judged)} hold")
    return "; ".join(parts)


def _targets(check: Check) -> str:
    """Return the targets of a check, once where all figures have the same; figures that are only shown have none."""
    if len({one.target for one in check.figures}) == 1 < len(check.figures):
        return check.figures[0].target
    return ", ".join(f"{one.label} {one.target}" for one in check.figures if one.target != "shown") or "shown"


def _value(figure: Figure) -> str:
    text = f"{figure.label} {'-' if figure.value is None else format(figure.value, '.3g')}"
    return f"[red]{text}[/]" if figure.hit is False else text
