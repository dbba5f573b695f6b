"""Why a finding is neither positive nor negative: the rationale that the rules gave, element by element."""

from __future__ import annotations

from typing import get_args

from fedpsma.domain.assessment import ElementName, Indeterminate
from reporting.plan.case import Case
from reporting.plan.model import IDS, PlannedSection, PlannedSentence

ORDER: tuple[ElementName, ...] = get_args(ElementName)


def indeterminate_section(case: Case) -> PlannedSection:
    """Plan the rationale of every indeterminate finding, or say that there is none where that was assessed."""
    sentences = [one for item in case.assessment.indeterminate for one in _rationale(case, item)]
    if not sentences and case.assessment.mitnm is not None:
        key = "negative_indeterminate"
        sentences = [PlannedSentence(case.words.word("finding", key), {}, ("negative:indeterminate",))]
    return PlannedSection("indeterminate", tuple(sentences))


def suggestion(item: Indeterminate) -> str:
    """Return what the rules suggest, with its alternative where they name one."""
    return item.elements.get("recommendation", item.follow_up)


def _rationale(case: Case, item: Indeterminate) -> list[PlannedSentence]:
    one = case.facts(item.lesion)
    headline = {"site": case.site(one), "category": f"PSMA-RADS {item.psma_rads}", IDS: one.id}
    sentences = [PlannedSentence(case.words.word("rationale", "headline"), headline, (one.id,))]
    for name in ORDER:
        if name in item.elements:
            template = case.words.word("rationale", name)
            values = {"element": item.elements[name], IDS: one.id}
            sentences.append(PlannedSentence(template, values, (one.id, f"assessment.indeterminate.{name}")))
    return sentences
