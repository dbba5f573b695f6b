"""The findings, region by region: one worded sentence a lesion, one line of measurements, groups with their count."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fedpsma.domain.region import Region
from reporting.plan.case import Case, LesionFacts, section_of
from reporting.plan.model import IDS, PlannedSection, PlannedSentence, with_ids
from reporting.render import measured, number
from reporting.sentences import SentenceRequest
from reporting.wording.compose import First, compose
from reporting.wording.phrasing import style

FINDINGS = ("prostate", "seminal_vesicles", "pelvic_nodes", "extrapelvic_nodes", "bone", "visceral", "psma_negative")
LONGEST_GROUP = 6  # of more lesions alike, the hottest is worded and the others are listed
_SARCOID_REGION = "LN_MEDIASTINAL_HILAR"
_SARCOID_SIGN = "calcified"
_SARCOID_HISTORY = "sar[ck]oid"


def finding_sections(case: Case) -> list[PlannedSection]:
    """Plan the findings of every region, with a negative sentence where the table holds nothing there."""
    return [PlannedSection(name, _region(case, name)) for name in FINDINGS]


def incidental_section(case: Case) -> PlannedSection:
    """Plan what has no place in the stage, and the gap for what only the reader can say."""
    remark = PlannedSentence(case.words.word("finding", "physiology"), {"physiology": None}, ("physiology",))
    return PlannedSection("incidental", (*_described(case, "incidental"), remark))


def groups(lesions: Sequence[LesionFacts]) -> list[tuple[LesionFacts, ...]]:
    """Group lesions of the same region, side and weight in the stage, in the order of their first member."""
    found: dict[tuple[object, ...], list[LesionFacts]] = {}
    for one in lesions:
        key = (one.lesion.region, one.lesion.side, _weight(one))
        found.setdefault(key, []).append(one)
    return [tuple(members) for members in found.values()]


def joined_ids(members: Sequence[LesionFacts]) -> str:
    """Write the ids of lesions as they stand in brackets."""
    return ", ".join(one.id for one in members)


def score_words(case: Case, one: LesionFacts) -> str:
    """Write the expression score of a lesion, or its bounds where a reference is missing."""
    if one.score is not None:
        return str(one.score)
    if one.bounds is None:
        return case.words.word("finding", "score_none")
    low, high = one.bounds
    template = case.words.word("finding", "score_bounds")
    return template.replace("{low}", str(low)).replace("{high}", str(high))


def ct_words(case: Case, one: LesionFacts) -> str | None:
    """Write what CT shows, in closed words: its descriptors, else the class that the rules settled."""
    if one.ct_class == "none":
        return case.words.word("finding", "ct_none")
    if one.ct_class is not None and not one.ct.terms and not one.ct.pirads:
        return style("standard", case.language).clauses["ct"][one.ct_class][0]
    return one.ct.words(case.language)


def _weight(one: LesionFacts) -> str:
    if one.counted:
        return "counted"
    return "benign" if one.rads in ("1", "2") else str(one.rads)


def _region(case: Case, name: str) -> tuple[PlannedSentence, ...]:
    described = _described(case, name)
    outside = tuple(region for region in case.not_covered if section_of(region) == name)
    # Where the frameworks do not apply nothing was assessed, so an empty region says nothing.
    if not described and case.assessment.mitnm and not set(_denied(case, name)) <= set(outside):
        described = (_negative(case, name),)
    return (*described, *not_covered(case, outside))


def not_covered(case: Case, outside: Sequence[Region]) -> tuple[PlannedSentence, ...]:
    """Plan the sentence that names regions outside the field of view, where there are any."""
    if not outside:
        return ()
    values = {"sites": case.named(outside)}
    return (PlannedSentence(case.words.word("finding", "not_covered"), values, ("technique.not_covered",)),)


def _denied(case: Case, name: str) -> tuple[Region | None, ...]:
    """Return the regions of which the negative sentence of a section speaks; ``None`` is of the table alone."""
    if name == "prostate":
        removed = case.exam.clinical.prostate_status == "removed"
        return (Region.PROSTATE_BED if removed else Region.PROSTATE,)
    return tuple(region for region in Region if section_of(region) == name) or (None,)


def _negative(case: Case, name: str) -> PlannedSentence:
    removed = name == "prostate" and case.exam.clinical.prostate_status == "removed"
    key = f"negative_{name}_bed" if removed else f"negative_{name}"
    return PlannedSentence(case.words.word("finding", key), {}, (f"negative:{name}",))


def _described(case: Case, name: str) -> tuple[PlannedSentence, ...]:
    here = [one for one in case.lesions if one.section == name]
    sarcoid = _sarcoid_pair(case, here)
    sentences: list[PlannedSentence] = []
    for members in groups(here):
        sentences += _group(case, members)
    if sarcoid:
        ids = joined_ids(sarcoid)
        sentences.append(
            PlannedSentence(case.words.word("finding", "sarcoid"), {IDS: ids}, tuple(one.id for one in sarcoid))
        )
    if name == "psma_negative" and here:
        cites = tuple(one.id for one in here)
        sentences.append(PlannedSentence(case.words.word("finding", "rlt_caution"), {IDS: joined_ids(here)}, cites))
    return tuple(sentences)


def _group(case: Case, members: tuple[LesionFacts, ...]) -> list[PlannedSentence]:
    sentences = [_lead(case, members)] if len(members) > 1 else []
    worded = members
    if len(members) > LONGEST_GROUP:
        worded = (max(members, key=lambda one: one.lesion.suvmax or 0.0),)
    for one in worded:
        sentences += [_worded(case, one), _detail(case, one)]
    rest = [one for one in members if one not in worded]
    if rest:
        sentences.append(_listed(case, rest))
    return sentences


def _lead(case: Case, members: tuple[LesionFacts, ...]) -> PlannedSentence:
    values: dict[str, str | None] = {
        "count": case.words.count(len(members)),
        "sites": case.sites(members),
        IDS: joined_ids(members),
    }
    key = {"counted": "lead_counted", "benign": "lead_benign"}.get(_weight(members[0]), "lead_plain")
    if key == "lead_counted":
        values["range"] = _range(case, members)
    return PlannedSentence(case.words.word("finding", key), values, tuple(one.id for one in members))


def _range(case: Case, members: tuple[LesionFacts, ...]) -> str:
    known = [one.lesion.suvmax for one in members if one.lesion.suvmax is not None]
    if len(known) < len(members):
        return case.words.gap("suvmax")
    low, high = (str(number(value, case.language, decimals=1)) for value in (min(known), max(known)))
    template = case.words.word("finding", "one_value" if low == high else "range")
    return template.replace("{low}", low).replace("{high}", high)


def _worded(case: Case, one: LesionFacts) -> PlannedSentence:
    values = _values(case, one)
    codes = {name: one.code(name) for name in ("kind", "uptake", "ct", "change", "class")}
    fallback = compose(case.phrasing, codes, tuple(values), First())
    request = SentenceRequest(
        codes=tuple(sorted(f"{name}:{value}" for name, value in codes.items())),
        placeholders=tuple(values),
        fallback=fallback,
        language=case.language,
    )
    return PlannedSentence(with_ids(fallback), {**values, IDS: one.id}, (one.id,), request)


def _values(case: Case, one: LesionFacts) -> dict[str, str]:
    """Return the placeholders of a worded sentence in their order; what is not known has none."""
    language = case.language
    suvmax = number(one.lesion.suvmax, language, decimals=1)
    prior = number(one.prior_suvmax, language, decimals=1)
    size = measured(one.lesion.size_mm, case.words.word("unit", "mm"), language, decimals=0)
    given = {
        "site": case.site(one),
        "size": size,
        "suvmax": suvmax and f"SUVmax {suvmax}",
        "prior_suvmax": suvmax and prior and f"SUVmax {prior}",
        "category": one.rads and f"PSMA-RADS {one.rads}",
    }
    return {name: value for name, value in given.items() if value is not None}


def _detail(case: Case, one: LesionFacts) -> PlannedSentence:
    words = case.words
    values = {
        "ct_correlate": ct_words(case, one),
        "score": score_words(case, one),
        "volume": measured(one.lesion.volume_ml, words.word("unit", "ml"), case.language, decimals=1),
        IDS: one.id,
    }
    missing = [name for name, given in (("suvmax", one.lesion.suvmax), ("size", one.lesion.size_mm)) if given is None]
    if missing:
        values["gaps"] = ", ".join(words.gap(name) for name in missing)
    return PlannedSentence(words.word("finding", "detail_gaps" if missing else "detail"), values, (one.id,))


def _listed(case: Case, rest: Sequence[LesionFacts]) -> PlannedSentence:
    items = []
    for one in rest:
        suvmax = number(one.lesion.suvmax, case.language, decimals=1)
        items.append(f"SUVmax {suvmax or case.words.gap('suvmax')}, PSMA-RADS {one.rads} [{one.id}]")
    values = {"sites": case.sites(rest), "list": "; ".join(items)}
    return PlannedSentence(case.words.word("finding", "more"), values, tuple(one.id for one in rest))


def _sarcoid_pair(case: Case, here: Sequence[LesionFacts]) -> tuple[LesionFacts, ...]:
    """Return calcified hilar nodes of both sides, read as benign, in a man with known sarcoidosis."""
    history = " ".join(case.exam.clinical.prior_therapy or [])
    found = tuple(
        one
        for one in here
        if one.lesion.region == _SARCOID_REGION and one.rads in ("1", "2") and _SARCOID_SIGN in one.ct.terms
    )
    on_both_sides = {"L", "R"} <= {one.lesion.side for one in found}
    return found if on_both_sides and re.search(_SARCOID_HISTORY, history, re.IGNORECASE) else ()
