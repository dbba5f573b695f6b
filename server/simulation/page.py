"""``simulation.html``: a simulation on one page that opens without a network; every text of the data is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from statistics import fmean
from string import Template
from typing import Any

from fedpsma.evaluation.bootstrap import Figure
from fedpsma.io.files import write_json, write_text
from fedpsma.pages.parts import UNKNOWN, page, table
from fedpsma.training.subject import Figures, Measure
from server.simulation.curves import Line, chart
from server.simulation.gains import site_gains
from server.simulation.judging import Judgement
from server.simulation.report import REPORT_FILE, SHARED, ModelLine, RoundLine, SimulationReport, SiteLine

PAGE_FILE = "simulation.html"
_ORIGIN = {
    True: "Every patient is synthetic. These figures say what a model learnt, not how it does in a clinic.",
    False: "",
    None: "Some or all patients may be synthetic; the data sets do not agree on it.",
}


def write_report(out: Path, report: SimulationReport) -> Path:
    """Write ``simulation.json`` and ``simulation.html`` into a folder and return the page."""
    write_json(out / REPORT_FILE, report.model_dump(mode="json"))
    write_text(out / PAGE_FILE, render_page(report))
    return out / PAGE_FILE


def render_page(report: SimulationReport) -> str:
    """Return the whole page."""
    data = resources.files(__package__).joinpath("data")
    body = Template(data.joinpath("page.html").read_text("utf-8")).substitute(
        software=escape(report.software),
        banner=_banner(report),
        cards=_cards(report),
        models=_models(report),
        gains=site_gains(report),
        curves=_curves(report),
        privacy=_privacy(report),
        sites=_sites(report),
        settings=_settings(report.settings),
    )
    return page("Simulated federation", body, data.joinpath("page.css").read_text("utf-8"))


def _banner(report: SimulationReport) -> str:
    text = _ORIGIN[report.synthetic]
    return f'<p class="banner"><strong>{escape(text)}</strong></p>' if text else ""


def _cards(report: SimulationReport) -> str:
    spent = [site.epsilon for site in report.sites if site.epsilon is not None]
    settings = report.settings
    cards = [
        (str(len(report.sites)), "sites"),
        (str(sum(site.patients for site in report.sites if site.rounds)), "patients trained on"),
        (str(sum(site.held_out for site in report.sites)), "patients held out"),
        (str(len(report.rounds)), "rounds"),
        (str(settings["strategy"]["name"]).replace("_", " "), "strategy"),
        (f"{max(spent):.2f}" if spent else "none", "largest epsilon of a site" if spent else "differential privacy"),
        (f"{sum(line.seconds or 0 for line in report.rounds):.0f} s", "of training"),
    ]
    return "".join(f"<div><b>{escape(value)}</b><span>{escape(name)}</span></div>" for value, name in cards)


def _models(report: SimulationReport) -> str:
    if not report.models:
        return '<p class="quiet">No patient was held out, so no model was judged: set held_out, or --compare.</p>'
    names = list(report.models[0].judgement.sites)
    measures = report.yardstick.measures
    at_sites = (f"{measures[0].title} at {name}" for name in names)
    titles = ["model", "epsilon", *(measure.title for measure in measures), *at_sites]
    rows = [_model(line, names, measures) for line in report.models]
    shown = table(titles, rows, numeric=range(1, len(titles)))
    return f"{_gain(report)}{shown}<p class='quiet'>{escape(_how_judged(report))}</p>"


def _model(line: ModelLine, names: Sequence[str], measures: Sequence[Measure]) -> list[str]:
    name = f"<strong>{escape(line.name)}</strong>" if line.kind == SHARED else escape(line.name)
    together = line.judgement.together
    at_sites = [_value(line.judgement.sites[site].of(measures[0])) for site in names]
    epsilon = "none" if line.epsilon is None else f"{line.epsilon:.2f}"
    return [name, epsilon, *(_figure(together.of(measure)) for measure in measures), *at_sites]


def _gain(report: SimulationReport) -> str:
    """Say in one sentence what sharing brought, where it was compared."""
    first = report.yardstick.measures[0]
    best, worst = (max, min) if first.higher_is_better else (min, max)
    by_kind: dict[str, ModelLine] = {line.kind: line for line in report.models}
    shared, pool = by_kind[SHARED].judgement, by_kind.get("pooled")
    own, pooled = shared.together.of(first).value, None if pool is None else pool.judgement.together.of(first).value
    alone = _known(line.judgement.together.of(first) for line in report.models if line.kind == "alone")
    if own is None or pooled is None or not alone:
        return ""
    known = [(figures.of(first).value, name) for name, figures in shared.sites.items()]
    value, name = worst((value, name) for value, name in known if value is not None)
    return (
        f"<p>The shared model's {escape(first.title)} is <strong>{own - fmean(alone):+.3f}</strong> against the "
        f"mean of the sites alone, {own - best(alone):+.3f} against the best of them, and "
        f"{own - pooled:+.3f} against training on the pooled patients. "
        f"Worst site: {escape(name)}, {escape(first.title)} {value:.3f}.</p>"
    )


def _known(figures: Iterable[Figure]) -> list[float]:
    return [one.value for one in figures if one.value is not None]


def _how_judged(report: SimulationReport) -> str:
    together = report.models[0].judgement.together
    who = "synthetic patients" if report.synthetic else "patients"
    cost = "" if report.synthetic else " What they cost the patients is in no ledger of the data: do not release them."
    return (
        f"On {together.patients} held-out {who} with {together.counted} {report.yardstick.counted}; 95 % intervals "
        f"over patients. {report.yardstick.explanation} The baselines are trained by the same plan with the same "
        f"privacy; the pooled one takes as many patients into each step as all sites together.{cost}"
    )


def _curves(report: SimulationReport) -> str:
    judged = [(line.round, line.judgement) for line in report.rounds if line.judgement is not None]
    if not judged:
        return '<p class="quiet">Not drawn: no patient was held out.</p>'
    drawn = [
        chart(f"{measure.title} on held-out patients", _figure_lines(judged, measure), top=measure.top)
        for measure in report.yardstick.measures
    ]
    return f'<div class="charts">{"".join(drawn)}</div>'


def _figure_lines(judged: Sequence[tuple[int, Judgement]], measure: Measure) -> list[Line]:
    def points(of: Iterable[tuple[int, Figures | None]]) -> list[tuple[int, float]]:
        found = ((number, one.of(measure).value) for number, one in of if one is not None)
        return [(number, value) for number, value in found if value is not None]

    sites = sorted({site for _, one in judged for site in one.sites})
    lines = [Line(site, points((number, one.sites.get(site)) for number, one in judged)) for site in sites]
    return [*lines, Line("all sites", points((number, one.together) for number, one in judged), thick=True)]


def _privacy(report: SimulationReport) -> str:
    if report.target_epsilon is None:
        return '<p class="banner">Trained without differential privacy: the model can give away its patients.</p>'
    lines = [Line(site.name, _paid(report.rounds, site.name)) for site in report.sites]
    seed = report.settings["plan"]["seed"]
    note = " The noise came from a known seed, so it protects nobody: not for release." if seed is not None else ""
    drawn = chart("epsilon spent at each site", lines, limit=report.target_epsilon)
    text = f"At delta {report.delta:g}, the unit is the patient. {_kept(report, report.target_epsilon)}{note}"
    return f'<div class="charts">{drawn}</div><p>{escape(text)}</p>'


def _kept(report: SimulationReport, budget: float) -> str:
    """Say whether every site kept its budget; a round that was cut off and played again is paid for twice."""
    over = [f"{site.name} ({site.epsilon:.2f})" for site in report.sites if site.epsilon and site.epsilon > budget]
    if not over:
        return "No site passed its budget."
    return f"Passed its budget: {', '.join(over)}; a round that is cut off and played again is paid for again."


def _paid(rounds: Sequence[RoundLine], site: str) -> list[tuple[int, float]]:
    return [(line.round, line.epsilon[site]) for line in rounds if site in line.epsilon]


def _sites(report: SimulationReport) -> str:
    rows = [_site(site, report.target_epsilon is not None) for site in report.sites]
    titles = ["site", "patients", "held out", "rounds that counted", "left out", "epsilon"]
    return table(titles, rows, numeric=(1, 2, 3, 5))


def _site(site: SiteLine, private: bool) -> list[str]:
    left_out = ", ".join(f"{count} x {reason.replace('_', ' ')}" for reason, count in site.left_out.items())
    name = escape(site.name)
    if site.attacks:
        name += f' <span class="chip bad">attacks: {escape(site.attacks.replace("_", " "))}</span>'
    unknown = UNKNOWN if private else "none"
    epsilon = unknown if site.epsilon is None else f"{site.epsilon:.2f}"
    return [name, str(site.patients), str(site.held_out), str(site.rounds), escape(left_out or UNKNOWN), epsilon]


def _settings(settings: dict[str, Any]) -> str:
    rows = [[escape(name), escape(_text(value))] for name, value in _flat(settings, "")]
    return table(["setting", "value"], rows)


def _flat(table: dict[str, Any], front: str) -> Iterable[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{front}{name}.")
        else:
            yield f"{front}{name}", value


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(one) for one in value) or UNKNOWN
    return "none" if value is None else str(value)


def _figure(figure: Figure) -> str:
    if figure.value is None or figure.low is None or figure.high is None:
        return _value(figure)
    return f'{_value(figure)} <span class="quiet">({figure.low:.2f} to {figure.high:.2f})</span>'


def _value(figure: Figure) -> str:
    return UNKNOWN if figure.value is None else f"{figure.value:.3f}"
