"""What a site tells before training, and what the coordinator sees in it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpsma.domain.tracer import Tracer
from fedpsma.federated.disclosure import LEAST_PATIENTS, ROUND_TO, told
from fedpsma.federated.heterogeneity import compare_sites
from fedpsma.federated.page import render_page
from fedpsma.federated.statistics import SiteStatistics, site_statistics, statistics_table
from fedpsma.io.dataset import DatasetInfo
from fedpsma.site_check.facts import OrganSuv
from fedpsma.site_check.summary import ContourSummary, StudySummary

FOLLOWED = ContourSummary(declared="pct41", suggested="suv3", lesions=30, edge_suv=3.0, edge_fraction=0.3)


def _study(patient: int, at: int = 0, **fields: object) -> StudySummary:
    known = {
        "id": f"DOE-{patient}-{at}",
        "patient": f"DOE-{patient}",
        "tracer": Tracer.PSMA_11,
        "scanner": "SIEMENS Biograph mCT of St. Elsewhere",
        "spacing_mm": (4.0, 4.0, 3.0),
        "length_mm": 1000.0,
        "is_suv": True,
        "maximum": 50.0,
        "body_mean": 0.6,
        "liver": OrganSuv(mean=4.0, sd=0.5, found_by="rules"),
        "blood_pool": None,
        "body_overlap": 0.9,
        "lesion_ml": (1.0, 3.0),
        "lesion_suvmax": (5.0, 20.0),
    }
    return StudySummary.model_validate({**known, **fields})


def _told(studies: list[StudySummary], site: str = "A", contour: str = "pct41") -> SiteStatistics:
    info = DatasetInfo.model_validate({"name": site, "site": site, "contour": contour})
    return site_statistics(info, FOLLOWED, studies)


def _bin(found: SiteStatistics, name: str) -> dict[str, int | None]:
    bins = next(one for one in statistics_table().histograms if one.name == name)
    return {label: count for label, count in zip(bins.labels, found.histograms[name], strict=True) if count}


def test_patients_fall_into_their_bins() -> None:
    hot = [_study(n, liver=OrganSuv(mean=12.0, sd=1, found_by="rules"), tracer=Tracer.PSMA_1007) for n in range(7, 19)]
    found = _told([_study(n) for n in range(7)] + hot)
    assert found.patients == 20
    assert found.counts["tracer"] == {"68Ga-PSMA-11": 5, "18F-PSMA-1007": 10}
    assert found.counts["maker"] == {"Siemens": 20}
    assert _bin(found, "liver_suv") == {"3.5 to 5": 5, "10 to 14": 10}
    assert _bin(found, "voxel_ml") == {"0.04 to 0.07": 20}
    assert _bin(found, "lesions") == {"1.5 to 3.5": 20}
    assert _bin(found, "tumour_ml") == {"1 to 5": 20}
    assert _bin(found, "hottest_suv") == {"15 to 30": 20}
    assert _bin(found, "blood_pool_suv") == {}
    assert found.contour_followed == "suv3"


def test_a_patient_with_many_studies_counts_once() -> None:
    often = [_study(0, at, liver=OrganSuv(mean=12.0, sd=1, found_by="rules")) for at in range(40)]
    found = _told([*often, *(_study(n) for n in range(1, 10))])
    assert found.patients == 10
    assert _bin(found, "liver_suv") == {"3.5 to 5": 10}


def test_few_patients_are_nobody() -> None:
    found = _told([_study(n) for n in range(4)])
    assert found.patients is None
    assert found.contour_followed is None
    assert not any(found.counts.values())
    assert not any(count for counts in found.histograms.values() for count in counts)


def test_no_name_leaves() -> None:
    text = _told([_study(n) for n in range(30)]).model_dump_json()
    assert "DOE" not in text
    assert "Elsewhere" not in text
    numbers = [n for part in json.loads(text)["histograms"].values() for n in part if n is not None]
    assert all(n % ROUND_TO == 0 for n in numbers)


@given(st.integers(0, 300))
def test_told_numbers_are_near_and_never_small(patients: int) -> None:
    found = told(patients)
    if patients < LEAST_PATIENTS:
        assert found is None
    else:
        assert found is not None
        assert abs(found - patients) <= ROUND_TO / 2
        assert found >= ROUND_TO


def test_every_histogram_has_values_and_rising_edges() -> None:
    found = _told([_study(n, blood_pool=OrganSuv(mean=1.6, sd=0.1, found_by="rules")) for n in range(20)])
    for bins in statistics_table().histograms:
        assert list(bins.edges) == sorted(bins.edges)
        assert sum(count or 0 for count in found.histograms[bins.name]) == 20


def test_the_coordinator_sees_who_is_unlike() -> None:
    rng = np.random.default_rng(0)
    alike = [_told([_study(n, body_mean=0.8) for n in range(30)], name) for name in ("A", "B")]
    odd = [_study(n, body_mean=2.0, tracer=Tracer.PSMA_1007, length_mm=float(rng.normal(1000, 5))) for n in range(30)]
    found = compare_sites([*alike, _told(odd, "C", "suv3"), _told([_study(1)], "D")])
    assert [one.site for one in found.sites] == ["A", "B", "C", "D"]
    assert found.patients == 90
    first = found.distances[0]
    assert (first.site, first.histogram, first.distance, first.commonest) == ("C", "body_mean_suv", 1.0, "from 1.6")
    notes = " ".join(found.notes)
    assert "C suv3" in notes
    assert "only C has 18F-PSMA-1007" in notes
    assert "A declares the outlines pct41, but they follow suv3" in notes
    assert "D has fewer than 5" in notes
    page = render_page(found)
    assert page.count("<h2>") == 4 + len(statistics_table().histograms)
    assert "from 1.6" in page


def test_names_are_escaped_on_the_page() -> None:
    page = render_page(compare_sites([_told([_study(n) for n in range(9)], "<b>")]))
    assert "<b>" not in page
    assert "&lt;b&gt;" in page


@pytest.mark.parametrize("broken", [{"patients": "many"}, {"extra": 1}])
def test_what_a_site_told_is_checked(broken: dict[str, object]) -> None:
    content = _told([_study(n) for n in range(9)]).model_dump(mode="json") | broken
    with pytest.raises(ValueError, match="validation error"):
        SiteStatistics.model_validate(content)
