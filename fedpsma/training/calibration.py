"""Fitting the judge: from foci with known truth to an additive model, a temperature a tracer and conformal bounds.

Temperatures and bounds rest on probabilities that five models gave to patients they had not been fitted on (no patient
is in two folds). This is cross-conformal prediction: its error levels hold about, not for certain, for new patients of
the same kind, since the judge in use is fitted on all patients and the foci of one patient resemble each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from fedpsma.domain.study import Study, VoxelPrediction
from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError
from fedpsma.io.dataset import Dataset, parse_record, require_masks
from fedpsma.io.files import read_json
from fedpsma.lesions.facts import Facts, facts_of
from fedpsma.lesions.foci import Focus, find_foci
from fedpsma.lesions.judge import FAMILIES, MEASURED, Curve, Judge, family_of, measured, temperature_of
from fedpsma.lesions.locate import hot_core, place
from fedpsma.lesions.references import measure_references
from fedpsma.model.checkpoint import judge_path, load_checkpoint

FOLDS = 5
_KNOTS = (0.02, 0.2, 0.4, 0.6, 0.8, 0.98)
# The inverse weight of the squared terms: small enough that a family with a dozen foci does not decide alone.
_INVERSE_PENALTY = 0.5
LEAST_OF_EACH_CLASS = 20
"""Lesions, and benign foci, that a fit needs."""

_ROUNDING = 1e-9
_TEMPERATURES = (0.2, 5.0)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class KnownFocus:
    """A focus with its truth: whether it is a lesion of the mask, and whose it is (the unit of splitting)."""

    facts: Facts
    malignant: bool
    patient: str


def require_enough_patients(sets: Sequence[Dataset]) -> None:
    """Raise :class:`InputError` where data sets lack masks or patients, before a network has looked at them."""
    for one in sets:
        require_masks(one)
    if len({row.patient for one in sets for row in one.rows}) < FOLDS:
        where = ", ".join(str(one.folder) for one in sets)
        raise InputError(
            "too few patients to calibrate on", where=where, remedy=f"give studies of at least {FOLDS} patients"
        )


def known_foci(
    study: Study, prediction: VoxelPrediction, unsure: Callable[[Focus], bool] = lambda focus: False
) -> list[KnownFocus]:
    """Return the foci of a study with their truth: malignant is one whose hot core holds a voxel of a lesion.

    A focus outside the mask of which ``unsure`` is true, such as one on a lesion that the site did not contour, is
    neither: it is left out.

    Raises:
        InputError: The study has no lesion mask.
    """
    lesions = study.lesions
    if lesions is None:
        raise InputError(
            "has no lesion mask", where=f"study {study.study_id}", remedy="calibrate on studies with a mask"
        )
    references = measure_references(study, prediction)
    found = []
    for focus in find_foci(study, prediction):
        malignant = bool((lesions[focus.box][hot_core(focus, study.pet)] > 0).any())
        if not malignant and unsure(focus):
            continue
        facts = facts_of(focus, place(focus, study, prediction), study, prediction, references)
        found.append(KnownFocus(facts, malignant, study.patient_id))
    return found


def fit_judge(foci: Sequence[KnownFocus], *, fitted_on: str, model_sha256: str, error_level: float = 0.05) -> Judge:
    """Fit a judge.

    Args:
        foci: Foci of patients that the network was not trained on.
        fitted_on: What they are, in words, for the reader of the file.
        model_sha256: Hash of the weights whose maps the facts come from.
        error_level: Share of either class that may fall outside its conformal set.

    Raises:
        InputError: There are too few lesions, benign foci or patients to fit anything.
    """
    truth = np.array([one.malignant for one in foci])
    patients = [one.patient for one in foci]
    _require_enough(truth, patients)
    layout = _Layout.of(foci)
    design = layout.design(foci)
    unseen = np.empty(len(foci))
    for fitted, left_out in GroupKFold(FOLDS).split(design, truth, patients):
        weights, intercept = _regress(design[fitted], truth[fitted])
        unseen[left_out] = design[left_out] @ weights + intercept
    tracers = np.array([str(one.facts.tracer) for one in foci])
    temperature = {
        tracer: best_temperature(unseen[tracers == tracer], truth[tracers == tracer])
        for tracer in Tracer
        if _both_classes(truth[tracers == tracer])
    }
    scale = np.array([temperature_of(temperature, one.facts.tracer) for one in foci])
    indeterminate_from, malignant_from = conformal_bounds(1 / (1 + np.exp(-unseen / scale)), truth, error_level)
    terms = layout.terms(design, *_regress(design, truth))
    return Judge(
        **terms,
        temperature=temperature or {tracer: 1.0 for tracer in Tracer},
        indeterminate_from=indeterminate_from,
        malignant_from=malignant_from,
        error_level=error_level,
        fitted_on=fitted_on,
        model_sha256=model_sha256,
    )


def conformal_bounds(
    probability: Floats, truth: NDArray[np.bool_], error_level: float, counts: Floats | None = None
) -> tuple[float, float]:
    """Return from which probability on a set holds "malignant", and below which it holds "benign".

    Conformal prediction by class: if foci were drawn independently, a new one of either class would lie in its set with
    a probability of at least 1 - ``error_level`` (finite-sample quantiles). Where the classes lie apart, both bounds
    are the middle between them, so that no set is empty. ``counts`` says how many foci each probability
    stands for, one if left out.
    """
    times = np.ones(len(truth)) if counts is None else counts
    lowest = _quantile(1 - probability[truth], times[truth], error_level)
    highest = _quantile(probability[~truth], times[~truth], error_level)
    indeterminate_from, malignant_from = 1 - lowest, highest
    if malignant_from < indeterminate_from:
        indeterminate_from = malignant_from = (indeterminate_from + malignant_from) / 2
    return float(indeterminate_from), float(np.nextafter(malignant_from, 2.0)) if malignant_from < 1 else 1.0


def _quantile(scores: Floats, counts: Floats, error_level: float) -> float:
    """Return the conformal quantile of nonconformity scores: 1 where there are too few to promise the level."""
    order = np.argsort(scores)
    reached = np.cumsum(counts[order])
    rank = math.ceil((counts.sum() + 1) * (1 - error_level) - _ROUNDING)
    place = int(np.searchsorted(reached, rank - _ROUNDING))
    return float(scores[order][place]) if place < len(scores) else 1.0


@dataclass(frozen=True)
class _Layout:
    """Which column of the design stands for what: hats at the knots of each curve, what is missing, the groups."""

    knots: dict[str, Floats]
    groups: tuple[str, ...]

    @classmethod
    def of(cls, foci: Sequence[KnownFocus]) -> _Layout:
        rows = [measured(one.facts) for one in foci]
        knots = {}
        for name in MEASURED:
            values = np.array([row[name] for row in rows if row[name] is not None], dtype=np.float64)
            places = np.unique(np.quantile(values, _KNOTS)) if values.size else values
            if places.size > 1:
                knots[name] = places
        return cls(knots, tuple(sorted({_group(one.facts) for one in foci})))

    def design(self, foci: Sequence[KnownFocus]) -> Floats:
        rows = [measured(one.facts) for one in foci]
        columns = []
        for name, knots in self.knots.items():
            values = np.array([math.nan if row[name] is None else row[name] for row in rows], dtype=np.float64)
            columns += [*_hats(values, knots), np.isnan(values).astype(np.float64)]
        families, groups = [family_of(one.facts.region) for one in foci], [_group(one.facts) for one in foci]
        columns += [np.array([found == family for found in families], dtype=np.float64) for family in FAMILIES]
        columns += [np.array([found == group for found in groups], dtype=np.float64) for group in self.groups]
        return np.column_stack(columns)

    def terms(self, design: Floats, weights: Floats, intercept: float) -> dict[str, object]:
        """Return the fields of a judge; each term is centred on its mean, which the intercept takes."""
        place, curves, missing = 0, {}, {}
        for name, knots in self.knots.items():
            stop = place + len(knots) + 1
            middle = float((design[:, place:stop] @ weights[place:stop]).mean())
            intercept += middle
            values = tuple(round(float(value) - middle, 5) for value in weights[place : stop - 1])
            curves[name] = Curve(knots=tuple(round(float(knot), 5) for knot in knots), values=values)
            missing[name] = round(float(weights[stop - 1]) - middle, 5)
            place = stop
        families, groups = weights[place : place + len(FAMILIES)], weights[place + len(FAMILIES) :]
        return {
            "terms": curves,
            "missing": missing,
            "families": {name: round(float(value), 5) for name, value in zip(FAMILIES, families, strict=True)},
            "tracers": {name: round(float(value), 5) for name, value in zip(self.groups, groups, strict=True)},
            "intercept": round(float(intercept), 5),
        }


def _group(facts: Facts) -> str:
    return f"{facts.tracer}/{family_of(facts.region)}"


def _hats(values: Floats, knots: Floats) -> list[Floats]:
    """Return the weight of each knot at each value (linear interpolation, level beyond the ends, 0 where missing)."""
    hats = np.array([np.interp(values, knots, unit) for unit in np.eye(len(knots))])
    return list(np.where(np.isnan(values), 0.0, hats))


def _regress(design: Floats, truth: NDArray[np.bool_]) -> tuple[Floats, float]:
    model = LogisticRegression(C=_INVERSE_PENALTY, max_iter=2000).fit(design, truth)
    return np.asarray(model.coef_[0], dtype=np.float64), float(model.intercept_[0])


def best_temperature(score: Floats, truth: NDArray[np.bool_], counts: Floats | None = None) -> float:
    """Return the temperature with the least log loss (Guo et al. 2017, arXiv 1706.04599).

    ``counts`` says how many foci each score (log-odds) stands for, one if left out.
    """

    def loss(temperature: float) -> float:
        margin = np.where(truth, score, -score) / temperature
        return float(np.average(np.logaddexp(0.0, -margin), weights=counts))

    return round(float(minimize_scalar(loss, bounds=_TEMPERATURES, method="bounded").x), 4)


def _both_classes(truth: NDArray[np.bool_]) -> bool:
    return min(int(truth.sum()), int((~truth).sum())) >= LEAST_OF_EACH_CLASS


def _require_enough(truth: NDArray[np.bool_], patients: Sequence[str]) -> None:
    if not _both_classes(truth) or len(set(patients)) < FOLDS:
        raise InputError(
            f"hold {int(truth.sum())} lesions and {int((~truth).sum())} benign foci of {len(set(patients))} patients",
            where="the studies to calibrate on",
            remedy=f"give studies with at least {LEAST_OF_EACH_CLASS} of each, of at least {FOLDS} patients",
        )


def starting_judge(model: Path, start: Path | None = None) -> Judge:
    """Return the judge whose terms are kept: ``start``, else the one beside the checkpoint, else the base model's.

    Raises:
        InputError: The checkpoint or the judge is broken.
    """
    begun = start or (judge_path(model) if judge_path(model).is_file() else judge_path())
    terms = parse_record(Judge, read_json(begun), str(begun))
    return terms.model_copy(update={"model_sha256": load_checkpoint(model).card.sha256})
