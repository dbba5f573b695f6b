"""The tumour volume, what follows from it, and the response."""

from __future__ import annotations

from dataclasses import dataclass

from reporting.free_text import quoted
from reporting.plan.case import Case
from reporting.plan.model import PlannedSection, PlannedSentence
from reporting.render import measured, number


@dataclass(frozen=True)
class WholeBody:
    """PSMA-TV in ml, TL-PSMA (sum of volume times SUVmean) and SUVmean weighted by volume.

    Each is null where a lesion lacks what it is summed from.
    """

    psma_tv_ml: float | None
    tl_psma: float | None
    suvmean: float | None


def whole_body(case: Case) -> WholeBody:
    """Sum over the counted lesions; a PSMA-TV that the exam gives goes before the sum of its rows."""
    rows = [(one.lesion.volume_ml, one.lesion.suvmean) for one in case.counted]
    volumes = [volume for volume, _ in rows if volume is not None]
    loads = [volume * suvmean for volume, suvmean in rows if volume is not None and suvmean is not None]
    summed = round(sum(volumes), 1) if volumes and len(volumes) == len(rows) else None
    load = round(sum(loads), 1) if loads and len(loads) == len(rows) else None
    mean = round(sum(loads) / sum(volumes), 1) if load is not None and sum(volumes) > 0 else None
    given = case.exam.psma_vol_ml
    return WholeBody(given if given is not None else summed, load, mean)


def quantities_section(case: Case) -> PlannedSection:
    """Plan the quantities, with the rule that drew the volumes."""
    words, language = case.words, case.language
    if not case.counted:
        sentences = [PlannedSentence(words.word("quantity", "volume_none"), {}, ("assessment.psma_rads",))]
    else:
        body = whole_body(case)
        values = {
            "psma_tv": measured(body.psma_tv_ml, words.word("unit", "ml"), language, decimals=1),
            "tl_psma": number(body.tl_psma, language, decimals=1),
            "wb_suvmean": number(body.suvmean, language, decimals=1),
            "segmentation_rule": quoted(case.exam.technique.segmentation_rule, "segmentation_rule", language),
        }
        cites = ("psma_vol_ml", "technique.segmentation_rule", *(one.id for one in case.counted))
        sentences = [PlannedSentence(words.word("quantity", "volume"), values, cites)]
    return PlannedSection("quantities", (*sentences, *response_sentences(case)))


def response_sentences(case: Case) -> list[PlannedSentence]:
    """Plan the RECIP sentence where a response class was computed, or its gap where a volume was there to compare."""
    inputs, recip = case.assessment.recip_inputs, case.assessment.recip
    words, language, ml = case.words, case.language, case.words.word("unit", "ml")
    if recip is None or inputs is None:
        prior_volume = case.exam.prior.psma_vol_ml if case.exam.prior else None
        if prior_volume is None or case.assessment.mitnm is None:
            return []
        values = {
            "baseline": measured(prior_volume, ml, language, decimals=1),
            "psma_tv": measured(case.exam.psma_vol_ml, ml, language, decimals=1),
        }
        return [PlannedSentence(words.word("quantity", "recip_unknown"), values, ("prior.psma_vol_ml", "psma_vol_ml"))]
    values = {
        "baseline": measured(inputs.baseline_ml, ml, language, decimals=1),
        "psma_tv": measured(inputs.current_ml, ml, language, decimals=1),
        "delta": _percent(case, inputs.delta_pct),
        "new": _new_lesions(case, inputs.new_lesions),
        "class": words.word("quantity", recip),
        "letters": recip,
    }
    return [PlannedSentence(words.word("quantity", "recip"), values, ("assessment.recip", "assessment.recip_inputs"))]


def _new_lesions(case: Case, known: bool | None) -> str | None:
    return None if known is None else case.words.word("quantity", "new_some" if known else "new_none")


def _percent(case: Case, value: float | None) -> str | None:
    text = number(None if value is None else round(value, 1), case.language, decimals=1)
    if text is None or value is None:
        return None
    return f"{'+' if value > 0 else ''}{text} %"
