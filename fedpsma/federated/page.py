"""The coordinator's page of the sites' statistics: sites side by side, one table a quantity."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources

from fedpsma.federated.disclosure import LEAST_PATIENTS
from fedpsma.federated.heterogeneity import NOTABLE, FederationStatistics
from fedpsma.federated.statistics import statistics_table
from fedpsma.pages.parts import UNKNOWN, escaped, page, table

_TITLE = "Patients of the federation"
_WIDEST_EM = 8.0


def render_page(found: FederationStatistics) -> str:
    """Return the page as one HTML file that opens without a network."""
    lead = (
        f"<h1>{_TITLE}</h1><p>{found.patients} patients at {len(found.sites)} sites, in fives. Each patient counts "
        f"once in each table; {UNKNOWN} stands for fewer than {LEAST_PATIENTS}, which are withheld. Where a site is "
        "unlike the others, its bars are marked. Research use only.</p>"
    )
    notes = "".join(f'<p class="banner">{escape(note)}</p>' for note in found.notes)
    style = resources.files(__package__).joinpath("data/page.css").read_text("utf-8")
    return page(_TITLE, "".join((lead, notes, _overview(found), *_counted(found), *_histograms(found))), style)


def _overview(found: FederationStatistics) -> str:
    rows: list[list[str]] = [
        ["patients", *(_count(one.patients) for one in found.sites)],
        ["synthetic", *("yes" if one.synthetic else "no" for one in found.sites)],
        ["outlines", *(one.contour for one in found.sites)],
        ["outlines follow", *(one.contour_followed or "no single threshold" for one in found.sites)],
    ]
    return _section("Sites", found, escaped(rows))


def _counted(found: FederationStatistics) -> Iterable[str]:
    for kind in ("tracer", "maker", "data"):
        names = sorted({name for one in found.sites for name in one.counts[kind]})
        rows = [[name, *(_count(one.counts[kind].get(name)) for one in found.sites)] for name in names]
        yield _section(kind.capitalize(), found, escaped(rows))


def _histograms(found: FederationStatistics) -> Iterable[str]:
    far = {(one.site, one.histogram) for one in found.distances if one.distance >= NOTABLE}
    for bins in statistics_table().histograms:
        rows = [
            [
                escape(label),
                *(_bar(one.histograms[bins.name], at, marked=(one.site, bins.name) in far) for one in found.sites),
            ]
            for at, label in enumerate(bins.labels)
        ]
        yield _section(bins.title, found, rows)


def _section(title: str, found: FederationStatistics, rows: Iterable[Sequence[str]]) -> str:
    return f"<h2>{escape(title)}</h2>{table(['', *(one.site for one in found.sites)], rows)}"


def _bar(counts: Sequence[int | None], at: int, *, marked: bool) -> str:
    count, whole = counts[at] or 0, sum(one or 0 for one in counts)
    width = _WIDEST_EM * count / whole if whole else 0.0
    told = f'<span class="bar" style="width:{width:.1f}em"></span>{_count(counts[at])}'
    return f'<span class="far">{told}</span>' if marked and count else told


def _count(count: int | None) -> str:
    return UNKNOWN if count is None else str(count)
