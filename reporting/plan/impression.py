"""The impression: the question of the indication first, then stage, extent, change, and what stays open."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from fedpsma.domain.assessment import MiTnm
from reporting.data_files import read_data
from reporting.plan.case import Case, LesionFacts
from reporting.plan.findings import groups, joined_ids, not_covered
from reporting.plan.indeterminate import suggestion
from reporting.plan.model import IDS, PlannedSection, PlannedSentence
from reporting.plan.quantities import response_sentences

_NODES = {"N0": "nodes_N0", "N1": "nodes_N1", "N1a": "nodes_N1", "N2": "nodes_N2", "N1b": "nodes_N2"}


def impression_section(case: Case) -> PlannedSection:
    """Plan the impression."""
    mitnm = case.assessment.mitnm
    if mitnm is None:
        open_ones = (*_open_questions(case), *not_covered(case, case.not_covered))
        return PlannedSection("impression", (*_not_applicable(case), *open_ones))
    return PlannedSection(
        "impression",
        (
            *response_sentences(case),
            _answer(case, mitnm),
            *_stage(case),
            *_extent(case),
            *_changes(case),
            *_open_questions(case),
            *not_covered(case, case.not_covered),
        ),
    )


def question(indication: str | None) -> str:
    """Return which question an indication asks, "other" where it is not known.

    Example:
        >>> question("response after 2 cycles of 177Lu-PSMA (week 12)"), question(None)
        ('response', 'other')
    """
    for row in read_data("indications.json")["indications"]:
        if indication and re.search(row["pattern"], indication, re.IGNORECASE):
            return str(row["kind"])
    return "other"


def _say(case: Case, key: str, values: Mapping[str, str | None], *cites: str) -> PlannedSentence:
    return PlannedSentence(case.words.word("answer", key), values, cites)


def _answer(case: Case, mitnm: MiTnm) -> PlannedSentence:
    words = case.words
    local = {"T0": "local_T0", "Tr": "local_Tr"}.get(mitnm.T, "local_tumour")
    distant = words.word("answer", "distant_M0")
    if mitnm.M != ["M0"]:
        parts = ", ".join(words.word("answer", category) for category in mitnm.M)
        distant = words.word("answer", "distant_some").replace("{list}", parts)
    values = {
        "local": words.word("answer", local),
        "nodes": words.word("answer", _NODES[mitnm.N]),
        "distant": distant,
    }
    return _say(case, question(case.exam.indication), values, "assessment.mitnm")


def _stage(case: Case) -> list[PlannedSentence]:
    found, words = case.assessment, case.words
    sentences = [_say(case, "stage", {"stage": found.mitnm_string}, "assessment.mitnm_string")]
    if found.primary_score == "reader_confirm":
        sentences.append(_say(case, "primary_confirm", {}, "assessment.primary_score"))
    elif found.primary_score is not None:
        sentences.append(_say(case, "primary", {"primary": str(found.primary_score)}, "assessment.primary_score"))
    if found.expression_highest is None or found.expression_lowest is None or found.expression_reference is None:
        if case.counted:
            sentences.append(_say(case, "expression_none", {}, "assessment.expression"))
    else:
        values: dict[str, str | None] = {
            "highest": str(found.expression_highest),
            "lowest": str(found.expression_lowest),
            "reference": words.word("context", found.expression_reference),
        }
        sentences.append(_say(case, "expression", values, "assessment.expression"))
    if found.psma_rads_overall is not None:
        sentences.append(_say(case, "rads", {"rads": found.psma_rads_overall}, "assessment.psma_rads_overall"))
    return sentences


def _extent(case: Case) -> list[PlannedSentence]:
    lists: dict[str, list[tuple[LesionFacts, ...]]] = {"local_list": [], "metastases_list": [], "suspicious_list": []}
    for members in groups(case.counted):
        if members[0].lesion.region.facts.mitnm_axis == "T":
            lists["local_list"].append(members)
        else:
            definite = all(one.rads == "5" for one in members)
            lists["metastases_list" if definite else "suspicious_list"].append(members)
    return [_listed(case, key, found) for key, found in lists.items() if found]


def _listed(case: Case, key: str, found: Sequence[tuple[LesionFacts, ...]]) -> PlannedSentence:
    text = "; ".join(f"{_name(case, members)} [{joined_ids(members)}]" for members in found)
    return _say(case, key, {"list": text}, *(one.id for members in found for one in members))


def _name(case: Case, members: tuple[LesionFacts, ...]) -> str:
    if len(members) == 1:
        return case.site(members[0])
    return f"{case.words.count(len(members))} {case.sites(members)}"


def _changes(case: Case) -> list[PlannedSentence]:
    by_label: dict[str, list[LesionFacts]] = {}
    for one in case.lesions:
        if case.words.has("change_label", one.code("change")) and (one.counted or one.indeterminate):
            by_label.setdefault(one.code("change"), []).append(one)
    if not by_label:
        return []
    parts = []
    for label, lesions in by_label.items():
        for members in groups(lesions):
            word = case.words.word("change_label", label)
            parts.append(f"{word}: {_name(case, members)} [{joined_ids(members)}]")
    cites = [one.id for lesions in by_label.values() for one in lesions]
    return [_say(case, "change_list", {"list": "; ".join(parts)}, *cites)]


def _open_questions(case: Case) -> list[PlannedSentence]:
    sentences = []
    for item in case.assessment.indeterminate:
        one = case.facts(item.lesion)
        values = {"site": case.site(one), "suggestion": suggestion(item), IDS: one.id}
        sentences.append(_say(case, "indeterminate", values, one.id))
    return sentences


def _not_applicable(case: Case) -> list[PlannedSentence]:
    known = case.exam.tracer is not None
    key = "not_applicable" if known else "not_applicable_unknown"
    sentences = [_say(case, key, {"tracer": case.exam.tracer}, "tracer")]
    if not case.lesions:
        return [*sentences, _say(case, "described_none", {}, "lesions")]
    found = groups(case.lesions)
    return [*sentences, _listed(case, "described", found)]
