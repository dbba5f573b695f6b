"""How suspicious a focus is, from its facts: an additive model whose every term can be read.

The log-odds of malignancy are a sum with one term a fact, so that what moved a judgement is known exactly. They are
divided by a temperature of the tracer (Guo et al. 2017, arXiv 1706.04599), and a conformal prediction set (Vovk et al.
2005; by class, so that the error level holds for lesions and for benign foci alike) says whether the probability
decides: a focus whose set holds both classes is indeterminate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fedpsma.domain.region import Region
from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError, first_problem
from fedpsma.lesions.facts import Facts

Verdict = Literal["malignant", "indeterminate", "physiological"]
MALIGNANT: Verdict = "malignant"
INDETERMINATE: Verdict = "indeterminate"
PHYSIOLOGICAL: Verdict = "physiological"

_LOGARITHMIC = ("suvmax", "to_shell", "core_ml", "elongation", "to_liver", "to_blood_pool")
MEASURED = ("network", "network_peak", "physiological", *_LOGARITHMIC, "distance_mm", "hu", "prominence")
"""The facts that are numbers, in the order of their terms."""

FAMILIES = ("prostate", "pelvic_node", "distant_node", "rib", "bone", "organ", "soft_tissue", "normal_organ")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Curve(_Record):
    """A piecewise linear term: ``values`` (log-odds) at ``knots``, straight between them, level beyond."""

    knots: tuple[float, ...] = Field(min_length=1)
    values: tuple[float, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _require_a_value_at_each_knot(self) -> Self:
        if len(self.knots) != len(self.values) or list(self.knots) != sorted(set(self.knots)):
            raise ValueError("needs one value at each knot, the knots rising")
        return self

    def at(self, x: float) -> float:
        """Return the term at ``x``.

        Example:
            >>> Curve(knots=(0.0, 2.0), values=(0.0, 1.0)).at(1.0)
            0.5
        """
        if x <= self.knots[0]:
            return self.values[0]
        for low, high, start, end in zip(self.knots, self.knots[1:], self.values, self.values[1:], strict=False):
            if x <= high:
                return start + (end - start) * (x - low) / (high - low)
        return self.values[-1]


class Judge(_Record):
    """The fitted model, as it stands on file beside a checkpoint.

    ``terms`` are curves by fact, centred so that a typical focus has the sum ``intercept``; ``missing`` is the term of
    a fact that was not measured. ``families`` are terms by the family of the region, ``tracers`` by "tracer/family".
    ``temperature`` divides the sum, by tracer. From the probability ``indeterminate_from`` on the conformal set holds
    "malignant", below ``malignant_from`` it holds "benign"; between the two it holds both. ``error_level`` is the share
    of either class that may fall outside its set. ``fitted_on`` says what the model was fitted on, ``model_sha256`` for
    which weights.
    """

    terms: dict[str, Curve]
    missing: dict[str, float]
    families: dict[str, float]
    tracers: dict[str, float]
    intercept: float
    temperature: dict[Tracer, Annotated[float, Field(gt=0)]]
    indeterminate_from: float = Field(ge=0, le=1)
    malignant_from: float = Field(ge=0, le=1)
    error_level: float = Field(gt=0, lt=1)
    fitted_on: str
    model_sha256: str = ""


@dataclass(frozen=True)
class Judgement:
    """A probability of malignancy, the verdict of the conformal set, and the terms (log-odds) that make it up.

    ``terms`` are in the order of their size, the strongest first; with ``prior``, the log-odds of a focus of which
    nothing is known, they sum to the log-odds of the probability.
    """

    probability: float
    verdict: Verdict
    facts: Facts
    terms: tuple[tuple[str, float], ...]
    prior: float


def load_judge(path: Path, model_sha256: str) -> Judge | None:
    """Read the judge that lies beside a checkpoint; ``None`` where there is none.

    Raises:
        InputError: The file is broken, or it was fitted for other weights.
    """
    if not path.is_file():
        return None
    try:
        judge = Judge.model_validate_json(path.read_text("utf-8"))
    except UnicodeDecodeError as error:
        raise InputError("is not a text file", where=str(path), remedy="calibrate the model again") from error
    except ValidationError as error:
        field, what = first_problem(error)
        raise InputError(f"{field}: {what}", where=str(path), remedy="calibrate the model again") from error
    if judge.model_sha256 != model_sha256:
        raise InputError("was fitted for other weights", where=str(path), remedy="calibrate the model again")
    return judge


def judge_focus(judge: Judge, facts: Facts) -> Judgement:
    """Judge one focus by its facts."""
    terms = _terms(judge, facts)
    temperature = temperature_of(judge.temperature, facts.tracer)
    score = (judge.intercept + sum(terms.values())) / temperature
    probability = 1 / (1 + math.exp(-score))
    scaled = sorted(
        ((name, value / temperature) for name, value in terms.items()), key=lambda term: (-abs(term[1]), term[0])
    )
    return Judgement(probability, verdict(judge, probability), facts, tuple(scaled), judge.intercept / temperature)


def verdict(judge: Judge, probability: float) -> Verdict:
    """Return what the conformal set says: one class, or indeterminate where it holds both."""
    if probability >= judge.malignant_from:
        return MALIGNANT
    return INDETERMINATE if probability >= judge.indeterminate_from else PHYSIOLOGICAL


def temperature_of(known: Mapping[Tracer, float], tracer: Tracer | None) -> float:
    """Return the temperature of a tracer; the highest (the least certain) where it is not known or was not fitted."""
    fitted = None if tracer is None else known.get(tracer)
    return max(known.values(), default=1.0) if fitted is None else fitted


def measured(facts: Facts) -> dict[str, float | None]:
    """Return the facts that are numbers as the curves take them: uptake, ratios and volume as natural logarithms."""
    values: dict[str, float | None] = {}
    for name in MEASURED:
        value = getattr(facts, name)
        values[name] = math.log(max(value, 1e-3)) if name in _LOGARITHMIC and value is not None else value
    return values


def family_of(region: Region) -> str:
    """Return the family of regions in which foci are judged alike.

    Example:
        >>> family_of(Region.LN_OBTURATOR), family_of(Region.BONE_RIB)
        ('pelvic_node', 'rib')
    """
    if region.is_node:
        return "pelvic_node" if region.facts.mitnm_axis == "N" else "distant_node"
    if region.is_bone:
        return "rib" if region is Region.BONE_RIB else "bone"
    if region.facts.site == "physiologic":
        return "normal_organ"
    if region.facts.mitnm_axis == "T":
        return "prostate"
    return "soft_tissue" if region is Region.OTHER_SOFT_TISSUE else "organ"


def _terms(judge: Judge, facts: Facts) -> Mapping[str, float]:
    terms: dict[str, float] = {}
    for name, value in measured(facts).items():
        if name in judge.terms:
            terms[name] = judge.missing.get(name, 0.0) if value is None else judge.terms[name].at(value)
    family = family_of(facts.region)
    terms["region"] = judge.families.get(family, 0.0)
    terms["tracer"] = judge.tracers.get(f"{facts.tracer}/{family}", 0.0)
    return terms
