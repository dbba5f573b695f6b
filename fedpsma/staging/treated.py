"""Which lesions are formerly known metastases that have been treated since (for PSMA-RADS 5T)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fedpsma.staging.expression import References
from fedpsma.staging.facts import LesionFacts
from fedpsma.staging.prior import Link, PriorExam
from fedpsma.staging.rulebook import Noted, traced
from fedpsma.text.clinical_context import ClinicalContext, Therapy

_LOCAL_AXIS = "T"
_YEAR = re.compile(r"(?<!\d)((?:19|20)\d{2})(?!\d)")


def treated_lesions(
    facts: Sequence[LesionFacts],
    links: dict[str, Link],
    prior: PriorExam | None,
    context: ClinicalContext,
    references: References,
) -> Noted[frozenset[str]]:
    """Find treated metastases: the text says so, or the prior shows intense uptake there and therapy came after it."""
    therapies = [one for one in context.therapies if _can_have_acted(one, prior)]
    by_text = {one.lesion_id for one in facts if _is_called_treated(one)}
    by_prior = {
        one.lesion_id
        for one in facts
        if therapies and prior is not None and _was_intense(links.get(one.lesion_id), references)
    }
    distant = {one.lesion_id for one in facts if one.region.facts.mitnm_axis not in (_LOCAL_AXIS, None)}
    treated = frozenset((by_text | by_prior) & distant)
    inputs = {"therapies": [one.kind for one in therapies], "by_text": sorted(by_text), "by_prior": sorted(by_prior)}
    return Noted(treated, (traced("treated", inputs, sorted(treated)),))


def _is_called_treated(one: LesionFacts) -> bool:
    return "treated" in one.ct.marks or "treated" in (one.lesion.label or "").casefold()


def _can_have_acted(therapy: Therapy, prior: PriorExam | None) -> bool:
    """Surgery of the prostate treats no metastasis; radiotherapy before the prior explains no change since."""
    if therapy.systemic:
        return True
    if therapy.kind != "radiotherapy":
        return False
    dated = _YEAR.search(prior.prior.date or "") if prior else None
    return therapy.current or therapy.year is None or dated is None or therapy.year >= int(dated.group(1))


def _was_intense(link: Link | None, references: References) -> bool:
    if link is None or link.status not in ("matched", "interchangeable"):
        return False
    values = [focus.suvmax for focus in link.foci]
    limit = references.organ
    return all(value is None or limit is None or value > limit for value in values)
