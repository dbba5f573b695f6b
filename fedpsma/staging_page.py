"""An assessment as a page: the stage, every lesion, what is open, and each decision in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from fedpsma.domain.assessment import Assessment, PolicyEffect, TraceEntry
from fedpsma.domain.exam import Exam
from fedpsma.domain.region import Region
from fedpsma.pages.parts import UNKNOWN, escaped, page, table
from fedpsma.staging.policy_effects import in_brief
from fedpsma.staging.rulebook import rule

DISCLAIMER = (
    "Research software, not a medical device. No clinician has reviewed these rules yet. "
    "A physician reads the images and decides."
)
TAGS = {
    "C": "confirmed in the primary source",
    "S": "read in later papers or transcriptions only",
    "P": "a policy of this project where the sources leave it open; a reader may change it",
    "UNCONFIRMED": "general knowledge that nobody has confirmed",
}
_TERMS = {
    "suvmax": "SUVmax",
    "suvmax_before": "SUVmax before",
    "ct_class": "CT class",
    "size_mm": "size (mm)",
    "percent": "change (%)",
    "limit_percent": "limit (%)",
    "baseline_ml": "baseline volume (ml)",
    "current_ml": "volume now (ml)",
    "delta_pct": "change (%)",
    "psma_rads": "PSMA-RADS",
    "phi_detected": "passages that may identify a person",
    "untrusted_instruction": "instructions to the software",
    "data_error": "impossible or contradictory values",
    "missing_value": "missing values",
    "in_situ": "in place",
    "focal_PZ": "focal, peripheral zone",
    "focal_TZ": "focal, transition zone",
}
_REGIONS = frozenset(one.value for one in Region)
_CODE = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)+")
_SIDES = {"L": "left", "R": "right", "M": "midline", "B": "both sides"}
_STYLE = """
.trace td { vertical-align: top; } .trace td:first-child { width: 16%; font-weight: 600; }
.trace td:nth-child(2) { width: 26%; } .trace td:nth-child(3) { width: 16%; font-weight: 600; }
.trace small { display: block; color: var(--quiet); }
"""


def staging_page(exam: Exam, found: Assessment) -> str:
    """Return the page of one assessment; it opens without a network."""
    parts = [
        f"<h1>{escape(found.mitnm_string or 'Stage not applicable')}</h1>",
        f'<p class="banner">{escape(DISCLAIMER)}</p>',
        _possible(found),
        _cards(found),
        _policies(found.policy_effects),
        _lesions(exam, found),
        _flags(found),
        _indeterminate(found),
        response_section(found),
        _trace(exam, found),
    ]
    return page(f"Stage {found.mitnm_string or ''}".strip(), "\n".join(part for part in parts if part), _STYLE)


def in_words(value: Any) -> str:
    """Write a value of a trace as a reader would.

    Example:
        >>> in_words({"suvmax": 4.5, "liver": None, "lesions": {"L1": "LN_OBTURATOR"}, "treated": False})
        'SUVmax 4.5; liver not known; lesions: L1 obturator node; treated no'
    """
    if value is None:
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "; ".join(_said(str(name), one) for name, one in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(in_words(one) for one in value) or "none"
    if isinstance(value, str):
        return _plain(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _said(name: str, value: Any) -> str:
    return f"{_plain(name)}{':' if isinstance(value, Mapping) else ''} {in_words(value)}"


def _plain(name: str) -> str:
    """Write a name of the contract in words: a region, a field, a code of several words."""
    if name in _REGIONS:
        return Region(name).facts.name_en
    return _TERMS.get(name) or (name.replace("_", " ") if _CODE.fullmatch(name) else name)


def _cards(found: Assessment) -> str:
    highest, lowest = (UNKNOWN if one is None else str(one) for one in _range(found))
    cards = {
        "PSMA-RADS of the scan": found.psma_rads_overall or UNKNOWN,
        f"expression, highest ({found.expression_reference or 'no reference'})": highest,
        "expression, lowest": lowest,
        "PRIMARY score": _primary(found),
        "RECIP 1.0": found.recip or UNKNOWN,
        "lesions": str(len(found.psma_rads)),
        "indeterminate": str(len(found.indeterminate)),
    }
    inner = "".join(f"<div><b>{escape(value)}</b><span>{escape(name)}</span></div>" for name, value in cards.items())
    return f'<div class="cards">{inner}</div>'


def _range(found: Assessment) -> tuple[int | None, int | None]:
    return found.expression_highest, found.expression_lowest


def _primary(found: Assessment) -> str:
    if found.primary_score is None:
        return UNKNOWN
    return "reader confirms" if found.primary_score == "reader_confirm" else str(found.primary_score)


def _policies(effects: Sequence[PolicyEffect]) -> str:
    if not effects:
        return ""
    rows = [
        [
            f"{one.title} ({one.policy})",
            in_words(one.value) + (" (set by the reader)" if one.by_reader else ""),
            in_brief(one),
            in_words(one.other),
            in_brief(one, otherwise=True),
        ]
        for one in effects
    ]
    text = "<p>The sources leave these open. Each decides a result of this examination.</p>"
    titles = ["Policy", "Set to", "Gives", "The other way", "Would give"]
    return f"<h2>Policies that decide here</h2>{text}" + table(titles, escaped(rows))


def _possible(found: Assessment) -> str:
    if not found.mitnm_possible:
        return ""
    stages = " or ".join(found.mitnm_possible)
    return f'<p class="banner">The stage is not certain: {escape(stages)}. See below what is open.</p>'


def _lesions(exam: Exam, found: Assessment) -> str:
    counted = _counted(found)
    rows = [
        [
            one.lesion_id,
            one.region.facts.name_en,
            _SIDES.get(one.side or "", UNKNOWN),
            UNKNOWN if one.suvmax is None else f"{one.suvmax:g}",
            _score(found, one.lesion_id),
            found.psma_rads.get(one.lesion_id) or "open",
            in_words(found.e_psma.get(one.lesion_id)) if found.e_psma.get(one.lesion_id) else UNKNOWN,
            "yes" if one.lesion_id in counted else "no",
            _plain(found.prior_change.get(one.lesion_id, UNKNOWN)),
        ]
        for one in exam.lesions
    ]
    titles = ["Lesion", "Site", "Side", "SUVmax", "Score", "PSMA-RADS", "E-PSMA", "Counted", "Change"]
    shown = table(titles, escaped(rows), numeric=(3,)) if rows else "<p>The table holds no lesion.</p>"
    return f"<h2>Lesions</h2>{shown}"


def _counted(found: Assessment) -> set[str]:
    return {lesion for entry in found.trace if entry.rule == "counting" for lesion in entry.result}


def _score(found: Assessment, lesion: str) -> str:
    score, bounds = found.expression.get(lesion), found.expression_bounds.get(lesion)
    if score is not None:
        return str(score)
    return f"{bounds[0]} to {bounds[1]}" if bounds else UNKNOWN


def _flags(found: Assessment) -> str:
    if not found.flags:
        return ""
    rows = [
        [_chip(flag.code), escape(", ".join(flag.lesions) or UNKNOWN), escape(flag.message)] for flag in found.flags
    ]
    return "<h2>To know or to decide</h2>" + table(["What", "Lesions", "Message"], rows)


def _chip(code: str) -> str:
    kind = "error" if code == "data_error" else "note"
    return f'<span class="chip {kind}">{escape(code.replace("_", " "))}</span>'


def _indeterminate(found: Assessment) -> str:
    if not found.indeterminate:
        return ""
    parts = []
    for one in found.indeterminate:
        rows = [[_plain(name), text] for name, text in one.elements.items()]
        title = f"<h3>{escape(one.lesion)}: PSMA-RADS {escape(one.psma_rads)}, not counted</h3>"
        parts.append(title + table(["Element", "What is known"], escaped(rows)))
    return "<h2>Indeterminate lesions</h2>" + "".join(parts)


def response_section(found: Assessment) -> str:
    """Return what the rules say of response and of facts for a therapy; empty where they say nothing."""
    said = []
    if found.recip_inputs is not None:
        said.append(f"RECIP 1.0: {found.recip or 'undetermined'} ({in_words(found.recip_inputs.model_dump())}).")
    said += [f"{one}." for one in (*found.ppp, *found.radioligand_facts)]
    gone = [name for name, change in found.prior_change.items() if change == "resolved" and name not in found.psma_rads]
    if gone:
        said.append(f"Resolved since the prior: {', '.join(gone)}.")
    if not said:
        return ""
    return "<h2>Response and facts for therapy</h2>" + "".join(f"<p>{escape(one)}</p>" for one in said)


def _trace(exam: Exam, found: Assessment) -> str:
    """Render the decisions: first those on the whole examination, then lesion by lesion."""
    known = {one.lesion_id for one in exam.lesions}
    by_lesion: dict[str, list[TraceEntry]] = {}
    whole = []
    for entry in found.trace:
        lesion = entry.inputs.get("lesion")
        if lesion in known:
            by_lesion.setdefault(str(lesion), []).append(entry)
        elif entry.rule != "option_effect":
            whole.append(entry)
    legend = "".join(f"<dt>[{tag}]</dt><dd>{escape(text)}</dd>" for tag, text in TAGS.items())
    lesions = "".join(
        f"<details><summary>Lesion {escape(name)}</summary>{_steps(steps)}</details>"
        for name, steps in by_lesion.items()
    )
    return (
        f"<h2>How each decision was made</h2><details><summary>How far a source is trusted</summary>"
        f"<dl>{legend}</dl></details>{_steps(whole)}{lesions}"
    )


def _steps(entries: Iterable[TraceEntry]) -> str:
    rows = []
    for entry in entries:
        inputs = {name: value for name, value in entry.inputs.items() if name != "lesion"}
        cells = [rule(entry.rule).title, in_words(inputs), in_words(entry.result)]
        rows.append([*map(escape, cells), f"{escape(entry.says)} <small>{escape(entry.source)}</small>"])
    return table(["Decision", "From", "Result", "Rule and its source"], rows, kind="trace")
