"""How unlike the sites of a federation are, seen in what they tell of themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import BaseModel, ConfigDict

from fedpsma.federated.disclosure import LEAST_PATIENTS
from fedpsma.federated.statistics import SiteStatistics, add_up, statistics_table

NOTABLE = 0.4
"""The distance from which a site is marked."""


class Distance(BaseModel):
    """How far one site's histogram lies from that of all others together (0 to 1), and its commonest bin."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    site: str
    histogram: str
    distance: float
    commonest: str


class FederationStatistics(BaseModel):
    """What a coordinator sees before training: the sites side by side, their distances, and what to think about."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sites: tuple[SiteStatistics, ...]
    patients: int
    distances: tuple[Distance, ...]
    notes: tuple[str, ...]


def compare_sites(sites: Sequence[SiteStatistics]) -> FederationStatistics:
    """Set the sites side by side, the largest distances first."""
    ordered = tuple(sorted(sites, key=lambda one: one.site))
    distances = sorted(_distances(ordered), key=lambda one: (-one.distance, one.site, one.histogram))
    return FederationStatistics(
        sites=ordered,
        patients=add_up(one.patients for one in ordered),
        distances=tuple(distances),
        notes=(*_convention_notes(ordered), *_tracer_notes(ordered), *_size_notes(ordered)),
    )


def total_variation(one: Sequence[int], other: Sequence[int]) -> float | None:
    """Return the total variation distance of two histograms (0 to 1); ``None`` where one of them is empty.

    Example:
        >>> total_variation((10, 10, 0), (20, 0, 0)), total_variation((10, 0), (0, 10))
        (0.5, 1.0)
    """
    mine, theirs = sum(one), sum(other)
    if not mine or not theirs:
        return None
    return sum(abs(a / mine - b / theirs) for a, b in zip(one, other, strict=True)) / 2


def _distances(sites: Sequence[SiteStatistics]) -> Iterator[Distance]:
    for bins in statistics_table().histograms:
        # A withheld bin holds next to nothing beside the others.
        told = {one.site: tuple(count or 0 for count in one.histograms[bins.name]) for one in sites}
        for site, mine in told.items():
            others = [counts for name, counts in told.items() if name != site]
            distance = total_variation(mine, [sum(column) for column in zip(*others, strict=True)])
            if distance is not None:
                commonest = bins.labels[max(range(len(mine)), key=mine.__getitem__)]
                rounded = round(distance, 2)
                yield Distance(site=site, histogram=bins.name, distance=rounded, commonest=commonest)


def _convention_notes(sites: Sequence[SiteStatistics]) -> list[str]:
    notes = []
    declared = {one.contour for one in sites}
    if len(declared) > 1:
        listed = ", ".join(f"{one.site} {one.contour}" for one in sites)
        notes.append(
            f"the sites outline lesions by different rules ({listed}): name them as contours in the plan, so that "
            "nobody's edges are taught to the others"
        )
    notes += [
        f"{one.site} declares the outlines {one.contour}, but they follow {one.contour_followed}"
        for one in sites
        if one.contour_followed not in (None, one.contour)
    ]
    return notes


def _tracer_notes(sites: Sequence[SiteStatistics]) -> list[str]:
    owners: dict[str, list[str]] = {}
    for one in sites:
        for tracer in one.counts["tracer"]:
            owners.setdefault(tracer, []).append(one.site)
    return [
        f"only {where[0]} has {tracer}: what the model learns of it rests on one site"
        for tracer, where in sorted(owners.items())
        if len(where) == 1 and len(sites) > 1
    ]


def _size_notes(sites: Sequence[SiteStatistics]) -> list[str]:
    return [
        f"{one.site} has fewer than {LEAST_PATIENTS} patients, so that nothing is told of them"
        for one in sites
        if one.patients is None
    ]
