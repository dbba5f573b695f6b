"""Reports as another system could write them: own wording, no lesion ids, sections of their own.

There are two disjoint sets of phrasings. ``tuned`` was at hand while the verifier was made; ``held_out`` was written
apart from its lexicon and is only measured.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from fedpsma.domain.assessment import Assessment
from fedpsma.domain.exam import Exam, Lesion
from fedpsma.domain.region import Region

SITES = {
    Region.PROSTATE: ("prostate", "Prostata"),
    Region.LN_EXTERNAL_ILIAC: ("external iliac node", "Lymphknoten iliakal extern"),
    Region.LN_INTERNAL_ILIAC: ("internal iliac node", "Lymphknoten iliakal intern"),
    Region.LN_OBTURATOR: ("obturator node", "Lymphknoten obturatorisch"),
    Region.LN_COMMON_ILIAC: ("common iliac node", "Lymphknoten iliakal communis"),
    Region.LN_RETROPERITONEAL: ("retroperitoneal node", "Lymphknoten retroperitoneal"),
    Region.LN_PRESACRAL: ("presacral node", "Lymphknoten präsakral"),
    Region.LN_SUPRACLAVICULAR: ("supraclavicular node", "Lymphknoten supraklavikulär"),
    Region.BONE_RIB: ("rib", "Rippe"),
    Region.BONE_LSPINE: ("lumbar spine", "Lendenwirbelsäule"),
    Region.BONE_TSPINE: ("thoracic spine", "Brustwirbelsäule"),
    Region.BONE_PELVIS: ("ilium", "Os ilium"),
    Region.BONE_FEMUR: ("femur", "Femur"),
    Region.BONE_SCAPULA: ("scapula", "Skapula"),
    Region.BONE_STERNUM: ("sternum", "Sternum"),
    Region.LIVER: ("liver", "Leber"),
    Region.LUNG: ("lung", "Lunge"),
    Region.ADRENAL: ("adrenal gland", "Nebenniere"),
    Region.BONE_SKULL: ("skull", "Schädel"),
    Region.BRAIN: ("brain", "Gehirn"),
    Region.BONE_HUMERUS: ("humerus", "Humerus"),
    Region.LN_INGUINAL: ("inguinal node", "Lymphknoten inguinal"),
    Region.LN_AXILLARY: ("axillary node", "Lymphknoten axillär"),
}
_SIDES = {"L": ("left", "links"), "R": ("right", "rechts")}
_ABSENT = {
    ("en", "bone"): "bone", ("en", "nodes"): "lymph node", ("de", "bone"): "Knochen", ("de", "nodes"): "Lymphknoten",
}  # fmt: skip


@dataclass(frozen=True)
class Phrasing:
    """One author's way: how a finding, a change, a class and the impression are said."""

    finding: Sequence[str]
    changes: dict[str, Sequence[str]]
    classes: dict[str, Sequence[str]]
    no_bone: str
    no_nodes: str
    all_clear: Sequence[str]
    summary: Sequence[str]
    stage: str


PHRASINGS = {
    ("tuned", "en"): Phrasing(
        finding=(
            "Focal PSMA uptake in the {side} {site}, SUVmax {suvmax}, {size}{change}, {verdict} (PSMA-RADS {rads}).",
            "{Side} {site} with SUVmax {suvmax} and {size}{change}, {verdict}, PSMA-RADS {rads}.",
        ),
        changes={
            "new": ("new since the prior study", "not seen before"),
            "increased": ("increased since the prior study", "progressive compared with the previous scan"),
            "decreased": ("decreased since the prior study", "regressive compared with the previous scan"),
            "stable": ("unchanged since the prior study", "without significant change"),
        },
        classes={
            "5": ("consistent with metastasis",),
            "4": ("suspicious for metastasis",),
            "3": ("indeterminate", "equivocal"),
            "2": ("likely benign",),
            "1": ("benign",),
        },
        no_bone="No bone metastases.",
        no_nodes="No suspicious lymph nodes.",
        all_clear=("No evidence of metastatic disease.", "No sign of tumour."),
        summary=("PSMA-positive lesion in the {side} {site}.",),
        stage="Stage: {stage}.",
    ),
    ("tuned", "de"): Phrasing(
        finding=(
            "Fokale PSMA-Anreicherung {site} {side}, SUVmax {suvmax}, {size}{change}, {verdict} (PSMA-RADS {rads}).",
            "{Site} {side} mit SUVmax {suvmax}, {size}{change}, {verdict}, PSMA-RADS {rads}.",
        ),
        changes={
            "new": ("neu seit der Voruntersuchung", "zuvor nicht nachweisbar"),
            "increased": ("zunehmend seit der Voruntersuchung", "progredient im Vergleich zur Voruntersuchung"),
            "decreased": ("abnehmend seit der Voruntersuchung", "regredient im Vergleich zur Voruntersuchung"),
            "stable": ("unverändert zur Voruntersuchung", "ohne relevante Änderung"),
        },
        classes={
            "5": ("vereinbar mit Metastase",),
            "4": ("metastasenverdächtig",),
            "3": ("unklar",),
            "2": ("wahrscheinlich benigne",),
            "1": ("benigne",),
        },
        no_bone="Keine Knochenmetastasen.",
        no_nodes="Keine suspekten Lymphknoten.",
        all_clear=("Kein Anhalt für Metastasen.", "Kein Nachweis von Tumorgewebe."),
        summary=("PSMA-positive Läsion {site} {side}.",),
        stage="Stadium: {stage}.",
    ),
    ("held_out", "en"): Phrasing(
        finding=(
            "There is a tracer-avid lesion of the {side} {site} measuring {size} with a maximum SUV of {suvmax}"
            "{change}. It is rated PSMA-RADS {rads}, {verdict}.",
            "Radiotracer accumulates in the {side} {site} (SUVmax = {suvmax}, {size}){change}: {verdict}, RADS {rads}.",
        ),
        changes={
            "new": ("which has appeared since the last examination", "first visible today"),
            "increased": ("which has grown in the interval", "clearly more intense than on the last PET"),
            "decreased": ("which has shrunk in the interval", "clearly less intense than on the last PET"),
            "stable": ("which looks the same as before", "constant over time"),
        },
        classes={
            "5": ("in keeping with a metastatic deposit",),
            "4": ("concerning for metastatic disease",),
            "3": ("of uncertain significance",),
            "2": ("presumably non-malignant",),
            "1": ("a harmless finding",),
        },
        no_bone="The skeleton is free of metastases.",
        no_nodes="Lymph nodes are unremarkable.",
        all_clear=("The scan is clean.", "Complete absence of malignant disease."),
        summary=("Malignancy-type uptake at the {side} {site}.",),
        stage="PROMISE: {stage}.",
    ),
    ("held_out", "de"): Phrasing(
        finding=(
            "Es findet sich eine PSMA-speichernde Läsion {site} {side}, {size} messend, maximaler SUV {suvmax}"
            "{change}. Dies entspricht PSMA-RADS {rads}, {verdict}.",
            "{Site} {side} ({size}) speichert Tracer mit SUVmax = {suvmax}{change}: {verdict}, RADS {rads}.",
        ),
        changes={
            "new": ("erstmals abgrenzbar", "in der letzten Untersuchung noch nicht vorhanden"),
            "increased": ("im Verlauf gewachsen", "deutlich stärker als in der letzten PET"),
            "decreased": ("im Verlauf kleiner geworden", "deutlich schwächer als in der letzten PET"),
            "stable": ("im Verlauf konstant", "gleich geblieben"),
        },
        classes={
            "5": ("einer Filia entsprechend",),
            "4": ("dringend verdächtig auf eine Metastase",),
            "3": ("von fraglicher Bedeutung",),
            "2": ("am ehesten gutartig",),
            "1": ("harmlos",),
        },
        no_bone="Das Skelett ist frei von Metastasen.",
        no_nodes="Lymphknoten unauffällig.",
        all_clear=("Unauffällige Untersuchung.", "Malignes Gewebe ist nirgends zu sehen."),
        summary=("Tumortypische Speicherung {site} {side}.",),
        stage="PROMISE: {stage}.",
    ),
}


@dataclass(frozen=True)
class Told:
    """What the report tells of one lesion; an error changes one of these."""

    region: Region
    side: str | None
    suvmax: str
    size: str
    change: str | None
    rads: str


def told(lesion: Lesion, assessment: Assessment) -> Told:
    """Return what a right report tells of a lesion."""
    change = assessment.prior_change.get(lesion.lesion_id, "not_applicable")
    return Told(
        lesion.region,
        lesion.side,
        str(lesion.suvmax),
        f"{lesion.size_mm:g} mm",
        change if change in ("new", "increased", "decreased", "stable") else None,
        str(assessment.psma_rads[lesion.lesion_id]),
    )


def finding(one: Told, phrasing: Phrasing, language: str, rng: random.Random) -> str:
    """Word one finding."""
    change = f", {rng.choice(phrasing.changes[one.change])}" if one.change else ""
    verdict = rng.choice(phrasing.classes[one.rads[0]])
    suvmax = one.suvmax.replace(".", ",") if language == "de" else one.suvmax
    return _filled(
        rng.choice(phrasing.finding),
        one,
        language,
        suvmax=suvmax,
        size=one.size,
        change=change,
        verdict=verdict,
        rads=one.rads,
    )


def summary(one: Told, phrasing: Phrasing, language: str, rng: random.Random) -> str:
    """Word one line of the impression."""
    return _filled(rng.choice(phrasing.summary), one, language)


def _filled(template: str, one: Told, language: str, **values: str) -> str:
    german = language == "de"
    site = SITES[one.region][german]
    side = _SIDES[one.side][german] if one.side in _SIDES else ""
    text = template.format(side=side, Side=side.capitalize(), site=site, Site=site[:1].upper() + site[1:], **values)
    text = " ".join(text.split()).replace(" ,", ",")
    return text[:1].upper() + text[1:]


def foreign_report(
    rows: Sequence[Told], exam: Exam, assessment: Assessment, name: str, rng: random.Random
) -> list[str]:
    """Word a whole report: findings by lesion, what is free, the impression with the stage."""
    language = exam.language
    phrasing = PHRASINGS[name, language]
    regions = {lesion.region for lesion in exam.lesions}
    lines = [("Findings:", "Befund:")[language == "de"]]
    lines += [finding(one, phrasing, language, rng) for one in rows]
    if not any(region.is_bone for region in regions):
        lines.append(phrasing.no_bone)
    if not any(region.is_node for region in regions):
        lines.append(phrasing.no_nodes)
    lines += ["", ("Impression:", "Beurteilung:")[language == "de"]]
    lines += [summary(one, phrasing, language, rng) for one in rows if one.rads[0] in "45"]
    if assessment.mitnm_string:
        lines.append(phrasing.stage.format(stage=assessment.mitnm_string))
    return lines
