"""Synthetic patients, made once for all tests of the phantom."""

from __future__ import annotations

import pytest

from fedpsma.phantom.patient import PhantomOptions, PhantomPatient, draw_patient
from fedpsma.phantom.series import draw_series


@pytest.fixture(scope="session")
def patients() -> dict[str, list[PhantomPatient]]:
    """A few patients of the quickstart's sites, on the sites' own grids."""
    return {site: [draw_patient(site, index, seed=3) for index in range(3)] for site in "ABC"}


@pytest.fixture(scope="session")
def pairs() -> list[tuple[PhantomPatient, PhantomPatient]]:
    """A first and a later scan of patients with disease, each course twice or more, on a coarse grid."""
    courses = ("complete_response", "progression", "response", "mixed", "retest", "stable", "progression")
    found = []
    for site, index in [*(("C", index) for index in range(10)), *(("B", index) for index in range(4))]:
        course = courses[index % len(courses)]
        options = PhantomOptions(spacing_mm=5.0, course=course)
        first, later = draw_series(site, index, 5, options, follow_ups=1)
        found.append((first, later))
    return found
