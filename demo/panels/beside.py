"""What stands beside the report: open questions, the prior, the checks and the trail of what was done."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from html import escape

from demo.panels.parts import UNKNOWN, chip, number, quiet
from demo.reading.audit import Deed
from demo.reading.result import Result
from fedpsma.domain.assessment import Flag, Indeterminate
from fedpsma.domain.exam import Prior
from fedpsma.staging_page import in_words
from fedpsma.text.prior_report import PriorReading, read_prior_report

_ELEMENTS = {
    "uptake_level": "Uptake",
    "ct_correlate": "CT",
    "site_prior": "Site",
    "tracer_effect": "Tracer",
    "multiplicity": "Number",
    "clinical_context": "Context",
    "comparison": "Prior",
    "alternative_diagnosis": "Alternatives",
    "impact": "If malignant",
    "recommendation": "What would settle it",
}
_DEEDS_SHOWN = 200


def questions(result: Result) -> str:
    """Return the open questions: each indeterminate lesion with its reasons, then what else asks for a look."""
    items = "".join(_question(result, one) for one in result.assessment.indeterminate)
    body = items or quiet("No lesion is indeterminate.")
    flags = "".join(_flag(one) for one in result.assessment.flags)
    notes = f'<h3>To look at</h3><ul class="fp-list">{flags}</ul>' if flags else ""
    return f"{body}{notes}"


def _question(result: Result, one: Indeterminate) -> str:
    lesion = result.exam.lesion(one.lesion)
    rows = [(_ELEMENTS.get(name, name), text) for name, text in one.elements.items()]
    if "recommendation" not in one.elements:
        rows.append((_ELEMENTS["recommendation"], one.follow_up))
    model = "" if lesion.model_prob is None else f"{lesion.model_prob:.2f} probability of malignancy"
    rows += [("Model", model), ("Rests on", _evidence(result, one.lesion))]
    told = "".join(f"<dt>{escape(name)}</dt><dd{_kind(name)}>{escape(text)}</dd>" for name, text in rows if text)
    return (
        f'<article class="fp-question" aria-label="Open question {escape(one.lesion)}">'
        f"<h3>{chip(one.lesion)} {escape(lesion.region.facts.name_en)} "
        f'<span class="fp-category fp-open">{one.psma_rads}</span></h3><dl class="fp-facts">{told}</dl></article>'
    )


def _kind(name: str) -> str:
    return ' class="fp-strong"' if name == _ELEMENTS["impact"] else ""


def _evidence(result: Result, lesion_id: str) -> str:
    """Return the line of the trace that decided the category, with its source."""
    for entry in result.assessment.trace:
        if entry.inputs.get("lesion") == lesion_id and "reason" in entry.inputs:
            reason = in_words(entry.inputs["reason"])
            return reason if result.exam.lesion(lesion_id).reader_category else f"{reason} ({entry.source})"
    return ""


def _flag(flag: Flag) -> str:
    return f"<li>{''.join(map(chip, flag.lesions[:12]))} {escape(flag.message)}</li>"


def prior(result: Result) -> str:
    """Return what was seen before: the changes by lesion, and the prior report with its quotes at their place."""
    before = result.exam.prior
    if before is None:
        return quiet("No prior examination was given.")
    told = " · ".join(filter(None, (before.modality, before.date, before.tracer)))
    parts = [f"<h3>{escape(told or 'Prior examination')}</h3>", _changes(result, before)]
    if before.report_text:
        parts.append(_quoted(before.report_text))
    return "".join(parts)


def _changes(result: Result, before: Prior) -> str:
    rows = "".join(
        f"<tr><th scope='row'>{chip(one.id)}</th><td>{escape(one.change.replace('_', ' '))}</td>"
        f'<td class="fp-number">{number(one.prior_suvmax, 1)}</td>'
        f'<td class="fp-number">{number(one.lesion.suvmax, 1)}</td>'
        f'<td class="fp-number">{_delta(one.prior_suvmax, one.lesion.suvmax)}</td></tr>'
        for one in result.case.lesions
    )
    now, then = result.exam.psma_vol_ml, before.psma_vol_ml
    volume = f"PSMA volume {number(then, 1)} → {number(now, 1)} mL ({_delta(then, now)})"
    gone = [name for name, change in result.assessment.prior_change.items() if change == "resolved"]
    resolved = f"<p>Resolved: {escape(', '.join(gone))}</p>" if gone else ""
    heads = ("Lesion", "Change", "SUVmax then", "now", "Δ")
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    table = f'<table class="fp-table"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>' if rows else ""
    return f"<p>{escape(volume)}</p>{table}{resolved}"


def _delta(before: float | None, now: float | None) -> str:
    return UNKNOWN if before is None or now is None or before <= 0 else f"{(now - before) / before:+.0%}"


@dataclass(frozen=True)
class _Span:
    start: int
    end: int
    kind: str
    title: str


@lru_cache(maxsize=16)
def _quoted(text: str) -> str:
    """Return the text of the prior with every passage marked where it stands: read, free, distrusted, identifying."""
    spans = sorted(_spans(read_prior_report(text)), key=lambda one: (one.start, -one.end))
    parts, end = [], 0
    for span in spans:
        if span.start < end:
            continue
        parts.append(escape(text[end : span.start]))
        inside = escape(text[span.start : span.end])
        parts.append(f'<mark class="fp-{span.kind}" title="{escape(span.title)}">{inside}</mark>')
        end = span.end
    key = (
        '<p class="fp-key"><mark class="fp-finding">finding</mark> <mark class="fp-free">free of disease</mark> '
        '<mark class="fp-distrusted">not believed</mark> <mark class="fp-personal">identifying</mark></p>'
    )
    return f'{key}<blockquote class="fp-prior">{"".join([*parts, escape(text[end:])])}</blockquote>'


def _spans(reading: PriorReading) -> Iterator[_Span]:
    for bad in reading.instructions:
        yield _Span(bad.start, bad.end, "distrusted", "tells the software what to do; not read")
    for conflict in reading.side_conflicts:
        yield _Span(conflict.start, conflict.end, "distrusted", "contradicts the side in the findings")
    for person in reading.identifiers:
        yield _Span(person.start, person.end, "personal", "may identify a person; never passed on")
    for one in reading.findings:
        suv = "" if one.suvmax is None else f", SUVmax {one.suvmax:g}"
        yield _Span(one.start, one.end, "finding", f"{', '.join(region.facts.name_en for region in one.regions)}{suv}")
    for free in reading.negatives:
        yield _Span(free.start, free.end, "free", "read as free of disease")


def checks(result: Result) -> str:
    """Return the checks of the verifier, the failed ones first and with their reason."""
    if result.draft is None:
        return quiet("There is no report to check.")
    found = result.draft.verification.checks
    failed = [check for check in found if not check.passed]
    items = "".join(
        f"<li><span class='fp-bad' aria-hidden='true'>✗</span> <strong>{escape(_name(check.name))}</strong>: "
        f"{escape(check.detail)}</li>"
        for check in failed
    )
    passed = ", ".join(_name(check.name) for check in found if check.passed)
    items += f"<li><span class='fp-good' aria-hidden='true'>✓</span> {escape(passed)}</li>" if passed else ""
    verdict = f"{len(failed)} of {len(found)} checks ask for another look" if failed else "All checks passed"
    return f'<h3>{verdict}</h3><ul class="fp-list">{items}</ul>'


def trail(deeds: Collection[Deed]) -> str:
    """Return what was done, the last first."""
    told = [deed for deed in deeds if deed.what != "Looked at"]
    if not told:
        return quiet("Nothing was changed yet.")
    items = "".join(_deed(deed) for deed in reversed(told[-_DEEDS_SHOWN:]))
    return f'<ol class="fp-trail" reversed>{items}</ol>'


def _deed(deed: Deed) -> str:
    change = " → ".join(escape(one) for one in (deed.before, deed.after) if one)
    return (
        f"<li><strong>{escape(deed.what)}</strong> {escape(deed.lesion)} {change} "
        f"<small>{escape(deed.who)}, {escape(deed.time[:16].replace('T', ' '))} UTC</small></li>"
    )


def notes(lines: Iterable[str]) -> str:
    """Return what the reader has to know of the files."""
    return "".join(f'<p class="fp-quiet">{escape(line)}</p>' for line in lines)


def _name(check: str) -> str:
    return check.replace("_", " ")
