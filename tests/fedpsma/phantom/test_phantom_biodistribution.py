from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpsma.domain.anatomy import anatomy_number
from fedpsma.domain.tracer import Tracer
from fedpsma.phantom.biodistribution import draw_uptake, tumour_sink

# (mean, SD) of section 5.1 of the imaging reference: Li 2017, EJNMMI Res 2024, autoPET III aggregates.
PUBLISHED = {
    (Tracer.PSMA_11, "liver"): (5.4, 1.7),
    (Tracer.PSMA_11, "spleen"): (8.1, 3.5),
    (Tracer.PSMA_11, "kidney"): (22.8, 6.1),
    (Tracer.DCFPYL, "liver"): (5.0, 0.7),
    (Tracer.DCFPYL, "parotid"): (9.1, 2.0),
    (Tracer.DCFPYL, "submandibular"): (9.5, 2.3),
    (Tracer.DCFPYL, "lacrimal"): (6.5, 1.8),
    (Tracer.DCFPYL, "spleen"): (4.0, 1.5),
    (Tracer.PSMA_1007, "spleen"): (11.2, 3.5),
    (Tracer.PSMA_1007, "kidney"): (11.8, 3.8),
    (Tracer.FDG, "brain"): (12.9, 3.5),
}


@pytest.fixture(scope="module")
def draws() -> dict[Tracer, list[dict[str, float]]]:
    rng = np.random.default_rng(1)
    return {tracer: [draw_uptake(rng, tracer, 0.0, True) for _ in range(500)] for tracer in Tracer}


@pytest.mark.parametrize(("key", "published"), PUBLISHED.items(), ids=str)
def test_organ_uptake_has_the_published_mean_and_spread(draws, key, published):
    tracer, organ = key
    values = [one[organ] for one in draws[tracer]]
    assert np.mean(values) == pytest.approx(published[0], rel=0.10)
    assert np.std(values) == pytest.approx(published[1], rel=0.25)


def test_glands_rise_and_fall_together_but_not_with_the_kidneys(draws):
    logs = {
        organ: np.log([one[organ] for one in draws[Tracer.PSMA_11]]) for organ in ("parotid", "submandibular", "kidney")
    }
    assert np.corrcoef(logs["parotid"], logs["submandibular"])[0, 1] == pytest.approx(0.8, abs=0.08)
    assert abs(np.corrcoef(logs["parotid"], logs["kidney"])[0, 1]) < 0.15


def test_psma_1007_is_excreted_through_the_liver_and_psma_11_through_the_urine(draws):
    median = {
        (tracer, organ): np.median([one[organ] for one in draws[tracer]])
        for tracer in (Tracer.PSMA_11, Tracer.PSMA_1007)
        for organ in ("liver", "bladder", "gall_bladder")
    }
    for organ in ("liver", "gall_bladder"):
        assert median[Tracer.PSMA_1007, organ] > 1.8 * median[Tracer.PSMA_11, organ]
    assert median[Tracer.PSMA_11, "bladder"] > 2 * median[Tracer.PSMA_1007, "bladder"]


def test_without_furosemide_the_bladder_is_hotter():
    def bladder(furosemide: bool) -> float:
        rng = np.random.default_rng(2)
        return float(np.mean([draw_uptake(rng, Tracer.PSMA_11, 0, furosemide)["bladder"] for _ in range(300)]))

    assert bladder(False) > 2 * bladder(True)


@given(st.floats(0, 5000), st.floats(0, 5000))
def test_a_larger_tumour_never_leaves_more_for_the_organs(one, two):
    small, large = sorted((one, two))
    assert tumour_sink().factor(large) <= tumour_sink().factor(small) <= 1


def test_the_image_shows_what_was_drawn(patients):
    for patient in (one for group in patients.values() for one in group):
        for organ, share in (("liver", 0.08), ("spleen", 0.15), ("kidney", 0.25)):
            shown = np.median(patient.ideal[patient.study.anatomy == anatomy_number(organ)])
            assert shown == pytest.approx(patient.truth.organ_suv[organ], rel=share), (patient.study.study_id, organ)
