"""PSMA expression score of PROMISE: lesion SUVmax against the SUVmean of blood pool, liver or spleen, and parotid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from fedpsma.domain.assessment import Expression, Flag
from fedpsma.domain.exam import Exam, Lesion
from fedpsma.staging.facts import LesionFacts
from fedpsma.staging.options import StagingOptions
from fedpsma.staging.rulebook import Noted, rule, traced

Uptake = Literal["none", "low", "intense"]
ReferenceOrgan = Literal["liver", "spleen"]


@dataclass(frozen=True)
class Score:
    """Expression score 0-3; ``value`` is null while ``low`` and ``high`` still differ or SUVmax is missing."""

    value: Expression | None
    low: Expression
    high: Expression

    @property
    def text(self) -> str:
        """The score, or its bounds where it is undetermined.

        Example:
            >>> Score(None, 1, 3).text
            'undetermined, 1 to 3'
        """
        return str(self.value) if self.value is not None else f"undetermined, {self.low} to {self.high}"

    @property
    def uptakes(self) -> tuple[Uptake, ...]:
        """The uptake levels that are still possible."""
        levels: tuple[Uptake, ...] = ("none", "low", "intense", "intense")
        return tuple(dict.fromkeys(levels[self.low : self.high + 1]))


@dataclass(frozen=True)
class References:
    """SUVmean of the reference regions (g/ml) that the tracer asks for; null where not measured."""

    blood_pool: float | None
    organ: float | None
    parotid: float | None
    organ_name: ReferenceOrgan

    def missing(self) -> list[str]:
        """Names of the references that were not measured."""
        named = {"blood pool": self.blood_pool, self.organ_name: self.organ, "parotid": self.parotid}
        return [name for name, value in named.items() if value is None]


def references_of(exam: Exam) -> References | None:
    """Choose the reference regions; null where the tracer has none (another kind of tracer, or not known)."""
    organ = exam.tracer.facts.expression_reference if exam.tracer else None
    if organ is None:
        return None
    suv = exam.reference_suv
    return References(_usable(suv.blood_pool), _usable(getattr(suv, organ)), _usable(suv.parotid), organ)


def _usable(value: float | None) -> float | None:
    """Return a reference; one below zero is impossible and tells nothing."""
    return None if value is not None and value < 0 else value


def score_suv(suv: float, references: References, promise: Literal["v1", "v2"] = "v2") -> Score:
    """Score one SUV, with bounds where a reference is missing or two contradict each other.

    Example:
        >>> score_suv(4.5, References(1.6, 4.5, 15.1, "liver")).value
        1
        >>> score_suv(4.5, References(1.6, 4.5, 15.1, "liver"), "v1").value
        2
        >>> score_suv(6.0, References(1.6, None, None, "liver"))
        Score(value=None, low=1, high=3)
        >>> score_suv(4.5, References(5.0, 4.0, 15.1, "liver"))
        Score(value=None, low=0, high=2)
    """
    steps = ((1, references.blood_pool), (2, references.organ), (3, references.parotid))
    known = [(level, value) for level, value in steps if value is not None]
    reached = [level for level, value in known if suv > value or (promise == "v1" and suv == value)]
    low = max(reached, default=0)
    high = min((level - 1 for level, _ in known if level not in reached), default=3)
    return _between(min(low, high), max(low, high))


def _between(low: int, high: int) -> Score:
    return Score(cast(Expression, low) if low == high else None, cast(Expression, low), cast(Expression, high))


def score_lesion(lesion: Lesion, references: References, promise: Literal["v1", "v2"]) -> Score:
    """Score a lesion by SUVmax.

    Without SUVmax only the bounds that SUVmean or SUVpeak prove are given. Where one of them exceeds SUVmax,
    each may be the right one: the score holds only where all give the same. A negative value
    tells nothing.
    """
    others = [value for value in (lesion.suvmean, lesion.suvpeak) if value is not None and value >= 0]
    if lesion.suvmax is not None and lesion.suvmax >= 0:
        possible = [lesion.suvmax, *(value for value in others if value > lesion.suvmax)]
        scores = [score_suv(value, references, promise) for value in possible]
        return _between(min(one.low for one in scores), max(one.high for one in scores))
    return _between(score_suv(max(others), references, promise).low if others else 0, 3)


def score_lesions(exam: Exam, references: References, options: StagingOptions) -> Noted[dict[str, Score]]:
    """Score every lesion of an exam, with flags for missing references and borderline scores."""
    name = f"expression_{options.promise}"
    scores = {one.lesion_id: score_lesion(one, references, options.promise) for one in exam.lesions}
    inputs = {
        "blood_pool": references.blood_pool,
        references.organ_name: references.organ,
        "parotid": references.parotid,
    }
    organ_tag = exam.tracer.facts.expression_reference_tag if exam.tracer else None
    trace = [traced("expression_reference", {"tracer": exam.tracer, "tag": organ_tag}, references.organ_name)]
    for one in exam.lesions:
        score = scores[one.lesion_id]
        result = score.value if score.value is not None else score.text
        trace.append(traced(name, {"lesion": one.lesion_id, "suvmax": one.suvmax, **inputs}, result))
    flags = [*_missing_flags(exam, references, scores), *_borderline_flags(exam.lesions, references, options)]
    return Noted(scores, tuple(trace), tuple(flags))


def _missing_flags(exam: Exam, references: References, scores: dict[str, Score]) -> Iterable[Flag]:
    missing = references.missing()
    if not missing:
        return
    with_suv = [one.lesion_id for one in exam.lesions if one.suvmax is not None]
    open_scores = [lesion_id for lesion_id in with_suv if scores[lesion_id].value is None]
    message = f"reference uptake not measured: {', '.join(missing)}"
    if open_scores:
        message += "; the expression score of these lesions is undetermined, the reader must say"
    yield Flag(code="missing_reference", lesions=open_scores, message=message)


def _borderline_flags(lesions: Sequence[Lesion], references: References, options: StagingOptions) -> Iterable[Flag]:
    for one in lesions:
        if one.suvmax is None or one.suvmax < 0:
            continue
        score = score_suv(one.suvmax, references, options.promise).value
        other = score_suv(one.suvmax, references, "v1" if options.promise == "v2" else "v2").value
        mean = None if one.suvmean is None else score_suv(one.suvmean, references, options.promise).value
        if score is not None and mean is not None and mean != score:
            text = f"score {score} by SUVmax {one.suvmax:.1f}, but {mean} by SUVmean {one.suvmean:.1f}"
            yield Flag(code="score_borderline", lesions=[one.lesion_id], message=text)
        if score != other:
            text = (
                f"SUVmax {one.suvmax:.1f} equals a reference: score {score}, but {other} by the other PROMISE version"
            )
            yield Flag(code="score_borderline", lesions=[one.lesion_id], message=text)


@dataclass(frozen=True)
class ExpressionRange:
    """Highest and lowest score over the counted lesions of at least 1 cm."""

    highest: Expression | None
    lowest: Expression | None


def expression_range(counted: Sequence[LesionFacts], scores: dict[str, Score]) -> Noted[ExpressionRange]:
    """Report the highest and lowest score where they are certain; null where no counted lesion is large enough."""
    least = rule("expression_range").values["min_diameter_mm"]
    large = [one for one in counted if one.diameter_mm is not None and one.diameter_mm >= least]
    found = [scores[one.lesion_id] for one in large]
    highest = _certain([max((one.low for one in found), default=None), max((one.high for one in found), default=None)])
    lowest = _certain([min((one.low for one in found), default=None), min((one.high for one in found), default=None)])
    entry = traced(
        "expression_range", {"lesions": [one.lesion_id for one in large]}, {"highest": highest, "lowest": lowest}
    )
    flags: tuple[Flag, ...] = ()
    if counted and not large:
        message = "highest and lowest expression score not reported: no counted lesion of at least 1 cm"
        flags = (Flag(code="no_measurable_lesion", lesions=[one.lesion_id for one in counted], message=message),)
    return Noted(ExpressionRange(highest, lowest), (entry,), flags)


def _certain(bounds: list[Expression | None]) -> Expression | None:
    return bounds[0] if bounds[0] == bounds[1] else None
