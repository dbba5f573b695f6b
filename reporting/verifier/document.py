"""Any report as lines to verify: a draft, its Markdown or text, or a report that another system wrote."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from typing import Any

from fedpsma.domain.exam import Exam
from fedpsma.errors import InputError
from fedpsma.text.passages import Passage, unwrapped
from fedpsma.text.statements import tellings
from reporting.verifier.lexicon import lexicon

FINDINGS_SECTION = "findings"
TABLE_SECTION = "lesion_table"
_BULLET = re.compile(r"^(?:[-*•]\s+|>\s*|\d{1,2}[.)]\s+)")
_MARKUP = re.compile(r"^#+\s*|[*_]{2}|:\s*$")
_BRACKETED = re.compile(r"\[([^\[\]]*)\]")


@dataclass(frozen=True)
class Line:
    """One sentence to verify.

    ``section`` is the part of the report it stands in, ``cites`` what it says it stands on, null where the text has no
    such list; ``number`` is its line in the text, from 1.
    """

    section: str
    text: str
    cites: tuple[str, ...] | None
    number: int | None = None


@dataclass(frozen=True)
class Document:
    """The lines of a report; ``names_lesions``: its sentences name the lesions of the table by their ids."""

    lines: tuple[Line, ...]
    names_lesions: bool


def read_document(text: str, exam: Exam, *, where: str) -> Document:
    """Read ``draft.json``, Markdown or plain text into lines.

    Raises:
        InputError: The text is empty, or it is JSON and no draft.
    """
    if not text.strip():
        raise InputError("is empty", where=where, remedy="give the text of a report, or a draft.json")
    if text.lstrip().startswith("{"):
        return Document(tuple(_lines_of_draft(text, where)), names_lesions=True)
    ids = {lesion.lesion_id for lesion in exam.lesions}
    named = {part.strip() for match in _BRACKETED.finditer(text) for part in match[1].split(",")}
    names_lesions = bool(named & ids) if ids else _has_our_sections(text)
    lines = _named_lines(text) if names_lesions else _free_lines(text)
    return Document(tuple(lines), names_lesions)


def _lines_of_draft(text: str, where: str) -> Iterator[Line]:
    remedy = "give a draft.json as fedpsma report draft writes it, or the report as text"
    try:
        sections: list[dict[str, Any]] = json.loads(text)["sections"]
        rows = [(section["name"], one["text"], one["cites"]) for section in sections for one in section["sentences"]]
        for number, (name, said, cites) in enumerate(rows, start=1):
            yield Line(str(name), str(said), tuple(str(one) for one in cites), number)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError("is JSON but no draft", where=where, remedy=remedy) from error


def _named_lines(text: str) -> Iterator[Line]:
    section = FINDINGS_SECTION
    for number, raw in enumerate(text.splitlines(), start=1):
        line = unescape(_BULLET.sub("", raw.strip()))
        heading = _heading(line)
        if heading is not None:
            section = heading
        elif line and not _is_frame(raw.strip()):
            # Where a table has no bars, only the place in the line tells the column.
            yield Line(section, raw if section == TABLE_SECTION else line, None, number)


def _free_lines(text: str) -> Iterator[Line]:
    section = FINDINGS_SECTION
    whole = unwrapped(text)
    for sentence in tellings(whole):
        if _begins_an_item(whole, sentence):
            continue
        number = text.count("\n", 0, sentence.start) + 1
        said = _BULLET.sub("", sentence.quote)
        heading, _, rest = said.partition(":")
        if (found := _heading(said)) is not None:
            section = found
        elif (found := _heading(heading)) is not None and rest.strip():
            frame = found in ("impression", "clinical_information", "technique", "comparison", FINDINGS_SECTION)
            section = found if frame else section
            # A heading that is a place is what the sentence speaks of: "Bone: no suspicious uptake."
            yield Line(section, rest.strip() if frame else said, None, number)
        elif not _is_frame(said):
            yield Line(section, said, None, number)


def _begins_an_item(text: str, sentence: Passage) -> bool:
    """Whether a sentence is no more than the number of an item in a list, at the beginning of its line."""
    starts_line = not text[text.rfind("\n", 0, sentence.start) + 1 : sentence.start].strip()
    return starts_line and re.fullmatch(r"\d{1,2}[.)]", sentence.quote.strip()) is not None


def _heading(line: str) -> str | None:
    title = _MARKUP.sub("", line).strip()
    words = (*lexicon("en").words("headings", "section"), *lexicon("de").words("headings", "section"))
    return next((word.meaning for word in words if word.pattern.fullmatch(title)), None)


def _is_frame(line: str) -> bool:
    """Whether a line is of the paper, not of the report: title, mark of a draft, footer."""
    return any(pattern.fullmatch(line) for pattern in (lexicon("en").pattern("frame"), lexicon("de").pattern("frame")))


def _has_our_sections(text: str) -> bool:
    found = {heading for line in text.splitlines() if (heading := _heading(line.strip())) is not None}
    return {"reference_uptake", "psma_negative", "indeterminate"} <= found
