"""The figures that are ratios of two sums over patients: what can be added up over draws, and over sites."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpsma.domain.assessment import MiTnm
from fedpsma.domain.region import Region
from fedpsma.evaluation.bootstrap import Values, Weights, ratio
from fedpsma.evaluation.detection import HitRule
from fedpsma.evaluation.origins import group_of, origin_groups
from fedpsma.evaluation.records import FocusScore, LesionScore
from fedpsma.evaluation.sample import Sample, agree, numbers
from fedpsma.evaluation.stages import is_m, is_n, is_t, m_level, m_whole, n_level
from fedpsma.lesions.judge import INDETERMINATE, MALIGNANT

POSITIVE_FROM = 0.5
"""From this probability on a focus counts as found where figures with a threshold are given."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ratio:
    """A figure that is a sum over records divided by another: what each adds above and below, and its patient.

    ``patients`` holds the number (from 0) of each record's patient.
    """

    patients: NDArray[np.intp]
    parts: Floats
    wholes: Floats

    @classmethod
    def of(cls, patients: NDArray[np.intp], parts: Sequence[float], wholes: Sequence[float] | None = None) -> Ratio:
        """Take records, a mean where nothing is given for below; records that are NaN are left out."""
        above = np.asarray(parts, dtype=np.float64)
        below = np.ones(above.size) if wholes is None else np.asarray(wholes, dtype=np.float64)
        known = np.isfinite(above)
        return cls(patients[known], above[known], below[known])

    def values(self, weights: Weights) -> Values:
        """Return the figure for each draw of patients; NaN where the sum below is zero."""
        return ratio(weights, self.patients, self.parts.tolist(), self.wholes.tolist())

    def by_patient(self, patients: int) -> tuple[Floats, Floats]:
        """Return the sums above and below of each of so many patients."""
        above, below = (np.bincount(self.patients, one, minlength=patients) for one in (self.parts, self.wholes))
        return above.astype(np.float64), below.astype(np.float64)


_Named = Iterator[tuple[str, Ratio]]
_Test = Callable[[FocusScore], bool]


def ratio_figures(sample: Sample) -> dict[str, Ratio]:
    """Return every figure of a sample that is a ratio, by name; what the data do not know is left out."""
    told = _Records(sample)
    found = dict(_segmentation(told)) | dict(_staging(told)) | dict(_location(told))
    for rule in sample.rules:
        found |= dict(_detection(told, rule))
    found |= dict(_reading(told)) | dict(_origins(told))
    if sample.has_probabilities:
        found |= dict(_judgement(told))
    return found


@dataclass(frozen=True)
class _Records:
    sample: Sample

    def scans(self, values: Sequence[float]) -> Ratio:
        return Ratio.of(self.sample.owner, values)

    def lesions(self, values: Sequence[float]) -> Ratio:
        return Ratio.of(self.sample.lesion_owner, values)

    def foci(self, parts: Sequence[float], wholes: Sequence[float] | None = None) -> Ratio:
        return Ratio.of(self.sample.focus_owner, parts, wholes)

    def stages(self, values: Sequence[float]) -> Ratio:
        return Ratio.of(self.sample.stage_owner, values)


def _segmentation(told: _Records) -> _Named:
    yield "dice", told.scans(told.sample.column(lambda study: study.dice))
    yield "false_positive_ml", told.scans(told.sample.column(lambda study: study.false_positive_ml))
    yield "false_negative_ml", told.scans(told.sample.column(lambda study: study.false_negative_ml))


def _detection(told: _Records, rule: HitRule) -> _Named:
    suffix = rule_suffix(rule)
    found = [(one.found_at[rule] or 0.0) >= POSITIVE_FROM for one in told.sample.lesions]
    yield f"sensitivity_positive{suffix}", told.lesions(numbers(found))
    called = [one.candidate and one.probability >= POSITIVE_FROM for one in told.sample.foci]
    right = [one.hits[rule] for one in told.sample.foci]
    yield f"precision_positive{suffix}", told.foci(_both(called, right), numbers(called))
    yield f"false_positives_positive{suffix}", _per_scan(told, _both(called, [not one for one in right]))


def rule_suffix(rule: HitRule) -> str:
    """Return what the names of figures under a hit rule end with.

    Example:
        >>> rule_suffix("overlap"), rule_suffix("iou")
        ('', '_iou')
    """
    return "" if rule == "overlap" else f"_{rule}"


def _reading(told: _Records) -> _Named:
    """Count by what the reader is told: the words, not the probabilities."""
    if not told.sample.has_probabilities:
        return
    for name, labels in (("malignant", (MALIGNANT,)), ("flagged", (MALIGNANT, INDETERMINATE))):
        called = [one.listed and one.label in labels for one in told.sample.foci]
        right = [one.is_lesion for one in told.sample.foci]
        yield f"sensitivity_{name}", told.lesions(numbers(_is_told(one, labels) for one in told.sample.lesions))
        yield f"precision_{name}", told.foci(_both(called, right), numbers(called))
        yield f"false_positives_{name}", _per_scan(told, _both(called, [not one for one in right]))


def _is_told(lesion: LesionScore, labels: Sequence[str]) -> bool:
    return lesion.label in labels


def _location(told: _Records) -> _Named:
    lesions, foci = told.sample.lesions, told.sample.foci
    pairs = [(one.true_region, one.region) for one in lesions]
    yield "location_suspicious", told.lesions(agree(pairs))
    yield "location_axis_suspicious", told.lesions(agree((_axis(true), _axis(found)) for true, found in pairs))
    yield "side_suspicious", told.lesions(agree((one.true_side, one.side) for one in lesions))
    right = agree((one.true_region, one.region) for one in foci)
    yield "location_all", told.foci(right)


def _axis(region: Region | None) -> str | None:
    return None if region is None else axis_of(region)


def axis_of(region: Region) -> str:
    """Return the miTNM axis of a region, "none" where it has no place in miTNM.

    Example:
        >>> axis_of(Region.LN_OBTURATOR), axis_of(Region.PHYSIOLOGIC)
        ('N', 'none')
    """
    return region.facts.mitnm_axis or "none"


def _staging(told: _Records) -> _Named:
    stages = told.sample.stages
    tests: dict[str, Callable[[MiTnm], object]] = {
        "t_exact": lambda one: one.T,
        "t_any": is_t,
        "n_exact": n_level,
        "n_any": is_n,
        "m_exact": m_whole,
        "m_category": m_level,
        "m_any": is_m,
        "stage_exact": lambda one: (one.T, n_level(one), *m_whole(one)),
    }
    for name, test in tests.items():
        yield name, told.stages(agree((test(one.true), test(one.found)) for one in stages))
        by_rules = (None if one.rules is None else test(one.rules) for one in stages)
        ceiling = agree((test(one.true), other) for one, other in zip(stages, by_rules, strict=True))
        yield f"{name}_ceiling", told.stages(ceiling)


def _judgement(told: _Records) -> _Named:
    """Judge the words: over all foci, which is what the error level is promised for, and over those that are listed."""
    foci = told.sample.foci
    yield "brier", told.foci([(one.probability - one.is_lesion) ** 2 for one in foci])
    every, listed = [True] * len(foci), [one.listed for one in foci]
    for name, among in (("", every), ("_listed", listed)):
        undecided = [one.label == INDETERMINATE for one in foci]
        decided = _both(among, [not one for one in undecided])
        yield f"abstention{name}", told.foci(_both(among, undecided), numbers(among))
        yield f"error_decided{name}", told.foci(_both(among, map(_is_wrong, foci)), decided)
    lesions = [one.is_lesion for one in foci]
    for name, among in (("lesions", lesions), ("benign", [not one for one in lesions])):
        covered = _both(among, [not _is_wrong(one) for one in foci])
        yield f"coverage_{name}", told.foci(covered, numbers(among))


def _is_wrong(one: FocusScore) -> bool:
    return one.label != INDETERMINATE and (one.label == MALIGNANT) != one.is_lesion


def _origins(told: _Records) -> _Named:
    """Count false positives a scan by what they come from, and those of the limited groups together."""
    if any(study.benign is None for study in told.sample.studies):
        return
    foci = told.sample.foci
    groups = [None if one.is_lesion else group_of(one.origin or "") for one in foci]
    limited = {group.name for group in origin_groups() if group.limited}
    tests: dict[str, _Test] = {"malignant": _called_malignant, "flagged": _is_flagged}
    if not told.sample.has_probabilities:
        tests = {"malignant": lambda _: True}
    for name, test in tests.items():
        called = [test(one) for one in foci]
        for group in origin_groups():
            inside = [one == group.name for one in groups]
            yield f"false_positives_{name}_{group.name}", _per_scan(told, _both(called, inside))
        yield f"false_positives_{name}_limited", _per_scan(told, _both(called, [one in limited for one in groups]))


def _called_malignant(one: FocusScore) -> bool:
    return one.listed and one.label == MALIGNANT


def _is_flagged(one: FocusScore) -> bool:
    return one.listed and one.label in (MALIGNANT, INDETERMINATE)


def _per_scan(told: _Records, counted: Sequence[float]) -> Ratio:
    """Return the mean number of counted foci a scan; scans without any stay in."""
    a_study = np.split(np.asarray(counted), np.cumsum([len(study.foci) for study in told.sample.studies])[:-1])
    return told.scans([float(one.sum()) for one in a_study])


def _both(one: Sequence[bool], other: Iterable[bool]) -> list[float]:
    return numbers(a and b for a, b in zip(one, other, strict=True))
