"""The prior examination in one form, from its lesion table or from its report text, and matching by place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from fedpsma.domain.exam import Exam, Prior, PriorLesion
from fedpsma.domain.region import Region, Side
from fedpsma.domain.tracer import Tracer
from fedpsma.staging.facts import LesionFacts
from fedpsma.text.prior_report import PriorFinding, PriorReading, read_prior_report
from fedpsma.text.regions import find_levels

Status = Literal["matched", "interchangeable", "ambiguous", "side_conflict", "absent", "not_covered", "unreadable"]


@dataclass(frozen=True)
class PriorFocus:
    """One focus of the prior; ``key`` is its id in the table, or its place in the report text ("text 1")."""

    key: str
    regions: tuple[Region, ...]
    side: Side | None
    levels: frozenset[str]
    suvmax: float | None
    volume_ml: float | None
    size_mm: float | None
    from_table: bool


@dataclass(frozen=True)
class PriorExam:
    """The prior examination; ``tracer`` is null where neither the field nor the text names exactly one."""

    prior: Prior
    foci: tuple[PriorFocus, ...]
    reading: PriorReading | None
    tracer: Tracer | None

    @property
    def has_lesions(self) -> bool:
        """Whether the prior says anything that lesions can be compared with."""
        if self.prior.lesions is not None:
            return True
        return self.reading is not None and not self.reading.says_nothing

    @property
    def is_psma_pet(self) -> bool:
        """Whether the prior was a PSMA PET, by its tracer or its modality."""
        if self.tracer is not None:
            return self.tracer.facts.targets_psma
        return "PSMA" in (self.prior.modality or "").upper()

    @property
    def is_other_kind(self) -> bool:
        """Whether the prior is said to be another kind of study than PET: CT, MRI or a bone scan."""
        return self.prior.modality is not None and "PET" not in self.prior.modality.upper()


@dataclass(frozen=True)
class Link:
    """How a lesion relates to the prior.

    ``foci`` are the candidates; where images were matched, all foci that merged into the lesion. ``parts`` are the ids
    of the other lesions into which the same focus split.
    """

    status: Status
    foci: tuple[PriorFocus, ...] = ()
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImageMatch:
    """Lesions matched on aligned images, which goes before a match by place.

    ``groups`` pairs the ids of lesions now with the ids of the same lesions in the prior's table; more than one on a
    side is a split or a merge. ``uncovered_before`` lie now where the prior has no image, ``uncovered_now`` the other
    way round.
    """

    groups: tuple[tuple[frozenset[str], frozenset[str]], ...]
    uncovered_before: frozenset[str] = frozenset()
    uncovered_now: frozenset[str] = frozenset()


def read_prior(exam: Exam) -> PriorExam | None:
    """Read the prior of an exam; the table goes before the text where both are there."""
    prior = exam.prior
    if prior is None:
        return None
    reading = read_prior_report(prior.report_text) if prior.report_text else None
    if prior.lesions is not None:
        foci = tuple(_from_table(one) for one in prior.lesions)
    else:
        found = reading.findings if reading else ()
        foci = tuple(_from_text(one, number) for number, one in enumerate(found, start=1))
    return PriorExam(prior, foci, reading, prior.tracer or _only(reading.tracers if reading else ()))


def link_matched(facts: Sequence[LesionFacts], prior: PriorExam, match: ImageMatch) -> dict[str, Link]:
    """Link the lesions as the images were matched."""
    links = {
        lesion_id: Link(
            "matched", tuple(focus for focus in prior.foci if focus.key in before), tuple(sorted(now - {lesion_id}))
        )
        for now, before in match.groups
        for lesion_id in now
    }
    alone = {
        one.lesion_id: Link("not_covered" if one.lesion_id in match.uncovered_before else "absent") for one in facts
    }
    return alone | links


def link_lesions(facts: Sequence[LesionFacts], prior: PriorExam) -> dict[str, Link]:
    """Link every lesion to the foci of the prior that can be the same one, by region, side and level."""
    if not prior.has_lesions:
        return {one.lesion_id: Link("unreadable") for one in facts}
    places = {one.lesion_id: _Place(one.region, one.lesion.side, one.levels) for one in facts}
    claims = _claim(Counter(places.values()), prior.foci)
    links = {place: _link(place, claims, prior) for place in claims.members}
    return {lesion_id: links[place] for lesion_id, place in places.items()}


@dataclass(frozen=True)
class _Place:
    """Where a lesion lies: all that a match by place knows of it, so that lesions of one place are treated alike."""

    region: Region
    side: Side | None
    levels: frozenset[str]

    def names_the_level_of(self, focus: PriorFocus) -> bool:
        return bool(self.levels & focus.levels)

    def has_the_place_of(self, focus: PriorFocus) -> bool:
        levels_agree = not self.levels or not focus.levels or self.names_the_level_of(focus)
        return self.region in focus.regions and levels_agree

    def has_the_side_of(self, focus: PriorFocus) -> bool:
        return self.side == focus.side or None in (self.side, focus.side) or "B" in (self.side, focus.side)


@dataclass(frozen=True)
class _Claims:
    """Which foci of the prior (by their position) can be the same as a lesion of a place, and who claims a focus.

    ``members`` is the number of lesions at each place, ``around`` the foci of its region whatever their side.
    """

    members: Counter[_Place]
    around: dict[_Place, list[int]]
    candidates: dict[_Place, list[int]]

    @cached_property
    def claimants(self) -> dict[int, list[_Place]]:
        found: dict[int, list[_Place]] = {}
        for place, own in self.candidates.items():
            for at in own:
                found.setdefault(at, []).append(place)
        return found


def _claim(members: Counter[_Place], foci: Sequence[PriorFocus]) -> _Claims:
    in_region: dict[Region, list[int]] = {}
    for at, focus in enumerate(foci):
        for region in focus.regions:
            in_region.setdefault(region, []).append(at)
    around = {
        place: [at for at in in_region.get(place.region, []) if place.has_the_place_of(foci[at])] for place in members
    }
    fitting = {place: [at for at in found if place.has_the_side_of(foci[at])] for place, found in around.items()}
    return _Claims(members, around, _settled_by_level(_Claims(members, around, fitting), foci))


def _settled_by_level(claims: _Claims, foci: Sequence[PriorFocus]) -> dict[_Place, list[int]]:
    """Give a focus with the very vertebra or rib of one lesion to that lesion alone."""
    settled = dict(claims.candidates)
    for place, number in claims.members.items():
        exact = [at for at in claims.candidates[place] if place.names_the_level_of(foci[at])]
        if number != 1 or len(exact) != 1:
            continue
        rivals = [other for other in claims.claimants[exact[0]] if other != place]
        if any(other.names_the_level_of(foci[exact[0]]) for other in rivals):
            continue
        settled[place] = exact
        for other in rivals:
            settled[other] = [at for at in settled[other] if at != exact[0]]
    return settled


def _link(place: _Place, claims: _Claims, prior: PriorExam) -> Link:
    own = claims.candidates[place]
    foci = tuple(prior.foci[at] for at in own)
    conflicts = prior.reading.side_conflicts if prior.reading and prior.prior.lesions is None else ()
    if any(place.region in one.regions and place.side in ("L", "R", None) for one in conflicts):
        return Link("side_conflict", foci)
    if not own:
        unclaimed = tuple(prior.foci[at] for at in claims.around[place] if at not in claims.claimants)
        if unclaimed:
            return Link("side_conflict", unclaimed)
        return Link("not_covered" if place.region in (prior.prior.not_covered or ()) else "absent")
    rivals = {other for at in own for other in claims.claimants[at]}
    number = sum(claims.members[other] for other in rivals)
    if len(own) == 1 and number == 1:
        return Link("matched", foci)
    same_sets = all(claims.candidates[other] == own for other in rivals)
    return Link("interchangeable" if same_sets and number == len(own) else "ambiguous", foci)


def _from_table(one: PriorLesion) -> PriorFocus:
    extra = [text for name, text in (one.model_extra or {}).items() if isinstance(text, str) and name != "lesion_id"]
    levels = frozenset(level for text in extra for level in find_levels(text))
    return PriorFocus(one.lesion_id, (one.region,), one.side, levels, one.suvmax, one.volume_ml, one.size_mm, True)


def _from_text(one: PriorFinding, number: int) -> PriorFocus:
    levels = frozenset(one.levels)
    return PriorFocus(f"text {number}", one.regions, one.side, levels, one.suvmax, None, one.size_mm, False)


def _only(tracers: Iterable[Tracer]) -> Tracer | None:
    found = list(tracers)
    return found[0] if len(found) == 1 else None
