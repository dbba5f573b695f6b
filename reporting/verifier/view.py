"""What the exam and its assessment allow a report to say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

from fedpsma.domain.assessment import Assessment, Change, PsmaRads
from fedpsma.domain.exam import Exam, Lesion, PriorLesion
from reporting.verifier.lexicon import Lexicon, lexicon

COUNTED = ("4", "5")
INDETERMINATE = ("3A", "3B", "3C", "3D")
_CODE = re.compile(r"(?:\b|mi)(T[0-4r][abum]?|N[0-2][ab]?|M[01][abc]?)\b(?: ?\(([^)]*)\))?")


class View:
    """An exam and its assessment, with the questions that the checks ask of them."""

    def __init__(self, exam: Exam, assessment: Assessment) -> None:
        self.exam = exam
        self.assessment = assessment
        self.lexicon: Lexicon = lexicon(exam.language)
        self.lesions = {lesion.lesion_id: lesion for lesion in exam.lesions}

    def known(self, ids: Sequence[str]) -> list[Lesion]:
        """Return the lesions of these ids that the table has."""
        return [self.lesions[one] for one in ids if one in self.lesions]

    def prior_rows(self, cites: Sequence[str]) -> list[PriorLesion]:
        """Return the rows of the prior table that a sentence cites."""
        wanted = {cite.partition(":")[2] for cite in cites if cite.startswith("prior:")}
        rows = (self.exam.prior.lesions or []) if self.exam.prior else []
        return [row for row in rows if row.lesion_id in wanted]

    def rads(self, lesion: Lesion) -> PsmaRads | None:
        """Return the PSMA-RADS category of a lesion."""
        return self.assessment.psma_rads.get(lesion.lesion_id)

    def change(self, lesion: Lesion) -> Change:
        """Return the change label of a lesion."""
        return self.assessment.prior_change.get(lesion.lesion_id, "not_applicable")

    def ct_class(self, lesion: Lesion) -> str | None:
        """Return the class of the CT correlate, as the rules settled it or as the table gives it."""
        for entry in self.assessment.trace:
            if entry.rule == "ct_class" and entry.inputs.get("lesion") == lesion.lesion_id:
                return None if entry.result is None else str(entry.result)
        return lesion.ct_class

    @cached_property
    def counted(self) -> list[Lesion]:
        """The lesions that enter the stage."""
        traced = next((entry.result for entry in self.assessment.trace if entry.rule == "counting"), None)
        return [
            lesion
            for lesion in self.exam.lesions
            if (self.rads(lesion) in COUNTED if traced is None else lesion.lesion_id in traced)
        ]

    @cached_property
    def indeterminate(self) -> list[Lesion]:
        """The lesions that are neither positive nor negative."""
        return [lesion for lesion in self.exam.lesions if self.rads(lesion) in INDETERMINATE]

    @cached_property
    def open_lesions(self) -> list[str]:
        """The ids of the lesions that are anything but benign, also those that no category could be given."""
        return [one.lesion_id for one in self.exam.lesions if one in self.counted or self.rads(one) not in ("1", "2")]

    @cached_property
    def stage_codes(self) -> set[str]:
        """The codes of the stage, with and without what stands in their brackets."""
        return codes_in(self.assessment.mitnm_string or "")

    @property
    def stage_text(self) -> str:
        """The stage as the rules give it."""
        return self.assessment.mitnm_string or "not given"

    @cached_property
    def own_words(self) -> tuple[str, ...]:
        """Free text of the exam and wordings of the rules, which a report may repeat as they are; longest first."""
        exam, clinical, prior = self.exam, self.exam.clinical, self.exam.prior
        fields = [exam.indication, clinical.gleason, clinical.psa_history, exam.technique.ct]
        fields += [*(clinical.prior_therapy or []), *(clinical.current_therapy or [])]
        fields += [prior.modality, prior.date] if prior else []
        fields += [text for one in self.assessment.indeterminate for text in one.elements.values()]
        fields += [one.follow_up for one in self.assessment.indeterminate]
        return tuple(sorted((one.strip() for one in fields if one and one.strip()), key=len, reverse=True))

    def places(self, sites: Sequence[Lesion | PriorLesion]) -> str:
        """Return lesions with site and side, as the table has them."""
        named = (f"{one.lesion_id} {one.region}{f' {one.side}' if one.side else ''}" for one in sites)
        return ", ".join(named) or "no lesion"

    def verdicts(self, lesions: Sequence[Lesion]) -> str:
        """Return what the rules make of lesions: category, score, change and CT class."""
        return "; ".join(
            f"{one.lesion_id} PSMA-RADS {self.rads(one)}, score {self.assessment.expression.get(one.lesion_id)}, "
            f"{self.change(one)}, CT {self.ct_class(one) or 'unknown'}"
            for one in lesions
        )

    def prior_suvmax(self, lesion: Lesion) -> list[float]:
        """Return the SUVmax that the rules compared with, else those that the prior can give for this lesion."""
        for entry in self.assessment.trace:
            if entry.rule == "lesion_change" and entry.inputs.get("lesion") == lesion.lesion_id:
                before = entry.inputs.get("suvmax_before")
                return [] if before is None else [float(before)]
        prior = self.exam.prior
        if prior is None:
            return []
        rows = [row for row in prior.lesions or [] if (row.region, row.side) == (lesion.region, lesion.side)]
        numbers = re.findall(r"\d+(?:[.,]\d+)?", prior.report_text or "")
        return [row.suvmax for row in rows if row.suvmax is not None] + [
            float(one.replace(",", ".")) for one in numbers
        ]

    def elements(self, ids: Sequence[str]) -> dict[str, str]:
        """Return the rationale of one indeterminate lesion by element; empty for anything else."""
        for item in self.assessment.indeterminate:
            if [item.lesion] == list(ids):
                return {str(name): text for name, text in item.elements.items()}
        return {}

    def suggestion(self, ids: Sequence[str]) -> str | None:
        """Return what the rules suggest for one indeterminate lesion."""
        for item in self.assessment.indeterminate:
            if [item.lesion] == list(ids):
                return item.elements.get("recommendation", item.follow_up)
        return None

    def value(self, path: str, lesion: Lesion | None = None) -> object:
        """Return a value by a dotted path such as "clinical.age", or "lesion.size_mm" of a lesion."""
        head, *rest = path.split(".")
        found: object = lesion if head == "lesion" else getattr(self.exam, head)
        for step in rest:
            found = getattr(found, step)
        return found


def codes_in(text: str) -> set[str]:
    """Return the miTNM codes of a text, each with and without its brackets.

    Example:
        >>> sorted(codes_in("miT2u N0 M1b (uni)"))
        ['M1b', 'M1b (uni)', 'N0', 'T2u']
    """
    found: set[str] = set()
    for code, inside in _CODE.findall(text):
        found |= {code, f"{code} ({inside})"} if inside else {code}
    return found


def named_codes(text: str) -> list[str]:
    """Return the miTNM codes of a text, each as fully as it stands there."""
    return [f"{code} ({inside})" if inside else code for code, inside in _CODE.findall(text)]


def code_pattern() -> re.Pattern[str]:
    """Return the pattern of a miTNM code."""
    return _CODE
