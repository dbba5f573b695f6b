"""The frame around a reading: whose study it is, the stage and the totals, and the way to the signature."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from demo.library import Identity
from demo.panels.parts import UNKNOWN, deed, number
from demo.reading.history import Reading
from demo.reading.result import Result

RESEARCH = "Research use only – not for clinical use"
STATES = {"draft": "Draft", "reviewed": "Reviewed", "signed": "Signed", "amended": "Signed (amended)"}


def identity(who: Identity, reading: Reading | None) -> str:
    """Return whose study this is; it stays in sight."""
    tracer = reading.state.exam.tracer if reading else None
    parts = (("Patient", who.patient), ("ID", who.patient_id), ("Study", who.date), ("Tracer", tracer or ""))
    told = "".join(
        f"<span><span class='fp-label'>{name}</span> <strong>{escape(text or UNKNOWN)}</strong></span>"
        for name, text in parts
        if text or name in ("Patient", "Study")
    )
    synthetic = '<span class="fp-tag">synthetic</span>' if who.synthetic else ""
    return f"{told}{synthetic}"


def summary(reading: Reading, result: Result) -> str:
    """Return the stage, the categories and the totals, which follow every edit."""
    found, totals = result.assessment, result.totals
    stage = found.mitnm_string or "PSMA frameworks do not apply"
    open_questions = len(found.indeterminate)
    included, whole = len(reading.state.included), len(reading.state.lesion_ids)
    tiles = [
        ("PSMA-RADS", found.psma_rads_overall or UNKNOWN),
        ("PSMA-TV", _measured(totals.psma_tv_ml, "mL")),
        ("TL-PSMA", _measured(totals.tl_psma, "g/mL·mL")),
        ("Lesions", f"{included}" if included == whole else f"{included} of {whole}"),
        ("Open", str(open_questions)),
    ]
    if found.recip:
        tiles.append(("RECIP 1.0", found.recip))
    told = "".join(f"<div class='fp-tile'><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in tiles)
    return f'<p class="fp-stage">{escape(stage)}</p><dl class="fp-tiles">{told}</dl>'


def _measured(value: float | None, unit: str) -> str:
    return UNKNOWN if value is None else f"{number(value, 1)} {unit}"


def signoff(reading: Reading, result: Result, name: str, formats: Sequence[tuple[str, str]]) -> str:
    """Return the bar at the foot: what was looked at, undo and redo, the state, and the next step to the signature."""
    whole = len(reading.state.lesion_ids)
    seen = whole - len(reading.unseen)
    progress = (
        f'<label class="fp-progress">Looked at {seen}/{whole}'
        f'<progress max="{max(whole, 1)}" value="{seen if whole else 1}"></progress></label>'
    )
    history = _small("Undo", "undo", not reading.past or reading.is_signed, "Ctrl+Z") + _small(
        "Redo", "redo", not reading.future or reading.is_signed, "Ctrl+Y"
    )
    state = f'<span class="fp-state fp-state-{reading.standing}" role="status">{STATES[reading.standing]}</span>'
    return (
        f"{progress}<span class='fp-buttons'>{history}</span>{state}{_next(reading, name)}{_exports(reading, formats)}"
    )


def _next(reading: Reading, name: str) -> str:
    if reading.is_signed and reading.signature is not None:
        sign = reading.signature
        told = f"by {escape(sign.by)}, {escape(sign.at[:16].replace('T', ' '))} UTC"
        return (
            f'<span class="fp-signed">{told} <code title="SHA-256 of the signed text: {sign.text_sha256}">'
            f"{sign.text_sha256[:12]}</code></span>"
            '<button type="button" class="fp-button" data-amend data-focus="amend">Amend…</button>'
        )
    if reading.standing == "reviewed":
        return (
            f'<label class="fp-signer">Name <input id="fp-signer" type="text" maxlength="80" autocomplete="off" '
            f'value="{escape(name)}" data-focus="signer"></label>'
            '<button type="button" class="fp-button fp-primary" data-sign data-focus="sign">Sign</button>'
        )
    left = len(reading.unseen)
    if left:
        return f'<span class="fp-quiet">{left} more to look at before the review (press <kbd>n</kbd>)</span>'
    return (
        '<label class="fp-check"><input type="checkbox" id="fp-looked" data-focus="looked"> '
        "I looked at every lesion and the whole body</label>"
        '<button type="button" class="fp-button fp-primary" data-review data-focus="review" disabled>'
        "Mark as reviewed</button>"
    )


def _small(label: str, kind: str, disabled: bool, keys: str) -> str:
    button = deed(label, {"kind": kind}, focus=kind)
    told = f' title="{keys}"' + (" disabled" if disabled else "")
    return button.replace("<button ", f"<button{told} ", 1)


def _exports(reading: Reading, formats: Sequence[tuple[str, str]]) -> str:
    ready = reading.standing != "draft"
    why = "" if ready else ' title="Review every lesion first"'
    locked = "" if ready else " disabled"
    options = "".join(f'<option value="{escape(key)}">{escape(label)}</option>' for key, label in formats)
    return (
        f'<span class="fp-exports"{why}><label class="fp-hidden" for="fp-format">Format</label>'
        f'<select id="fp-format" data-focus="format"{locked}>{options}</select>'
        f'<button type="button" class="fp-button" data-export data-focus="export"{locked}>Export</button>'
        f'<button type="button" class="fp-button" data-copy data-focus="copy"{locked}>Copy</button></span>'
    )
