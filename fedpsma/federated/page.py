"""The coordinator's page of the sites' statistics: sites side by side, one table a quantity."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources
from string import Template

from fedpsma.federated.heterogeneity import NOTABLE, FederationStatistics
from fedpsma.federated.statistics import statistics_table

_WIDEST_EM = 8.0


def render_page(found: FederationStatistics) -> str:
    """Return the page as one HTML file that loads nothing."""
    page = Template(resources.files(__package__).joinpath("data/statistics.html").read_text("utf-8"))
    return page.substitute(
        patients=found.patients,
        count=len(found.sites),
        notes="".join(f'<p class="banner">{escape(note)}</p>' for note in found.notes),
        tables="".join((_overview(found), *_categories(found), *_histograms(found))),
    )


def _overview(found: FederationStatistics) -> str:
    rows: dict[str, list[str]] = {
        "patients": [_count(one.patients) for one in found.sites],
        "synthetic": ["yes" if one.synthetic else "no" for one in found.sites],
        "outlines": [one.contour for one in found.sites],
        "outlines follow": [one.contour_followed or "no single threshold" for one in found.sites],
    }
    cells = ((name, [(text, False) for text in texts]) for name, texts in rows.items())
    return _table("Sites", [one.site for one in found.sites], cells)


def _categories(found: FederationStatistics) -> Iterable[str]:
    for kind in ("tracer", "maker", "data"):
        names = sorted({name for one in found.sites for name in one.counts[kind]})
        rows = ((name, [(_count(one.counts[kind].get(name)), False) for one in found.sites]) for name in names)
        yield _table(kind.capitalize(), [one.site for one in found.sites], rows)


def _histograms(found: FederationStatistics) -> Iterable[str]:
    far = {(one.site, one.histogram) for one in found.distances if one.distance >= NOTABLE}
    for bins in statistics_table().histograms:
        rows = [
            (label, [(_bar(one.histograms[bins.name], at), (one.site, bins.name) in far) for one in found.sites])
            for at, label in enumerate(bins.labels)
        ]
        yield _table(bins.title, [one.site for one in found.sites], rows)


def _bar(counts: Sequence[int | None], at: int) -> str:
    count, whole = counts[at] or 0, sum(one or 0 for one in counts)
    width = _WIDEST_EM * count / whole if whole else 0.0
    return f'<span class="bar" style="width:{width:.1f}em"></span>{_count(counts[at])}'


def _count(count: int | None) -> str:
    return "-" if count is None else str(count)


def _table(title: str, sites: Sequence[str], rows: Iterable[tuple[str, Sequence[tuple[str, bool]]]]) -> str:
    """Return a table; each cell comes with whether it is marked, and is HTML already."""
    head = "".join(f"<th>{escape(name)}</th>" for name in ("", *sites))
    body = "".join(
        f"<tr><th>{escape(name)}</th>{''.join(_cell(text, marked=marked) for text, marked in cells)}</tr>"
        for name, cells in rows
    )
    return f'<h2>{escape(title)}</h2><div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def _cell(text: str, *, marked: bool) -> str:
    return f'<td class="far">{text}</td>' if marked else f"<td>{text}</td>"
