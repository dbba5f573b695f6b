"""An exam and its assessment joined, lesion by lesion: all the facts a draft may state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from fedpsma.domain.assessment import Assessment, Change, Expression, PsmaRads, TraceEntry
from fedpsma.domain.exam import Exam, Lesion
from fedpsma.domain.region import Region
from reporting.data_files import read_data
from reporting.free_text import CtReading, Level, find_level, read_ct
from reporting.phrases import Phrases, phrases
from reporting.sentences import Language
from reporting.wording.phrasing import Phrasing, style

_COUNTED: frozenset[PsmaRads | None] = frozenset({"4", "5"})
INDETERMINATE: frozenset[PsmaRads | None] = frozenset({"3A", "3B", "3C", "3D"})
_COMPARED: frozenset[Change] = frozenset({"increased", "decreased", "stable"})
_SECTION_OF_AXIS = {
    "T": "prostate",
    "N": "pelvic_nodes",
    "M1a": "extrapelvic_nodes",
    "M1b": "bone",
    "M1c": "visceral",
    None: "incidental",
}


@dataclass(frozen=True)
class LesionFacts:
    """A lesion with what the rules made of it; ``counted`` is whether it enters the stage."""

    lesion: Lesion
    rads: PsmaRads | None
    counted: bool
    score: Expression | None
    bounds: tuple[Expression, Expression] | None
    change: Change
    prior_suvmax: float | None
    ct: CtReading
    ct_class: str | None
    level: Level | None

    @property
    def id(self) -> str:
        """The id of the lesion."""
        return self.lesion.lesion_id

    @property
    def indeterminate(self) -> bool:
        """Whether the lesion is neither positive nor negative."""
        return self.rads in INDETERMINATE

    @property
    def section(self) -> str:
        """The name of the findings section it belongs to."""
        if self.rads == "3D":
            return "psma_negative"
        return section_of(self.lesion.region)

    def code(self, name: str) -> str:
        """Return the value of one code of ``data/codes.json`` for this lesion."""
        given: dict[str, str | int | None] = {
            "kind": self.lesion.region.value,
            "uptake": self.score,
            "ct": self.ct_class,
            "change": self.change,
            "class": self.rads,
        }
        return code_value(name, given[name])


@dataclass(frozen=True)
class Case:
    """Everything that the planner looks at."""

    exam: Exam
    assessment: Assessment
    lesions: tuple[LesionFacts, ...]
    phrasing: Phrasing

    @property
    def language(self) -> Language:
        """The language of the report."""
        return self.exam.language

    @property
    def words(self) -> Phrases:
        """The phrases of the language."""
        return phrases(self.language)

    @property
    def counted(self) -> tuple[LesionFacts, ...]:
        """The lesions that enter the stage."""
        return tuple(one for one in self.lesions if one.counted)

    @property
    def not_covered(self) -> tuple[Region, ...]:
        """The regions outside the field of view, each once."""
        return tuple(dict.fromkeys(self.exam.technique.not_covered or ()))

    def named(self, regions: Sequence[Region]) -> str:
        """Name regions in a row: "skull, brain"."""
        return ", ".join(self.words.word("site_one", region.value) for region in regions)

    def facts(self, lesion_id: str) -> LesionFacts:
        """Return the facts of one lesion; raises ``KeyError`` if there is none of this id."""
        for one in self.lesions:
            if one.id == lesion_id:
                return one
        raise KeyError(lesion_id)

    def site(self, one: LesionFacts) -> str:
        """Name the site of a lesion with its side: "left external iliac node"."""
        name = one.level.name(self.language) if one.level else self.words.word("site_one", one.lesion.region.value)
        return self._sided(one.lesion, name)

    def sites(self, members: Sequence[LesionFacts]) -> str:
        """Name the common site of several lesions of one region and side: "left external iliac nodes"."""
        first = members[0].lesion
        return self._sided(first, self.words.word("site_many", first.region.value))

    def _sided(self, lesion: Lesion, name: str) -> str:
        if not side_is_said(lesion):
            return name
        side = str(lesion.side)
        return f"{self.words.word('side_before', side)}{name}{self.words.word('side_after', side)}"


def build_case(exam: Exam, assessment: Assessment, phrasing: Phrasing | None = None) -> Case:
    """Join an exam with its assessment; the template sentences take the standard style where none is given."""
    lesions = tuple(_facts(exam, assessment, lesion) for lesion in exam.lesions)
    return Case(exam, assessment, lesions, phrasing or style("standard", exam.language))


def section_of(region: Region) -> str:
    """Return the findings section of a region.

    Example:
        >>> section_of(Region.LN_COMMON_ILIAC)
        'extrapelvic_nodes'
    """
    return "seminal_vesicles" if region is Region.SEMINAL_VESICLE else _SECTION_OF_AXIS[region.facts.mitnm_axis]


def side_is_said(lesion: Lesion) -> bool:
    """Whether the site carries its side: not where it is unknown, nor midline where that goes without saying."""
    if lesion.side is None:
        return False
    return lesion.side != "M" or not (lesion.region.is_node or lesion.region.facts.sides == ("M",))


def code_value(name: str, given: str | int | None) -> str:
    """Return the value of a code that stands for a value of the contract.

    Example:
        >>> code_value("kind", "LN_OBTURATOR"), code_value("class", "3B"), code_value("uptake", None)
        ('node', 'indeterminate', 'undetermined')
    """
    for value, row in read_data("codes.json")["codes"][name]["values"].items():
        for source in row["from"]:
            if source == given or (isinstance(source, str) and isinstance(given, str) and fnmatchcase(given, source)):
                return str(value)
    raise KeyError(f"{name}: {given!r}")


def _facts(exam: Exam, assessment: Assessment, lesion: Lesion) -> LesionFacts:
    change = assessment.prior_change.get(lesion.lesion_id, "not_applicable")
    rads = assessment.psma_rads.get(lesion.lesion_id)
    counted = _traced(assessment, "counting")
    settled = _trace_of(assessment, "ct_class", lesion)
    return LesionFacts(
        lesion=lesion,
        rads=rads,
        counted=rads in _COUNTED if counted is None else lesion.lesion_id in counted,
        score=assessment.expression.get(lesion.lesion_id),
        bounds=assessment.expression_bounds.get(lesion.lesion_id),
        change=change,
        prior_suvmax=_prior_suvmax(exam, assessment, lesion) if change in _COMPARED else None,
        ct=read_ct(lesion.ct_correlate),
        ct_class=settled.result if settled else lesion.ct_class,
        level=find_level(lesion),
    )


def _traced(assessment: Assessment, rule: str) -> Any:
    """Return the result that the trace notes for a rule, ``None`` where it has no such entry."""
    return next((entry.result for entry in assessment.trace if entry.rule == rule), None)


def _trace_of(assessment: Assessment, rule: str, lesion: Lesion) -> TraceEntry | None:
    return next(
        (one for one in assessment.trace if one.rule == rule and one.inputs.get("lesion") == lesion.lesion_id), None
    )


def _prior_suvmax(exam: Exam, assessment: Assessment, lesion: Lesion) -> float | None:
    """Return the value that the rules compared with; without their trace, that of the one prior lesion there."""
    compared = _trace_of(assessment, "lesion_change", lesion)
    if compared is not None:
        before = compared.inputs.get("suvmax_before")
        return None if before is None else float(before)
    same_now = [one for one in exam.lesions if (one.region, one.side) == (lesion.region, lesion.side)]
    rows = (exam.prior.lesions or []) if exam.prior else []
    same_before = [row for row in rows if (row.region, row.side) == (lesion.region, lesion.side)]
    return same_before[0].suvmax if len(same_now) == len(same_before) == 1 else None
