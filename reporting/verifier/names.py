"""Numbers that are names: tracers, categories, stage codes, vertebrae, ribs, dates. Each is checked, then blanked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from fedpsma.domain.exam import Lesion
from fedpsma.domain.region import Region
from fedpsma.domain.tracer import Tracer
from fedpsma.text.dates import find_dates
from fedpsma.text.passages import Passage, blank
from fedpsma.text.prior_report import find_tracers
from fedpsma.text.regions import find_levels, find_mentions
from reporting.verifier.problems import Problem
from reporting.verifier.reading import Segment, mask
from reporting.verifier.view import View, code_pattern, codes_in, named_codes

RADS = re.compile(
    r"(?<!PI)(?<!PI-)\b(?:PSMA[- ]?)?RADS(?:[- ](?:score|category|Kategorie|Klasse))?"
    r"(?: of(?: the examination)?:?| der Untersuchung:?|:| =)?[- ]?([1-5][A-D]?T?)\b",
    re.IGNORECASE,
)
PIRADS = re.compile(r"\bPI-?RADS ?(\d)\b")
TRACER = re.compile(
    "|".join(re.escape(one.value) for one in Tracer)
    + r"|\[?\b(?:68Ga|18F|177Lu|89Zr|64Cu|Ga-?68|F-?18)\]?(?:Ga|F)?[- ][A-Za-z]+(?:-?[\d.]*\d)?"
    + r"|\b(?:rh)?PSMA[- ](?:11|1007|617|7\.3|7)\b|\bDCFPyL\b|\bFDG\b"
)
_Pass = Callable[[str, Segment, View], Iterator[Problem]]


def read_names(segment: Segment, section: str, view: View) -> tuple[str, list[Problem]]:
    """Check the names in a segment and return its text without them."""
    text = mask(view.lexicon.pattern("harmless_numbers"), segment.text)
    problems = [*_tracers(text, section, view)]
    text = mask(TRACER, text)
    problems += _dates(text, view)
    text = blank(text, [Passage(one.start, one.end, one.quote) for one in find_dates(text)])
    for check, pattern in _PASSES:
        problems += check(text, segment, view)
        text = mask(pattern, text)
    problems += _levels(text, segment, view)
    text = _without_level_numbers(text, segment, view)
    problems += _stage(text, segment, view)
    return mask(code_pattern(), text), problems


def _without_level_numbers(text: str, segment: Segment, view: View) -> str:
    for word in view.lexicon.levels:
        text = word.pattern.sub(lambda match: re.sub(r"\d", " ", match[0]), text)
    numbered = [Passage(one.start, one.end, "") for one in find_mentions(segment.text) if one.levels]
    for span in numbered:
        text = text[: span.start] + re.sub(r"\d", " ", text[span.start : span.end]) + text[span.end :]
    return text


def _tracers(text: str, section: str, view: View) -> Iterator[Problem]:
    prior = view.exam.prior
    known = {view.exam.tracer}
    if section == "comparison":
        known = {prior.tracer if prior else None}
    elif view.lexicon.pattern("of_the_prior").search(text):
        known = {view.exam.tracer, prior.tracer if prior else None}
    for match in TRACER.finditer(text):
        if not _tracers_of(match[0]) & known:
            yield Problem("context", match[0], f"the tracer is {' or '.join(sorted(str(one) for one in known))}")


def _tracers_of(name: str) -> set[Tracer | None]:
    exact: set[Tracer | None] = {tracer for tracer in Tracer if tracer == name}
    return exact or {tracer for tracer in find_tracers(name) if _numbers_agree(name, tracer)}


def _numbers_agree(name: str, tracer: Tracer) -> bool:
    """Tell whether every number of a name is one of the tracer's; rhPSMA-7 may stand for rhPSMA-7.3."""
    own, said = (re.findall(r"\d+(?:\.\d+)?", one) for one in (tracer.value, name))
    return all(any(one == number or one.startswith(f"{number}.") for one in own) for number in said)


def _rads(text: str, segment: Segment, view: View) -> Iterator[Problem]:
    for match in RADS.finditer(text):
        expected = {view.rads(one) for one in view.known(segment.ids)} or {view.assessment.psma_rads_overall}
        if expected != {match[1].upper()}:
            owner = ", ".join(segment.ids) or "the examination"
            given = ", ".join(sorted(str(one) for one in expected))
            yield Problem("categories", match[0], f"{owner} has PSMA-RADS {given}")


def _pirads(text: str, segment: Segment, view: View) -> Iterator[Problem]:
    for match in PIRADS.finditer(text):
        source = re.compile(rf"PI-?RADS ?{match[1]}\b", re.IGNORECASE)
        if not any(source.search(one.ct_correlate or "") for one in view.known(segment.ids)):
            yield Problem("ct", match[0], "is not in the table")


def _dates(text: str, view: View) -> Iterator[Problem]:
    prior = view.exam.prior
    known = find_dates(prior.date) if prior and prior.date else ()
    for found in find_dates(text):
        if not any(found.may_be(one) for one in known):
            given = prior.date if prior and prior.date else "not known"
            yield Problem("context", found.quote, f"the date of the prior examination is {given}")


_PASSES: tuple[tuple[_Pass, re.Pattern[str]], ...] = ((_pirads, PIRADS), (_rads, RADS))


def _levels(text: str, segment: Segment, view: View) -> Iterator[Problem]:
    """Every vertebra or rib by its number is that of a lesion here, as the text of its CT correlate gives it."""
    lesions = view.known(segment.ids)
    own = {(one.region, _digits(level)) for one in lesions for level in find_levels(one.ct_correlate or "")}
    for said, region, number in _named_levels(text, segment, view):
        if (region, number) not in own and not _by_its_own_words(region, number, lesions, view):
            yield Problem("regions", said, f"the table has {view.places(lesions)}")


def _named_levels(text: str, segment: Segment, view: View) -> Iterator[tuple[str, Region, str]]:
    """Yield vertebrae and ribs with their numbers, also numbers that no such bone has (rib 16)."""
    for mention in find_mentions(segment.text):
        said = segment.text[mention.start : mention.end]
        if said == text[mention.start : mention.end]:
            yield from ((said, mention.regions[0], _digits(level)) for level in mention.levels)
    for word in view.lexicon.levels:
        for match in word.pattern.finditer(text):
            yield match[0], word.region, match[1]


def _digits(level: str) -> str:
    return level.lstrip("CTLS")


def _by_its_own_words(region: Region, number: str, lesions: Sequence[Lesion], view: View) -> bool:
    sources = [word.source for word in view.lexicon.levels if word.region is region]
    return any(
        re.search(source.replace("{n}", number), one.ct_correlate or "", re.IGNORECASE)
        for source in sources
        for one in lesions
        if one.region is region
    )


def _stage(text: str, segment: Segment, view: View) -> Iterator[Problem]:
    for code in named_codes(text):
        if not codes_in(code) <= view.stage_codes:
            yield Problem("stage", code, f"the stage is {view.stage_text}")
