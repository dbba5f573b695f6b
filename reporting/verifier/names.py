"""Numbers that are names: tracers, categories, stage codes, vertebrae, ribs, dates. Each is checked, then blanked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from fedpsma.domain.tracer import Tracer
from reporting.verifier.problems import Problem
from reporting.verifier.reading import Segment, mask
from reporting.verifier.view import View, code_pattern, codes_in, named_codes

_RADS = re.compile(r"PSMA-RADS(?: of the examination:| der Untersuchung:)? (\d[A-D]?T?)\b")
_PIRADS = re.compile(r"\bPI-RADS (\d)\b")
_DATE = re.compile(r"\b\d{4}-\d{2}-\d{2}\b")
_TRACER = re.compile(
    "|".join(re.escape(one.value) for one in Tracer)
    + r"|\b(?:68Ga|18F|177Lu|89Zr|64Cu)-[A-Za-z]+(?:-?[\d.]*\d)?|\bPSMA-(?:11|1007|617)\b"
)
_Pass = Callable[[str, Segment, View], Iterator[Problem]]


def read_names(segment: Segment, section: str, view: View) -> tuple[str, list[Problem]]:
    """Check the names in a segment and return its text without them."""
    text = segment.text
    problems: list[Problem] = []
    text = mask(view.lexicon.pattern("harmless_numbers"), text)
    problems += _tracers(text, section, view)
    text = mask(_TRACER, text)
    for check, pattern in _PASSES:
        problems += check(text, segment, view)
        text = mask(pattern, text)
    problems += _levels(text, segment, view)
    for word in view.lexicon.levels:
        text = word.pattern.sub(lambda match: re.sub(r"\d", " ", match[0]), text)
    problems += _stage(text, segment, view)
    return mask(code_pattern(), text), problems


def _tracers(text: str, section: str, view: View) -> Iterator[Problem]:
    prior = view.exam.prior
    known = view.exam.tracer
    if section == "comparison":
        known = prior.tracer if prior else None
    for match in _TRACER.finditer(text):
        if match[0] != known:
            yield Problem("context", f"{match[0]} is not the tracer")


def _rads(text: str, segment: Segment, view: View) -> Iterator[Problem]:
    for match in _RADS.finditer(text):
        expected = {view.rads(one) for one in view.known(segment.ids)}
        if not segment.ids:
            expected = {view.assessment.psma_rads_overall}
        if expected != {match[1]}:
            yield Problem(
                "categories", f"PSMA-RADS {match[1]} is not the category of {', '.join(segment.ids) or 'the exam'}"
            )


def _pirads(text: str, segment: Segment, view: View) -> Iterator[Problem]:
    for match in _PIRADS.finditer(text):
        source = re.compile(rf"PI-?RADS ?{match[1]}\b", re.IGNORECASE)
        if not any(source.search(one.ct_correlate or "") for one in view.known(segment.ids)):
            yield Problem("ct", f"PI-RADS {match[1]} is not in the table")


def _dates(text: str, segment: Segment, view: View) -> Iterator[Problem]:
    for match in _DATE.finditer(text):
        if view.exam.prior is None or view.exam.prior.date != match[0]:
            yield Problem("context", f"{match[0]} is not the date of the prior examination")


_PASSES: tuple[tuple[_Pass, re.Pattern[str]], ...] = (
    (_dates, _DATE),
    (_rads, _RADS),
    (_pirads, _PIRADS),
)


def _levels(text: str, segment: Segment, view: View) -> Iterator[Problem]:
    for word in view.lexicon.levels:
        for match in word.pattern.finditer(text):
            source = re.compile(word.source.replace("{n}", match[1]), re.IGNORECASE)
            lesions = [one for one in view.known(segment.ids) if one.region is word.region]
            if not any(source.search(one.ct_correlate or "") for one in lesions):
                yield Problem("regions", f"{match[0]!r} is not the site of {', '.join(segment.ids) or 'any lesion'}")


def _stage(text: str, segment: Segment, view: View) -> Iterator[Problem]:
    for code in named_codes(text):
        if not codes_in(code) <= view.stage_codes:
            yield Problem("stage", f"{code} is not in the stage")
