"""Can a classifier tell synthetic from real? The area under its ROC curve, cross-validated; 0.5 is what we wish for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

Vectors = NDArray[np.float64]

_FOLDS = 5


def separability(real: Vectors, synthetic: Vectors, repeats: int, seed: int = 0) -> dict[str, float]:
    """Return the AUC of each kind of classifier between two samples of vectors (n, features).

    Values are taken as log(1 + value) and standardised; what is missing (NaN) on either side is drawn from the known
    values of both, so that a hole tells nothing. The larger sample is thinned to the size of the smaller one; the AUC
    is the mean over ``repeats`` thinnings of a stratified five-fold cross-validation.

    Raises:
        ValueError: A sample has fewer rows than there are folds.
    """
    size = min(len(real), len(synthetic))
    if size < _FOLDS:
        raise ValueError(f"{size} rows cannot be split into {_FOLDS} folds")
    known = ~np.isnan(real).all(axis=0) & ~np.isnan(synthetic).all(axis=0)
    rng = np.random.default_rng(seed)
    truth = np.repeat([0, 1], size)
    scores: dict[str, list[float]] = {}
    for repeat in range(repeats):
        thinned = [sample[rng.permutation(len(sample))[:size]][:, known] for sample in (real, synthetic)]
        values = np.log1p(np.maximum(_filled(np.concatenate(thinned), rng), 0))
        folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=repeat)
        for name, model in _classifiers(repeat).items():
            auc = cross_val_score(model, values, truth, cv=folds, scoring="roc_auc")
            scores.setdefault(name, []).append(float(np.mean(auc)))
    return {name: float(np.mean(values)) for name, values in scores.items()}


def _classifiers(seed: int) -> dict[str, Pipeline]:
    models = {
        "logistic": [LogisticRegression(max_iter=2000)],
        "logistic with squares": [FunctionTransformer(_with_squares), LogisticRegression(max_iter=2000)],
        "random forest": [RandomForestClassifier(100, random_state=seed)],
        "gradient boosting": [GradientBoostingClassifier(n_estimators=60, subsample=0.8, random_state=seed)],
    }
    return {name: make_pipeline(StandardScaler(), *steps) for name, steps in models.items()}


def _filled(values: Vectors, rng: np.random.Generator) -> Vectors:
    """Fill the holes of each column with values drawn from the column; a column without any becomes zero."""
    filled = values.copy()
    for column in filled.T:
        holes = np.isnan(column)
        column[holes] = rng.choice(column[~holes], int(holes.sum())) if not holes.all() else 0.0
    return filled


def _with_squares(values: Vectors) -> Vectors:
    return np.hstack([values, values**2])
