"""The checks of a whole report: what must be there, and what must fit together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fedpsma.domain.exam import Lesion
from reporting.verifier.coverage import untold_coverage
from reporting.verifier.document import FINDINGS_SECTION
from reporting.verifier.problems import Problem
from reporting.verifier.reading import Reading
from reporting.verifier.sentence import RATIONALE_SECTION, element_of
from reporting.verifier.statements import REGION_SECTIONS
from reporting.verifier.view import COUNTED, INDETERMINATE, View, named_codes

SECTIONS = (
    "clinical_information",
    "technique",
    "comparison",
    "reference_uptake",
    *REGION_SECTIONS,
    "indeterminate",
    "incidental",
    "quantities",
    "impression",
)
FINDINGS = (*REGION_SECTIONS, "incidental", FINDINGS_SECTION)
_ASSESSED = (*REGION_SECTIONS, "indeterminate")
_MUST_BE_DESCRIBED = (*COUNTED, *INDETERMINATE, "5T")
_PROBABLE = 0.3  # a lesion that the model finds at least this probable is described, whatever its category


def foreign_problems(readings: Sequence[Reading], view: View) -> Iterator[Problem]:
    """Yield what a report of another system leaves out; how it is built is its own affair."""
    yield from _described(readings, view)
    stage = view.assessment.mitnm_string
    given = [code for reading in readings if reading.section == "impression" for code in named_codes(reading.plain)]
    # What stands in brackets may be left out; where it is said, it is checked with its sentence.
    bare = {code.partition(" ")[0] for code in given}
    if given and stage is not None and not {code.partition(" ")[0] for code in named_codes(stage)} <= bare:
        yield Problem("stage", " ".join(given), f"the stage is {stage}")


def report_problems(readings: Sequence[Reading], view: View) -> Iterator[Problem]:
    """Yield what the report as a whole leaves out or contradicts."""
    yield from _sections(readings, view)
    yield from _denied_unassessed(readings, view)
    yield from _described(readings, view)
    yield from _regions_told(readings, view)
    yield from _impression(readings, view)
    yield from _rationales(readings, view)
    yield from untold_coverage(readings, view)


def _sections(readings: Sequence[Reading], view: View) -> Iterator[Problem]:
    order = list(dict.fromkeys(reading.section for reading in readings))
    for name in SECTIONS:
        # Where no framework applies, a region without a lesion has nothing to say.
        if name not in order and (view.assessment.mitnm is not None or name not in _ASSESSED):
            yield Problem("sections", "", f"the section {name} is missing")
    if [name for name in order if name in SECTIONS] != [name for name in SECTIONS if name in order]:
        yield Problem("sections", "", "the sections are not in their order")


def _denied_unassessed(readings: Sequence[Reading], view: View) -> Iterator[Problem]:
    if view.assessment.mitnm is not None:
        return
    for reading in readings:
        if any(cite.startswith("negative:") for cite in reading.cites or ()):
            yield Problem("statements", reading.text, "denies what was not assessed")


def _described(readings: Sequence[Reading], view: View) -> Iterator[Problem]:
    described = {one for reading in readings if reading.section in FINDINGS for one in reading.ids}
    for lesion in view.exam.lesions:
        if lesion.lesion_id not in described and _must_be_described(lesion, view):
            yield Problem("omissions", "", f"{view.places([lesion])} is not described")


def _must_be_described(lesion: Lesion, view: View) -> bool:
    rads = view.rads(lesion)
    return (
        lesion in view.counted or rads is None or rads in _MUST_BE_DESCRIBED or (lesion.model_prob or 0.0) >= _PROBABLE
    )


def _regions_told(readings: Sequence[Reading], view: View) -> Iterator[Problem]:
    """Every described lesion has its region, and its category where it has one, somewhere in the findings."""
    for lesion in view.exam.lesions:
        own = [
            segment.text
            for reading in readings
            if reading.section in FINDINGS
            for segment in reading.segments
            if lesion.lesion_id in segment.ids
        ]
        if own and not any(_tells_region(text, lesion, view) for text in own):
            yield Problem("regions", "", f"{lesion.lesion_id} is described without its region")


def _tells_region(text: str, lesion: Lesion, view: View) -> bool:
    return any(lesion.region in word.regions and word.pattern.search(text) for word in view.lexicon.regions)


def _impression(readings: Sequence[Reading], view: View) -> Iterator[Problem]:
    own = [reading for reading in readings if reading.section == "impression"]
    text = "\n".join(reading.plain for reading in own)
    named = {one for reading in own for one in reading.ids}
    for lesion in (*view.counted, *view.indeterminate):
        if lesion.lesion_id not in named:
            yield Problem("omissions", "", f"{view.places([lesion])} is not in the impression")
    stage = view.assessment.mitnm_string
    if stage is not None and stage not in text:
        yield Problem("omissions", "", f"the impression does not give {stage}")
    unbound = [code for reading in own if not reading.ids for code in named_codes(reading.plain)]
    if stage is not None and unbound != named_codes(stage):
        yield Problem("stage", " ".join(unbound) or "no stage", f"the stage is {stage}")
    recip = view.assessment.recip
    if recip is not None and f"RECIP-{recip}" not in text:
        yield Problem("omissions", "", f"the impression does not give RECIP-{recip}")
    yield from _suggested(own, view)


def _suggested(own: Sequence[Reading], view: View) -> Iterator[Problem]:
    for item in view.assessment.indeterminate:
        suggested = str(view.suggestion([item.lesion]))
        if not any(suggested in reading.text for reading in own if item.lesion in reading.ids):
            yield Problem("omissions", "", f"the impression does not give the suggestion for {item.lesion}")


def _rationales(readings: Sequence[Reading], view: View) -> Iterator[Problem]:
    for item in view.assessment.indeterminate:
        given = {
            element_of(segment, view)
            for reading in readings
            if reading.section == RATIONALE_SECTION
            for segment in reading.segments
            if segment.ids == (item.lesion,)
        }
        for name in item.elements:
            if name not in given:
                yield Problem("rationale", "", f"{item.lesion}: {name} is missing or not as the rules gave it")
