"""The prior examination in one form, from its lesion table or from its report text, and matching by place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from fedpsma.domain.exam import Exam, Prior, PriorLesion
from fedpsma.domain.region import Region, Side
from fedpsma.domain.tracer import Tracer
from fedpsma.staging.facts import LesionFacts
from fedpsma.text.prior_report import PriorFinding, PriorReading, read_prior_report
from fedpsma.text.regions import find_levels

Status = Literal["matched", "interchangeable", "ambiguous", "side_conflict", "absent", "unreadable"]


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


@dataclass(frozen=True)
class Link:
    """How a lesion relates to the prior; ``foci`` are the candidates."""

    status: Status
    foci: tuple[PriorFocus, ...] = ()


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


def link_lesions(facts: Sequence[LesionFacts], prior: PriorExam) -> dict[str, Link]:
    """Link every lesion to the foci of the prior that can be the same one."""
    if not prior.has_lesions:
        return {one.lesion_id: Link("unreadable") for one in facts}
    candidates = {one.lesion_id: [focus for focus in prior.foci if can_be_the_same(one, focus)] for one in facts}
    _settle_by_level(facts, candidates)
    return {one.lesion_id: _link(one, facts, candidates, prior) for one in facts}


def can_be_the_same(one: LesionFacts, focus: PriorFocus) -> bool:
    """Whether region, side and, where both are named, vertebra or rib agree."""
    return _same_place(one, focus) and _sides_agree(one.lesion.side, focus.side)


def _same_place(one: LesionFacts, focus: PriorFocus) -> bool:
    levels_agree = not one.levels or not focus.levels or bool(one.levels & focus.levels)
    return one.region in focus.regions and levels_agree


def _sides_agree(one: Side | None, other: Side | None) -> bool:
    return one == other or None in (one, other) or "B" in (one, other)


def _settle_by_level(facts: Sequence[LesionFacts], candidates: dict[str, list[PriorFocus]]) -> None:
    """Give a focus with the very vertebra or rib of one lesion to that lesion alone."""
    for one in facts:
        exact = [focus for focus in candidates[one.lesion_id] if one.levels & focus.levels]
        if len(exact) != 1:
            continue
        rivals = [other for other in facts if other is not one and exact[0] in candidates[other.lesion_id]]
        if any(other.levels & exact[0].levels for other in rivals):
            continue
        candidates[one.lesion_id] = exact
        for other in rivals:
            candidates[other.lesion_id].remove(exact[0])


def _link(
    one: LesionFacts, facts: Sequence[LesionFacts], candidates: dict[str, list[PriorFocus]], prior: PriorExam
) -> Link:
    own = candidates[one.lesion_id]
    conflicts = prior.reading.side_conflicts if prior.reading and prior.prior.lesions is None else ()
    if any(_touches(one, conflict) for conflict in conflicts):
        return Link("side_conflict", tuple(own))
    if not own:
        mirrored = [focus for focus in prior.foci if _same_place(one, focus)]
        unclaimed = [focus for focus in mirrored if not any(focus in found for found in candidates.values())]
        return Link("side_conflict", tuple(unclaimed)) if unclaimed else Link("absent")
    rivals = [other for other in facts if any(focus in candidates[other.lesion_id] for focus in own)]
    if len(own) == 1 and len(rivals) == 1:
        return Link("matched", tuple(own))
    same_sets = all(candidates[other.lesion_id] == own for other in rivals)
    return Link("interchangeable" if same_sets and len(rivals) == len(own) else "ambiguous", tuple(own))


def _touches(one: LesionFacts, conflict: PriorFinding) -> bool:
    return one.region in conflict.regions and one.lesion.side in ("L", "R", None)


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
