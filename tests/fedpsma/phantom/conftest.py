"""A few patients of the quickstart's sites, made once."""

from __future__ import annotations

import pytest

from fedpsma.phantom.patient import PhantomPatient, draw_patient


@pytest.fixture(scope="session")
def patients() -> dict[str, list[PhantomPatient]]:
    return {site: [draw_patient(site, index, seed=3) for index in range(3)] for site in "ABC"}
