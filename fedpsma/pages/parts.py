"""The shell of a page that opens without a network, and the tables on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources
from string import Template

UNKNOWN = "–"


def page(title: str, body: str, style: str = "") -> str:
    """Return a whole page.

    Args:
        title: Its title, as text.
        body: What it shows, as HTML.
        style: Rules that the page adds to the common stylesheet.
    """
    data = resources.files(__package__).joinpath("data")
    shell = Template(data.joinpath("shell.html").read_text("utf-8"))
    common = data.joinpath("page.css").read_text("utf-8")
    return shell.substitute(title=escape(title), style=common + style, body=body)


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], *, numeric: Iterable[int] = (), kind: str = "") -> str:
    """Return a table.

    Args:
        titles: Titles of the columns, as text.
        rows: Cells, as HTML: whatever comes from data is escaped by who puts it there.
        numeric: Columns (from 0) of numbers, which stand to the right.
        kind: CSS class of the table.

    Example:
        >>> "<th>a &lt; b</th>" in table(["a < b"], [["<b>1</b>"]])
        True
    """
    right = set(numeric)
    css = [' class="number"' if at in right else "" for at in range(len(titles))]
    head = "".join(f"<th{one}>{escape(title)}</th>" for one, title in zip(css, titles, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{one}>{cell}</td>" for one, cell in zip(css, row, strict=True)) + "</tr>" for row in rows
    )
    named = f' class="{kind}"' if kind else ""
    return f'<div class="scroll"><table{named}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def escaped(rows: Iterable[Sequence[str]]) -> list[list[str]]:
    """Return rows of text as cells of a :func:`table`.

    Example:
        >>> escaped([["a < b"]])
        [['a &lt; b']]
    """
    return [[escape(cell) for cell in row] for row in rows]


def number(value: float | None) -> str:
    """Return a number with three significant digits; a dash where it is not known."""
    return UNKNOWN if value is None else f"{value:.3g}"
