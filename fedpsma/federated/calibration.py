"""Temperatures and conformal bounds fitted across sites from histograms: no score of a single patient leaves its site.

The terms of the judge stay as they are; what the sites' patients decide is how far its log-odds are to be trusted. The
foci have to be of patients that neither the network nor the judge was fitted on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError
from fedpsma.federated.scores import WIDTH, Floats, Run, Scored, edges, runs_of, spread
from fedpsma.lesions.judge import Judge, judge_focus, temperature_of
from fedpsma.training.calibration import LEAST_OF_EACH_CLASS, KnownFocus, best_temperature, conformal_bounds

_BENIGN, _MALIGNANT = 0, 1
_KINDS = 2


class SiteScores(BaseModel):
    """What a site tells of the judge on its patients: by tracer, benign foci and lesions along the log-odds.

    ``judge_sha256`` names the judge that it used (:func:`judge_digest`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["scores"] = "scores"
    site: str
    model_sha256: str
    judge_sha256: str
    tracers: dict[Tracer, tuple[Run, ...]]


def site_scores(site: str, judge: Judge, foci: Sequence[KnownFocus]) -> SiteScores:
    """Return the histograms of a site's foci; a tracer of fewer than five patients is left out."""
    told = {tracer: _runs(judge, [one for one in foci if one.facts.tracer == tracer]) for tracer in Tracer}
    return SiteScores(
        site=site,
        model_sha256=judge.model_sha256,
        judge_sha256=judge_digest(judge),
        tracers={tracer: runs for tracer, runs in told.items() if runs},
    )


def judge_digest(judge: Judge) -> str:
    """Return the SHA-256 of a judge, by which what sites tell of it names it."""
    return hashlib.sha256(judge.model_dump_json().encode()).hexdigest()


def log_odds_before_temperature(judge: Judge, focus: KnownFocus) -> float:
    """Return the sum of the judge's terms for a focus."""
    found = judge_focus(judge, focus.facts)
    scaled = found.prior + sum(value for _, value in found.terms)
    return scaled * temperature_of(judge.temperature, focus.facts.tracer)


def fit_across_sites(judge: Judge, sites: Sequence[SiteScores], error_level: float | None = None) -> Judge:
    """Return the judge with temperatures and conformal bounds fitted to the foci of all sites together.

    A tracer with too few foci of either class keeps its temperature. Bounds are taken at the outer edges of the bins,
    so that binning never makes a set too small.

    Args:
        judge: The judge that all sites used.
        sites: What the sites told.
        error_level: Share of either class that may fall outside its conformal set; as before where left out.

    Raises:
        InputError: A site used another judge or other weights, or there are too few lesions or benign foci in all.
    """
    for one in sites:
        if one.model_sha256 != judge.model_sha256:
            raise InputError("judged with other weights", where=one.site, remedy="give all sites the same model")
        if one.judge_sha256 != judge_digest(judge):
            raise InputError(
                "used another judge", where=one.site, remedy="give all sites the judge that you start from"
            )
    tables = {tracer: spread([one.tracers.get(tracer, ()) for one in sites], _KINDS) for tracer in Tracer}
    total = np.sum(list(tables.values()), axis=(0, 2))
    if total.min() < LEAST_OF_EACH_CLASS:
        raise InputError(
            f"told of {total[_MALIGNANT]:.0f} lesions and {total[_BENIGN]:.0f} benign foci",
            where="the sites",
            remedy=f"at least {LEAST_OF_EACH_CLASS} of each are needed",
        )
    level = judge.error_level if error_level is None else error_level
    temperature = {**judge.temperature, **_temperatures(tables)}
    changed = judge.model_copy(update={"temperature": temperature})
    indeterminate_from, malignant_from = _bounds(changed, tables, level)
    names = ", ".join(sorted(one.site for one in sites))
    return changed.model_copy(
        update={
            "indeterminate_from": indeterminate_from,
            "malignant_from": malignant_from,
            "error_level": level,
            "fitted_on": f"{judge.fitted_on}; temperatures and bounds on histograms of {names}",
        }
    )


def _runs(judge: Judge, foci: Sequence[KnownFocus]) -> tuple[Run, ...]:
    numbers = {patient: at for at, patient in enumerate(dict.fromkeys(one.patient for one in foci))}
    found = Scored(
        scores=np.array([log_odds_before_temperature(judge, one) for one in foci], dtype=np.float64),
        kinds=np.array([_MALIGNANT if one.malignant else _BENIGN for one in foci], dtype=np.intp),
        patients=np.array([numbers[one.patient] for one in foci], dtype=np.intp),
    )
    return runs_of(found, _KINDS)


def _temperatures(tables: Mapping[Tracer, Floats]) -> dict[Tracer, float]:
    middle = np.tile(edges()[:-1] + WIDTH / 2, _KINDS)
    truth = np.repeat([False, True], len(middle) // _KINDS)
    return {
        tracer: best_temperature(middle, truth, table.ravel())
        for tracer, table in tables.items()
        if table.sum(axis=1).min() >= LEAST_OF_EACH_CLASS
    }


def _bounds(judge: Judge, tables: Mapping[Tracer, Floats], level: float) -> tuple[float, float]:
    # The most favourable benign and the least favourable malignant score that a bin can hold.
    outer = np.concatenate([edges()[1:], edges()[:-1]])
    truth = np.repeat([False, True], len(outer) // _KINDS)
    scores = np.concatenate([outer / temperature_of(judge.temperature, tracer) for tracer in tables])
    counts = np.concatenate([table.ravel() for table in tables.values()])
    return conformal_bounds(1 / (1 + np.exp(-scores)), np.tile(truth, len(tables)), level, counts)
