"""The checks of one sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fedpsma.domain.exam import Lesion, PriorLesion
from fedpsma.domain.region import Side
from fedpsma.text.guard import find_identifiers, find_instructions
from reporting.verifier.claims import CLAIMS, affirms
from reporting.verifier.lexicon import lexicon
from reporting.verifier.names import read_names
from reporting.verifier.numbers import number_problems
from reporting.verifier.problems import Problem
from reporting.verifier.reading import Reading, Segment, mask
from reporting.verifier.statements import context_problems, statement_problems
from reporting.verifier.view import View, code_pattern

CONTEXT_SECTIONS = ("clinical_information", "technique", "comparison", "reference_uptake")
RATIONALE_SECTION = "indeterminate"
_UPTAKE = ("uptake_none", "uptake_low", "uptake_intense", "uptake_undetermined")
_Site = Lesion | PriorLesion


def sentence_problems(reading: Reading, view: View) -> Iterator[Problem]:
    """Yield everything that is wrong with one sentence by itself."""
    yield from _ids(reading, view)
    yield from _gaps(reading, view)
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
    text, problems = read_names(segment, reading.section, view)
    yield from problems
    for detail in number_problems(text, segment, view):
        yield Problem("numbers", detail)
    sites: Sequence[_Site] = view.known(segment.ids) or view.prior_rows(reading.cites)
    yield from _comparisons(text, segment, view)
    claims = text
    text = mask(view.lexicon.pattern("not_a_region"), text)
    yield from _sides(text, sites, reading, view)
    if reading.section != "reference_uptake":
        yield from _regions(mask(code_pattern(), segment.text), sites, reading, view)
    if segment.ids:
        if not _is_understood(segment.text, view):
            yield Problem("statements", f"{segment.text.strip()!r} cannot be read")
        yield from _ct_descriptors(text, view.known(segment.ids))
        yield from _claims(claims, view.known(segment.ids), view)
        yield from _suggestions(text, reading, view)
    elif reading.section not in CONTEXT_SECTIONS:
        yield from statement_problems(segment.text, reading.section, view)


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
        for detail in number_problems(segment.text, segment, view):
            yield Problem("numbers", detail)


def _without_suggestion(segment: Segment, view: View) -> Segment:
    suggested = view.suggestion(segment.ids)
    if suggested is None:
        return segment
    return Segment(segment.text.replace(f"; {suggested}", " " * (len(suggested) + 2)), segment.ids)


def _suggestions(text: str, reading: Reading, view: View) -> Iterator[Problem]:
    if said := view.lexicon.pattern("suggestion").search(text):
        yield Problem("suggestions", f"{said[0]!r} is followed by something else than the rules suggest")
    if reading.section == RATIONALE_SECTION and "PSMA-RADS" not in reading.plain:
        yield Problem("rationale", f"{reading.plain.strip()!r} is not an element that the rules gave")


def _ids(reading: Reading, view: View) -> Iterator[Problem]:
    for one in reading.ids:
        if one not in view.lesions:
            yield Problem("lesion_ids", f"[{one}] is not in the lesion table")
    cited = {cite for cite in reading.cites if cite in view.lesions}
    if reading.section not in CONTEXT_SECTIONS and reading.section != "quantities" and cited != set(reading.ids):
        yield Problem("citations", f"cites {sorted(cited)} but speaks of {sorted(set(reading.ids))}")
    if not reading.cites:
        yield Problem("citations", f"{reading.text!r} cites nothing")


def _gaps(reading: Reading, view: View) -> Iterator[Problem]:
    for field, ids in reading.gaps:
        path = view.lexicon.gap_fields.get(field)
        if path is None:
            continue
        owners: list[Lesion | None] = [*view.known(ids)]
        if not path.startswith("lesion."):
            owners = [None]
        if owners and all(view.value(path, one) is not None for one in owners):
            yield Problem("gaps", f"{field} is marked as missing but is given")


def _untrusted(reading: Reading, view: View) -> Iterator[Problem]:
    outside = reading.plain
    for found in (*find_instructions(outside), *find_identifiers(outside)):
        yield Problem("untrusted_text", f"{found.quote!r} reads like an instruction or a person")
    given = _quotable(view)
    for quote in reading.quotes:
        if quote not in given:
            yield Problem("untrusted_text", f"“{quote}” is not a field of the exam")
        elif find_instructions(quote) or find_identifiers(quote):
            yield Problem("untrusted_text", f"“{quote}” must not be quoted")


def _quotable(view: View) -> set[str]:
    exam, prior = view.exam, view.exam.prior
    clinical = exam.clinical
    fields = [exam.indication, clinical.gleason, clinical.psa_history, exam.technique.ct]
    fields += [*(clinical.prior_therapy or []), *(clinical.current_therapy or [])]
    fields += [prior.modality, prior.date] if prior else []
    return {field.strip() for field in fields if field}


def _forbidden(reading: Reading, view: View) -> Iterator[Problem]:
    for word in view.lexicon.words("forbidden", "name", "pattern"):
        if match := word.pattern.search(reading.plain):
            yield Problem("forbidden", f"{match[0]!r}: no {word.meaning} in a draft")
    if view.lexicon.pattern("all_clear").search(reading.plain) and view.open_lesions:
        yield Problem("contradictions", f"an all-clear although {', '.join(view.open_lesions)} are not benign")


def _response(reading: Reading, view: View) -> Iterator[Problem]:
    recip, inputs = view.assessment.recip, view.assessment.recip_inputs
    for word in view.lexicon.words("recip", "class", "pattern"):
        if word.pattern.search(reading.plain) and word.meaning != recip:
            yield Problem("response", f"RECIP {word.meaning} is not the class of this examination")
    for meaning, expected in (("none", False), ("some", True)):
        said = view.lexicon.pattern("new_lesions", meaning).search(reading.plain)
        if said and (inputs is None or inputs.new_lesions is not expected):
            yield Problem("response", f"{said[0]!r} is not what the response was computed from")


def _comparisons(text: str, segment: Segment, view: View) -> Iterator[Problem]:
    used = view.lexicon
    named = used.pattern("reference_organ").findall(text)
    if any(used.meaning("comparisons", "organs", one) != view.assessment.expression_reference for one in named):
        yield Problem("reference", "names another reference organ than the rules used")
    for match in used.pattern("comparisons", "words").finditer(_without_denials(text, view)):
        organ = used.meaning("comparisons", "organs", match[2])
        relation = used.meaning("comparisons", "relations", match[1])
        if organ in ("liver", "spleen") and organ != view.assessment.expression_reference:
            yield Problem("reference", f"compares with {organ}, which is not the reference organ")
        level = getattr(view.exam.reference_suv, organ)
        for lesion in view.known(segment.ids):
            if lesion.suvmax is not None and level is not None and not _holds(relation, lesion.suvmax, level):
                yield Problem("reference", f"{match[0]!r} is not true of {lesion.lesion_id}")


def _without_denials(text: str, view: View) -> str:
    """Blank "without uptake above blood pool": it compares nothing, and is judged by the score as a claim."""
    denial = next(word for word in view.lexicon.claims if word.meaning == "uptake_none")
    return mask(denial.pattern, text)


def _holds(relation: str, value: float, level: float) -> bool:
    return {"above": value > level, "below": value < level, "equal": value == level}[relation]


def _sides(text: str, sites: Sequence[_Site], reading: Reading, view: View) -> Iterator[Problem]:
    said = {word.meaning for word in view.lexicon.sides if word.pattern.search(text)}
    have = {site.side for site in sites}
    for side in said:
        both = side == "B" and {"L", "R"} <= have
        if side not in have and not both:
            yield Problem("sides", f"says {side} of {', '.join(_names(sites)) or 'no lesion'}")
    named = _most_exact_region(text, view)
    if said and not named:
        yield Problem("regions", f"a side without a site for {', '.join(_names(sites)) or 'no lesion'}")
    if reading.section == RATIONALE_SECTION or named != 1:
        return
    for own in have & _sided():
        if own not in said and not ("B" in said and {"L", "R"} <= have):
            yield Problem("sides", f"drops the side {own} of {', '.join(_names(sites))}")


def _sided() -> set[Side | None]:
    return {"L", "R", "B"}


def _names(sites: Sequence[_Site]) -> list[str]:
    return [site.lesion_id for site in sites]


def _most_exact_region(text: str, view: View) -> int:
    """How many regions the closest name of a site in a text stands for; 0 where it names none."""
    sizes = []
    for word in view.lexicon.regions:
        if word.pattern.search(text) is None:
            continue
        if word.regions:
            sizes.append(len(word.regions))
        text = mask(word.pattern, text)
    return min(sizes, default=0)


def _regions(text: str, sites: Sequence[_Site], reading: Reading, view: View) -> Iterator[Problem]:
    text = mask(view.lexicon.pattern("not_a_region"), text)
    have = {site.region for site in sites}
    for word in view.lexicon.regions:
        match = word.pattern.search(text)
        if match is None:
            continue
        text = mask(word.pattern, text)
        if not word.regions:
            continue
        if have and not have <= word.regions if len(word.regions) == 1 else have and not have & word.regions:
            yield Problem("regions", f"{match[0]!r} is not the site of {', '.join(_names(sites))}")
        if not have and len(word.regions) == 1 and _must_cite(match[0], view):
            yield Problem("regions", f"{match[0]!r} without a lesion of the table")


def _must_cite(word: str, view: View) -> bool:
    return not any(topic.pattern.search(word) for topic in view.lexicon.words("topics", "topic"))


def _ct_descriptors(text: str, lesions: Sequence[Lesion]) -> Iterator[Problem]:
    for draft, source in zip(
        lexicon("en").words("ct_descriptors", "draft", "draft"),
        lexicon("en").words("ct_descriptors", "source", "source"),
        strict=True,
    ):
        said = draft.pattern.search(text)
        if said and not all(affirms(one.ct_correlate or "", source.meaning) for one in lesions):
            yield Problem("ct", f"{said[0]!r} is not in the CT correlate")


def _is_understood(text: str, view: View) -> bool:
    words = (*view.lexicon.claims, *view.lexicon.words("quantities", "quantity", "pattern"))
    return any(word.pattern.search(text) for word in words) or bool(_most_exact_region(text, view))


def _claims(text: str, lesions: Sequence[Lesion], view: View) -> Iterator[Problem]:
    names = ", ".join(_names(lesions))
    for word in view.lexicon.claims:
        said = word.pattern.search(text)
        if said is None:
            continue
        if word.meaning in _UPTAKE and not _most_exact_region(text, view):
            yield Problem("regions", f"{said[0].strip()!r} without a site for {names}")
        if not CLAIMS[word.meaning](view, lesions):
            yield Problem("statements", f"{said[0].strip()!r} is not what the rules say of {names}")
        text = mask(word.pattern, text)
    negated = view.lexicon.pattern("negation").search(text)
    if negated:
        yield Problem("statements", f"{negated[0]!r} denies something of {names}")
