"""The lesion table, row by row, and the card on which a reader corrects the chosen lesion."""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape
from itertools import groupby
from typing import Any, get_args

from demo.panels.parts import UNKNOWN, deed, number
from demo.reading.audit import SIDES
from demo.reading.history import Reading
from demo.reading.result import Result
from demo.reading.state import Reason
from fedpsma.domain.assessment import PsmaRads
from fedpsma.domain.exam import Lesion
from fedpsma.domain.region import Region, Side
from fedpsma.staging.psma_rads import INDETERMINATE

HEADS = (
    ("Lesion", ""),
    ("Site", ""),
    ("SUVmax", "g/mL"),
    ("SUVmean", "g/mL"),
    ("SUVpeak", "g/mL"),
    ("Volume", "mL"),
    ("PSMA-RADS", ""),
    ("Change", ""),
)
_NUMERIC = range(2, 6)
_CHANGES = {
    "new": "new",
    "increased": "increased",
    "decreased": "decreased",
    "stable": "stable",
    "resolved": "resolved",
    "persistent_not_comparable": "still there",
    "match_uncertain": "match uncertain",
}
_AXES = {"T": "Local", "N": "Pelvic nodes", "M1a": "Other nodes", "M1b": "Bone", "M1c": "Organs", None: "Other"}
_SIDE_LABELS: dict[Side, str] = {"R": "Right", "M": "Midline", "L": "Left", "B": "Both"}


def lesion_order(reading: Reading, open_first: Iterable[str]) -> list[str]:
    """Return the ids in the order of the table: open questions first; an excluded lesion keeps its place."""
    first = set(open_first)
    return sorted(reading.state.lesion_ids, key=lambda lesion_id: lesion_id not in first)


def table_frame() -> str:
    """Return the head of the table; its body is filled row by row."""
    cells = "".join(
        f'<th scope="col"{_number(at)}>{name}{f" <small>{unit}</small>" if unit else ""}</th>'
        for at, (name, unit) in enumerate(HEADS)
    )
    caption = '<caption class="fp-hidden">Lesions, open questions first; choose one to see and correct it</caption>'
    return (
        '<div class="fp-scroll" role="region" aria-label="Lesion table" tabindex="0">'
        f'<table class="fp-table">{caption}<thead><tr>{cells}</tr></thead>'
        '<tbody data-panel="table"></tbody></table></div>'
    )


def row(reading: Reading, result: Result, lesion_id: str) -> str:
    """Return one row of the table."""
    lesion = reading.state.exam.lesion(lesion_id)
    excluded = reading.state.excluded.get(lesion_id)
    category = result.assessment.psma_rads.get(lesion_id)
    kind = "fp-excluded" if excluded else "fp-open" if category in INDETERMINATE else ""
    seen = '<span class="fp-seen" title="Looked at">✓<span class="fp-hidden"> looked at</span></span>'
    first = (
        f'<th scope="row"><button type="button" class="fp-rowname" data-jump="{escape(lesion_id)}" '
        f'data-focus="row/{escape(lesion_id)}">{escape(lesion_id)}</button>'
        f"{seen if lesion_id in reading.seen else ''}</th>"
    )
    change = _CHANGES.get(str(result.assessment.prior_change.get(lesion_id)), UNKNOWN)
    cells = [
        escape(site(lesion)) + _was(reading, lesion),
        number(lesion.suvmax, 1),
        number(lesion.suvmean, 1),
        number(lesion.suvpeak, 1),
        number(lesion.volume_ml, 1),
        f"excluded <small>{excluded.reason}</small>" if excluded else _category(lesion, category),
        change,
    ]
    data = "".join(f"<td{_number(at)}>{cell}</td>" for at, cell in enumerate(cells, start=1))
    return f'<tr class="{kind}" data-piece="{escape(lesion_id)}" data-row="{escape(lesion_id)}">{first}{data}</tr>'


def site(lesion: Lesion) -> str:
    """Return where a lesion lies, in words.

    Example:
        >>> site(Lesion(lesion_id="L1", region="BONE_RIB", side="R"))
        'Rib, right'
    """
    name = lesion.region.facts.name_en
    side = f", {SIDES[lesion.side]}" if lesion.side and lesion.region.facts.sides != ("M",) else ""
    return f"{name[:1].upper()}{name[1:]}{side}"


def card(reading: Reading, result: Result, lesion_id: str | None) -> str:
    """Return the card of the chosen lesion: what was measured, what the model said, and what can be corrected."""
    if lesion_id is None or lesion_id not in reading.state.lesion_ids:
        return '<p class="fp-quiet">No lesion chosen. Press <kbd>n</kbd> for the next one.</p>'
    lesion = reading.state.exam.lesion(lesion_id)
    locked = " disabled" if reading.is_signed else ""
    head = f'<h2 id="fp-card-name"><span class="fp-id">{escape(lesion_id)}</span> {escape(site(lesion))}</h2>'
    analysed = next((one for one in reading.analysed.lesions if one.lesion_id == lesion_id), None)
    fields = _region_field(lesion) + _side_field(lesion) + _category_field(lesion, result) + _model(analysed)
    facts = _facts(lesion, result)
    tools = _exclusion(reading, lesion_id) + _removal(lesion_id)
    return (
        f'<div data-piece="card" data-lesion="{escape(lesion_id)}">{head}'
        f'<fieldset class="fp-fields"{locked}><legend class="fp-hidden">Correct this lesion</legend>{fields}</fieldset>'
        f'<fieldset class="fp-fields"{locked}><legend class="fp-hidden">Include or exclude</legend>{tools}'
        f"</fieldset>{facts}</div>"
    )


def region_options(chosen: Region | None = None) -> str:
    """Return all regions, grouped by what miTNM makes of them."""
    groups = []
    ordered = sorted(Region, key=lambda one: list(_AXES).index(one.facts.mitnm_axis))
    for axis, regions in groupby(ordered, key=lambda one: one.facts.mitnm_axis):
        options = "".join(_option(one, one.facts.name_en, chosen=one is chosen) for one in regions)
        groups.append(f'<optgroup label="{_AXES[axis]}">{options}</optgroup>')
    return "".join(groups)


def _region_field(lesion: Lesion) -> str:
    return _field("Region", lesion.lesion_id, "region", region_options(lesion.region))


def _side_field(lesion: Lesion) -> str:
    legal = lesion.region.facts.sides
    buttons = "".join(
        f'<button type="button" class="fp-segment" aria-pressed="{str(lesion.side == side).lower()}" '
        f"data-do='{_action('side', lesion.lesion_id, side=side)}' data-focus=\"side/{side}\">{label}</button>"
        for side, label in _SIDE_LABELS.items()
        if side in legal
    )
    if not buttons:
        buttons = '<span class="fp-quiet">this region has no side</span>'
    return (
        f'<div class="fp-field"><span id="fp-side">Side</span><span role="group" aria-labelledby="fp-side" '
        f'class="fp-segments">{buttons}</span></div>'
    )


def _category_field(lesion: Lesion, result: Result) -> str:
    by_rule = lesion.reader_category is None and lesion.lesion_id in result.assessment.psma_rads
    proposed = f" ({result.assessment.psma_rads[lesion.lesion_id] or 'open'})" if by_rule else ""
    options = _option("", f"as the rules propose{proposed}", chosen=lesion.reader_category is None)
    options += "".join(_option(one, one, chosen=one == lesion.reader_category) for one in get_args(PsmaRads))
    return _field("PSMA-RADS", lesion.lesion_id, "category", options)


def _field(label: str, lesion_id: str, kind: str, options: str) -> str:
    name = f"fp-{kind}"
    return (
        f'<div class="fp-field"><label for="{name}">{label}</label>'
        f'<select id="{name}" data-change=\'{_action(kind, lesion_id)}\' data-field="{kind}" '
        f'data-focus="field/{kind}">{options}</select></div>'
    )


def _facts(lesion: Lesion, result: Result) -> str:
    score = result.assessment.expression.get(lesion.lesion_id)
    rows = {
        "Why": _reason(result, lesion.lesion_id),
        "CT": " · ".join(filter(None, (lesion.ct_correlate, lesion.ct_class and f"class: {lesion.ct_class}"))),
        "Model": "" if lesion.model_prob is None else f"{lesion.model_prob:.2f} probability of malignancy",
        "Expression": "" if score is None else f"score {score}",
        "Size": "" if lesion.size_mm is None else f"{lesion.size_mm:g} mm",
    }
    told = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in rows.items() if text)
    return f'<dl class="fp-facts">{told}</dl>' if told else ""


def _reason(result: Result, lesion_id: str) -> str:
    for entry in result.assessment.trace:
        if entry.inputs.get("lesion") == lesion_id and "reason" in entry.inputs:
            return str(entry.inputs["reason"])
    return ""


def _exclusion(reading: Reading, lesion_id: str) -> str:
    if lesion_id in reading.state.excluded:
        return deed("Include again", {"kind": "include", "lesion": lesion_id}, kind="fp-primary", focus="include")
    buttons = "".join(
        deed(reason, {"kind": "exclude", "lesion": lesion_id, "reason": reason}, focus=f"exclude/{reason}")
        for reason in get_args(Reason)
    )
    return (
        '<div class="fp-field fp-wide"><span id="fp-exclude">Exclude as</span>'
        f'<span role="group" aria-labelledby="fp-exclude" class="fp-buttons">{buttons}</span></div>'
    )


def _removal(lesion_id: str) -> str:
    split = deed("Split", {"kind": "split", "lesion": lesion_id}, focus="split", title="Split at the saddle")
    delete = deed("Delete", {"kind": "delete", "lesion": lesion_id}, kind="fp-danger", focus="delete")
    return f'<span class="fp-buttons">{split}{delete}</span>'


def _model(analysed: Lesion | None) -> str:
    told = "added by the reader" if analysed is None else f"model: {site(analysed)}"
    return f'<p class="fp-told fp-model">{escape(told)}</p>'


def _was(reading: Reading, lesion: Lesion) -> str:
    """Return the model's own label where the reader corrected it, or that the reader added the lesion."""
    before = next((one for one in reading.analysed.lesions if one.lesion_id == lesion.lesion_id), None)
    if before is None:
        return ' <small class="fp-told">added</small>'
    if (before.region, before.side) == (lesion.region, lesion.side):
        return ""
    return f' <small class="fp-told">model: {escape(site(before))}</small>'


def _category(lesion: Lesion, category: PsmaRads | None) -> str:
    own = ' <small class="fp-told">yours</small>' if lesion.reader_category else ""
    kind = "fp-open" if category in INDETERMINATE else "fp-definite" if category in ("4", "5") else "fp-benign"
    return f'<span class="fp-category {kind}">{category or "open"}</span>{own}'


def _option(value: str, label: str, *, chosen: bool) -> str:
    return f'<option value="{escape(value)}"{" selected" if chosen else ""}>{escape(label)}</option>'


def _action(kind: str, lesion_id: str, **more: Any) -> str:
    return escape(json.dumps({"kind": kind, "lesion": lesion_id, **more}))


def _number(at: int) -> str:
    return ' class="fp-number"' if at in _NUMERIC else ""
