"""What a sentence says of each place it names: where, on which side, and whether something is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from fedpsma.domain.region import Side
from fedpsma.text.measures import find_sizes, find_suvmax
from fedpsma.text.passages import Passage, clauses, last_match, passage, read_data, sentences
from fedpsma.text.regions import Mention, find_mentions, find_sides

_LIST_WORD = re.compile(r"\b(?:or|nor|oder|noch)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Statement:
    """A stretch of a sentence that speaks of one place; ``mention`` has its offsets within ``span``."""

    span: Passage
    mention: Mention
    side: Side | None


def statements(text: str, sentence: Passage) -> Iterator[Statement]:
    """Cut a sentence into what it says of one place each; pieces that name none belong to the one before.

    Example:
        >>> text = "L4 SUVmax 14.7, sternum normal."
        >>> [one.span.quote for one in statements(text, passage(text, 0, len(text)))]
        ['L4 SUVmax 14.7', 'sternum normal.']
    """
    said_before: Side | None = None
    for span, mentions in _joined_pieces(text, sentence):
        sites = [one for one in mentions if not one.group] or mentions
        for mention in _without_repeats(sites):
            own = _side_near(span, mention)
            yield Statement(span, mention, own or (said_before if mention.regions[0].is_node else None))
        said_before = _side_near(span, sites[-1]) or said_before


def _joined_pieces(text: str, sentence: Passage) -> list[tuple[Passage, list[Mention]]]:
    joined: list[tuple[int, int, list[Mention]]] = []
    for piece in clauses(text, sentence):
        mentions = find_mentions(piece.quote)
        if mentions and not _continues(joined, mentions):
            joined.append((piece.start if joined else sentence.start, piece.end, mentions))
        elif joined:
            left, _, kept = joined[-1]
            joined[-1] = (left, piece.end, [*kept, *_shifted(mentions, piece.start - left)])
    return [_refreshed(text, left, right) for left, right, _ in joined]


def _continues(joined: list[tuple[int, int, list[Mention]]], mentions: list[Mention]) -> bool:
    return bool(joined) and all(one.group for one in mentions) and not all(one.group for one in joined[-1][2])


def _shifted(mentions: list[Mention], by: int) -> list[Mention]:
    return [replace(one, start=one.start + by, end=one.end + by) for one in mentions]


def _refreshed(text: str, left: int, right: int) -> tuple[Passage, list[Mention]]:
    span = passage(text, left, right)
    return span, find_mentions(span.quote)


def _without_repeats(mentions: list[Mention]) -> list[Mention]:
    kept: list[Mention] = []
    for one in mentions:
        same = next((other for other in kept if set(one.regions) & set(other.regions)), None)
        if same is None or (one.levels and same.levels and one.levels != same.levels):
            kept.append(one)
        elif one.levels or len(one.regions) < len(same.regions):
            kept[kept.index(same)] = one
    return kept


def _side_near(span: Passage, mention: Mention) -> Side | None:
    middle = (mention.start + mention.end) / 2
    sides = find_sides(span.quote)
    return min(sides, key=lambda found: abs(found[0] - middle))[1] if sides else None


def is_negative(text: str, statement: Statement, sentence: Passage) -> bool:
    """Whether a statement says that nothing is there."""
    mention, quote = statement.mention, statement.span.quote
    if find_suvmax(quote):
        return False
    before = text[sentence.start : statement.span.start] + quote[: mention.start]
    after = quote[mention.end :]
    return (
        _negated_before(before, quote[mention.start :])
        or prior_words("negative_after", start=True).match(after) is not None
    )


def _negated_before(before: str, rest: str) -> bool:
    negation = last_match(prior_words("negative_before"), before)
    if negation is None:
        return False
    between = before[negation.end() :]
    if re.search(r"\b(?:but|aber|jedoch|except|außer|however|sondern)\b|:", between) or find_suvmax(between):
        return False
    return "," not in between or _LIST_WORD.search(between + rest) is not None


def tellings(text: str) -> list[Passage]:
    """Split a text into sentences; what follows a semicolon and names no place still tells of the place before.

    Example:
        >>> [one.quote for one in tellings("Rib left: 9 mm; SUVmax 7.2; liver normal")]
        ['Rib left: 9 mm; SUVmax 7.2;', 'liver normal']
    """
    joined: list[Passage] = []
    for part in sentences(text):
        follows = joined and joined[-1].quote.endswith(";") and "\n" not in text[joined[-1].end : part.start]
        if follows and not find_mentions(part.quote):
            joined[-1] = passage(text, joined[-1].start, part.end)
        else:
            joined.append(part)
    return joined


def says_only_where(quote: str) -> bool:
    """Whether a stretch names a place and says nothing of it, so that what comes next is said of it too."""
    return not (find_suvmax(quote) or find_sizes(quote) or prior_words("positive").search(quote))


@cache
def prior_words(name: str, *, start: bool = False) -> re.Pattern[str]:
    """Return the words of one kind from ``prior_words.json``; ``start``: only where a text behind a place begins."""
    words: list[Any] = read_data("prior_words.json")[name]
    joined = "|".join(words)
    if start:
        return re.compile(rf"[\w\s()/-]{{0,25}}?[:,\s(-]\s*(?:{joined})(?!\w)", re.IGNORECASE)
    return re.compile(rf"(?<!\w)(?:{joined})(?!\w)", re.IGNORECASE)
