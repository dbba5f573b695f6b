"""Prior reports with a known truth: clean or messy, in two disjoint sets of phrasings, English, German or mixed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from fedpsma.domain.region import Region

Row = tuple[Region, str | None, float, float]
_NAMES: dict[str, dict[str, dict[Region, Sequence[str]]]] = {
    "tuned": {
        "en": {
            Region.LN_EXTERNAL_ILIAC: ("external iliac node", "ext. iliac LN", "EIA node"),
            Region.LN_INTERNAL_ILIAC: ("internal iliac node", "int. iliac LN"),
            Region.LN_OBTURATOR: ("obturator node", "obturator LN"),
            Region.LN_RETROPERITONEAL: ("para-aortic node", "retroperitoneal node"),
            Region.BONE_RIB: ("rib focus", "rib lesion"),
            Region.BONE_PELVIS: ("ilium focus", "acetabulum lesion"),
            Region.BONE_FEMUR: ("femur lesion",),
            Region.BONE_LSPINE: ("L4 focus", "L2 lesion"),
            Region.BONE_STERNUM: ("sternal focus",),
            Region.LIVER: ("liver lesion",),
        },
        "de": {
            Region.LN_EXTERNAL_ILIAC: ("LK iliakal ext.", "Lymphknoten iliakal extern"),
            Region.LN_INTERNAL_ILIAC: ("LK iliakal intern",),
            Region.LN_OBTURATOR: ("LK obturatorisch",),
            Region.LN_RETROPERITONEAL: ("LK paraaortal", "retroperitonealer LK"),
            Region.BONE_RIB: ("Herd Rippe",),
            Region.BONE_PELVIS: ("Herd Os ilium", "Azetabulum"),
            Region.BONE_FEMUR: ("Herd Femur",),
            Region.BONE_LSPINE: ("LWK 4", "LWK 2"),
            Region.BONE_STERNUM: ("Herd Sternum",),
            Region.LIVER: ("Leberherd",),
        },
    },
    "held_out": {
        "en": {
            Region.LN_EXTERNAL_ILIAC: ("lymph node along the external iliac artery", "external iliac adenopathy"),
            Region.LN_INTERNAL_ILIAC: ("lymph node along the internal iliac vessels", "hypogastric node"),
            Region.LN_OBTURATOR: ("lymph node in the obturator fossa",),
            Region.LN_RETROPERITONEAL: ("interaortocaval lymph node", "retrocaval adenopathy"),
            Region.BONE_RIB: ("7th rib", "metastasis of the 9th rib"),
            Region.BONE_PELVIS: ("iliac crest metastasis", "ischial metastasis"),
            Region.BONE_FEMUR: ("proximal femur", "femoral neck metastasis"),
            Region.BONE_LSPINE: ("L3 vertebral body", "fifth lumbar vertebra"),
            Region.BONE_STERNUM: ("manubrium metastasis",),
            Region.LIVER: ("hepatic metastasis",),
        },
        "de": {
            Region.LN_EXTERNAL_ILIAC: ("Lymphknotenmetastase an der A. iliaca externa",),
            Region.LN_INTERNAL_ILIAC: ("Lymphknotenmetastase an der A. iliaca interna",),
            Region.LN_OBTURATOR: ("Lymphknoten in der Fossa obturatoria",),
            Region.LN_RETROPERITONEAL: ("interaortokavaler Lymphknoten",),
            Region.BONE_RIB: ("7. Rippe", "Metastase der 9. Rippe"),
            Region.BONE_PELVIS: ("Beckenkamm", "Metastase im Sitzbein"),
            Region.BONE_FEMUR: ("proximaler Femur", "Schenkelhals"),
            Region.BONE_LSPINE: ("3. Lendenwirbelkörper", "Lendenwirbelkörper 5"),
            Region.BONE_STERNUM: ("Manubrium sterni",),
            Region.LIVER: ("Lebermetastase",),
        },
    },
}
_SENTENCES: dict[str, dict[str, Sequence[str]]] = {
    "tuned": {
        "en": (
            "{Side} {site}, SUVmax {suv}, {size} mm.",
            "{Side} {site} {size} mm, SUVmax {suv}.",
            "{site} {side} SUV {suv}, {size} mm.",
        ),
        "de": (
            "{site} {side}, SUVmax {suv}, {size} mm.",
            "{site} {side} {size} mm, SUVmax {suv}.",
            "{site} {side} SUV {suv} ({size} mm).",
        ),
    },
    "held_out": {
        "en": (
            "There is avid uptake in the {side} {site} measuring {size} mm with a SUVmax of {suv}.",
            "{Side}-sided {site} with intense PSMA expression (SUV max: {suv}; size {size} mm).",
            "- {site}, {side}: {size} mm; max. SUV {suv}",
        ),
        "de": (
            "Nachweis einer PSMA-Mehranreicherung {site} {side} mit einem SUVmax von {suv} bei {size} mm Größe.",
            "{site} {side} mit kräftiger Speicherung (SUV max. {suv}; Größe {size} mm).",
            "- {site} {side}: {size} mm; SUVmax={suv}",
        ),
    },
}
_FREE = {
    "tuned": {"en": ("Liver normal.", "No lung metastases."), "de": ("Leber unauffällig.", "Keine Lungenmetastasen.")},
    "held_out": {
        "en": ("The lungs are clear.", "No evidence of brain metastases."),
        "de": ("Lunge frei.", "Kein Anhalt für Hirnmetastasen."),
    },
}
_HEADS = {
    "tuned": {"en": "PSMA PET/CT of 12.03.2024, 68Ga-PSMA-11.", "de": "PSMA-PET/CT vom 12.03.2024, 68Ga-PSMA-11."},
    "held_out": {
        "en": "Examination: [68Ga]Ga-PSMA-11 PET/CT, performed on 12 March 2024.",
        "de": "Untersuchung: [68Ga]Ga-PSMA-11-PET/CT, durchgeführt am 12. März 2024.",
    },
}
_SIDE_WORDS = {"en": {"L": "left", "R": "right"}, "de": {"L": "links", "R": "rechts"}}
_SHORT_SIDES = {"en": {"left": "lt", "right": "rt"}, "de": {"links": "li.", "rechts": "re."}}


@dataclass(frozen=True)
class PriorText:
    """A report and its truth: region, side, SUVmax, size in mm of each lesion."""

    text: str
    rows: tuple[Row, ...]


def rows_of(rng: random.Random) -> tuple[Row, ...]:
    """Draw one to six lesions in different regions."""
    regions = rng.sample(list(_NAMES["tuned"]["en"]), rng.randint(1, 6))
    return tuple((one, _side(one, rng), round(rng.uniform(2.0, 40.0), 1), float(rng.randint(4, 40))) for one in regions)


def _side(region: Region, rng: random.Random) -> str | None:
    sides = region.facts.sides
    if sides == ("M",):
        return "M"
    return rng.choice("LR") if "L" in sides and region is not Region.LIVER else None


def prior_text(rows: Sequence[Row], name: str, rng: random.Random, *, messy: bool) -> PriorText:
    """Word a prior report in one set of phrasings; a messy one has noise of every kind that scans and haste make."""
    language = rng.choice(("en", "de"))
    lines = [_HEADS[name][language]]
    if messy and rng.random() < 0.25:
        lines += _table(rows, name, language, rng)
    else:
        for row in rows:
            used = rng.choice(("en", "de")) if messy and rng.random() < 0.2 else language
            lines.append(_sentence(row, name, used, rng, messy=messy))
    taken = {row[0] for row in rows}
    lines += [
        free for free in _FREE[name][language] if Region.LIVER not in taken or not free.startswith(("Liver", "Leber"))
    ]
    return PriorText("\n".join(lines) if messy or name == "held_out" else " ".join(lines), tuple(rows))


def _sentence(row: Row, name: str, language: str, rng: random.Random, *, messy: bool) -> str:
    region, side, suvmax, size = row
    suv = str(suvmax).replace(".", ",") if language == "de" else str(suvmax)
    word = _SIDE_WORDS[language].get(side or "", "")
    text = rng.choice(_SENTENCES[name][language]).format(
        site=rng.choice(_NAMES[name][language][region]), side=word, Side=word.capitalize(), suv=suv, size=f"{size:g}"
    )
    text = " ".join(text.split()).removeprefix("-sided ").replace(", :", ":").replace(" ,", ",").replace(" :", ":")
    return _noisy(text, language, rng) if messy else text


def _noisy(text: str, language: str, rng: random.Random) -> str:
    for full, short in _SHORT_SIDES[language].items():
        if rng.random() < 0.3:
            text = text.replace(f" {full}", f" {short}")
    if rng.random() < 0.5:
        text = _misspelt(text, rng)
    if rng.random() < 0.2:
        text = text.replace("SUVmax", rng.choice(("SUVrnax", "SUV max", "SUV-max", "SUVMAX", "suvmax")))
    if rng.random() < 0.1:
        text = text.replace("1", "l", 1) if " 1" in text and "," in text and "Rippe" not in text else text
    if rng.random() < 0.4 and len(text) > 50:
        at = text.find(" ", 40)
        text = text[:at] + "\n" + text[at + 1 :] if at > 0 else text
    return text


def _misspelt(text: str, rng: random.Random) -> str:
    """Put one slip of the finger into one long word."""
    words = text.split(" ")
    long = [at for at, word in enumerate(words) if len(word) >= 8 and word.isalpha() and "SUV" not in word.upper()]
    if not long:
        return text
    at = rng.choice(long)
    word, place = words[at], rng.randint(2, len(words[at]) - 3)
    kind = rng.randrange(3)
    if kind == 0:
        words[at] = word[:place] + word[place + 1] + word[place] + word[place + 2 :]
    elif kind == 1:
        words[at] = word[:place] + word[place + 1 :]
    else:
        words[at] = word[:place] + rng.choice("aeinrst") + word[place + 1 :]
    return " ".join(words)


def _table(rows: Sequence[Row], name: str, language: str, rng: random.Random) -> list[str]:
    bar = rng.choice((" | ", "\t", "; "))
    heads = {"en": ("Site", "Side", "SUVmax", "Size (mm)"), "de": ("Ort", "Seite", "SUVmax", "Größe (mm)")}[language]
    lines = [bar.join(heads)]
    for region, side, suvmax, size in rows:
        suv = str(suvmax).replace(".", ",") if language == "de" else str(suvmax)
        site = rng.choice(_NAMES[name][language][region])
        lines.append(bar.join((site, _SIDE_WORDS[language].get(side or "", "-"), suv, f"{size:g}")))
    return [*lines, ""]
