"""The scores of many studies as columns, each row with the number of its patient, ready for any draw of patients."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fedpsma.evaluation.detection import HIT_RULES, HitRule, PooledDetections
from fedpsma.evaluation.records import FocusScore, LesionScore, StageScore, StudyScores


@dataclass(frozen=True)
class Sample:
    """Studies in one order whatever order they came in, and the number (from 0) of each one's patient."""

    studies: tuple[StudyScores, ...]
    owner: NDArray[np.intp]

    @classmethod
    def of(cls, studies: Iterable[StudyScores]) -> Sample:
        """Sort studies by data set, patient and id; the same patients get the same numbers for every model."""
        ordered = tuple(sorted(studies, key=lambda one: (*one.patient, one.study_id)))
        numbers = {patient: at for at, patient in enumerate(dict.fromkeys(one.patient for one in ordered))}
        return cls(ordered, np.array([numbers[one.patient] for one in ordered], dtype=np.intp))

    @property
    def patients(self) -> int:
        """How many patients there are."""
        return int(self.owner.max(initial=-1)) + 1

    @cached_property
    def lesions(self) -> tuple[LesionScore, ...]:
        """All lesions, study by study."""
        return tuple(lesion for study in self.studies for lesion in study.lesions)

    @cached_property
    def lesion_owner(self) -> NDArray[np.intp]:
        """The patient of each lesion."""
        return np.repeat(self.owner, [len(study.lesions) for study in self.studies])

    @cached_property
    def foci(self) -> tuple[FocusScore, ...]:
        """All foci, study by study."""
        return tuple(focus for study in self.studies for focus in study.foci)

    @cached_property
    def focus_owner(self) -> NDArray[np.intp]:
        """The patient of each focus."""
        return np.repeat(self.owner, [len(study.foci) for study in self.studies])

    @cached_property
    def stages(self) -> tuple[StageScore, ...]:
        """The stages of the studies that have a true one."""
        return tuple(study.stage for study in self.studies if study.stage is not None)

    @cached_property
    def stage_owner(self) -> NDArray[np.intp]:
        """The patient of each stage."""
        return self.owner[[study.stage is not None for study in self.studies]]

    @property
    def rules(self) -> tuple[HitRule, ...]:
        """The hit rules that every study allows."""
        return tuple(rule for rule in HIT_RULES if all(rule in study.rules for study in self.studies))

    @property
    def has_probabilities(self) -> bool:
        """Whether a model judged the foci; masks alone have no probability and no label."""
        return all(study.judged for study in self.studies)

    def pooled(self, rule: HitRule) -> PooledDetections:
        """Return all detections under a hit rule, ranked."""
        return PooledDetections.of([study.detections(rule) for study in self.studies], self.owner.tolist())

    def column(self, value: Callable[[StudyScores], float | None]) -> list[float]:
        """Return one number a study, NaN where it has none."""
        return numbers(value(study) for study in self.studies)

    def part(self, chosen: Callable[[StudyScores], bool]) -> Sample:
        """Return the studies that fulfil a condition."""
        return Sample.of(study for study in self.studies if chosen(study))


def numbers(values: Iterable[float | bool | None]) -> list[float]:
    """Return numbers with NaN for what is not known.

    Example:
        >>> numbers([True, None, 2])
        [1.0, nan, 2.0]
    """
    return [float("nan") if value is None else float(value) for value in values]


def agree(pairs: Iterable[tuple[object | None, object | None]]) -> list[float]:
    """Return 1 for equal pairs and 0 for others, NaN where one side is not known.

    Example:
        >>> agree([("L", "L"), ("L", "R"), ("L", None)])
        [1.0, 0.0, nan]
    """
    return numbers(None if one is None or other is None else one == other for one, other in pairs)


def ones(values: Sequence[object]) -> list[float]:
    """Return as many ones as there are values."""
    return [1.0] * len(values)
