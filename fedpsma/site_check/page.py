"""``check.html``: the report as one page that opens without a network; every text of the data set is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources
from itertools import groupby
from string import Template

from fedpsma.pages.parts import UNKNOWN, escaped, number, page, table
from fedpsma.site_check.facts import OrganSuv
from fedpsma.site_check.histogram import histogram
from fedpsma.site_check.limits import Interval, Number, Range, limits
from fedpsma.site_check.problems import Problem
from fedpsma.site_check.report import CheckReport
from fedpsma.site_check.summary import Spread, StudySummary, TracerSummary

_SHOWN = 8
_LEAST_CHARTED = 3
_HOW_FOUND = (
    "Median (least to largest; studies in which it was found). Liver: 3 cm of it where the anatomical map has it, else "
    "found by rules. Blood pool: by the map, else the descending aorta on the CT. Where the rules find none, "
    "none is stated. Body mean: inside the outline of the body; near 1 by the definition of SUV."
)
_HEADINGS = {
    "error": "Errors: training must not start",
    "warning": "Warnings: look at these",
    "note": "Notes: good to know",
}


def render_page(report: CheckReport) -> str:
    """Return the whole page."""
    data = resources.files(__package__).joinpath("data")
    body = Template(data.joinpath("page.html").read_text("utf-8")).substitute(
        name=escape(report.dataset.name),
        site=escape(report.dataset.site),
        software=escape(report.software),
        mood="good" if report.ready else "bad",
        verdict=escape(report.verdict.capitalize()),
        counts=f"{report.errors} errors, {report.warnings} warnings, {report.notes} notes",
        banner=_banner(report),
        caution=escape(report.caution),
        problems=_problems(report),
        cards=_cards(report),
        tracers=_tracers(report),
        charts=_charts(report),
        scanners=_scanners(report),
        contours=_contours(report),
        studies_summary=f"Figures of all {len(report.studies)} studies",
        studies=_studies(report),
        limits=_limits(),
    )
    return page(f"Check of {report.dataset.name}", body, data.joinpath("page.css").read_text("utf-8"))


def _banner(report: CheckReport) -> str:
    if not report.dataset.synthetic:
        return ""
    return '<p class="banner"><strong>Every patient of this data set is synthetic.</strong></p>'


def _problems(report: CheckReport) -> str:
    if not report.problems:
        return "<p>None found.</p>"
    parts = []
    for severity, group in groupby(report.problems, key=lambda one: one.severity):
        parts.append(f'<h3><span class="chip {severity}">{severity}</span> {_HEADINGS[severity]}</h3>')
        parts.append(_grouped(list(group)))
    return "".join(parts)


def _grouped(problems: list[Problem]) -> str:
    """Show the problems of one severity; a kind that has many shows the first and folds the others."""
    kinds = dict.fromkeys(one.code for one in problems)
    first, folded = [], []
    for kind in kinds:
        mine = [one for one in problems if one.code == kind]
        first.extend(mine[:_SHOWN])
        if len(mine) > _SHOWN:
            title = f"{len(mine) - _SHOWN} more of the kind <code>{escape(kind)}</code>"
            folded.append(f"<details><summary>{title}</summary>{_problem_table(mine[_SHOWN:])}</details>")
    return _problem_table(first) + "".join(folded)


def _problem_table(problems: Iterable[Problem]) -> str:
    rows = [[one.file, _sentence(one.what), _sentence(one.remedy)] for one in problems]
    return table(["file", "finding", "what to do"], escaped(rows), kind="problems")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _cards(report: CheckReport) -> str:
    found = report.summary
    cards = [
        (found.patients, "patients"),
        (found.studies, "studies"),
        (max(found.studies_per_patient, default=0), "most studies of one patient"),
        (found.with_ct, "studies with CT"),
        (found.with_mask, "studies with a lesion mask"),
        (found.without_lesion, "masks without a lesion"),
        (found.lesions, "lesions"),
        (len(found.scanners) or UNKNOWN, "known scanners"),
    ]
    return "".join(f"<div><b>{value}</b><span>{name}</span></div>" for value, name in cards)


def _tracers(report: CheckReport) -> str:
    titles = ["tracer", "studies", "liver SUV", "usual", "blood pool SUV", "usual", "body mean SUV"]
    rows = [_tracer_row(one) for one in report.summary.tracers]
    return table(titles, escaped(rows), numeric=range(1, 7)) + f'<p class="quiet">{_HOW_FOUND}</p>'


def _tracer_row(one: TracerSummary) -> list[str]:
    usual = None if one.tracer is None else limits().of_tracer(one.tracer)
    return [
        one.tracer or "unknown",
        str(one.studies),
        _median(one.liver),
        UNKNOWN if usual is None else _range(usual.liver),
        _median(one.blood_pool),
        UNKNOWN if usual is None else _range(usual.blood_pool),
        _median(one.body_mean),
    ]


def _charts(report: CheckReport) -> str:
    rows = report.studies
    counts = [float(len(row.lesion_ml)) for row in rows if row.lesion_ml is not None]
    volumes = [volume for row in rows for volume in row.lesion_ml or ()]
    hottest = [suv for row in rows if row.is_suv for suv in row.lesion_suvmax or ()]
    found = report.summary
    charts = [
        _figure(counts, "Lesions in a study", found.lesions_per_study, logarithmic=False),
        _figure(volumes, "Lesion volume (ml, logarithmic)", found.lesion_ml, logarithmic=True),
        _figure(hottest, "Lesion SUVmax (logarithmic)", found.lesion_suvmax, logarithmic=True),
        _figure([row.length_mm for row in rows if row.length_mm], "Field of view along the body (mm)", found.length_mm),
    ]
    for one in found.tracers:
        livers = [row.liver.mean for row in rows if row.tracer == one.tracer and row.liver is not None]
        if len(livers) >= _LEAST_CHARTED:
            charts.append(_figure(livers, f"Liver SUV, {one.tracer or 'tracer unknown'}", one.liver))
    return "".join(charts)


def _figure(values: Sequence[float], title: str, spread: Spread | None, *, logarithmic: bool = False) -> str:
    caption = escape(title)
    if spread is not None:
        caption += (
            f"<br>median {spread.median:.4g}, quartiles {spread.q25:.4g} and {spread.q75:.4g}, n = {spread.count}"
        )
    return f"<figure>{histogram(values, title, logarithmic=logarithmic)}<figcaption>{caption}</figcaption></figure>"


def _scanners(report: CheckReport) -> str:
    scanners = [[name, str(count)] for name, count in report.summary.scanners.items()]
    sizes = [[f"{size} mm", str(count)] for size, count in report.summary.voxel_sizes.items()]
    named = (
        table(["scanner", "studies"], escaped(scanners), numeric=[1])
        if scanners
        else "<p>No study names its scanner.</p>"
    )
    return named + table(["PET voxel", "studies"], escaped(sizes), numeric=[1])


def _contours(report: CheckReport) -> str:
    found = report.summary.contour
    declared = f"<p>Declared convention: <strong>{escape(found.declared)}</strong>.</p>"
    if found.edge_suv is None or found.edge_fraction is None:
        return declared + '<p class="quiet">Too few lesions are large enough to see which one the outlines follow.</p>'
    looks = (
        "no single threshold closely (a reader's outline, or the liver's)" if not found.suggested else found.suggested
    )
    return (
        f"{declared}<p>The outlines of {found.lesions} lesions run at SUV {found.edge_suv:.2f} and at "
        f"{found.edge_fraction:.0%} of SUVmax (medians); they follow {escape(looks)}.</p>"
    )


def _studies(report: CheckReport) -> str:
    titles = ["study", "patient", "tracer", "voxel (mm)", "SUVmax", "body mean", "liver", "blood pool", "lesions", "ml"]
    return table(titles, escaped(_study_row(row) for row in report.studies), numeric=range(4, 10))


def _study_row(row: StudySummary) -> list[str]:
    return [
        row.id,
        row.patient,
        row.tracer or UNKNOWN,
        UNKNOWN if row.spacing_mm is None else " x ".join(f"{edge:.3g}" for edge in row.spacing_mm),
        number(row.maximum),
        number(row.body_mean),
        _organ(row.liver),
        _organ(row.blood_pool),
        UNKNOWN if row.lesion_ml is None else str(len(row.lesion_ml)),
        UNKNOWN if row.lesion_ml is None else f"{sum(row.lesion_ml):.3g}",
    ]


def _limits() -> str:
    tags = "; ".join(f"{tag}: {meaning}" for tag, meaning in limits().tags.items())
    tracers = [
        [row.tracer, _range(row.liver), _range(row.blood_pool), _range(row.ratio), row.tag, row.source]
        for row in limits().tracers
    ]
    rules = [[name, _value(limit), limit.tag, limit.source] for name, limit in limits().rules]
    return (
        f'<p class="quiet">{escape(tags)}</p>'
        + table(["tracer", "liver", "blood pool", "liver / blood", "tag", "source"], escaped(tracers))
        + table(["limit", "value", "tag", "source"], escaped(rules))
    )


def _value(limit: Number | Interval) -> str:
    return f"{limit.value:g}" if isinstance(limit, Number) else _range(limit.value)


def _range(usual: Range) -> str:
    return f"{usual[0]:g} to {usual[1]:g}"


def _median(spread: Spread | None) -> str:
    if spread is None:
        return UNKNOWN
    return f"{spread.median:.2f} ({spread.least:.2f} to {spread.largest:.2f}; {spread.count})"


def _organ(organ: OrganSuv | None) -> str:
    return UNKNOWN if organ is None else f"{organ.mean:.2f}"
