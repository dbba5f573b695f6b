"""What a site gets from the federation, on its own held-out patients, beside what it gets without."""

from __future__ import annotations

from html import escape

from fedpsma.pages.parts import UNKNOWN, table
from fedpsma.training.subject import Measure
from server.simulation.report import ALL_SHARED, SHARED, ModelLine, SimulationReport

_NOTE = (
    "Each site on its own held-out patients. They are few: a difference far inside the intervals of the table above "
    "is chance."
)


def site_gains(report: SimulationReport) -> str:
    """Return one table: every site alone, with nothing kept where a part is, and in the federation; and the gains."""
    by_kind: dict[str, ModelLine] = {line.kind: line for line in report.models if line.kind != "alone"}
    alone = {line.name.removesuffix(" alone"): line for line in report.models if line.kind == "alone"}
    if not alone:
        return '<p class="quiet">Not compared: --compare also trains every site alone.</p>'
    shared, whole = by_kind[SHARED], by_kind.get(ALL_SHARED)
    titles, rows = ["site"], [[escape(name)] for name in shared.judgement.sites]
    for measure in report.yardstick.measures:
        others = {"alone": alone, "nothing kept": dict.fromkeys(alone, whole)} if whole else {"alone": alone}
        titles += [f"{escape(measure.title)} {how}" for how in (*others, "federated")]
        titles += [f"over {how}" for how in others]
        for row, name in zip(rows, shared.judgement.sites, strict=True):
            own = shared.judgement.sites[name].of(measure).value
            known = [_at(lines.get(name), name, measure) for lines in others.values()]
            row += [*map(_value, known), _value(own), *(_gain(own, one) for one in known)]
    return f'{table(titles, rows, numeric=range(1, len(titles)))}<p class="quiet">{_NOTE}</p>'


def _at(line: ModelLine | None, site: str, measure: Measure) -> float | None:
    return None if line is None else line.judgement.sites[site].of(measure).value


def _value(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.3f}"


def _gain(own: float | None, other: float | None) -> str:
    if own is None or other is None:
        return UNKNOWN
    # A gain of nothing has no sign, whichever side it was rounded from.
    return f"<strong>{round(own - other, 3) + 0.0:+.3f}</strong>"
