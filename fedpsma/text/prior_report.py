"""Reads the text of a prior report into findings with verbatim quotes.

The text is untrusted: passages that instruct the software are found first, blanked, and never read. Nothing here
believes more than a quote can show, so every finding carries its offsets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from typing import Any

from fedpsma.domain.region import Region, Side
from fedpsma.domain.tracer import Tracer
from fedpsma.text.guard import find_identifiers, find_instructions
from fedpsma.text.measures import Measure, find_sizes, find_suvmax
from fedpsma.text.passages import Passage, blank, clauses, last_match, passage, read_data, sentences
from fedpsma.text.regions import Mention, find_mentions, find_sides

_LIST_WORD = re.compile(r"\b(?:or|nor|oder|noch)\b", re.IGNORECASE)


@dataclass(frozen=True)
class PriorFinding:
    """A focus that the prior report describes; ``text[start:end] == quote``.

    ``regions`` holds one region, or all that a vague wording ("iliac node") allows. ``side`` is null where the report
    gives none; SUVmax in g/ml. ``size_mm`` is the smaller axis for nodes and the larger one for everything else.
    """

    regions: tuple[Region, ...]
    side: Side | None
    suvmax: float | None
    size_mm: float | None
    start: int
    end: int
    quote: str
    levels: tuple[str, ...] = ()
    in_impression: bool = False

    @property
    def region(self) -> Region | None:
        """The region, null where the wording allows several."""
        return self.regions[0] if len(self.regions) == 1 else None

    @property
    def is_measured(self) -> bool:
        """Whether the report gives a value for this focus."""
        return self.suvmax is not None or self.size_mm is not None


@dataclass(frozen=True)
class NegativeStatement:
    """Regions that the prior report calls free of disease; ``text[start:end] == quote``."""

    regions: tuple[Region, ...]
    start: int
    end: int
    quote: str


@dataclass(frozen=True)
class PriorReading:
    """What a prior report says, and what in it must not be believed or passed on.

    ``side_conflicts`` are statements of the impression whose side contradicts the findings of the same report.
    """

    findings: tuple[PriorFinding, ...]
    negatives: tuple[NegativeStatement, ...]
    side_conflicts: tuple[PriorFinding, ...]
    tracers: tuple[Tracer, ...]
    instructions: tuple[Passage, ...]
    identifiers: tuple[Passage, ...]

    @property
    def says_nothing(self) -> bool:
        """Whether the text gave neither a finding nor a region that is free."""
        return not self.findings and not self.negatives


def read_prior_report(text: str) -> PriorReading:
    """Read findings, free regions, contradictions, instructions and identifying passages.

    Example:
        >>> reading = read_prior_report("PET 3.12.24. LN: nil. L4 corpus sclerotic focus SUVmax 14,7, 16 mm.")
        >>> [(one.region.value, one.side, one.suvmax, one.size_mm) for one in reading.findings]
        [('BONE_LSPINE', 'M', 14.7, 16.0)]
        >>> reading.negatives[0].quote
        'LN: nil.'
    """
    instructions = find_instructions(text)
    trusted = blank(text, instructions)
    mentioned: list[PriorFinding] = []
    negatives: list[NegativeStatement] = []
    impression_from = _impression_start(trusted)
    for sentence in sentences(trusted):
        found, free = _read_sentence(trusted, sentence)
        in_impression = sentence.start >= impression_from
        mentioned += [replace(one, in_impression=in_impression) for one in found]
        negatives += free
    body = _merged([one for one in mentioned if not one.in_impression])
    repeated = [one for one in mentioned if one.in_impression]
    conflicts = tuple(one for one in repeated if _contradicts_side(one, body))
    return PriorReading(
        findings=tuple(_merged([*body, *(one for one in repeated if one not in conflicts)])),
        negatives=tuple(negatives),
        side_conflicts=conflicts,
        tracers=_tracers(trusted),
        instructions=instructions,
        identifiers=find_identifiers(text),
    )


@dataclass(frozen=True)
class _Clause:
    """A stretch of a sentence that speaks of one place."""

    span: Passage
    mention: Mention
    side: Side | None


def _read_sentence(text: str, sentence: Passage) -> tuple[list[PriorFinding], list[NegativeStatement]]:
    findings: list[PriorFinding] = []
    negatives: list[NegativeStatement] = []
    bare: list[_Clause] = []
    for clause in _clauses_by_place(text, sentence):
        quote = clause.span.quote
        if _is_negative(text, clause, sentence):
            negatives += [_negative(one) for one in (*bare, clause)]
            bare = []
            continue
        if not clause.mention.group and not _words("not_findings").search(quote):
            findings += _findings_in(clause, sentence)
        bare = [*bare, clause] if _says_only_where(quote) else []
    return findings, negatives


def _negative(clause: _Clause) -> NegativeStatement:
    return NegativeStatement(clause.mention.regions, clause.span.start, clause.span.end, clause.span.quote)


def _says_only_where(quote: str) -> bool:
    return not (find_suvmax(quote) or find_sizes(quote) or _words("positive").search(quote))


def _clauses_by_place(text: str, sentence: Passage) -> Iterator[_Clause]:
    """Cut a sentence so that every piece names one place; pieces that name none belong to the one before."""
    said_before: Side | None = None
    for span, mentions in _joined_pieces(text, sentence):
        sites = [one for one in mentions if not one.group] or mentions
        for mention in _without_repeats(sites):
            own = _side_near(span, mention)
            yield _Clause(span, mention, own or (said_before if mention.regions[0].is_node else None))
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


def _is_negative(text: str, clause: _Clause, sentence: Passage) -> bool:
    mention, quote = clause.mention, clause.span.quote
    if find_suvmax(quote):
        return False
    before = text[sentence.start : clause.span.start] + quote[: mention.start]
    after = quote[mention.end :]
    return (
        _negated_before(before, quote[mention.start :]) or _words("negative_after", start=True).match(after) is not None
    )


def _negated_before(before: str, rest: str) -> bool:
    negation = last_match(_words("negative_before"), before)
    if negation is None:
        return False
    between = before[negation.end() :]
    if re.search(r"\b(?:but|aber|jedoch|except|außer|however|sondern)\b|:", between) or find_suvmax(between):
        return False
    return "," not in between or _LIST_WORD.search(between + rest) is not None


def _findings_in(clause: _Clause, sentence: Passage) -> Iterator[PriorFinding]:
    quote, mention = clause.span.quote, clause.mention
    suvmax = _nearest(find_suvmax(quote), mention)
    size = _nearest(find_sizes(quote), mention)
    if suvmax is None and size is None and not _words("positive").search(sentence.quote):
        return
    is_node = mention.regions[0].is_node
    for side in _sides_of(clause):
        yield PriorFinding(
            regions=mention.regions,
            side=side,
            suvmax=None if clause.side == "B" or suvmax is None else suvmax.value,
            size_mm=None if clause.side == "B" or size is None else size.smallest if is_node else size.value,
            start=clause.span.start,
            end=clause.span.end,
            quote=quote,
            levels=mention.levels,
        )


def _sides_of(clause: _Clause) -> tuple[Side | None, ...]:
    """Return the sides to report; "bilateral" is two findings, and a midline bone has its side without a word."""
    legal = clause.mention.regions[0].facts.sides
    if legal == ("M",):
        return ("M",)
    if clause.side == "B" and "B" not in legal:
        return ("L", "R")
    return (clause.side if clause.side in legal else None,)


def _nearest(measures: list[Measure], mention: Mention) -> Measure | None:
    following = [one for one in measures if one.start >= mention.end]
    return following[0] if following else (measures[-1] if measures else None)


def _merged(found: list[PriorFinding]) -> list[PriorFinding]:
    """Unite repeated mentions of one focus; the quote that carries the numbers is kept."""
    merged: list[PriorFinding] = []
    measured_at: dict[tuple[int, int], list[int]] = {}
    unmeasured: set[int] = set()
    for one in found:
        # Two measured findings are the same only where the same words give them.
        rivals = [*unmeasured, *measured_at.get((one.start, one.end), ())] if one.is_measured else range(len(merged))
        same = list(islice((at for at in rivals if _can_be_the_same(one, merged[at])), 2))
        if len(same) == 1:
            place = same[0]
            merged[place] = _united(merged[place], one)
        elif not same or one.is_measured:
            place = len(merged)
            merged.append(one)
        else:
            continue
        if merged[place].is_measured:
            unmeasured.discard(place)
            measured_at.setdefault((merged[place].start, merged[place].end), []).append(place)
        else:
            unmeasured.add(place)
    return merged


def _can_be_the_same(one: PriorFinding, other: PriorFinding) -> bool:
    return (
        _regions_agree(one, other)
        and (one.side == other.side or None in (one.side, other.side))
        and (not one.levels or not other.levels or bool(set(one.levels) & set(other.levels)))
        and _values_agree(one.suvmax, other.suvmax)
        and _values_agree(one.size_mm, other.size_mm)
        and not (one.is_measured and other.is_measured and (one.start, one.end) != (other.start, other.end))
    )


def _regions_agree(one: PriorFinding, other: PriorFinding) -> bool:
    return set(one.regions) <= set(other.regions) or set(other.regions) <= set(one.regions)


def _values_agree(one: float | None, other: float | None) -> bool:
    return one is None or other is None or one == other


def _united(one: PriorFinding, other: PriorFinding) -> PriorFinding:
    first, second = (one, other) if one.is_measured or not other.is_measured else (other, one)
    return replace(
        first,
        regions=min(one.regions, other.regions, key=len),
        side=first.side or second.side,
        suvmax=first.suvmax if first.suvmax is not None else second.suvmax,
        size_mm=first.size_mm if first.size_mm is not None else second.size_mm,
        levels=first.levels or second.levels,
        in_impression=one.in_impression and other.in_impression,
    )


def _contradicts_side(repeated: PriorFinding, body: list[PriorFinding]) -> bool:
    if repeated.side not in ("L", "R"):
        return False
    there = [one for one in body if _regions_agree(one, repeated) and one.side in ("L", "R")]
    return bool(there) and all(one.side != repeated.side for one in there)


def _impression_start(text: str) -> int:
    match = _impression_heading().search(text)
    return match.start() if match else len(text) + 1


def _tracers(text: str) -> tuple[Tracer, ...]:
    rows = read_data("prior_words.json")["tracers"]
    return tuple(Tracer(row["tracer"]) for row in rows if re.search("|".join(row["patterns"]), text, re.IGNORECASE))


@cache
def _impression_heading() -> re.Pattern[str]:
    headings = "|".join(read_data("prior_words.json")["impression_headings"])
    return re.compile(rf"(?:^|(?<=[\n.;]))\s*(?:{headings})\s*:", re.IGNORECASE)


@cache
def _words(name: str, *, start: bool = False) -> re.Pattern[str]:
    words: list[Any] = read_data("prior_words.json")[name]
    joined = "|".join(words)
    if start:
        return re.compile(rf"[\w\s()/-]{{0,25}}?[:,\s(-]\s*(?:{joined})(?!\w)", re.IGNORECASE)
    return re.compile(rf"(?<!\w)(?:{joined})(?!\w)", re.IGNORECASE)
