"""Every number of a sentence: what quantity it claims to be, of which lesion, and whether that is its value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from fedpsma.domain.exam import Lesion
from fedpsma.domain.region import Region
from reporting.verifier.problems import Problem
from reporting.verifier.reading import Segment, mask
from reporting.verifier.view import View

NUMBER = re.compile(r"(?<![A-Za-z0-9.,])[-+]?\d+(?:[.,]\d+)?")
_LESION_FIELDS = {"suvmean": "suvmean", "suvpeak": "suvpeak", "size": "size_mm", "volume": "volume_ml"}
_VOLUMES = ("psma_tv", "psma_volume")
_EXAM_FIELDS = {
    "psa": "clinical.psa_ng_ml",
    "age": "clinical.age",
    "activity": "technique.activity_mbq",
    "uptake_time": "technique.uptake_min",
    "weight": "technique.weight_kg",
    "blood_pool": "reference_suv.blood_pool",
    "liver": "reference_suv.liver",
    "spleen": "reference_suv.spleen",
    "parotid": "reference_suv.parotid",
}


@dataclass(frozen=True)
class Token:
    """A number of the text; ``quantity`` is what it claims to be, ``place`` its rank among those of its quantity.

    ``before`` tells that words beside it say it is of the prior.
    """

    text: str
    value: Decimal
    quantity: str | None
    place: int
    before: bool = False


def number_problems(text: str, segment: Segment, view: View) -> Iterator[Problem]:
    """Yield what is wrong with the numbers and counts of a segment; named numbers are already blanked in ``text``."""
    lesions = view.known(segment.ids)
    tokens = _tokens(text, {lesion.region for lesion in lesions}, view)
    suvmaxes = sum(token.quantity == "suvmax" for token in tokens)
    dated = any(token.before and token.quantity == "suvmax" for token in tokens)
    for token in tokens:
        in_time = replace(token, place=int(token.before)) if dated and token.quantity == "suvmax" else token
        allowed = _allowed(in_time, lesions, view, suvmaxes)
        if allowed is None:
            yield Problem("numbers", token.text, "is the value of nothing that the sentence names")
        elif token.value not in allowed:
            owner = ", ".join(segment.ids) or "the exam"
            values = " or ".join(str(value) for value in sorted(allowed)) or "not known"
            yield Problem("numbers", token.text, f"the {token.quantity} of {owner} is {values}")
    leftover = NUMBER.sub("", text)
    if any(character.isdigit() for character in leftover):
        yield Problem("numbers", leftover.strip(), "holds digits inside a word")


def _tokens(text: str, own: set[Region], view: View) -> list[Token]:
    """Read the numbers; in a sentence about a lesion of an organ the organ is a quantity only if compared with."""
    compared = [match.end() for match in view.lexicon.pattern("not_a_region").finditer(text)]
    labels = [(at, name) for at, name in _labels(text, view) if name.upper() not in own or at in compared]
    units = view.lexicon.words("units", "unit", "pattern")
    counted: dict[str | None, int] = {}
    tokens = []
    for start, end, found, value in sorted(_spans(text, view)):
        label = max(((at, name) for at, name in labels if at <= start), default=(0, None), key=lambda one: one[0])[1]
        unit = next((word.meaning for word in units if word.pattern.match(text, end)), None)
        quantity = _quantity(label, unit, is_word=not any(character.isdigit() for character in found))
        tokens.append(Token(found, value, quantity, counted.get(quantity, 0), _is_before(text, start, end, view)))
        counted[quantity] = counted.get(quantity, 0) + 1
    return tokens


def _is_before(text: str, start: int, end: int, view: View) -> bool:
    """Whether the word next to a number says that it was measured before."""
    said = view.lexicon.pattern("value_before", "left").search(text[:start])
    return said is not None or view.lexicon.pattern("value_before", "right").match(text[end:]) is not None


def _labels(text: str, view: View) -> list[tuple[int, str]]:
    """Return the names of quantities with their ends; a longer name hides the shorter one inside it."""
    found: list[tuple[int, str]] = []
    for word in view.lexicon.words("quantities", "quantity", "pattern"):
        ends = [(match.end(), word.meaning) for match in word.pattern.finditer(text)]
        if ends:
            text = mask(word.pattern, text)
            found += ends
    return found


def _spans(text: str, view: View) -> Iterator[tuple[int, int, str, Decimal]]:
    for match in NUMBER.finditer(text):
        yield match.start(), match.end(), match[0], Decimal(match[0].replace(",", "."))
    for match in view.lexicon.counts.finditer(text):
        yield match.start(), match.end(), match[0], Decimal(view.lexicon.count(match[0]))


def _quantity(label: str | None, unit: str | None, *, is_word: bool) -> str | None:
    if unit == "ml":
        return label if label in _VOLUMES else "volume"
    if unit is None and label in (*_VOLUMES, "volume"):
        return None
    if unit is not None:
        return unit
    if is_word:
        return "count"
    return label or "count"


def _allowed(token: Token, lesions: Sequence[Lesion], view: View, suvmaxes: int) -> set[Decimal] | None:
    """Return the values a number may have, ``None`` where it names no quantity that has one here."""
    quantity = token.quantity
    if quantity in _EXAM_FIELDS:
        return _decimals([view.value(_EXAM_FIELDS[quantity])])
    if quantity == "suvmax":
        return _suvmax(token, lesions, view, suvmaxes)
    if quantity == "months":
        return {months[token.place % len(months)] for one in view.indeterminate if (months := _months(one, view))}
    if quantity == "count":
        return {Decimal(len(lesions))} if lesions else None
    if quantity == "score" and len(lesions) == 1:
        return _scores(token, lesions[0], view)
    if quantity in _LESION_FIELDS and len(lesions) == 1:
        return _decimals([getattr(lesions[0], _LESION_FIELDS[quantity])])
    return _of_examination(token, view)


def _months(lesion: Lesion, view: View) -> list[Decimal]:
    return [Decimal(one) for one in re.findall(r"\d+", view.suggestion([lesion.lesion_id]) or "")]


def _of_examination(token: Token, view: View) -> set[Decimal] | None:
    found, inputs = view.assessment, view.assessment.recip_inputs
    match token.quantity:
        case "highest":
            return _decimals([found.expression_highest])
        case "lowest":
            return _decimals([found.expression_lowest])
        case "primary":
            return _decimals([found.primary_score if isinstance(found.primary_score, int) else None])
        case "psma_volume":
            return _volume_pair(token.place, view)
        case "delta":
            return _decimals([None if inputs is None or inputs.delta_pct is None else round(inputs.delta_pct, 1)])
        case "psma_tv" | "tl_psma" | "wb_suvmean":
            return _decimals([_whole_body(token.quantity, view)])
    return None


def _volume_pair(place: int, view: View) -> set[Decimal]:
    inputs, prior = view.assessment.recip_inputs, view.exam.prior
    pair = (
        (inputs.baseline_ml, inputs.current_ml)
        if inputs
        else (prior.psma_vol_ml if prior else None, view.exam.psma_vol_ml)
    )
    return _decimals(pair[place : place + 1])


def _suvmax(token: Token, lesions: Sequence[Lesion], view: View, suvmaxes: int) -> set[Decimal] | None:
    """Of one lesion the first value is the present one and the second the prior one; of several, lowest to highest."""
    present = [lesion.suvmax for lesion in lesions]
    if not lesions or None in present:
        return None
    if len(lesions) == 1:
        return _decimals(present) if token.place == 0 else _decimals(view.prior_suvmax(lesions[0]))
    known = sorted(value for value in present if value is not None)
    if suvmaxes == 1:
        return _decimals(known[:1]) if known[0] == known[-1] else set()
    return _decimals([known[0] if token.place == 0 else known[-1]]) if token.place < 2 else set()


def _scores(token: Token, lesion: Lesion, view: View) -> set[Decimal]:
    score = view.assessment.expression.get(lesion.lesion_id)
    bounds = view.assessment.expression_bounds.get(lesion.lesion_id, ())
    return _decimals([score] if score is not None else bounds[token.place : token.place + 1])


def _whole_body(quantity: str, view: View) -> float | None:
    rows = [(lesion.volume_ml, lesion.suvmean) for lesion in view.counted]
    if quantity == "psma_tv" and view.exam.psma_vol_ml is not None:
        return view.exam.psma_vol_ml
    total = 0.0
    load = 0.0
    for volume, suvmean in rows:
        if volume is None or (suvmean is None and quantity != "psma_tv"):
            return None
        total += volume
        load += volume * (suvmean or 0.0)
    values = {"psma_tv": total, "tl_psma": load, "wb_suvmean": load / total if total else None}
    value = values[quantity]
    return None if value is None else round(value, 1)


def _decimals(values: Sequence[object]) -> set[Decimal]:
    return {Decimal(repr(float(value))) for value in values if isinstance(value, int | float)}
