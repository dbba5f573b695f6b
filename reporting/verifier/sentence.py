"""The checks of one sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from fedpsma.domain.exam import Lesion, PriorLesion
from fedpsma.domain.region import Region
from fedpsma.text.guard import find_identifiers, find_instructions
from fedpsma.text.regions import find_mentions
from reporting.verifier.claims import CLAIMS, affirms
from reporting.verifier.coverage import coverage_problems
from reporting.verifier.lexicon import lexicon
from reporting.verifier.names import read_names
from reporting.verifier.numbers import number_problems
from reporting.verifier.places import Site, most_exact_region, region_problems, side_problems
from reporting.verifier.problems import Problem
from reporting.verifier.reading import Reading, Segment, mask
from reporting.verifier.statements import context_problems, statement_problems
from reporting.verifier.unread import unread_problems
from reporting.verifier.view import View, code_pattern

CONTEXT_SECTIONS = ("clinical_information", "technique", "comparison", "reference_uptake")
RATIONALE_SECTION = "indeterminate"
_NORMAL_NODE_MM = 10.0
_UPTAKE = ("uptake_none", "uptake_low", "uptake_intense", "uptake_undetermined")


def sentence_problems(reading: Reading, view: View) -> Iterator[Problem]:
    """Yield everything that is wrong with one sentence by itself."""
    yield from _ids(reading, view)
    yield from _gaps(reading, view)
    yield from coverage_problems(reading, view)
    yield from _untrusted(reading, view)
    yield from _forbidden(reading, view)
    yield from _response(reading, view)
    for segment in reading.segments:
        yield from _segment(segment, reading, view)
    yield from context_problems(reading, view)


def _segment(segment: Segment, reading: Reading, view: View) -> Iterator[Problem]:
    segment = _without_suggestion(segment, view)
    if reading.section == RATIONALE_SECTION and segment.ids:
        element = element_of(segment, view)
        if element is not None:
            yield from _element(element, segment, view)
            return
    if segment.settled:
        yield from unread_problems(segment, view)
        return
    text, problems = read_names(segment, reading.section, view)
    yield from problems
    yield from number_problems(text, segment, view)
    sites: Sequence[Site] = view.known(segment.ids) or _prior_rows(segment, reading, view)
    yield from _comparisons(text, segment, view)
    claims = text
    text = mask(view.lexicon.pattern("not_a_region"), text)
    several = reading.cites is None and len(segment.ids) > 1
    # Another system's impression refers back to findings with their sides.
    refers = reading.foreign and reading.section == "impression"
    complete = reading.section != RATIONALE_SECTION and not several and not refers
    yield from side_problems(text, segment, sites, view, complete=complete)
    if reading.section != "reference_uptake":
        yield from region_problems(mask(code_pattern(), segment.text), segment, sites, view)
    yield from unread_problems(segment, view)
    if segment.ids:
        yield from _ct_descriptors(text, view.known(segment.ids))
        yield from _claims(claims, segment, reading, view)
        yield from _suggestions(text, segment, reading, view)
    elif reading.section not in CONTEXT_SECTIONS:
        yield from statement_problems(segment.text, reading.section, view)


def _prior_rows(segment: Segment, reading: Reading, view: View) -> list[PriorLesion]:
    """Return the rows of the prior table that a sentence cites; where the text has no such list, those it can mean."""
    if reading.cites is not None:
        return view.prior_rows(reading.cites)
    rows = (view.exam.prior.lesions or []) if view.exam.prior and reading.section == "comparison" else []
    places = find_mentions(segment.text)
    return [row for row in rows if any(row.region in place.regions for place in places)]


def element_of(segment: Segment, view: View) -> str | None:
    """Return the element of the rationale that a segment gives word for word behind its label, else ``None``."""
    label, _, said = segment.text.strip().removesuffix(".").rstrip().partition(": ")
    if label not in view.lexicon.element_labels:
        return None
    return next((name for name, text in view.elements(segment.ids).items() if said == text), None)


def _element(name: str, segment: Segment, view: View) -> Iterator[Problem]:
    """Check the uptake that an element states; the rest of it the rules have worded."""
    if name == "uptake_level":
        yield from _comparisons(segment.text, segment, view)
        yield from number_problems(segment.text, segment, view)


def _without_suggestion(segment: Segment, view: View) -> Segment:
    suggested = view.suggestion(segment.ids)
    if suggested is None:
        return segment
    return Segment(segment.text.replace(f"; {suggested}", " " * (len(suggested) + 2)), segment.ids)


def _follow_up_agrees(text: str, segment: Segment, view: View) -> bool:
    """Whether a report of another system asks for a follow-up where the rules suggest one for every lesion named."""
    asked = view.lexicon.pattern("follow_up")
    own = [asked.search(view.suggestion([one]) or "") for one in segment.ids]
    return asked.search(text) is not None and all(own)


def _suggestions(text: str, segment: Segment, reading: Reading, view: View) -> Iterator[Problem]:
    said = view.lexicon.pattern("suggestion").search(text)
    if said and not (reading.foreign and _follow_up_agrees(text, segment, view)):
        yield Problem("suggestions", said[0], "is followed by something else than the rules suggest")
    if reading.section == RATIONALE_SECTION and "PSMA-RADS" not in reading.plain:
        yield Problem("rationale", reading.plain.strip(), "is not an element that the rules gave")


def _ids(reading: Reading, view: View) -> Iterator[Problem]:
    for one in reading.ids:
        if one not in view.lesions:
            yield Problem("lesion_ids", f"[{one}]", "is not in the lesion table")
    if reading.cites is None:
        return
    cited = {cite for cite in reading.cites if cite in view.lesions}
    if reading.section not in CONTEXT_SECTIONS and reading.section != "quantities" and cited != set(reading.ids):
        cites = ", ".join(sorted(cited)) or "no lesion"
        yield Problem("citations", ", ".join(reading.ids), f"the sentence cites {cites}")
    if not reading.cites:
        yield Problem("citations", reading.text, "cites nothing")


def _gaps(reading: Reading, view: View) -> Iterator[Problem]:
    for field, ids in reading.gaps:
        path = view.lexicon.gap_fields.get(field)
        if path is None:
            continue
        owners: list[Lesion | None] = [*view.known(ids)]
        if not path.startswith("lesion."):
            owners = [None]
        if owners and all(view.value(path, one) is not None for one in owners):
            yield Problem("gaps", field, "is marked as missing but is given")


def _untrusted(reading: Reading, view: View) -> Iterator[Problem]:
    outside = reading.plain
    for found in (*find_instructions(outside), *find_identifiers(outside)):
        yield Problem("untrusted_text", found.quote, "reads like an instruction or a person")
    given = _quotable(view)
    for quote in reading.quotes:
        if quote not in given:
            yield Problem("untrusted_text", quote, "is not a field of the exam")
        elif find_instructions(quote) or find_identifiers(quote):
            yield Problem("untrusted_text", quote, "must not be quoted")


def _quotable(view: View) -> set[str]:
    exam, prior = view.exam, view.exam.prior
    clinical = exam.clinical
    fields = [exam.indication, clinical.gleason, clinical.psa_history, exam.technique.ct]
    fields.append(exam.technique.segmentation_rule)
    fields += [*(clinical.prior_therapy or []), *(clinical.current_therapy or [])]
    fields += [prior.modality, prior.date] if prior else []
    return {field.strip() for field in fields if field}


def _forbidden(reading: Reading, view: View) -> Iterator[Problem]:
    for word in view.lexicon.words("forbidden", "name", "pattern"):
        if match := word.pattern.search(reading.plain):
            yield Problem("forbidden", match[0], f"no {word.meaning} in a draft")
    said = view.lexicon.pattern("all_clear").search(reading.plain)
    # What is denied of a place is compared with the lesions there.
    if said and view.open_lesions and not _names_a_place(reading.plain[said.start() :]):
        yield Problem("contradictions", said[0], f"an all-clear, but {', '.join(view.open_lesions)} are not benign")


def _names_a_place(text: str) -> bool:
    found = find_mentions(re.split(r"[;.]", text, maxsplit=1)[0])
    # Who names the whole body names no place.
    return any(len(mention.regions) < len(Region) for mention in found)


def _response(reading: Reading, view: View) -> Iterator[Problem]:
    recip, inputs = view.assessment.recip, view.assessment.recip_inputs
    for word in view.lexicon.words("recip", "class", "pattern"):
        said = word.pattern.search(reading.plain)
        if said and word.meaning != recip:
            yield Problem("response", said[0], f"RECIP is {recip or 'not computed'}")
    for meaning, expected in (("none", False), ("some", True)):
        said = view.lexicon.pattern("new_lesions", meaning).search(reading.plain)
        if said and (inputs is None or inputs.new_lesions is not expected):
            yield Problem("response", said[0], "is not what the response was computed from")


def _comparisons(text: str, segment: Segment, view: View) -> Iterator[Problem]:
    used = view.lexicon
    named = used.pattern("reference_organ").findall(text)
    if any(used.meaning("comparisons", "organs", one) != view.assessment.expression_reference for one in named):
        yield Problem("reference", ", ".join(named), f"the reference organ is {view.assessment.expression_reference}")
    for match in used.pattern("comparisons", "words").finditer(_without_denials(text, view)):
        organ = used.meaning("comparisons", "organs", match[2])
        relation = used.meaning("comparisons", "relations", match[1])
        if organ in ("liver", "spleen") and organ != view.assessment.expression_reference:
            yield Problem("reference", match[0], f"the reference organ is {view.assessment.expression_reference}")
        level = getattr(view.exam.reference_suv, organ)
        for lesion in view.known(segment.ids):
            if lesion.suvmax is not None and level is not None and not _holds(relation, lesion.suvmax, level):
                told = f"{lesion.lesion_id} has SUVmax {lesion.suvmax}, {organ} {level}"
                yield Problem("reference", match[0], told)


def _without_denials(text: str, view: View) -> str:
    """Blank "without uptake above blood pool": it compares nothing, and is judged by the score as a claim."""
    denial = next(word for word in view.lexicon.claims if word.meaning == "uptake_none")
    return mask(denial.pattern, text)


def _holds(relation: str, value: float, level: float) -> bool:
    return {"above": value > level, "below": value < level, "equal": value == level}[relation]


def _ct_descriptors(text: str, lesions: Sequence[Lesion]) -> Iterator[Problem]:
    for draft, source in zip(
        lexicon("en").words("ct_descriptors", "draft", "draft"),
        lexicon("en").words("ct_descriptors", "source", "source"),
        strict=True,
    ):
        said = draft.pattern.search(text)
        if said and not all(_is_of_the_table(one, said, source.meaning) for one in lesions):
            yield Problem("ct", said[0], "is not in the CT correlate")


def _is_of_the_table(lesion: Lesion, said: re.Match[str], source: str) -> bool:
    """Whether the CT correlate says so, or the size: that of a node is its short axis, enlarged from 10 mm (RECIST)."""
    if affirms(lesion.ct_correlate or "", source):
        return True
    if not lesion.region.is_node or lesion.size_mm is None:
        return False
    word = said[0].lower()
    return word.startswith(("short", "kurz")) or (
        word.startswith(("enlarged", "vergrößert")) and lesion.size_mm >= _NORMAL_NODE_MM
    )


def _claims(text: str, segment: Segment, reading: Reading, view: View) -> Iterator[Problem]:
    lesions = view.known(segment.ids)
    names = view.places(lesions)
    for word in view.lexicon.claims:
        said = word.pattern.search(text)
        if said is None:
            continue
        if word.meaning in _UPTAKE and not most_exact_region(text, segment, view):
            yield Problem("regions", said[0].strip(), f"without a site for {names}")
        # What enters the stage another system may call metastasis; here the word is kept for certain disease.
        meaning = "counted" if reading.foreign and word.meaning == "malignant" else word.meaning
        if not CLAIMS[meaning](view, lesions):
            yield Problem("statements", said[0].strip(), f"the rules say {view.verdicts(lesions)}")
        text = mask(word.pattern, text)
    negated = view.lexicon.pattern("negation").search(text)
    if negated:
        yield Problem("statements", negated[0], f"denies something of {names}")
