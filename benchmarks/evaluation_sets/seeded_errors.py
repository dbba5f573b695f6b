"""One error a report: of every class that a reader fears, planted into a right report of this or another system."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from reporting.writers import as_text

from evaluation_sets.exams import made_up_exam
from evaluation_sets.foreign_reports import PHRASINGS, SITES, Phrasing, Told, finding, foreign_report, told
from fedpsma.domain.assessment import Assessment
from fedpsma.domain.exam import Exam
from fedpsma.staging import assess
from reporting.drafting import draft_report

_OTHER_SIDE = {"L": "R", "R": "L"}
_OTHER_CHANGE = {"new": "stable", "increased": "decreased", "decreased": "increased", "stable": "increased"}
_OTHER_RADS = {"5": "2", "4": "1", "3": "5", "2": "4", "1": "5"}
_COUNTS = {"en": ("Four", "bone lesions are counted as disease"), "de": ("Vier", "Knochenläsionen werden gezählt")}


@dataclass(frozen=True)
class Case:
    """A report with one error (``kind``), or a right one (``kind`` "none"), and the exam it must be checked against."""

    kind: str
    form: str
    exam: Exam
    assessment: Assessment
    text: str


@dataclass(frozen=True)
class _Right:
    """A right report to plant into; ``lines`` are its lines, ``rows`` what it tells of each lesion."""

    exam: Exam
    assessment: Assessment
    lines: list[str]
    rows: list[Told]
    phrasing: Phrasing
    own: bool
    rng: random.Random

    @property
    def language(self) -> str:
        return self.exam.language

    def ids(self, at: int) -> str:
        return f" [{self.exam.lesions[at].lesion_id}]." if self.own else "."


def cases(number: int, seed: int, form: str) -> Iterator[Case]:
    """Yield reports with one error, the classes in turn; ``form``: "own" drafts, or a set of foreign phrasings."""
    kinds = list(ERRORS)
    made, at = 0, seed
    while made < number:
        kind = kinds[made % len(kinds)]
        language = "en" if (made // len(kinds)) % 2 == 0 else "de"
        right = _right_report(at, language, form)
        at += 1
        lines = ERRORS[kind](right)
        if lines is not None and lines != right.lines:
            made += 1
            yield Case(kind, form, right.exam, right.assessment, "\n".join(lines))


def right_cases(number: int, seed: int, form: str) -> Iterator[Case]:
    """Yield right reports, in both languages in turn."""
    for at in range(seed, seed + number):
        right = _right_report(at, "en" if at % 2 == 0 else "de", form)
        yield Case("none", form, right.exam, right.assessment, "\n".join(right.lines))


def _right_report(seed: int, language: str, form: str) -> _Right:
    exam = made_up_exam(seed, language)
    assessment = assess(exam)
    rng = random.Random(seed)
    rows = [told(lesion, assessment) for lesion in exam.lesions]
    name = "held_out" if form in ("own", "held_out") else "tuned"
    own = form == "own"
    lines = (
        as_text(draft_report(exam, assessment)).splitlines()
        if own
        else foreign_report(rows, exam, assessment, name, rng)
    )
    return _Right(exam, assessment, lines, rows, PHRASINGS[name, language], own, rng)


def _retold(right: _Right, change: Callable[[Told], Told | None]) -> list[str] | None:
    """Say one finding anew, with one thing changed; a draft of this system keeps its other lines."""
    order = right.rng.sample(range(len(right.rows)), len(right.rows))
    for at in order:
        wrong = change(right.rows[at])
        if wrong is None:
            continue
        line = _line_of(right, at)
        if line is None:
            continue
        said = finding(wrong, right.phrasing, right.language, right.rng)
        lines = list(right.lines)
        lines[line] = f"{said.removesuffix('.')}{right.ids(at)}"
        return lines
    return None


def _line_of(right: _Right, at: int) -> int | None:
    if not right.own:
        return 1 + at
    marks = f"[{right.exam.lesions[at].lesion_id}]"
    return next((index for index, line in enumerate(right.lines) if marks in line and "SUVmax" in line), None)


def _swapped(right: _Right, pattern: str, change: Callable[[str], str]) -> list[str] | None:
    """Change one token of one line in place."""
    places = [
        (index, match)
        for index, line in enumerate(right.lines)
        for match in re.finditer(pattern, line)
        if "PROMISE V2" not in match[0] and "not provided" not in line and "nicht angegeben" not in line
    ]
    if not places:
        return None
    index, match = right.rng.choice(places)
    lines = list(right.lines)
    lines[index] = lines[index][: match.start(1)] + change(match[1]) + lines[index][match.end(1) :]
    return lines


def _number(right: _Right) -> list[str] | None:
    return _swapped(right, r"(\d+[.,]\d)(?![\d.])", lambda value: f"{value[:-1]}{(int(value[-1]) + 3) % 10}")


def _unit(right: _Right) -> list[str] | None:
    return _swapped(right, r"\d( mm| mL| MBq| min| ng/mL)", lambda unit: {" mm": " cm", " mL": " L"}.get(unit, " kg"))


def _side(right: _Right) -> list[str] | None:
    return _retold(right, lambda one: replace(one, side=_OTHER_SIDE[one.side]) if one.side in _OTHER_SIDE else None)


def _site(right: _Right) -> list[str] | None:
    taken = {one.region for one in right.rows}
    free = [region for region in SITES if region not in taken]
    same = {region: [other for other in free if other.is_bone == region.is_bone] for region in SITES}
    return _retold(
        right, lambda one: replace(one, region=right.rng.choice(same[one.region])) if same[one.region] else None
    )


def _count(right: _Right) -> list[str] | None:
    count, words = _COUNTS[right.language]
    bones = sum(one.region.is_bone for one in right.rows)
    return [*right.lines[:-2], f"{count} {words}.", *right.lines[-2:]] if bones not in (0, 4) else None


def _category(right: _Right) -> list[str] | None:
    return _swapped(right, r"RADS (\d[A-D]?)\b", lambda rads: _OTHER_RADS[rads[0]])


def _stage(right: _Right) -> list[str] | None:
    changed = {"N0": "N1", "N1": "N0", "N2": "N1", "M0": "M1b"}
    return _swapped(right, r"miT\S+ (N[0-2])", lambda code: changed[code])


def _negation(right: _Right) -> list[str] | None:
    """Deny what is there: no bone lesions although the table counts some."""
    counted = [one for one in right.rows if one.rads[0] in "45"]
    phrasing = right.phrasing
    if any(one.region.is_bone for one in counted):
        return _put_in_findings(right, phrasing.no_bone)
    return _put_in_findings(right, phrasing.no_nodes) if any(one.region.is_node for one in counted) else None


def _change(right: _Right) -> list[str] | None:
    return _retold(right, lambda one: replace(one, change=_OTHER_CHANGE[one.change]) if one.change else None)


def _certainty(right: _Right) -> list[str] | None:
    """Say a class that the rules did not give, with the right category beside it."""
    order = right.rng.sample(range(len(right.rows)), len(right.rows))
    for at in order:
        line = _line_of(right, at)
        if line is None:
            continue
        wrong = replace(right.rows[at], rads=_OTHER_RADS[right.rows[at].rads[0]])
        said = finding(wrong, right.phrasing, right.language, right.rng)
        said = said.replace(f"RADS {wrong.rads}", f"RADS {right.rows[at].rads}")
        return [*right.lines[:line], f"{said.removesuffix('.')}{right.ids(at)}", *right.lines[line + 1 :]]
    return None


def _invented(right: _Right) -> list[str] | None:
    taken = {one.region for one in right.rows}
    region = right.rng.choice([one for one in SITES if one not in taken])
    side = right.rng.choice("LR") if "L" in region.facts.sides else None
    one = Told(region, side, "11.7", "13 mm", None, "5")
    return _put_in_findings(right, finding(one, right.phrasing, right.language, right.rng))


def _dropped(right: _Right) -> list[str] | None:
    at = next((index for index, one in enumerate(right.rows) if one.rads[0] in "345"), None)
    if at is None:
        return None
    if right.own:
        marks = right.exam.lesions[at].lesion_id
        return [line for line in right.lines if not re.search(rf"\[{marks}\]", line)]
    site = SITES[right.rows[at].region][right.language == "de"].lower()
    return [line for line in right.lines if site not in line.lower() and not line.startswith(("It is", "Dies"))]


def _contradiction(right: _Right) -> list[str] | None:
    if not any(one.rads[0] in "45" for one in right.rows):
        return None
    return [*right.lines[:-3], *right.lines[-3:-2], right.rng.choice(right.phrasing.all_clear), *right.lines[-2:]]


def _put_in_findings(right: _Right, line: str) -> list[str]:
    at = next(index for index, text in enumerate(right.lines) if text in _AFTER or "SUVmax" in text)
    return [*right.lines[: at + 1], line, *right.lines[at + 1 :]]


_AFTER = ("BONE", "KNOCHEN", "Findings:", "Befund:")

ERRORS: dict[str, Callable[[_Right], list[str] | None]] = {
    "number": _number,
    "unit": _unit,
    "side": _side,
    "site": _site,
    "count": _count,
    "category": _category,
    "stage": _stage,
    "negation": _negation,
    "change": _change,
    "certainty": _certainty,
    "invented lesion": _invented,
    "dropped lesion": _dropped,
    "contradiction": _contradiction,
}
