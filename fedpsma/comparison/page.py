"""The comparison as a page: both studies side by side, and the change of each lesion."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from fedpsma.comparison.matching import Group
from fedpsma.comparison.study_pair import Examined, StudyPair
from fedpsma.domain.exam import Lesion, PriorLesion
from fedpsma.pages.parts import UNKNOWN, escaped, page, table
from fedpsma.staging_page import DISCLAIMER, response_section

_NOISE = (
    "Repeated scans of unchanged tumours differ by up to about 20 to 25 % in SUV; "
    "a change below that is within the noise of the measurement."
)
_STYLE = "img { max-width: 100%; height: auto; background: #fff; }"


def comparison_page(earlier: Examined, later: Examined, pair: StudyPair, picture: str) -> str:
    """Return the page; ``picture`` is the file name of the side-by-side picture beside it."""
    title = f"{later.study.study_id} against {earlier.study.study_id}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="banner">{escape(_warning(earlier, later))}</p>',
        _cards(pair),
        f'<img src="{escape(picture)}" alt="Baseline and follow-up with matched lesion numbers">',
        "<h2>Lesions in both</h2>",
        f"<p>{escape(_NOISE)}</p>",
        _matched(pair),
        *_listed(pair),
        response_section(pair.assessment),
        '<p>Every decision of the rules: <a href="assessment.html">assessment</a>.</p>',
    ]
    return page(title, "\n".join(part for part in parts if part), _STYLE)


def _warning(earlier: Examined, later: Examined) -> str:
    synthetic = "Synthetic patient: no real person. " if earlier.synthetic or later.synthetic else ""
    return f"{synthetic}{DISCLAIMER} Lesions were matched by software on aligned images ({_modality(earlier, later)})."


def _modality(earlier: Examined, later: Examined) -> str:
    return "CT" if earlier.study.ct is not None and later.study.ct is not None else "PET"


def _cards(pair: StudyPair) -> str:
    found = pair.assessment
    before = pair.exam.prior.psma_vol_ml if pair.exam.prior else None
    delta = found.recip_inputs.delta_pct if found.recip_inputs else None
    cards = {
        "RECIP 1.0": found.recip or UNKNOWN,
        "PSMA volume before, ml": _number(before),
        "PSMA volume now, ml": _number(pair.exam.psma_vol_ml),
        "change": UNKNOWN if delta is None else f"{delta:+.1f} %",
        "in both": str(len(pair.groups)),
        "new": str(len(pair.new)),
        "resolved": str(len(pair.resolved)),
    }
    inner = "".join(f"<div><b>{escape(value)}</b><span>{escape(name)}</span></div>" for name, value in cards.items())
    return f'<div class="cards">{inner}</div>'


def _matched(pair: StudyPair) -> str:
    now = {one.lesion_id: one for one in pair.exam.lesions}
    prior = {one.lesion_id: one for one in ((pair.exam.prior and pair.exam.prior.lesions) or [])}
    rows = [
        _row(number, group, [prior[name] for name in group.before], [now[name] for name in group.now], pair)
        for number, group in enumerate(pair.groups, start=1)
    ]
    if not rows:
        return "<p>No lesion is in both studies.</p>"
    titles = ["No.", "Before", "Now", "Site", "SUVmax", "Volume, ml", "Change"]
    return table(titles, escaped(rows), numeric=(0,))


def _row(number: int, group: Group, before: list[PriorLesion], now: list[Lesion], pair: StudyPair) -> list[str]:
    change = pair.assessment.prior_change.get(group.now[0], UNKNOWN).replace("_", " ")
    event = "split: " if len(group.now) > 1 else "merged: " if len(group.before) > 1 else ""
    return [
        str(number),
        ", ".join(group.before),
        ", ".join(group.now),
        now[0].region.named(now[0].side),
        f"{_joined(one.suvmax for one in before)} to {_joined(one.suvmax for one in now)}",
        f"{_joined(one.volume_ml for one in before)} to {_joined(one.volume_ml for one in now)}",
        f"{event}{change}",
    ]


def _joined(values: Iterable[float | None]) -> str:
    return " + ".join(_number(value) for value in values)


def _number(value: float | None) -> str:
    """Return a value as it stands in the table, with one decimal at least."""
    if value is None:
        return UNKNOWN
    return f"{value:.1f}" if value == round(value, 1) else f"{value:g}"


def _listed(pair: StudyPair) -> list[str]:
    lists = {
        "New": pair.new,
        "Resolved": pair.resolved,
        "Outside the earlier field of view": sorted(pair.match.uncovered_before),
        "Outside the later field of view": sorted(pair.match.uncovered_now),
        "Without a volume, so not matched on images": list(pair.unmatched),
    }
    before = (pair.exam.prior.lesions if pair.exam.prior else None) or []
    sites = {one.lesion_id: one.region.named(one.side) for one in pair.exam.lesions}
    sites |= {one.lesion_id: one.region.named(one.side) for one in before}
    return [
        f"<h2>{title}</h2><p>{escape(', '.join(f'{name} ({sites[name]})' for name in names))}</p>"
        for title, names in lists.items()
        if names
    ]
