"""What happens to a patient between two scans: his course, the fate of every lesion, and how his organs vary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import numpy as np

from fedpsma.domain.tracer import Tracer
from fedpsma.phantom.anatomy import Anatomy
from fedpsma.phantom.body import BodyParameters, Prostate, draw_body
from fedpsma.phantom.lesions import Disease, Focus, draw_disease, resized
from fedpsma.phantom.placement import PlacedFocus, place_disease
from fedpsma.phantom.reposition import settle
from fedpsma.phantom.sites import Scenario
from fedpsma.phantom.tables import Row, read_table

Course = Literal["complete_response", "response", "stable", "mixed", "progression", "retest"]

_URINE = ("bladder", "renal_pelvis")
# A split lesion leaves at least this much room between its parts, and a field of view is this much longer at most.
_SPLIT_GAP_MM = 3.0
_LONGER_FIELD_MM = 12.0
_DRAWS = 200


class CourseRow(Row):
    """One course; ``volume`` and ``suv`` are (mean, SD between patients, SD between lesions) of the log change."""

    volume: tuple[float, float, float]
    suv: tuple[float, float, float]
    vanish: float
    new: tuple[float, float]


class DayToDay(Row):
    """Variation between two scans of an unchanged man: ``common`` is the share of the variance all tissues share.

    ``wcv`` holds between the first scan and any later one for organs, and between neighbouring scans for foci; two
    later scans differ by up to the square root of two more.
    """

    wcv: float
    common: float
    urine_log_sd: float


class SplitRow(Row):
    """When a shrinking lesion falls into two."""

    chance: float
    least_ml: float
    shrunk_to: float


class MergeRow(Row):
    """When two lesions of one structure grow together: ``gap_mm`` is between their surfaces after the change."""

    chance: float
    gap_mm: float


class FollowUpTable(Row):
    """``followup.json``."""

    note: str
    source: str
    day_to_day: DayToDay
    courses: dict[Course, CourseRow]
    shares: dict[Scenario, dict[Course, float]]
    volume_range_ml: tuple[float, float]
    suvmax_range: tuple[float, float]
    changed_share: float
    split: SplitRow
    merge: MergeRow
    kept_mimics: dict[str, float]
    interval_days: dict[Scenario | Literal["retest"], tuple[int, int]]
    weight_log_sd: float
    other_tracer_share: float
    other_scanner_share: float


@dataclass(frozen=True)
class TrackedFocus:
    """A focus in the man's own frame; ``previous`` are the numbers it had in the scan before, none where it is new."""

    placed: PlacedFocus
    previous: tuple[int, ...]


@dataclass(frozen=True)
class Between:
    """What lies between two scans; ``volume_log`` and ``suv_log`` are what all lesions of the patient share."""

    course: Course
    days: int
    volume_log: float
    suv_log: float
    day_log: float
    new_lesions: int
    weight_factor: float


@cache
def follow_up_table() -> FollowUpTable:
    """Return ``followup.json``."""
    return FollowUpTable.model_validate(read_table("followup.json"))


def draw_between(rng: np.random.Generator, scenario: Scenario, course: Course | None) -> Between:
    """Draw the course of a patient, unless it is given, and what goes with it."""
    table = follow_up_table()
    shares = table.shares[scenario]
    drawn = list(shares)[int(rng.choice(len(shares), p=np.array(list(shares.values()))))]
    course = course or drawn
    row = table.courses[course]
    first, last = table.interval_days["retest" if course == "retest" else scenario]
    chance, more = row.new
    return Between(
        course=course,
        days=int(rng.integers(first, last)),
        volume_log=float(rng.normal(row.volume[0], row.volume[1])),
        suv_log=float(rng.normal(row.suv[0], row.suv[1])),
        day_log=float(rng.normal(0, _day_log_sd() * np.sqrt(table.day_to_day.common))),
        new_lesions=int(rng.random() < chance) * (1 + int(rng.poisson(more))),
        weight_factor=1.0 if course == "retest" else float(np.exp(rng.normal(0, table.weight_log_sd))),
    )


def later_body(rng: np.random.Generator, body: BodyParameters, weight_factor: float) -> BodyParameters:
    """Return the man at a later scan: another filling of bladder and bowel, another weight, a field a little longer."""
    other = draw_body(rng, body.prostate)
    low, high = body.field
    longer = rng.uniform(0, _LONGER_FIELD_MM, 2)
    return replace(
        body,
        weight_kg=round(body.weight_kg * weight_factor, 1),
        organ_scale={**body.organ_scale, "bladder": other.organ_scale["bladder"]},
        bowel=other.bowel,
        field=(low - float(longer[0]), high + float(longer[1])),
    )


def later_uptake(rng: np.random.Generator, usual: Mapping[str, float], between: Between) -> dict[str, float]:
    """Return the organs' uptake of another day; ``usual`` is what the first scan would have shown."""
    table = follow_up_table().day_to_day
    own = _day_log_sd() * np.sqrt(1 - table.common)
    logs = {name: between.day_log + rng.normal(0, own) for name in usual}
    urine = rng.normal(0, table.urine_log_sd)
    logs |= {name: urine for name in _URINE}
    return {name: value * float(np.exp(logs[name])) for name, value in usual.items()}


def change_lesions(
    rng: np.random.Generator, lesions: Sequence[TrackedFocus], between: Between, anatomy: Anatomy
) -> list[TrackedFocus]:
    """Return what is left of the lesions: grown, shrunk, grown together or fallen apart; the rest is gone."""
    left = []
    for lesion in lesions:
        changed = _changed(rng, lesion, between)
        if changed is None:
            continue
        left += _maybe_split(rng, lesion, changed)
    return [replace(one, placed=settle(one.placed, anatomy)) for one in _merged(rng, left, between.course)]


def draw_new_lesions(
    rng: np.random.Generator, count: int, scenario: Scenario, prostate: Prostate, tracer: Tracer
) -> tuple[Focus, ...]:
    """Draw new metastases as the disease of the scenario makes them; none where it hardly makes any."""
    found: list[Focus] = []
    for _ in range(_DRAWS):
        if len(found) >= count:
            break
        drawn = draw_disease(rng, scenario, prostate, tracer).lesions
        found += [one for one in drawn if one.region is not None and one.region.facts.mitnm_axis != "T"]
    return tuple(found[:count])


def place_new(
    rng: np.random.Generator, disease: Disease, kept: Sequence[TrackedFocus], anatomy: Anatomy
) -> list[TrackedFocus]:
    """Place new lesions and today's benign foci around what is there already."""
    placed = place_disease(rng, disease, anatomy, taken=[one.placed for one in kept])
    return [TrackedFocus(one, ()) for one in placed]


def keep_mimics(
    rng: np.random.Generator, mimics: Sequence[TrackedFocus], between: Between, anatomy: Anatomy
) -> list[TrackedFocus]:
    """Return the benign foci that are still there, with the uptake of another day."""
    chances = follow_up_table().kept_mimics
    kept = []
    for mimic in mimics:
        focus = mimic.placed.focus
        chance = chances.get(focus.kind, 0.0)
        stays = rng.random() < (chance if between.course != "retest" else float(chance > 0))
        day = float(np.exp(between.day_log + rng.normal(0, _own_log_sd())))
        if stays:
            placed = replace(mimic.placed, focus=replace(focus, suvmax=focus.suvmax * day))
            kept.append(replace(mimic, placed=settle(placed, anatomy)))
    return kept


def passing_mimics(mimics: Sequence[Focus]) -> tuple[Focus, ...]:
    """Return the benign foci of the day (urine, bowel), not those that stay with a man."""
    return tuple(one for one in mimics if one.kind not in follow_up_table().kept_mimics)


def _changed(rng: np.random.Generator, lesion: TrackedFocus, between: Between) -> TrackedFocus | None:
    table = follow_up_table()
    row, focus = table.courses[between.course], lesion.placed.focus
    volume_log = between.volume_log + rng.normal(0, row.volume[2])
    suv_log = between.suv_log + rng.normal(0, row.suv[2]) + between.day_log + rng.normal(0, _own_log_sd())
    gone = rng.random() < row.vanish
    volume, suvmax = focus.volume_ml * float(np.exp(volume_log)), focus.suvmax * float(np.exp(suv_log))
    faded = suvmax < min(table.suvmax_range[0], (1 - table.changed_share) * focus.suvmax)
    if gone or faded or volume < min(table.volume_range_ml[0], focus.volume_ml):
        return None
    focus = resized(focus, min(volume, table.volume_range_ml[1]))
    return _with_focus(lesion, replace(focus, suvmax=min(suvmax, table.suvmax_range[1])))


def _maybe_split(rng: np.random.Generator, before: TrackedFocus, now: TrackedFocus) -> list[TrackedFocus]:
    """Let a large lesion that shrank fall into two along its longest axis."""
    table = follow_up_table().split
    falls = rng.random() < table.chance
    old, focus = before.placed.focus.volume_ml, now.placed.focus
    if not falls or old < table.least_ml or focus.volume_ml > table.shrunk_to * old:
        return [now]
    part = resized(focus, focus.volume_ml / 2)
    turn = focus.angles[0]
    reach = max(0.6 * _radius_mm(old), _radius_mm(part.volume_ml) + _SPLIT_GAP_MM)
    step = reach * np.array([np.cos(turn), np.sin(turn), 0.0])
    return [_at(_with_focus(now, part), np.array(now.placed.centre_mm) + sign * step) for sign in (-1, 1)]


def _merged(rng: np.random.Generator, lesions: list[TrackedFocus], course: Course) -> list[TrackedFocus]:
    """Let neighbours in one structure grow together, each with one other at most."""
    if course == "retest":
        return lesions
    table, left, found = follow_up_table().merge, list(lesions), []
    while left:
        one = left.pop(0)
        near = [other for other in left if _gap_mm(one, other) < table.gap_mm and one.previous != other.previous]
        if near and rng.random() < table.chance:
            other = min(near, key=lambda candidate: _gap_mm(one, candidate))
            left.remove(other)
            one = _united(one, other)
        found.append(one)
    return found


def _gap_mm(one: TrackedFocus, other: TrackedFocus) -> float:
    if (one.placed.region, one.placed.side) != (other.placed.region, other.placed.side):
        return np.inf
    distance = float(np.linalg.norm(np.subtract(one.placed.centre_mm, other.placed.centre_mm)))
    return distance - _radius_mm(one.placed.focus.volume_ml) - _radius_mm(other.placed.focus.volume_ml)


def _united(one: TrackedFocus, other: TrackedFocus) -> TrackedFocus:
    """Return one lesion with both volumes, stretched along the line between the two."""
    larger = max(one, other, key=lambda lesion: lesion.placed.focus.volume_ml)
    first, second = one.placed.focus.volume_ml, other.placed.focus.volume_ml
    apart = np.subtract(other.placed.centre_mm, one.placed.centre_mm)
    focus = replace(
        larger.placed.focus,
        ratios=(1.0, 0.6, 0.6),
        angles=(float(np.arctan2(apart[1], apart[0])), 0.0),
        suvmax=max(one.placed.focus.suvmax, other.placed.focus.suvmax),
    )
    merged = replace(larger, previous=tuple(sorted({*one.previous, *other.previous})))
    middle = np.array(one.placed.centre_mm) + apart * second / (first + second)
    return _at(_with_focus(merged, resized(focus, first + second)), middle)


def _with_focus(lesion: TrackedFocus, focus: Focus) -> TrackedFocus:
    return replace(lesion, placed=replace(lesion.placed, focus=focus))


def _at(lesion: TrackedFocus, centre: Sequence[float] | np.ndarray) -> TrackedFocus:
    x, y, z = (float(value) for value in centre)
    return replace(lesion, placed=replace(lesion.placed, centre_mm=(x, y, z)))


def _day_log_sd() -> float:
    """SD of the log ratio of two scans: each of them varies with the coefficient of variation within a man."""
    return float(np.sqrt(2 * np.log1p(follow_up_table().day_to_day.wcv ** 2)))


def _own_log_sd() -> float:
    return _day_log_sd() * float(np.sqrt(1 - follow_up_table().day_to_day.common))


def _radius_mm(volume_ml: float) -> float:
    return float(np.cbrt(3000 * volume_ml / (4 * np.pi)))
