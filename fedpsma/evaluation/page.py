"""``evaluation.html``: the report as one page that opens without a network; every text of the data is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

from fedpsma.evaluation.bootstrap import Figure
from fedpsma.evaluation.figures import FigureFacts, figure_facts
from fedpsma.evaluation.origins import origin_groups
from fedpsma.evaluation.plots import bland_altman_plot, froc_plot, precision_recall_plot, reliability_plot
from fedpsma.evaluation.report import ConfusionTable, Evaluation, Group, ModelResult
from fedpsma.io.files import write_json, write_text
from fedpsma.pages.parts import UNKNOWN, number, page, table

# Title of each hit rule and the ending of its figures.
_RULES = {"any overlap": "", "holding its SUVmax": "_suvmax", "an IoU of at least 0.1": "_iou"}


def render_page(report: Evaluation) -> str:
    """Return the whole page."""
    data = resources.files(__package__).joinpath("data")
    names = ", ".join(one.name for one in report.models)
    body = Template(data.joinpath("page.html").read_text("utf-8")).substitute(
        title=escape(names),
        software=escape(report.software),
        data=escape(", ".join(one.name for one in report.datasets)),
        banner=_banner(report),
        caution=escape(report.caution),
        cards=_cards(report.models[0].groups[0]),
        headline=_headline(report),
        differences=_differences(report),
        detection=_detection(report),
        volumes=_volumes(report),
        location=_location(report),
        staging=_staging(report),
        calibration=_calibration(report),
        origins=_origins(report),
        groups=_groups(report),
        datasets=_datasets(report),
        replicates=f"{report.replicates:,}",
        seed=str(report.seed),
    )
    return page(f"Evaluation of {names}", body, data.joinpath("page.css").read_text("utf-8"))


def _banner(report: Evaluation) -> str:
    synthetic = [one.name for one in report.datasets if one.synthetic]
    if not synthetic:
        return ""
    whom = "Every patient is synthetic" if report.synthetic else f"Synthetic patients: {', '.join(synthetic)}"
    return (
        f'<p class="banner"><strong>{escape(whom)}.</strong> Figures on synthetic patients say what a model learnt, '
        "not how it does in a clinic.</p>"
    )


def _cards(group: Group) -> str:
    cards = [
        (group.patients, "patients"),
        (group.scans, "scans"),
        (group.lesions, "lesions"),
        (group.foci, "foci judged by the first model"),
        (group.uncontoured, "of its foci left out: on true lesions the site does not contour"),
    ]
    return "".join(f"<div><b>{value}</b><span>{escape(name)}</span></div>" for value, name in cards)


def _headline(report: Evaluation) -> str:
    shown = [one for one in figure_facts() if one.headline]
    aims = ["aim"] if report.synthetic else []
    titles = ["", *(one.name for one in report.models), *aims, "published, on other data"]
    rows = []
    for facts in shown:
        cells = [_measured(facts, model.groups[0], judged=report.synthetic) for model in report.models]
        aim = [_aim(facts)] if report.synthetic else []
        rows.append([escape(facts.title), *cells, *aim, _anchor(facts)])
    return table(titles, rows, numeric=range(1, len(report.models) + len(aims) + 1))


def _measured(facts: FigureFacts, group: Group, *, judged: bool = False) -> str:
    figure = group.figures.get(facts.name)
    if figure is None or figure.value is None:
        return '<span class="quiet">not available</span>'
    reached = facts.reached(figure.value) if judged else None
    mark = "" if reached is None else f' <span class="chip {"good" if reached else "bad"}">{_word(reached)}</span>'
    return f"{_figure(facts, figure)}{mark}"


def _word(reached: bool) -> str:
    return "reached" if reached else "missed"


def _figure(facts: FigureFacts, figure: Figure) -> str:
    if figure.value is None:
        return UNKNOWN
    digits = 2 if facts.unit == "ml" else 3
    value = f"<b>{figure.value:.{digits}f}</b>"
    if figure.low is None or figure.high is None:
        return value
    return f'{value} <span class="quiet">({figure.low:.{digits}f} to {figure.high:.{digits}f})</span>'


def _aim(facts: FigureFacts) -> str:
    if facts.aim is None:
        return UNKNOWN
    return f"{'at least' if facts.better == 'higher' else 'at most'} {facts.aim:g}"


def _anchor(facts: FigureFacts) -> str:
    one = facts.anchor
    if one is None:
        return UNKNOWN
    interval = "" if one.low is None or one.high is None else f" ({one.low:g} to {one.high:g})"
    return f'{one.value:g}{interval} <span class="quiet">{escape(one.source)} [{escape(one.tag)}]</span>'


def _differences(report: Evaluation) -> str:
    if not report.differences:
        return ""
    facts = {one.name: one for one in figure_facts()}
    rows = [
        [
            escape(facts[one.figure].title),
            escape(f"{one.model} minus {one.reference}"),
            _figure(facts[one.figure], one.difference),
            number(one.p),
            number(one.adjusted),
        ]
        for one in report.differences
    ]
    titles = ["", "models", "difference", "p", f"p after Bonferroni ({len(report.differences)})"]
    return "<h2>Differences, patient by patient</h2>" + table(titles, rows, numeric=(2, 3, 4))


def _section(report: Evaluation, section: str) -> str:
    """Return the table of a section's figures, one column a model; figures that no model has are left out."""
    return _rows([one for one in figure_facts() if one.section == section], report.models)


def _rows(facts: Sequence[FigureFacts], models: Sequence[ModelResult]) -> str:
    shown = [one for one in facts if any(one.name in model.groups[0].figures for model in models)]
    if not shown:
        return '<p class="quiet">Not available: these data do not know it, or masks alone do not say it.</p>'
    rows = [[escape(one.title), *(_measured(one, model.groups[0]) for model in models)] for one in shown]
    titles = ["", *(one.name for one in models)]
    return table(titles, rows, numeric=range(1, len(titles)))


def _detection(report: Evaluation) -> str:
    plots = _plots([froc_plot(report.models), precision_recall_plot(report.models)])
    tables = "".join(f"<h3>{escape(one.name)}</h3>{_by_rule(one)}" for one in report.models)
    return f"{plots}{tables}<h3>By the words the reader sees</h3>{_section(report, 'reading')}"


def _by_rule(model: ModelResult) -> str:
    """Return the detection figures of a model, one column a hit rule."""
    facts, figures = {one.name: one for one in figure_facts()}, model.groups[0]
    rows = [
        [escape(one.title), *(_measured(facts[f"{one.name}{suffix}"], figures) for suffix in _RULES.values())]
        for one in facts.values()
        if one.section == "detection" and one.name in figures.figures and not one.name.endswith(("_suvmax", "_iou"))
    ]
    return table(["a focus finds a lesion by", *_RULES], rows, numeric=range(1, len(_RULES) + 1))


def _volumes(report: Evaluation) -> str:
    plots = _plots([bland_altman_plot(one) for one in report.models])
    tests = "".join(_equivalence(one) for one in report.models)
    return f"{_section(report, 'segmentation')}{plots}{_section(report, 'volume')}{tests}"


def _equivalence(model: ModelResult) -> str:
    found = model.volume_equivalence
    if found is None:
        return ""
    verdict = "equivalent" if found.equivalent else "not shown to be equivalent"
    return (
        f"<p>{escape(model.name)}: tumour volumes are {verdict} within {found.margin_percent:g} % "
        f"(two one-sided tests, p = {found.p:.3g}; mean difference {found.mean_percent:.1f} %, 90 % interval "
        f"{found.low:.1f} to {found.high:.1f} %, {found.patients} patients with a volume on either side).</p>"
    )


def _location(report: Evaluation) -> str:
    tables = [_confusion(one.axes, one.name, "true axis") for one in report.models if one.axes is not None]
    mistakes = "".join(_mistakes(one) for one in report.models)
    return f"{_section(report, 'location')}{_side_by_side(tables)}{mistakes}"


def _mistakes(model: ModelResult) -> str:
    if not model.region_mistakes:
        return ""
    rows = [
        [escape(one.true.facts.name_en), escape(one.found.facts.name_en), str(one.lesions)]
        for one in model.region_mistakes
    ]
    return f"<h3>Most frequent confusions, {escape(model.name)}</h3>" + table(
        ["true region", "taken for", "lesions"], rows, numeric=(2,)
    )


def _staging(report: Evaluation) -> str:
    tables = [
        _confusion(confused, f"mi{axis}, {model.name}", "true")
        for model in report.models
        for axis, confused in model.stages.items()
    ]
    ceiling = [one for one in figure_facts() if one.section == "ceiling"]
    if not tables:
        return _section(report, "staging")
    rows = [[escape(one.title), _measured(one, report.models[0].groups[0])] for one in ceiling]
    rules = f"<h3>What the rules make of the true lesion tables</h3>{table(['', ''], rows, numeric=(1,))}"
    return f"{_section(report, 'staging')}{_side_by_side(tables)}{rules}"


def _calibration(report: Evaluation) -> str:
    judged = [one for one in report.models if one.judged]
    if not judged:
        return '<p class="quiet">Not available: masks have no probabilities.</p>'
    facts = [one for one in figure_facts() if one.section == "calibration"]
    parts = []
    for model in judged:
        groups = [group for group in model.groups if group.kind != "dataset"]
        plots = _plots([reliability_plot(f"{model.name}, {group.name}", group.reliability) for group in groups])
        rows = [[escape(one.title), *(_measured(one, group) for group in groups)] for one in facts]
        titles = ["", *(f"{group.name} ({group.foci} foci)" for group in groups)]
        parts.append(plots + table(titles, rows, numeric=range(1, len(titles))))
    return "".join(parts)


def _origins(report: Evaluation) -> str:
    known = [one for one in report.models if one.benign_per_scan is not None]
    if not known:
        return '<p class="quiet">Not available: the data do not name their benign foci.</p>'
    facts = {one.name: one for one in figure_facts()}
    parts = []
    for model in known:
        figures, benign = model.groups[0], model.benign_per_scan or {}
        rows = [
            [
                f"{escape(group.title)}{' *' if group.limited else ''}",
                f"{benign.get(group.name, 0.0):.2f}",
                _measured(facts[f"false_positives_malignant_{group.name}"], figures),
                _measured(facts[f"false_positives_flagged_{group.name}"], figures),
            ]
            for group in origin_groups()
        ]
        limited = [_measured(facts[f"false_positives_{name}_limited"], figures) for name in ("malignant", "flagged")]
        rows.append(["<b>* together</b>", "", *limited])
        titles = ["a scan", "benign foci there are", "called malignant", "called malignant or indeterminate"]
        parts.append(f"<h3>{escape(model.name)}</h3>" + table(titles, rows, numeric=(1, 2, 3)))
    return "".join(parts)


def _groups(report: Evaluation) -> str:
    shown = [one for one in figure_facts() if one.headline]
    parts = []
    for model in report.models:
        groups = [group for group in model.groups if group.kind != "all"]
        if groups:
            titles = ["", *(f"{one.name} ({one.patients} patients, {one.lesions} lesions)" for one in groups)]
            rows = [[escape(one.title), *(_measured(one, group) for group in groups)] for one in shown]
            shown_as = table(titles, rows, numeric=range(1, len(titles)))
            parts.append(f"<h3>{escape(model.name)}</h3>{shown_as}")
    return "<h2>By tracer and by data set</h2>" + "".join(parts) if parts else ""


def _datasets(report: Evaluation) -> str:
    rows = [
        [
            escape(one.name),
            escape(one.site or UNKNOWN),
            "synthetic" if one.synthetic else "real",
            escape(one.contour or UNKNOWN),
            escape(one.citation or UNKNOWN),
            escape(one.licence or UNKNOWN),
        ]
        for one in report.datasets
    ]
    return table(["data set", "site", "patients", "outlined by", "citation", "licence"], rows)


def _confusion(confused: ConfusionTable, title: str, corner: str) -> str:
    rows = []
    for label, counts in zip(confused.labels, confused.counts, strict=True):
        total = sum(counts)
        cells = "".join(
            f'<td class="cell" style="--share:{100 * count / max(total, 1):.0f}%">{count or ""}</td>'
            for count in counts
        )
        rows.append(f"<tr><th>{escape(label)}</th>{cells}</tr>")
    head = "".join(f"<th>{escape(label)}</th>" for label in confused.labels)
    return (
        f'<figure><table class="confusion"><thead><tr><th>{escape(corner)} \\ found</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table><figcaption>{escape(title)}</figcaption></figure>"
    )


def _plots(drawings: Iterable[str]) -> str:
    return _side_by_side([f"<figure>{one}</figure>" for one in drawings if one])


def _side_by_side(parts: Sequence[str]) -> str:
    return f'<div class="charts">{"".join(parts)}</div>' if parts else ""


def write_report(out: Path, report: Evaluation) -> None:
    """Write ``evaluation.json`` and ``evaluation.html`` into a folder."""
    write_json(out / "evaluation.json", report.model_dump(mode="json"))
    write_text(out / "evaluation.html", render_page(report))
