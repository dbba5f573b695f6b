"""The synthetic sites: tracer, scanner, disease and contour convention of each."""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np

from fedpsma.domain.contour import ContourConvention
from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError
from fedpsma.phantom.tables import Row, read_table

Scenario = Literal["staging", "recurrence", "castration_resistant"]


class SiteProfile(Row):
    """One row of ``sites.json``: shares by tracer and clinical scenario, and how the scanner images."""

    name: str
    tracers: dict[Tracer, float]
    spacing_mm: tuple[float, float, float]
    psf_mm: float
    overshoot: float
    liver_cv: float
    noise_fwhm_mm: float
    ct: Literal["contrast", "low_dose"] | None
    ct_noise_hu: float
    scenarios: dict[Scenario, float]
    contour: ContourConvention
    furosemide: float
    working_mm: float
    source: str

    def draw_tracer(self, rng: np.random.Generator) -> Tracer:
        """Draw the tracer of a study."""
        return Tracer(rng.choice(list(self.tracers), p=np.array(list(self.tracers.values()))))

    def draw_scenario(self, rng: np.random.Generator) -> Scenario:
        """Draw why a patient was examined."""
        scenarios = list(self.scenarios)
        return scenarios[int(rng.choice(len(scenarios), p=np.array(list(self.scenarios.values()))))]


@cache
def site_profiles() -> dict[str, SiteProfile]:
    """Return every synthetic site by its letter."""
    return {name: SiteProfile.model_validate(row) for name, row in read_table("sites.json")["sites"].items()}


def site_profile(name: str) -> SiteProfile:
    """Return a synthetic site by its letter.

    Raises:
        InputError: There is no such site.
    """
    sites = site_profiles()
    if name not in sites:
        raise InputError(
            f"there is no synthetic site {name!r}", where="site", remedy=f"choose one of {', '.join(sorted(sites))}"
        )
    return sites[name]
