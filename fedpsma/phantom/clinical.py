"""The clinical context and technique of a synthetic patient, so that his exam is complete."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from fedpsma.domain.exam import Clinical, Technique
from fedpsma.domain.tracer import Tracer
from fedpsma.phantom.body import BodyParameters, Prostate
from fedpsma.phantom.sites import Scenario, SiteProfile
from fedpsma.phantom.tables import Row, read_table

_CT_TEXT = {
    "contrast": "contrast-enhanced CT, portal venous phase",
    "low_dose": "low-dose CT, non-contrast",
    None: "no CT available",
}


class ScenarioRow(Row):
    """Why a patient comes, and what goes with it; ISUP weights are for grades 1 to 5."""

    indication: str
    psa_median: float
    psa_log_sd: float
    prostate_status: dict[str, float]
    isup: tuple[float, float, float, float, float]
    therapies: dict[str, tuple[tuple[str, ...], ...]]
    current: tuple[tuple[str, ...], ...]


class ActivityRow(Row):
    """Injected activity: by body weight, or the same for everybody."""

    mbq_per_kg: float | None = None
    mbq: float | None = None


class ClinicalTable(Row):
    """``clinical.json``."""

    note: str
    age: tuple[float, float]
    scenarios: dict[Scenario, ScenarioRow]
    gleason: tuple[str, ...]
    activity: dict[Tracer, ActivityRow]
    uptake_min: dict[Tracer, tuple[float, float]]


@dataclass(frozen=True)
class Context:
    """Indication and history; ``prostate`` says whether the gland is there to be drawn."""

    scenario: Scenario
    indication: str
    clinical: Clinical
    prostate: Prostate


@cache
def _table() -> ClinicalTable:
    return ClinicalTable.model_validate(read_table("clinical.json"))


def draw_context(rng: np.random.Generator, scenario: Scenario) -> Context:
    """Draw age, PSA, grade, prostate status and therapies that fit the scenario."""
    table, row = _table(), _table().scenarios[scenario]
    status = str(rng.choice(list(row.prostate_status), p=np.array(list(row.prostate_status.values()))))
    therapies = row.therapies[status]
    psa = float(row.psa_median * np.exp(rng.normal(0, row.psa_log_sd)))
    clinical = Clinical(
        age=int(np.clip(rng.normal(*table.age), 45, 90)),
        psa_ng_ml=round(max(psa, 0.1), 1),
        gleason=table.gleason[int(rng.choice(5, p=np.array(row.isup)))],
        prior_therapy=list(therapies[int(rng.integers(len(therapies)))]),
        current_therapy=list(row.current[int(rng.integers(len(row.current)))]),
        prostate_status=status,
    )
    return Context(scenario, row.indication, clinical, "removed" if status == "removed" else "in_situ")


def draw_technique(rng: np.random.Generator, site: SiteProfile, tracer: Tracer, body: BodyParameters) -> Technique:
    """Draw how the study was done."""
    table = _table()
    activity = table.activity[tracer]
    planned = activity.mbq if activity.mbq is not None else (activity.mbq_per_kg or 0.0) * body.weight_kg
    return Technique(
        activity_mbq=round(float(planned * rng.normal(1, 0.06))),
        uptake_min=round(float(np.clip(rng.normal(*table.uptake_min[tracer]), 45, 150))),
        furosemide=bool(rng.random() < site.furosemide),
        ct=_CT_TEXT[site.ct],
        weight_kg=body.weight_kg,
    )
