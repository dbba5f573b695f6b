"""The clinical context and technique of a synthetic patient: drawn after his disease, so that they fit it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import Literal

import numpy as np

from fedpsma.domain.exam import Clinical, ProstateStatus, Technique
from fedpsma.domain.tracer import Tracer
from fedpsma.phantom.body import BodyParameters, Prostate
from fedpsma.phantom.placement import PlacedFocus
from fedpsma.phantom.sites import Scenario, SiteProfile
from fedpsma.phantom.tables import Row, read_table

NO_CT = "no CT available"
_CT_TEXT = {
    "contrast": "contrast-enhanced CT, portal venous phase",
    "low_dose": "low-dose CT, non-contrast",
    None: NO_CT,
}
_STEPS = {"T": 0, "N": 1}
_DISTANT = 2
# PSA is reported with two digits below this, else with one.
_FINE_PSA = 1.0
_LATER_PSA_LOG_SD = 0.15


class PsaRow(Row):
    """PSA (ng/ml) of a scenario from the tumour volume (ml): (floor + per_ml * volume^power) * exp(N(0, log_sd))."""

    floor: dict[ProstateStatus, float]
    per_ml: float
    power: float
    log_sd: float


class ScenarioRow(Row):
    """Why a patient comes, and what goes with it; ISUP weights are for grades 1 to 5."""

    indication: str
    psa: PsaRow
    doubling: tuple[float, float]
    prostate_status: dict[ProstateStatus, float]
    isup: tuple[float, float, float, float, float]
    therapies: dict[ProstateStatus, tuple[tuple[str, ...], ...]]
    current: dict[Literal["confined", "spread"], tuple[tuple[str, ...], ...]]
    later: tuple[tuple[str, ...], ...]


class ActivityRow(Row):
    """Injected activity: by body weight, or the same for everybody."""

    mbq_per_kg: float | None = None
    mbq: float | None = None


class Calendar(Row):
    """The synthetic days on which first scans are done."""

    first: date
    days: int


class ClinicalTable(Row):
    """``clinical.json``."""

    note: str
    source: str
    age: tuple[float, float]
    calendar: Calendar
    isup_tilt: float
    doubling_spread: float
    adt: float
    scenarios: dict[Scenario, ScenarioRow]
    gleason: tuple[str, ...]
    activity: dict[Tracer, ActivityRow]
    uptake_min: dict[Tracer, tuple[float, float]]


@dataclass(frozen=True)
class Context:
    """Why he comes; ``prostate`` says whether the gland is there to be drawn."""

    scenario: Scenario
    indication: str
    status: ProstateStatus

    @property
    def prostate(self) -> Prostate:
        """Whether the gland is there."""
        return "removed" if self.status == "removed" else "in_situ"


@dataclass(frozen=True)
class Burden:
    """How much disease there is: volume in ml, and how far it went (0 local or none, 1 pelvic nodes, 2 distant)."""

    tumour_ml: float
    steps: int

    @classmethod
    def of(cls, foci: Iterable[PlacedFocus]) -> Burden:
        """Return the burden of the lesions among these foci, by their planned volumes."""
        lesions = [one for one in foci if one.focus.suspicious]
        steps = (_STEPS.get(one.region.facts.mitnm_axis or "", _DISTANT) for one in lesions)
        return cls(sum(one.focus.volume_ml for one in lesions), max(steps, default=0))


@cache
def _table() -> ClinicalTable:
    return ClinicalTable.model_validate(read_table("clinical.json"))


def draw_context(rng: np.random.Generator, scenario: Scenario) -> Context:
    """Draw what was done to the prostate."""
    row = _table().scenarios[scenario]
    status = list(row.prostate_status)[_pick(rng, row.prostate_status.values())]
    return Context(scenario, row.indication, status)


def draw_clinical(rng: np.random.Generator, context: Context, burden: Burden) -> Clinical:
    """Draw age, PSA with its history, grade and therapies that fit the disease."""
    table, row = _table(), _table().scenarios[context.scenario]
    current = row.current["spread" if burden.steps == _DISTANT else "confined"]
    under = current[int(rng.integers(len(current)))]
    therapies = row.therapies[context.status]
    psa = _expected_psa(context, burden) * float(np.exp(rng.normal(0, row.psa.log_sd)))
    if "ADT" in under and context.scenario != "castration_resistant":
        psa *= table.adt
    return Clinical(
        age=int(np.clip(rng.normal(*table.age), 45, 90)),
        psa_ng_ml=_rounded(psa),
        psa_history=_history(rng, context, burden, psa),
        gleason=table.gleason[_pick(rng, _tilted(row.isup, table.isup_tilt * burden.steps))],
        prior_therapy=list(therapies[int(rng.integers(len(therapies)))]),
        current_therapy=list(under),
        prostate_status=context.status,
    )


def draw_later_clinical(
    rng: np.random.Generator, before: Clinical, context: Context, burdens: tuple[Burden, Burden], days: int
) -> Clinical:
    """Draw the clinical fields of a later scan: a therapy begun since, and a PSA that followed the tumour.

    ``burdens`` are those of the scan before and of this one, ``days`` the time between them.
    """
    row = _table().scenarios[context.scenario]
    begun = [one for one in row.later if set(one) != set(before.current_therapy or [])]
    under = begun[int(rng.integers(len(begun)))]
    was, now = (_expected_psa(context, burden) for burden in burdens)
    psa = _rounded((before.psa_ng_ml or 0.0) * now / was * float(np.exp(rng.normal(0, _LATER_PSA_LOG_SD))))
    done = [*(before.prior_therapy or []), *(before.current_therapy or [])]
    history = f"{before.psa_ng_ml:g} ng/ml at the prior PET {round(days / 7)} weeks ago, now {psa:g} ng/ml"
    return before.model_copy(
        update={
            "age": (before.age or 0) + days // 365,
            "psa_ng_ml": psa,
            "psa_history": history,
            "prior_therapy": [one for one in dict.fromkeys(done) if one not in under],
            "current_therapy": list(under),
        }
    )


def draw_retest_clinical(rng: np.random.Generator, before: Clinical) -> Clinical:
    """Draw the clinical fields of a scan repeated within days: the same but for the spread of the PSA test."""
    psa = (before.psa_ng_ml or 0.0) * float(np.exp(rng.normal(0, 0.05)))
    return before.model_copy(update={"psa_ng_ml": _rounded(psa)})


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


def draw_date(rng: np.random.Generator) -> date:
    """Draw the synthetic day of a first scan."""
    calendar = _table().calendar
    return calendar.first + timedelta(days=int(rng.integers(calendar.days)))


def _expected_psa(context: Context, burden: Burden) -> float:
    row = _table().scenarios[context.scenario].psa
    return row.floor[context.status] + row.per_ml * float(burden.tumour_ml**row.power)


def _history(rng: np.random.Generator, context: Context, burden: Burden, psa: float) -> str:
    """Write down how the PSA rose, with the doubling time that the two values have."""
    table = _table()
    median, log_sd = table.scenarios[context.scenario].doubling
    drawn = median * table.doubling_spread**burden.steps * float(np.exp(rng.normal(0, log_sd)))
    months = int(rng.integers(3, 13))
    earlier, now = _rounded(psa * 2.0 ** (-months / drawn)), _rounded(psa)
    if earlier >= now:
        return f"{now:g} ng/ml, unchanged for {months} months"
    doubling = months * np.log(2) / np.log(now / earlier)
    return f"{earlier:g} ng/ml {months} months ago, now {now:g} ng/ml, doubling time {doubling:.1f} months"


def _tilted(weights: tuple[float, ...], tilt: float) -> list[float]:
    """Shift weights towards the later ones."""
    shifted = np.array(weights) * np.exp(tilt * np.arange(len(weights)))
    return [float(one) for one in shifted / shifted.sum()]


def _rounded(psa: float) -> float:
    return max(round(psa, 2 if psa < _FINE_PSA else 1), 0.01)


def _pick(rng: np.random.Generator, weights: Iterable[float]) -> int:
    shares = np.array(list(weights))
    return int(rng.choice(len(shares), p=shares))
