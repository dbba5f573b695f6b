"""How each lesion changed since the prior, in labels, and whether there are new lesions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from fedpsma.domain.assessment import Change, Flag
from fedpsma.domain.exam import Exam, Lesion
from fedpsma.staging.expression import Score
from fedpsma.staging.facts import LesionFacts
from fedpsma.staging.options import StagingOptions
from fedpsma.staging.prior import ImageMatch, Link, PriorExam, PriorFocus, Status
from fedpsma.staging.rulebook import Noted, at_least, at_most, percent_change, traced

_STATUS: dict[Status, str] = {
    "matched": "one counterpart",
    "interchangeable": "as many candidates as lesions",
    "ambiguous": "more than one candidate",
    "side_conflict": "the prior contradicts the side or level",
    "absent": "nothing at this site in the prior",
    "not_covered": "the prior did not cover this site",
    "unreadable": "the prior names no lesions that could be read",
}


@dataclass(frozen=True)
class Comparison:
    """Change labels of the current lesions and of the prior table's lesions that are gone.

    ``percent`` is the change of SUVmax where it can be compared. ``gone`` holds the foci of the prior without a
    counterpart, also those that only its text names.
    """

    labels: dict[str, Change]
    percent: dict[str, float]
    gone: tuple[PriorFocus, ...] = ()


@dataclass(frozen=True)
class Pair:
    """One value before and now, over all foci and parts of a lesion; null where one of them is not known."""

    before: float | None
    now: float | None

    @property
    def percent(self) -> float | None:
        """The change; null where it cannot be computed."""
        return percent_change(self.before, self.now) if self.before and self.now is not None else None


@dataclass(frozen=True)
class Timeline:
    """The lesions now with their links to the prior, which is all that a comparison starts from."""

    exam: Exam
    facts: Sequence[LesionFacts]
    links: dict[str, Link]
    prior: PriorExam
    match: ImageMatch | None = None

    @property
    def comparable(self) -> bool:
        """Whether SUVs may be compared: within one tracer only."""
        return self.prior.tracer is not None and self.prior.tracer == self.exam.tracer

    @cached_property
    def _by_id(self) -> dict[str, Lesion]:
        return {one.lesion_id: one.lesion for one in self.facts}

    def suvmax(self, one: LesionFacts) -> Pair:
        """SUVmax of a lesion before and now: the hottest of what belongs together."""
        foci, lesions = self._parts(one)
        return Pair(_joined([focus.suvmax for focus in foci], max), _joined([part.suvmax for part in lesions], max))

    def volume_ml(self, one: LesionFacts) -> Pair:
        """Volume of a lesion before and now: the sum of what belongs together."""
        foci, lesions = self._parts(one)
        return Pair(
            _joined([focus.volume_ml for focus in foci], sum), _joined([part.volume_ml for part in lesions], sum)
        )

    def _parts(self, one: LesionFacts) -> tuple[tuple[PriorFocus, ...], list[Lesion]]:
        link = self.links[one.lesion_id]
        foci = link.foci if link.status == "matched" else ()
        return foci, [one.lesion, *(self._by_id[part] for part in link.parts)]


def _joined(values: Sequence[float | None], how: Callable[[list[float]], float]) -> float | None:
    known = [value for value in values if value is not None and value >= 0]
    return how(known) if known and len(known) == len(values) else None


def compare(timeline: Timeline, scores: dict[str, Score], options: StagingOptions) -> Noted[Comparison]:
    """Label the change of every lesion; SUVs are compared within one tracer only."""
    labels: dict[str, Change] = {}
    percent: dict[str, float] = {}
    trace = []
    for one in timeline.facts:
        link, pair = timeline.links[one.lesion_id], timeline.suvmax(one)
        label = _label(one, timeline, scores.get(one.lesion_id), options.change_percent)
        labels[one.lesion_id] = label
        change = pair.percent if timeline.comparable else None
        if change is not None:
            percent[one.lesion_id] = change
        inputs = {
            "lesion": one.lesion_id,
            "match": _STATUS[link.status],
            "prior": [focus.key for focus in link.foci],
            "suvmax": one.lesion.suvmax,
            "suvmax_before": pair.before,
            "percent": None if change is None else round(change, 1),
            "limit_percent": options.change_percent,
        }
        trace.append(traced("lesion_change", inputs | ({"split into": link.parts} if link.parts else {}), label))
    prior = timeline.prior
    gone = _gone(timeline.links, prior) if prior.is_psma_pet else ()
    labels |= _resolved(gone, labels, timeline)
    trace.append(traced("prior_match", {"prior": [focus.key for focus in prior.foci]}, [focus.key for focus in gone]))
    flags = (
        *_tracer_flags(timeline.exam, prior),
        *_match_flags(timeline, labels),
        *_mixed_flags(timeline, labels, options.change_percent),
    )
    return Noted(Comparison(labels, percent, gone), tuple(trace), flags)


def change_label(before: float, after: float, limit: float = 30.0) -> Change:
    """Label a change by its percentage; the limit (percent) itself counts as change.

    Example:
        >>> change_label(10.0, 13.0), change_label(10.0, 7.0), change_label(10.0, 12.9)
        ('increased', 'decreased', 'stable')
    """
    change = percent_change(before, after)
    if at_least(change, limit):
        return "increased"
    return "decreased" if at_most(change, -limit) else "stable"


def _label(one: LesionFacts, timeline: Timeline, score: Score | None, limit: float) -> Change:
    link, prior = timeline.links[one.lesion_id], timeline.prior
    if link.status == "unreadable":
        return "match_uncertain" if prior.reading is not None else "not_applicable"
    if link.status == "not_covered":
        return "not_applicable"
    if link.status == "absent":
        return "new" if prior.is_psma_pet else "not_applicable"
    if link.status in ("ambiguous", "side_conflict"):
        return "match_uncertain"
    if not timeline.comparable:
        return "persistent_not_comparable"
    if score is not None and score.value == 0:
        return "resolved"
    if link.status == "matched":
        return _measured_label(timeline.suvmax(one), limit)
    labels = {_measured_label(Pair(focus.suvmax, one.lesion.suvmax), limit) for focus in link.foci}
    return labels.pop() if len(labels) == 1 else "match_uncertain"


def _measured_label(pair: Pair, limit: float) -> Change:
    if pair.now is None or pair.now < 0 or pair.before is None or pair.before <= 0:
        return "persistent_not_comparable"
    return change_label(pair.before, pair.now, limit)


def _gone(links: dict[str, Link], prior: PriorExam) -> tuple[PriorFocus, ...]:
    linked = {focus.key for link in links.values() for focus in link.foci}
    return tuple(focus for focus in prior.foci if focus.key not in linked)


def _resolved(gone: tuple[PriorFocus, ...], labels: dict[str, Change], timeline: Timeline) -> dict[str, Change]:
    """Only lesions of a table have an id of their own that a label can stand under."""
    unseen = set(timeline.exam.technique.not_covered or ())
    beyond = timeline.match.uncovered_now if timeline.match else frozenset()
    return {
        focus.key: "not_applicable" if focus.key in beyond or unseen >= set(focus.regions) else "resolved"
        for focus in gone
        if focus.from_table and focus.key not in labels
    }


def _tracer_flags(exam: Exam, prior: PriorExam) -> Iterator[Flag]:
    if exam.tracer is None or not (prior.has_lesions or prior.prior.psma_vol_ml is not None):
        return
    if prior.tracer is None and not prior.is_other_kind:
        yield Flag(code="missing_value", message="tracer of the prior not provided: SUV and volumes are not compared")
    elif prior.tracer != exam.tracer:
        message = f"prior with {prior.tracer}, now {exam.tracer}: SUV and volumes are not compared"
        yield Flag(code="tracer_change", message=message)


def _match_flags(timeline: Timeline, labels: dict[str, Change]) -> Iterator[Flag]:
    reading, links = timeline.prior.reading, timeline.links
    conflicting = [name for name, link in links.items() if link.status == "side_conflict"]
    if conflicting or (reading is not None and reading.side_conflicts):
        message = "the side in the prior contradicts itself or the present table; confirm the match"
        yield Flag(code="prior_laterality_conflict", lesions=conflicting, message=message)
    uncertain = [name for name in links if labels[name] == "match_uncertain"]
    if uncertain:
        message = (
            "more than one possible counterpart in the prior, a conflicting one, or a prior that could not be read"
        )
        yield Flag(code="match_uncertain", lesions=uncertain, message=message)


def _mixed_flags(timeline: Timeline, labels: dict[str, Change], limit: float) -> Iterator[Flag]:
    for one in timeline.facts:
        label, volume = labels[one.lesion_id], timeline.volume_ml(one)
        if label not in ("increased", "decreased", "stable") or not volume.before or volume.now is None:
            continue
        by_volume = change_label(volume.before, volume.now, limit)
        if by_volume != label:
            message = f"mixed: {label} by SUVmax, {by_volume} by volume"
            yield Flag(code="response_discordance", lesions=[one.lesion_id], message=message)
