"""Lesion detection: sensitivity at stated false positives per scan (FROC) and average precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

HitRule = Literal["overlap", "suvmax", "iou"]
HIT_RULES: tuple[HitRule, ...] = ("overlap", "suvmax", "iou")
FALSE_POSITIVES_PER_SCAN = (0.5, 1.0, 2.0, 4.0)
LEAST_IOU = 0.1


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


@dataclass(frozen=True)
class FrocPoint:
    """Sensitivity at the lowest threshold that keeps to the allowed mean number of false positives a scan."""

    false_positives: float
    sensitivity: float


def match_scan(
    truth: NDArray[np.int32],
    candidates: NDArray[np.int32],
    scores: NDArray[np.float64],
    pet: NDArray[np.float32],
    rule: HitRule = "overlap",
) -> ScanDetections:
    """Match candidates with true lesions.

    Args:
        truth: True lesions numbered from 1 (x, y, z), 0 is none; gaps in the numbers are allowed.
        candidates: Candidates numbered from 1 to ``len(scores)``, on the same grid.
        scores: Suspicion of each candidate.
        pet: SUV on the same grid, for the rule "suvmax".
        rule: When a candidate hits a lesion: "overlap" any shared voxel (autoPET), "suvmax" it holds the lesion's
            hottest voxel (Dzikunu 2025), "iou" intersection over union of at least 0.1.
    """
    where = truth > 0
    in_truth, in_candidates = truth[where], candidates[where]
    numbers, lesion = np.unique(in_truth, return_inverse=True)
    shared = np.zeros((len(scores) + 1, len(numbers)), dtype=np.int64)
    np.add.at(shared, (in_candidates, lesion), 1)
    if rule == "overlap":
        hit = shared[1:] > 0
    elif rule == "suvmax":
        hit = _holds_maximum(in_candidates, lesion, pet[where], shared.shape)[1:]
    else:
        candidate_sizes = np.bincount(candidates.ravel(), minlength=len(scores) + 1)[:, None]
        union = candidate_sizes + shared.sum(axis=0)[None, :] - shared
        hit = (shared / np.maximum(union, 1) >= LEAST_IOU)[1:]
    found_at = np.where(hit, scores[:, None], -np.inf).max(axis=0, initial=-np.inf)
    return ScanDetections(np.asarray(scores, dtype=np.float64), np.asarray(hit.any(axis=1)), found_at)


def _holds_maximum(
    candidate: NDArray[np.int32], lesion: NDArray[np.intp], suv: NDArray[np.float32], shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    """Return (candidates + 1, lesions): whether the candidate holds the lesion's hottest voxel."""
    order = np.lexsort((suv, lesion))
    last = np.flatnonzero(np.diff(lesion[order], append=shape[1]))
    hottest = order[last]
    holds = np.zeros(shape, dtype=bool)
    holds[candidate[hottest], lesion[hottest]] = True
    return holds


def froc(scans: Sequence[ScanDetections], allowed: Sequence[float] = FALSE_POSITIVES_PER_SCAN) -> tuple[FrocPoint, ...]:
    """Return the sensitivity over all lesions at each allowed mean number of false positives a scan.

    Scans without lesions stay in: they add false positives. The sensitivity is NaN where no scan holds a lesion.
    """
    found_at = np.concatenate([scan.found_at for scan in scans]) if scans else np.zeros(0)
    false = np.sort(np.concatenate([scan.scores[~scan.hits] for scan in scans]))[::-1] if scans else np.zeros(0)
    return tuple(FrocPoint(rate, _sensitivity(found_at, false, rate * len(scans))) for rate in allowed)


def _sensitivity(found_at: NDArray[np.float64], false: NDArray[np.float64], budget: float) -> float:
    """Return the share of lesions found above the first false positive (``false``, highest first) beyond the budget."""
    if found_at.size == 0:
        return float("nan")
    too_many = int(np.floor(budget + 1e-9))
    above = false[too_many] if too_many < false.size else -np.inf
    return float(np.mean(found_at > above))


def average_precision(scans: Sequence[ScanDetections]) -> float:
    """Return the area under precision against recall, candidates of all scans pooled; NaN without a true lesion.

    Precision counts candidates that hit any lesion, recall counts lesions hit by any candidate, so that neither two
    candidates on one lesion nor one candidate on two are punished. Equal scores are taken together.
    """
    lesions = sum(scan.found_at.size for scan in scans)
    if lesions == 0:
        return float("nan")
    scores = np.concatenate([scan.scores for scan in scans])
    hits = np.concatenate([scan.hits for scan in scans])
    found_at = np.sort(np.concatenate([scan.found_at for scan in scans]))[::-1]
    thresholds = np.unique(scores)[::-1]
    order = np.argsort(-scores, kind="stable")
    taken = np.searchsorted(-scores[order], -thresholds, side="right")
    precision = np.cumsum(hits[order])[taken - 1] / taken
    recall = np.searchsorted(-found_at, -thresholds, side="right") / lesions
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))
