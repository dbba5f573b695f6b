"""Pieces of the page as HTML; every text that comes from a file is escaped."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

from fedpsma.domain.assessment import Assessment, Flag
from fedpsma.domain.exam import Exam, Lesion
from reporting.draft import Verification

COLUMNS = (
    "Lesion",
    "Region",
    "Side",
    "SUVmax",
    "SUVmean",
    "SUVpeak",
    "Volume (ml)",
    "CT",
    "Probability",
    "PSMA-RADS",
    "Score",
)
_NUMERIC = {"SUVmax", "SUVmean", "SUVpeak", "Volume (ml)", "Probability", "Score"}

BANNER = (
    '<p role="note" class="fp-banner"><strong>Research use only, not for clinical use.</strong> '
    "The staging rules have not been reviewed by a clinician yet.</p>"
)


def picture(path: Path | None) -> str:
    """Return the picture inside the page itself, so that no other address has to be opened."""
    if path is None:
        return '<p class="fp-quiet">This exam came without images.</p>'
    encoded = base64.b64encode(path.read_bytes()).decode("ascii")
    what = "Maximum intensity projection with numbered lesions"
    return f'<img class="fp-mip" alt="{what}" src="data:image/png;base64,{encoded}">'


def lesion_table(exam: Exam, assessment: Assessment) -> str:
    """Return the table of lesions with what the rules propose for each."""
    if not exam.lesions:
        return '<p class="fp-quiet">No lesion in the table.</p>'
    head = "".join(f'<th scope="col"{_numeric(name)}>{escape(name)}</th>' for name in COLUMNS)
    body = "".join(_row(lesion, assessment) for lesion in exam.lesions)
    caption = "<caption>Lesions as measured, with the category that the rules propose</caption>"
    table = f"{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    scroll = 'class="fp-scroll" role="region" aria-label="Lesion table" tabindex="0"'
    return f'<div {scroll}><table class="fp-table">{table}</table></div>'


def stage(assessment: Assessment) -> str:
    """Return the stage in one line and what the reader has to look at."""
    line = assessment.mitnm_string or "PSMA frameworks do not apply to this tracer"
    flags = "".join(f"<li>{escape(_flag(flag))}</li>" for flag in assessment.flags)
    notes = f"<details open><summary>To look at</summary><ul>{flags}</ul></details>" if flags else ""
    return f'<p class="fp-stage">{escape(line)}</p>{notes}'


def problem(error: Exception) -> str:
    """Return an error as the one line a reader can act on."""
    return f'<p role="alert" class="fp-problem">{escape(str(error))}</p>'


def line(text: str) -> str:
    """Return one quiet line that is read out when it appears."""
    return f'<p role="status" class="fp-quiet">{escape(text)}</p>'


def notes(ignored: tuple[str, ...], earlier: Path | None) -> str:
    """Return what the reader has to know about the files: fields nobody reads, and an earlier reading."""
    lines = [f"{name} is not a field of an exam and was not read." for name in ignored]
    if earlier is not None:
        lines.append(f"An earlier reading lies in {earlier}; keeping a new one replaces it.")
    return "".join(map(line, lines))


def checks(verification: Verification) -> str:
    """Return the checks of the verifier, the failed ones first and with their reason."""
    failed = [check for check in verification.checks if not check.passed]
    passed = [check.name.replace("_", " ") for check in verification.checks if check.passed]
    items = "".join(
        f"<li>✗ <strong>{escape(check.name.replace('_', ' '))}</strong>: {escape(check.detail)}</li>"
        for check in failed
    )
    items += f"<li>✓ {escape(', '.join(passed))}</li>" if passed else ""
    verdict = (
        f"{len(failed)} of {len(verification.checks)} checks ask for another look" if failed else "All checks passed"
    )
    return f'<section aria-label="Checks"><h2>{verdict}</h2><ul class="fp-checks">{items}</ul></section>'


def _flag(flag: Flag) -> str:
    return f"{', '.join(flag.lesions)}: {flag.message}" if flag.lesions else flag.message


def _row(lesion: Lesion, assessment: Assessment) -> str:
    score = assessment.expression.get(lesion.lesion_id)
    cells = (
        lesion.region.facts.name_en,
        lesion.side or "–",
        _number(lesion.suvmax, 1),
        _number(lesion.suvmean, 1),
        _number(lesion.suvpeak, 1),
        _number(lesion.volume_ml, 1),
        lesion.ct_correlate or "–",
        _number(lesion.model_prob, 2),
        assessment.psma_rads.get(lesion.lesion_id) or "–",
        _number(score, 0),
    )
    data = "".join(f"<td{_numeric(name)}>{escape(text)}</td>" for name, text in zip(COLUMNS[1:], cells, strict=True))
    return f'<tr><th scope="row">{escape(lesion.lesion_id)}</th>{data}</tr>'


def _numeric(column: str) -> str:
    return ' class="fp-number"' if column in _NUMERIC else ""


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
