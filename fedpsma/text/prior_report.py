"""Reads the text of a prior report into findings with verbatim quotes.

The text is untrusted: passages that instruct the software are found first, blanked, and never read. Nothing here
believes more than a quote can show, so every finding carries its offsets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from typing import TypeVar

from fedpsma.domain.region import Region, Side
from fedpsma.domain.tracer import Tracer
from fedpsma.text.guard import find_identifiers, find_instructions
from fedpsma.text.language import find_language
from fedpsma.text.measures import Measure, find_sizes, find_suvmax
from fedpsma.text.passages import Passage, blank, read_data
from fedpsma.text.prior_header import PriorHeader, read_header
from fedpsma.text.regions import Mention
from fedpsma.text.repair import Repaired, repaired
from fedpsma.text.statements import Statement, is_negative, prior_words, says_only_where, statements, tellings


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

    ``side_conflicts`` are statements of the impression whose side contradicts the findings of the same report;
    ``conflicts`` are findings in places that the report elsewhere calls free, or whose value it gives twice and
    differently. ``unplaced`` are passages with a value and no place: they are shown, never guessed. ``repairs`` are
    passages that read as something else (``kind``), such as misspelt words. ``readable`` is false for a text in a
    language that this reader does not know; nothing is read from it.
    """

    findings: tuple[PriorFinding, ...]
    negatives: tuple[NegativeStatement, ...]
    side_conflicts: tuple[PriorFinding, ...]
    tracers: tuple[Tracer, ...]
    instructions: tuple[Passage, ...]
    identifiers: tuple[Passage, ...]
    header: PriorHeader
    conflicts: tuple[PriorFinding, ...] = ()
    unplaced: tuple[Passage, ...] = ()
    repairs: tuple[Passage, ...] = ()
    readable: bool = True

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
    if find_language(trusted if trusted.strip() else text) is None:
        return PriorReading((), (), (), (), instructions, find_identifiers(text), _NO_HEADER, readable=False)
    copy = repaired(trusted)
    mentioned: list[PriorFinding] = []
    negatives: list[NegativeStatement] = []
    unplaced: list[Passage] = []
    impression_from = _impression_start(copy.text)
    for sentence in tellings(copy.text):
        found, free = _read_sentence(copy.text, sentence)
        in_impression = sentence.start >= impression_from
        mentioned += [replace(one, in_impression=in_impression) for one in found]
        negatives += free
        if not found and not free and _has_a_value(sentence.quote):
            unplaced.append(_original(sentence, copy, trusted))
    mentioned = [_original(one, copy, trusted) for one in mentioned]
    negatives = [_original(one, copy, trusted) for one in negatives]
    body = _merged([one for one in mentioned if not one.in_impression])
    repeated = [one for one in mentioned if one.in_impression]
    of_side = tuple(one for one in repeated if _contradicts_side(one, body))
    findings = tuple(_merged([*body, *(one for one in repeated if one not in of_side)]))
    return PriorReading(
        findings=findings,
        negatives=tuple(negatives),
        side_conflicts=of_side,
        tracers=find_tracers(trusted),
        instructions=instructions,
        identifiers=find_identifiers(text),
        header=read_header(trusted),
        conflicts=tuple(one for one in findings if _is_denied(one, negatives) or _has_another_value(one, findings)),
        unplaced=tuple(unplaced),
        repairs=copy.repairs,
    )


_Found = TypeVar("_Found", PriorFinding, NegativeStatement, Passage)
_NO_HEADER = PriorHeader(None, (), None, ())


def _original(found: _Found, copy: Repaired, text: str) -> _Found:
    """Move a passage of the readable copy to where it stands in the text itself."""
    start, end = copy.span(found.start, found.end)
    return replace(found, start=start, end=end, quote=text[start:end])


def _has_a_value(quote: str) -> bool:
    return bool(find_suvmax(quote) or find_sizes(quote)) and not prior_words("not_findings").search(quote)


def _is_denied(one: PriorFinding, negatives: Sequence[NegativeStatement]) -> bool:
    """Whether the report elsewhere calls the very region free; a group ("no further bone lesions") denies nothing."""
    return any(
        one.region is not None and free.regions == (one.region,) and not _overlap(one, free) and not one.levels
        for free in negatives
    )


def _has_another_value(one: PriorFinding, findings: Sequence[PriorFinding]) -> bool:
    """Whether findings and impression give one focus different values of SUVmax."""
    return any(
        other.in_impression is not one.in_impression
        and (other.regions, other.side, other.levels) == (one.regions, one.side, one.levels)
        and None not in (one.suvmax, other.suvmax)
        and one.suvmax != other.suvmax
        for other in findings
    )


def _overlap(one: PriorFinding, other: NegativeStatement) -> bool:
    return one.start < other.end and other.start < one.end


def _read_sentence(text: str, sentence: Passage) -> tuple[list[PriorFinding], list[NegativeStatement]]:
    findings: list[PriorFinding] = []
    negatives: list[NegativeStatement] = []
    bare: list[Statement] = []
    for clause in statements(text, sentence):
        quote = clause.span.quote
        if is_negative(text, clause, sentence):
            negatives += [_negative(one) for one in (*bare, clause)]
            bare = []
            continue
        if not clause.mention.group and not prior_words("not_findings").search(quote):
            findings += _findings_in(clause, sentence)
        bare = [*bare, clause] if says_only_where(quote) else []
    return findings, negatives


def _negative(clause: Statement) -> NegativeStatement:
    return NegativeStatement(clause.mention.regions, clause.span.start, clause.span.end, clause.span.quote)


def _findings_in(clause: Statement, sentence: Passage) -> Iterator[PriorFinding]:
    quote, mention = clause.span.quote, clause.mention
    suvmax = _nearest(find_suvmax(quote), mention)
    size = _nearest(find_sizes(quote), mention)
    if suvmax is None and size is None and not prior_words("positive").search(sentence.quote):
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


def _sides_of(clause: Statement) -> tuple[Side | None, ...]:
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


def find_tracers(text: str) -> tuple[Tracer, ...]:
    """Return the tracers a text names.

    Example:
        >>> [str(one) for one in find_tracers("[68Ga]Ga-PSMA-11 PET, prior FDG")]
        ['68Ga-PSMA-11', '18F-FDG']
    """
    rows = read_data("prior_words.json")["tracers"]
    return tuple(Tracer(row["tracer"]) for row in rows if re.search("|".join(row["patterns"]), text, re.IGNORECASE))


@cache
def _impression_heading() -> re.Pattern[str]:
    headings = "|".join(read_data("prior_words.json")["impression_headings"])
    return re.compile(rf"(?:^|(?<=[\n.;]))\s*(?:{headings})\s*:", re.IGNORECASE)
