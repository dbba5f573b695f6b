"""PSMA PET progression (PPP): only its imaging part; the class needs clinical confirmation and is never given."""

from __future__ import annotations

from collections.abc import Sequence

from fedpsma.staging.changes import Comparison, Timeline
from fedpsma.staging.facts import LesionFacts
from fedpsma.staging.rulebook import Noted, at_least, percent_change, rule, traced

_DISTANT = ("M1a", "M1b", "M1c")
_NEEDED = "clinical confirmation needed"


def imaging_part(timeline: Timeline, counted: Sequence[LesionFacts], comparison: Comparison) -> Noted[list[str]]:
    """Say which PPP criteria the images meet; none where the prior cannot be compared."""
    if not timeline.comparable:
        return Noted([], (traced("ppp", {"not comparable": "tracer of the prior is another or not known"}, []),))
    new = [one for one in counted if comparison.labels.get(one.lesion_id) == "new"]
    distant = [one for one in new if one.region.facts.mitnm_axis in _DISTANT]
    grown = [one for one in counted if _has_grown(one, timeline, comparison)]
    several = len(distant) >= rule("ppp").values["new_lesions"]
    met = [
        f"PPP criterion {number} imaging part met, {_NEEDED}"
        for number, holds in ((1, several), (2, bool(new) and not several), (3, bool(grown)))
        if holds
    ]
    inputs = {"new": [one.lesion_id for one in new], "grown": [one.lesion_id for one in grown]}
    return Noted(met, (traced("ppp", inputs, met),))


def _has_grown(one: LesionFacts, timeline: Timeline, comparison: Comparison) -> bool:
    limit = rule("ppp").values["increase_percent"]
    change = comparison.percent.get(one.lesion_id)
    if change is not None and at_least(change, limit):
        return True
    link, size = timeline.links[one.lesion_id], one.lesion.size_mm
    before = link.foci[0].size_mm if link.status == "matched" and len(link.foci) == 1 and not link.parts else None
    return before is not None and before > 0 and size is not None and at_least(percent_change(before, size), limit)
