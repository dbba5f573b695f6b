"""Lesion detection: sensitivity at stated false positives a scan (FROC) and average precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedpsma.evaluation.bootstrap import Values, Weights, blocks, quotient

HitRule = Literal["overlap", "suvmax", "iou"]
HIT_RULES: tuple[HitRule, ...] = ("overlap", "suvmax", "iou")
FALSE_POSITIVES_PER_SCAN = (0.5, 1.0, 2.0, 4.0)
LEAST_IOU = 0.1

Hits = NDArray[np.bool_]
"""Whether a candidate hits a lesion (candidates, lesions)."""


@dataclass(frozen=True)
class ScanDetections:
    """What became of one scan's candidates and lesions under one hit rule.

    ``scores`` (candidates,) is the suspicion of each candidate, ``hits`` (candidates,) whether it hit any lesion.
    ``found_at`` (lesions,) is the highest score among the candidates that hit the lesion, minus infinity where none
    did.
    """

    scores: NDArray[np.float64]
    hits: NDArray[np.bool_]
    found_at: NDArray[np.float64]


def lesion_numbers(truth: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the numbers of the true lesions, ascending; gaps are allowed."""
    return np.unique(truth[truth > 0])


def hit_matrix(
    truth: NDArray[np.int32],
    candidates: NDArray[np.int32],
    count: int,
    pet: NDArray[np.float32],
    rule: HitRule = "overlap",
) -> Hits:
    """Tell which candidate hits which lesion, lesions in the order of :func:`lesion_numbers`.

    Args:
        truth: True lesions numbered from 1 (x, y, z), 0 is none; gaps in the numbers are allowed.
        candidates: Candidates numbered from 1 to ``count``, on the same grid.
        count: Number of candidates.
        pet: SUV on the same grid, for the rule "suvmax".
        rule: When a candidate hits a lesion: "overlap" any shared voxel (autoPET), "suvmax" it holds the lesion's
            hottest voxel (Dzikunu 2025), "iou" intersection over union of at least 0.1.
    """
    where = truth > 0
    in_truth, in_candidates = truth[where], candidates[where]
    numbers, lesion = np.unique(in_truth, return_inverse=True)
    shared = np.zeros((count + 1, len(numbers)), dtype=np.int64)
    np.add.at(shared, (in_candidates, lesion), 1)
    if rule == "overlap":
        return np.asarray(shared[1:] > 0)
    if rule == "suvmax":
        return _holds_maximum(in_candidates, lesion, pet[where], shared.shape)[1:]
    sizes = np.bincount(candidates.ravel(), minlength=count + 1)[:, None]
    union = sizes + shared.sum(axis=0)[None, :] - shared
    return np.asarray((shared / np.maximum(union, 1) >= LEAST_IOU)[1:])


def found_at(hits: Hits, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the highest score that hit each lesion (lesions,), minus infinity where none did."""
    return np.asarray(np.where(hits, scores[:, None], -np.inf).max(axis=0, initial=-np.inf))


def _holds_maximum(
    candidate: NDArray[np.int32], lesion: NDArray[np.intp], suv: NDArray[np.float32], shape: tuple[int, ...]
) -> Hits:
    """Return (candidates + 1, lesions): whether the candidate holds the lesion's hottest voxel."""
    order = np.lexsort((suv, lesion))
    last = np.flatnonzero(np.diff(lesion[order], append=shape[1]))
    hottest = order[last]
    holds = np.zeros(shape, dtype=bool)
    holds[candidate[hottest], lesion[hottest]] = True
    return holds


@dataclass(frozen=True)
class PooledDetections:
    """The candidates and lesions of all scans, ranked once, so that any draw of patients costs no sorting.

    ``scores`` falls; ``candidate_patient`` and ``hits`` go with it. ``found`` falls as well, with ``lesion_patient``.
    ``scans`` counts the scans of each patient.
    """

    scores: NDArray[np.float64]
    hits: NDArray[np.bool_]
    candidate_patient: NDArray[np.intp]
    found: NDArray[np.float64]
    lesion_patient: NDArray[np.intp]
    scans: NDArray[np.float64]

    @classmethod
    def of(cls, scans: Sequence[ScanDetections], patients: Sequence[int]) -> PooledDetections:
        """Pool scans; ``patients`` holds the number (from 0) of each scan's patient."""
        owner = np.asarray(patients, dtype=np.intp)
        scores = _joined([one.scores for one in scans])
        found = _joined([one.found_at for one in scans])
        by_score, by_found = np.argsort(-scores, kind="stable"), np.argsort(-found, kind="stable")
        candidate_patient = np.repeat(owner, [one.scores.size for one in scans])
        lesion_patient = np.repeat(owner, [one.found_at.size for one in scans])
        return cls(
            scores=scores[by_score],
            hits=_joined([one.hits for one in scans]).astype(bool)[by_score],
            candidate_patient=candidate_patient[by_score],
            found=found[by_found],
            lesion_patient=lesion_patient[by_found],
            scans=np.bincount(owner).astype(np.float64),
        )

    def average_precision(self, weights: Weights) -> Values:
        """Return the area under precision against recall, candidates of all scans pooled; NaN without a true lesion.

        Precision counts candidates that hit any lesion, recall counts lesions hit by any candidate, so that neither two
        candidates on one lesion nor one candidate on two are punished. Equal scores are taken together.
        """
        return np.concatenate([self._area(block) for block in blocks(weights, self._columns)])

    def sensitivity_at(self, weights: Weights, allowed: Sequence[float]) -> NDArray[np.float64]:
        """Return the sensitivity at the lowest threshold that keeps to each mean number of false positives a scan.

        Scans without lesions stay in: they add false positives. NaN where the drawn patients have no lesion.

        Returns:
            Sensitivity (1 + replicates, rates).
        """
        return np.concatenate(
            [self._sensitivity(block, np.asarray(allowed)) for block in blocks(weights, self._columns)]
        )

    def precision_recall(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return recall and precision of the sample at each threshold, the highest first."""
        recall, precision = self._recall_and_precision(np.ones((1, self.scans.size)))
        return recall[0], precision[0]

    def _area(self, weights: Weights) -> Values:
        if self.found.size == 0:
            return np.full(len(weights), np.nan)
        recall, precision = self._recall_and_precision(weights)
        area = np.sum(np.diff(recall, axis=1, prepend=0.0) * precision, axis=1)
        return np.asarray(np.where(weights[:, self.lesion_patient].any(axis=1), area, np.nan))

    def _recall_and_precision(self, weights: Weights) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        last = np.flatnonzero(np.diff(self.scores, append=-np.inf))
        drawn = weights[:, self.candidate_patient]
        taken = np.cumsum(drawn, axis=1)[:, last]
        right = np.cumsum(drawn * self.hits, axis=1)[:, last]
        precision = np.divide(right, taken, out=np.zeros_like(taken), where=taken > 0)
        lesions = self._counted_lesions(weights)
        reached = np.searchsorted(-self.found, -self.scores[last], side="right")
        total = lesions[:, -1:]
        recall = np.divide(lesions[:, reached], total, out=np.zeros_like(taken), where=total > 0)
        return recall, precision

    def _sensitivity(self, weights: Weights, allowed: NDArray[np.float64]) -> NDArray[np.float64]:
        false = ~self.hits
        counted = np.cumsum(weights[:, self.candidate_patient[false]], axis=1)
        budgets = (weights @ self.scans)[:, None] * allowed + 1e-9
        first_too_many = np.stack(
            [np.searchsorted(row, budget, side="right") for row, budget in zip(counted, budgets, strict=True)]
        )
        above = np.append(self.scores[false], -np.inf)[first_too_many]
        lesions = self._counted_lesions(weights)
        reached = np.searchsorted(-self.found, -above, side="left")
        total = lesions[:, -1:]
        found = np.take_along_axis(lesions, reached, axis=1)
        return quotient(found, total)

    def _counted_lesions(self, weights: Weights) -> NDArray[np.float64]:
        """Return how many lesions (drawn ones as often as drawn) the first n in the ranking are (rows, 1 + lesions)."""
        counted = np.cumsum(weights[:, self.lesion_patient], axis=1)
        return np.hstack([np.zeros((len(weights), 1)), counted])

    @property
    def _columns(self) -> int:
        return self.scores.size + self.found.size


def _joined(arrays: Sequence[NDArray[np.generic]]) -> NDArray[np.float64]:
    return np.concatenate([np.zeros(0), *arrays]).astype(np.float64)
