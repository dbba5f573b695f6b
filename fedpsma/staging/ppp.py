"""PSMA PET progression (PPP): only its imaging part; the class needs clinical confirmation and is never given."""

from __future__ import annotations

from collections.abc import Sequence

from fedpsma.domain.assessment import TraceEntry
from fedpsma.domain.exam import Exam
from fedpsma.staging.changes import Comparison
from fedpsma.staging.facts import LesionFacts
from fedpsma.staging.prior import Link, PriorExam
from fedpsma.staging.rulebook import at_least, percent_change, rule, traced

_DISTANT = ("M1a", "M1b", "M1c")


def imaging_part(
    exam: Exam, prior: PriorExam, counted: Sequence[LesionFacts], comparison: Comparison, links: dict[str, Link]
) -> TraceEntry | None:
    """Say which PPP criteria the images meet; null where the prior cannot be compared."""
    if prior.tracer is None or prior.tracer != exam.tracer:
        return None
    labels = comparison.labels
    new = [one for one in counted if labels.get(one.lesion_id) == "new"]
    new_distant = [one for one in new if one.region.facts.mitnm_axis in _DISTANT]
    grown = [one for one in counted if _has_grown(one, comparison, links)]
    met = []
    if len(new_distant) >= rule("ppp").values["new_lesions"]:
        met.append("PPP criterion 1 imaging part met")
    if len(new) == 1:
        met.append("PPP criterion 2 imaging part met")
    if grown:
        met.append("PPP criterion 3 imaging part met")
    inputs = {"new": [one.lesion_id for one in new], "grown": [one.lesion_id for one in grown]}
    return traced("ppp", inputs, [f"{criterion}, clinical confirmation needed" for criterion in met])


def _has_grown(one: LesionFacts, comparison: Comparison, links: dict[str, Link]) -> bool:
    limit = rule("ppp").values["increase_percent"]
    if comparison.labels.get(one.lesion_id) == "increased":
        return True
    link = links[one.lesion_id]
    before = link.foci[0].size_mm if link.status == "matched" else None
    size = one.lesion.size_mm
    return bool(before) and size is not None and at_least(percent_change(before or 1.0, size), limit)
