"""Why a lesion is indeterminate: the closed list of elements, filled with facts, in English or German."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fedpsma.domain.assessment import ElementName, Indeterminate, PsmaRads
from fedpsma.domain.exam import Exam
from fedpsma.domain.region import Region
from fedpsma.staging.changes import Comparison
from fedpsma.staging.expression import References, Score
from fedpsma.staging.facts import LesionFacts
from fedpsma.staging.mitnm import Stage, Unit, stage_units, unit_of
from fedpsma.staging.options import StagingOptions
from fedpsma.staging.prior import Link, PriorExam
from fedpsma.staging.psma_rads import INDETERMINATE
from fedpsma.staging.rulebook import Noted, read_data, traced
from fedpsma.text.clinical_context import ClinicalContext

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}|\d{1,2}\.\d{1,2}\.\d{2,4}|\d{4}(?:-\d{2})?|\d{1,2}/\d{4}")


@dataclass(frozen=True)
class Findings:
    """Everything the rationale of one exam draws on."""

    exam: Exam
    facts: tuple[LesionFacts, ...]
    categories: dict[str, PsmaRads | None]
    scores: dict[str, Score]
    references: References
    counted: tuple[LesionFacts, ...]
    stage: Stage
    context: ClinicalContext
    options: StagingOptions
    prior: PriorExam | None = None
    links: dict[str, Link] | None = None
    comparison: Comparison | None = None

    def kind(self, one: LesionFacts) -> str:
        """Return the kind of lesion for counting "one of n"."""
        if one.region.is_bone:
            return "bone_lesion"
        if one.region.is_node:
            return "node"
        return "local_lesion" if one.region.facts.mitnm_axis == "T" else "organ_lesion"

    @cached_property
    def kinds(self) -> Counter[str]:
        """Number of lesions of each kind that are not benign."""
        return Counter(self.kind(one) for one in self.facts if self.categories[one.lesion_id] != "1")

    @cached_property
    def counted_kinds(self) -> Counter[str]:
        """Number of counted lesions of each kind."""
        return Counter(self.kind(one) for one in self.counted)

    @cached_property
    def regions(self) -> Counter[Region]:
        """Number of lesions in each region that are not benign."""
        return Counter(one.region for one in self.facts if self.categories[one.lesion_id] != "1")

    @cached_property
    def units(self) -> Counter[Unit]:
        """The counted lesions as the stage sees them."""
        return Counter(unit_of(one) for one in self.counted)

    @cached_property
    def impacts(self) -> dict[Unit, list[str]]:
        """What :func:`stage_if_counted` has found so far: lesions of one unit have the same impact."""
        return {}


def explain(findings: Findings) -> Noted[list[Indeterminate]]:
    """Give the rationale of every lesion of PSMA-RADS 3 that no biopsy has settled."""
    explained = []
    trace = []
    for one in findings.facts:
        category = findings.categories[one.lesion_id]
        if category not in INDETERMINATE or one.biopsy == "prostate_cancer":
            continue
        words = _Words(findings.exam.language)
        primary, alternative = follow_up(category, one)
        elements = _elements(findings, one, category, words)
        recommended = words.say("recommend", primary=_option(primary, words), alternative=_option(alternative, words))
        elements["recommendation"] = recommended
        explained.append(
            Indeterminate(
                lesion=one.lesion_id, psma_rads=category, elements=elements, follow_up=_option(primary, _Words("en"))
            )
        )
        sources = {name: row["source"] for name in _EVIDENCE if (row := _evidence(name, findings, one, category))}
        trace.append(traced("rationale", {"lesion": one.lesion_id, "evidence": sources}, primary))
    return Noted(explained, tuple(trace))


def follow_up(category: PsmaRads, one: LesionFacts) -> tuple[str, str]:
    """Choose the suggested option of the closed vocabulary and one alternative, by name."""
    fitting = (
        row
        for row in read_data("follow_up.json")["choices"]
        if row["category"] == category and (not row["regions"] or one.region.value in row["regions"])
    )
    row = next(fitting)
    return row["primary"], row["alternative"]


def stage_if_counted(findings: Findings, one: LesionFacts) -> list[str]:
    """Return the parts of the stage that would differ if this lesion counted; empty where none would."""
    unit = unit_of(one)
    if unit not in findings.impacts:
        status = findings.exam.clinical.prostate_status
        would_be = stage_units(findings.units + Counter([unit]), status, findings.options)
        findings.impacts[unit] = [part for part in would_be.parts if part not in findings.stage.parts]
    return findings.impacts[unit]


class _Words:
    """The phrases of one language, with its decimal sign."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._phrases: dict[str, str] = read_data("phrases.json")[language]

    def say(self, phrase: str, /, **values: Any) -> str:
        return self._phrases[phrase].format(**values)

    def number(self, value: float) -> str:
        """Return a number of the table as it stands there, with one decimal at least."""
        text = f"{value:.1f}" if value == round(value, 1) else f"{value:g}"
        return text.replace(".", ",") if self.language == "de" else text

    def name(self, name: str) -> str:
        known: dict[str, str] = read_data("phrases.json")["names"][self.language]
        return known.get(name, name)

    def names(self, names: Sequence[str]) -> str:
        return ", ".join(self.name(name) for name in names)


def _elements(findings: Findings, one: LesionFacts, category: PsmaRads, words: _Words) -> dict[ElementName, str]:
    elements: dict[ElementName, str] = {
        "uptake_level": _uptake(findings, one, words),
        "ct_correlate": _ct(one, words),
    }
    for name in _EVIDENCE:
        row = _evidence(name, findings, one, category)
        if row:
            elements[name] = row[words.language]
    elements["multiplicity"] = _multiplicity(findings, one, words)
    elements["clinical_context"] = _clinical(findings, words)
    elements["comparison"] = _comparison(findings, one, words)
    elements["impact"] = _impact(findings, one, words)
    return elements


def _uptake(findings: Findings, one: LesionFacts, words: _Words) -> str:
    suvmax, score = one.lesion.suvmax, findings.scores[one.lesion_id]
    if suvmax is None:
        return words.say("uptake_missing")
    relation = _relation(suvmax, findings.references, words)
    if score.value is None:
        return words.say("uptake_open", suvmax=words.number(suvmax), relation=relation, low=score.low, high=score.high)
    return words.say("uptake", suvmax=words.number(suvmax), relation=relation, score=score.value)


def _relation(suvmax: float, references: References, words: _Words) -> str:
    named = (
        ("blood_pool", references.blood_pool),
        (references.organ_name, references.organ),
        ("parotid", references.parotid),
    )
    exceeded = [(name, value) for name, value in named if value is not None and suvmax > value]
    others = [(name, value) for name, value in named if value is None or suvmax <= value]
    said = [words.say("above", name=words.say(name), value=words.number(value)) for name, value in exceeded[-1:]]
    for name, value in others[:1]:
        if value is None:
            said.append(words.say("not_measured", name=words.say(name)))
        else:
            phrase = "equal" if suvmax == value else "not_above"
            said.append(words.say(phrase, name=words.say(name), value=words.number(value)))
    return words.say("and").join(said)


def _ct(one: LesionFacts, words: _Words) -> str:
    if one.ct.ct_class is None:
        text = words.say("ct_unknown")
    elif one.ct.ct_class == "none":
        text = words.say("ct_none")
    else:
        text = words.say(f"ct_{one.ct.ct_class}")
        if one.ct.words:
            text = words.say("words", text=text, words=", ".join(one.ct.words))
    size = one.lesion.size_mm if one.lesion.size_mm is not None else one.ct.short_axis_mm
    if size is None:
        return text
    return words.say("node_size" if one.region.is_node else "size", text=text, size=f"{size:g}")


def _multiplicity(findings: Findings, one: LesionFacts, words: _Words) -> str:
    kind = findings.kind(one)
    number = findings.kinds[kind]
    if number == 1:
        text = words.say("solitary_bone" if kind == "bone_lesion" else "solitary", kind=words.say(kind))
    else:
        plural = words.say("nodes" if kind == "node" else f"{kind}s")
        text = words.say("one_of", number=number, kind=plural)
        counted = findings.counted_kinds[kind]
        text = words.say("counted_of_them", text=text, number=counted) if counted else text
    disease = _disease(findings)
    return words.say("definite", text=text, stage=disease) if disease else words.say("no_definite", text=text)


def _disease(findings: Findings) -> str:
    return " ".join(part for part in findings.stage.parts if part not in ("miT0", "N0", "M0"))


def _clinical(findings: Findings, words: _Words) -> str:
    clinical, context = findings.exam.clinical, findings.context
    psa = clinical.psa_ng_ml
    said = words.say("no_psa") if psa is None else words.say("psa", value=words.number(psa))
    if context.isup is not None:
        said += " / " + words.say("isup", value=context.isup)
    distant = " ".join(part for part in findings.stage.parts[1:] if part not in ("N0", "M0"))
    items = [said, words.say("other_metastases", stage=distant) if distant else words.say("no_other_metastasis")]
    if context.kinds():
        items.append(words.say("therapies", names=words.names(sorted(context.kinds()))))
    conditions = list(dict.fromkeys(condition.name for condition in context.conditions))
    if conditions:
        items.append(words.say("known", names=words.names(conditions)))
    return ", ".join(items)


def _comparison(findings: Findings, one: LesionFacts, words: _Words) -> str:
    prior, comparison, links = findings.prior, findings.comparison, findings.links
    if prior is None or comparison is None or links is None:
        return words.say("no_prior")
    date = prior.prior.date or ""
    known_date = date if _DATE.fullmatch(date.strip()) else ""
    study = f"{words.say('psma_pet' if prior.is_psma_pet else 'study')} {known_date}".strip()
    label = words.name(comparison.labels[one.lesion_id])
    link = links[one.lesion_id]
    before = link.foci[0].suvmax if link.status == "matched" else None
    if one.lesion_id not in comparison.percent or before is None or one.lesion.suvmax is None:
        return words.say("prior", study=study, label=label)
    values = {"before": words.number(before), "now": words.number(one.lesion.suvmax)}
    return words.say("prior_values", study=study, label=label, **values)


def _impact(findings: Findings, one: LesionFacts, words: _Words) -> str:
    nature = words.say("malignant" if findings.kind(one) == "local_lesion" else "metastatic")
    changed = stage_if_counted(findings, one)
    if not changed:
        return words.say("impact_none", stage=findings.stage.text, nature=nature)
    return words.say("impact", stage=" ".join(changed).removeprefix("mi"), nature=nature)


def _option(name: str, words: _Words) -> str:
    text: str = read_data("follow_up.json")["vocabulary"][name][words.language]
    return text


_EVIDENCE: tuple[ElementName, ...] = ("site_prior", "tracer_effect", "alternative_diagnosis")


def _evidence(name: str, findings: Findings, one: LesionFacts, category: PsmaRads) -> dict[str, str] | None:
    """Return the first row of the evidence table whose conditions hold; "" as prefix holds for every region."""
    rows: list[dict[str, Any]] = read_data("evidence.json")[name]
    solitary = findings.regions[one.region] == 1
    for row in rows:
        conditions = (
            "regions" not in row or one.region.value in row["regions"],
            one.region.value.startswith(row.get("prefix", "")),
            "site" not in row or one.region.facts.site == row["site"],
            "categories" not in row or category in row["categories"],
            "tracer" not in row or findings.exam.tracer == row["tracer"],
            "ct_class" not in row or one.ct.ct_class == row["ct_class"],
            "solitary" not in row or row["solitary"] is solitary,
        )
        if all(conditions):
            return row
    return None
