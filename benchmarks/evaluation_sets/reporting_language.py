"""Sentences of ordinary reporting language, each right for a made-up exam, and the same with one thing changed.

The sentences stand in ``reporting_language.json``, in sets by habits of phrasing. A right sentence should pass. One
with another number or the other side, one that affirms what it denied, and one that nothing in the table confirms
should not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from fedpsma.domain.exam import Exam
from fedpsma.staging import assess
from reporting.verifier.document import read_document
from reporting.verifier.problems import Problem
from reporting.verifier.verify import Verifier

Kind = Literal["right", "number", "side", "negation"]
SETS = ("tuned", "held_out", "unconfirmed")
_HEADS = {
    "en": {"history": "Clinical information", "technique": "Technique", "comparison": "Comparison",
           "findings": "Findings", "impression": "Impression"},
    "de": {"history": "Klinische Angaben", "technique": "Technik", "comparison": "Vergleich",
           "findings": "Befund", "impression": "Beurteilung"},
}  # fmt: skip
_SIDES = {"left": "right", "right": "left", "links": "rechts", "rechts": "links", "linke": "rechte", "rechte": "linke"}
_SIDE = re.compile(r"\b(left|right|links|rechts|linke|rechte)(?=(?:n|r|s|seitig\w*|-sided)?\b)", re.IGNORECASE)
_NAMES = re.compile(
    r"\d*[A-Z][a-z]?-?\d*[ -]PSMA-\d+|PROMISE V2|\bmi\S+|\b[TNM]\d\S*|ISUP \d|\bL\d\b|LWK \d|^\d+\. |\d{4}-\d\d-\d\d"
    r"|\d\d\.\d\d\.\d{4}|\d October \d{4}"
)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
_DENIED = re.compile(
    r"^(?:No|There is no evidence of|Kein(?:e[nrs]?)? Nachweis|Kein(?:e[nrs]?)?|Kein Anhalt für) ", re.IGNORECASE
)


@dataclass(frozen=True)
class Said:
    """One sentence: of which set and language, for which exam, in which part of a report, and what was changed."""

    set: str
    language: Literal["en", "de"]
    exam: str
    part: str
    text: str
    kind: Kind = "right"


def sentences(name: str) -> list[Said]:
    """Return the sentences of a set."""
    return [Said(**row) for row in _content()["sentences"] if row["set"] == name]


def changed(said: Said) -> Iterator[Said]:
    """Yield a right sentence with each number, each side and its denial changed, one at a time."""
    names = [match.span() for match in _NAMES.finditer(said.text)]
    for match in _NUMBER.finditer(said.text):
        if not any(start <= match.start() < end for start, end in names):
            number = match[0][:-1] + str((int(match[0][-1]) + 3) % 10)
            yield _with(said, match.span(), number, "number")
    for match in _SIDE.finditer(said.text):
        other = _SIDES[match[0].lower()]
        yield _with(said, match.span(), other.capitalize() if match[0][0].isupper() else other, "side")
    if denied := _DENIED.match(said.text):
        rest = said.text[denied.end() :]
        yield Said(said.set, said.language, said.exam, said.part, rest[:1].upper() + rest[1:], "negation")


def problems(said: Said) -> list[Problem]:
    """Verify a sentence as a report of another system; what is missing around it does not count."""
    exam = Exam.model_validate({**_content()["exams"][said.exam], "language": said.language})
    text = f"{_HEADS[said.language][said.part]}:\n{said.text}"
    found = Verifier(exam, assess(exam)).check(read_document(text, exam, where="sentence"))
    return [one for one in found if one.line is not None]


def _with(said: Said, span: tuple[int, int], word: str, kind: Kind) -> Said:
    text = said.text[: span[0]] + word + said.text[span[1] :]
    return Said(said.set, said.language, said.exam, said.part, text, kind)


@cache
def _content() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(__file__).with_suffix(".json").read_text("utf-8"))
    return content
