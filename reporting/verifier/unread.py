"""What is left of a sentence when everything that some check has read is taken away: nobody vouches for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from fedpsma.domain.assessment import Assessment
from fedpsma.domain.exam import Exam
from fedpsma.text.dates import find_dates
from fedpsma.text.passages import Passage, blank
from reporting.sentences import Language
from reporting.verifier.lexicon import lexicon
from reporting.verifier.names import PIRADS, RADS, TRACER
from reporting.verifier.numbers import NUMBER
from reporting.verifier.places import mentions_left
from reporting.verifier.problems import NOT_UNDERSTOOD, Problem
from reporting.verifier.reading import Segment, mask
from reporting.verifier.view import View, code_pattern

_WORD = re.compile(r"[^\W\d_]+(?:[-'][^\W\d_]+)*")
_TABLES_OF_WORDS = (
    ("claims", "claim", None),
    ("sides", "side", None),
    ("node_extent", "N", None),
    ("recip", "class", "pattern"),
    ("quantities", "quantity", "pattern"),
    ("ct_descriptors", "draft", "draft"),
)
_PATTERNS = (
    ("harmless_numbers",),
    ("not_a_region",),
    ("comparisons", "words"),
    ("reference_organ",),
    ("negation",),
    ("local_recurrence",),
    ("new_lesions", "none"),
    ("new_lesions", "some"),
    ("all_clear",),
    ("remainder",),
    ("hedge",),
    ("suggestion",),
    ("follow_up",),
)


def unread_problems(segment: Segment, view: View) -> Iterator[Problem]:
    """Yield the words of a segment that no check reads and that are not plain either.

    A sentence with such a word may say anything, so it is never taken for checked.
    """
    words = _WORD.findall(_unread(segment, view))
    if words:
        yield Problem(NOT_UNDERSTOOD, segment.text.strip(), f"not understood: {', '.join(dict.fromkeys(words))}")


def unread_words(text: str, language: Language) -> list[str]:
    """Return the words of a text that no check reads and that are not plain, whatever the exam.

    Example:
        >>> unread_words("markedly intense uptake", "en")
        ['markedly']
    """
    exam = Exam(language=language)
    left = _unread(Segment(text, ()), View(exam, Assessment(mitnm=None, mitnm_string=None)))
    return list(dict.fromkeys(_WORD.findall(left)))


def _unread(segment: Segment, view: View) -> str:
    text = segment.text
    for said in view.own_words:
        text = text.replace(said, " " * len(said))
    # Before the words they grade are blanked.
    text = mask(view.lexicon.pattern("degree"), text)
    text = mask(TRACER, text)
    text = blank(text, [Passage(one.start, one.end, "") for one in find_dates(text)])
    for word in view.lexicon.words("context", "claim"):
        text = mask(word.pattern, text)
    regions = (word.pattern for word in view.lexicon.regions)
    for pattern in (PIRADS, RADS, code_pattern(), *_read(view.lexicon.language)):
        text = mask(pattern, text)
    text = blank(text, [Passage(one.start, one.end, "") for one in mentions_left(segment, text) if one.levels])
    for pattern in regions:
        text = mask(pattern, text)
    text = blank(text, [Passage(one.start, one.end, "") for one in mentions_left(segment, text)])
    for word in (*view.lexicon.words("topics", "topic"), *view.lexicon.words("distant_categories", "category")):
        text = mask(word.pattern, text)
    text = mask(_number_with_unit(), text)
    text = mask(view.lexicon.counts, text)
    if segment.settled:
        text = mask(view.lexicon.pattern("normal"), text)
    return mask(view.lexicon.plain, text)


@cache
def _read(language: Language) -> tuple[re.Pattern[str], ...]:
    """Return the patterns of all checks; a sentence in the other language stays unread."""
    used = lexicon(language)
    tables = [word.pattern for name, key, column in _TABLES_OF_WORDS for word in used.words(name, key, column)]
    return (*tables, *(used.pattern(*path) for path in _PATTERNS))


@cache
def _number_with_unit() -> re.Pattern[str]:
    units = "|".join(word.pattern.pattern for word in lexicon("en").words("units", "unit", "pattern"))
    return re.compile(rf"{NUMBER.pattern}(?:{units})?", re.IGNORECASE)
