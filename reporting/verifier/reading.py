"""A sentence of a report, taken apart: quotes, gaps, lesion ids, and the stretch of text that belongs to each id."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from reporting.verifier.lexicon import Lexicon

_QUOTE = re.compile(r"“([^”]*)”|„([^“]*)“")
_IDS = re.compile(r"\[([^\[\]]*)\]")
PRIOR_CITE = "prior:"


@dataclass(frozen=True)
class Segment:
    """A stretch of a sentence and the lesions it speaks of; quotes, gaps and ids are blanked, offsets kept.

    ``settled`` marks a stretch whose places and values are judged already: it denies, or speaks of no lesion here.
    """

    text: str
    ids: tuple[str, ...]
    settled: bool = False


@dataclass(frozen=True)
class Reading:
    """One sentence as the verifier sees it; ``cites`` is null where the text has no list of what it stands on.

    ``not_imaged`` are the sites that it says were outside the field of view; ``foreign`` tells that another system or a
    person wrote it, in words of their own.
    """

    section: str
    text: str
    cites: tuple[str, ...] | None
    segments: tuple[Segment, ...]
    quotes: tuple[str, ...]
    gaps: tuple[tuple[str, tuple[str, ...]], ...]
    not_imaged: tuple[str, ...] = ()
    foreign: bool = False

    @property
    def ids(self) -> tuple[str, ...]:
        """All lesion ids of the sentence."""
        return tuple(one for segment in self.segments for one in segment.ids)

    @property
    def plain(self) -> str:
        """The text without quotes, gaps and ids."""
        return "".join(segment.text for segment in self.segments)


def read_sentence(section: str, text: str, cites: Sequence[str] | None, lexicon: Lexicon) -> Reading:
    """Take one sentence apart.

    A bracket closes the stretch it belongs to: in "a [L1]; b [L2]" the words "b" speak of L2. What follows the last
    bracket belongs to it too.
    """
    quotes = tuple(first or second for first, second in _QUOTE.findall(text))
    rest = _QUOTE.sub(_blank, text)
    gap = lexicon.pattern("gap")
    gap_spans = [(match.start(), match[1]) for match in gap.finditer(rest)]
    rest = gap.sub(_blank, rest)
    outside = lexicon.pattern("not_imaged")
    not_imaged = tuple(name.strip() for listed in outside.findall(rest) for name in listed.split(", "))
    rest = outside.sub(_blank, rest)
    for without_finding in ("field_of_view", "forward"):
        rest = lexicon.pattern(without_finding).sub(_blank, rest)
    segments = _segments(rest)
    return Reading(
        section,
        text,
        None if cites is None else tuple(cites),
        tuple(segments),
        quotes,
        tuple(_owned(gap_spans, segments)),
        not_imaged,
    )


def mask(pattern: re.Pattern[str], text: str) -> str:
    """Blank every match, so that nothing later reads it again."""
    return pattern.sub(_blank, text)


def _segments(text: str) -> list[Segment]:
    found: list[Segment] = []
    start = 0
    for match in _IDS.finditer(text):
        ids = tuple(part.strip() for part in match[1].split(",") if part.strip())
        found.append(Segment(text[start : match.start()] + " " * len(match[0]), ids))
        start = match.end()
    tail = text[start:]
    if found and start:
        found[-1] = Segment(found[-1].text + tail, found[-1].ids)
    else:
        found.append(Segment(tail, ()))
    return found


def _owned(gaps: list[tuple[int, str]], segments: list[Segment]) -> list[tuple[str, tuple[str, ...]]]:
    owned = []
    for offset, field in gaps:
        end = 0
        for segment in segments:
            end += len(segment.text)
            if offset < end:
                owned.append((field, segment.ids))
                break
    return owned


def _blank(match: re.Match[str]) -> str:
    return " " * len(match[0])
