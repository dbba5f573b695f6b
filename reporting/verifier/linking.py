"""Finds the lesions that a sentence without lesion ids speaks of: by place, side, level, and by its values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from fedpsma.domain.exam import Lesion
from fedpsma.domain.region import Side
from fedpsma.text.measures import find_sizes, find_suvmax
from fedpsma.text.passages import Passage
from fedpsma.text.regions import Mention, find_levels
from fedpsma.text.statements import Statement, is_negative, prior_words, says_only_where, statements
from reporting.verifier.claims import CLAIMS
from reporting.verifier.document import Line
from reporting.verifier.problems import Problem
from reporting.verifier.reading import Reading, Segment, mask, read_sentence
from reporting.verifier.statements import speaks_of_cancer
from reporting.verifier.view import View

_FRAME = ("clinical_information", "technique")


@dataclass(frozen=True)
class Linked:
    """A sentence with the lesions it speaks of, and what is wrong with the places it names."""

    reading: Reading
    problems: tuple[Problem, ...]


def link_line(line: Line, view: View, before: tuple[str, ...]) -> Linked:
    """Give a line of a foreign report its lesions; ``before`` are those of the line before it, for "this lesion"."""
    reading = replace(read_sentence(line.section, line.text, None, view.lexicon), foreign=True)
    plain = reading.plain
    for own in view.own_words:
        plain = plain.replace(own, " " * len(own))
    if line.section in _FRAME and not _speaks_of_a_finding(plain, view):
        return Linked(replace(reading, segments=(Segment(plain, ()),)), ())
    if prior_words("not_findings").search(plain) and not _speaks_of_a_finding(plain, view):
        text = mask(view.lexicon.pattern("physiological_organs"), plain.replace("SUVmean", " " * len("SUVmean")))
        return Linked(replace(reading, section="reference_uptake", segments=(Segment(text, ()),)), ())
    said = list(_by_span(statements(plain, Passage(0, len(plain), plain))))
    same = view.lexicon.pattern("same_lesion").match(plain.strip()) is not None
    if not said or (same and before and all(one.mention.group for together in said for one in together)):
        ids = before if same else ()
        return Linked(replace(reading, segments=(Segment(plain, ids),)), ())
    segments: list[Segment] = []
    problems: list[Problem] = []
    for together, denied in zip(said, _denials(plain, said, view), strict=True):
        segment, wrong = _denied(together, view) if denied else _affirmed(together, view)
        segments.append(segment)
        problems += wrong
    return Linked(replace(reading, segments=tuple(segments)), tuple(problems))


def _speaks_of_a_finding(text: str, view: View) -> bool:
    """Whether a text speaks of cancer beyond the disease that the patient came with."""
    for word in view.lexicon.words("context", "claim"):
        text = mask(word.pattern, text)
    for region in view.lexicon.regions:
        if not region.regions:
            text = mask(region.pattern, text)
    return speaks_of_cancer(text)


def _by_span(found: Iterator[Statement]) -> Iterator[list[Statement]]:
    """Group the statements of one stretch of text: it speaks of several places at once."""
    group: list[Statement] = []
    for one in found:
        if group and one.span != group[0].span:
            yield group
            group = []
        group.append(one)
    if group:
        yield group


def _denials(text: str, said: list[list[Statement]], view: View) -> list[bool]:
    """Tell which stretches deny; one that only names a place is denied with the next ("liver and lungs normal")."""
    sentence = Passage(0, len(text), text)
    denials: list[bool] = []
    for together in reversed(said):
        quote = together[0].span.quote
        own = all(is_negative(text, one, sentence) for one in together)
        own = own and not view.lexicon.claim("change_stable").search(quote)
        own = own or view.lexicon.pattern("normal_first").match(quote.strip().rstrip(".")) is not None
        denials.append(own or (bool(denials) and denials[-1] and says_only_where(quote)))
    return denials[::-1]


def _affirmed(together: list[Statement], view: View) -> tuple[Segment, list[Problem]]:
    span = together[0].span
    chosen: dict[str, Lesion] = {}
    problems: list[Problem] = []
    for one in together:
        own = _best(span.quote, _candidates(one.mention, one.side, view), view)
        chosen |= {lesion.lesion_id: lesion for lesion in own}
        if not own:
            problems.append(_nothing_there(one, view))
    return Segment(span.quote, tuple(chosen), settled=not chosen), problems


def _candidates(mention: Mention, side: Side | None, view: View) -> list[Lesion]:
    return [
        lesion
        for lesion in view.exam.lesions
        if lesion.region in mention.regions and _sides_agree(lesion.side, side) and _levels_agree(lesion, mention)
    ]


def _sides_agree(own: Side | None, said: Side | None) -> bool:
    return said is None or own is None or own == said or (said == "B" and own in ("L", "R")) or own == "B"


def _levels_agree(lesion: Lesion, mention: Mention) -> bool:
    own = find_levels(lesion.ct_correlate or "")
    return not own or not mention.levels or bool(own & set(mention.levels))


def _best(text: str, lesions: list[Lesion], view: View) -> list[Lesion]:
    """Choose among lesions of one place those with the values of the text, else those of which its claims hold."""
    if len(lesions) < 2:
        return lesions
    if view.lexicon.counts.search(text):
        return [one for one in lesions if one in view.counted] or lesions
    suvs = {one.value for one in find_suvmax(text)}
    sizes = {one.value for one in find_sizes(text)} | {one.smallest for one in find_sizes(text)}
    for fitting in (
        [one for one in lesions if one.suvmax in suvs],
        [one for one in lesions if one.size_mm in sizes],
        [one for one in lesions if _claims_hold(text, one, view)],
    ):
        if fitting:
            return fitting
    return lesions


def _claims_hold(text: str, lesion: Lesion, view: View) -> bool:
    said = [word.meaning for word in view.lexicon.claims if word.pattern.search(text)]
    return all(CLAIMS[meaning](view, [lesion]) for meaning in said if meaning not in ("malignant", "suspicious")) and (
        not {"malignant", "suspicious"} & set(said) or lesion in view.counted
    )


def _was_there(one: Statement, view: View) -> bool:
    rows = (view.exam.prior.lesions or []) if view.exam.prior else []
    return any(row.region in one.mention.regions and _sides_agree(row.side, one.side) for row in rows)


def _nothing_there(one: Statement, view: View) -> Problem:
    mention = one.mention
    elsewhere = [lesion for lesion in view.exam.lesions if lesion.region in mention.regions]
    if elsewhere:
        check = "regions" if any(_sides_agree(lesion.side, one.side) for lesion in elsewhere) else "sides"
        return Problem(check, one.span.quote, f"the table has {view.places(elsewhere)}")
    valued = [lesion for lesion in view.exam.lesions if lesion.suvmax in {v.value for v in find_suvmax(one.span.quote)}]
    if valued:
        return Problem("regions", one.span.quote, f"the table has {view.places(valued)}")
    return Problem("lesion_ids", one.span.quote, "no lesion of the table lies there")


def _denied(together: list[Statement], view: View) -> tuple[Segment, list[Problem]]:
    problems = [problem for one in together for problem in _disease_there(one, view)]
    return Segment(together[0].span.quote, (), settled=True), problems


def _disease_there(one: Statement, view: View) -> Iterator[Problem]:
    if view.lexicon.claim("change_resolved").search(one.span.quote) and not _was_there(one, view):
        yield Problem("statements", one.span.quote, "the prior has no lesion there")
    # The rest of a place is free where the lesions of it are described elsewhere.
    if view.lexicon.pattern("remainder").search(one.span.quote):
        return
    there = _candidates(one.mention, one.side, view)
    disease = [lesion for lesion in there if lesion in view.counted or lesion in view.indeterminate]
    if view.lexicon.claim("change_new").search(one.span.quote):
        disease = [lesion for lesion in disease if view.change(lesion) == "new"]
    if disease:
        yield Problem("contradictions", one.span.quote, f"the table has {view.places(disease)}")
