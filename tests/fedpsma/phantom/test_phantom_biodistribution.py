from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from fedpsma.domain.anatomy import anatomy_number
from fedpsma.domain.tracer import Tracer
from fedpsma.phantom.biodistribution import draw_uptake, organ_uptakes, score_factor, tumour_sink
from fedpsma.phantom.tables import tissues

# (mean, SD) as (lowest, highest) of the sources: Li 2017, EJNMMI Res 2024, autoPET III aggregates.
PUBLISHED = {
    (Tracer.PSMA_11, "liver"): ((5.4, 5.6), (1.7, 2.3)),
    (Tracer.PSMA_11, "spleen"): ((7.4, 8.1), (3.2, 3.5)),
    (Tracer.PSMA_11, "kidney"): ((22.2, 23.5), (5.9, 6.3)),
    (Tracer.DCFPYL, "liver"): ((5.0, 5.0), (0.7, 0.7)),
    (Tracer.DCFPYL, "parotid"): ((9.1, 9.1), (2.0, 2.0)),
    (Tracer.DCFPYL, "submandibular"): ((9.5, 9.5), (2.3, 2.3)),
    (Tracer.DCFPYL, "lacrimal"): ((6.5, 6.5), (1.8, 1.8)),
    (Tracer.DCFPYL, "spleen"): ((4.0, 4.0), (1.5, 1.5)),
    (Tracer.PSMA_1007, "liver"): ((11.0, 11.7), (2.1, 3.9)),
    (Tracer.PSMA_1007, "spleen"): ((10.0, 11.2), (3.5, 3.7)),
    (Tracer.PSMA_1007, "kidney"): ((11.4, 12.1), (3.6, 4.1)),
    (Tracer.FDG, "brain"): ((12.9, 12.9), (3.5, 3.5)),
}


@pytest.fixture(scope="module")
def draws() -> dict[Tracer, list[dict[str, float]]]:
    rng = np.random.default_rng(1)
    return {tracer: [draw_uptake(rng, tracer, 0.0, True) for _ in range(500)] for tracer in Tracer}


@pytest.mark.parametrize(("key", "published"), PUBLISHED.items(), ids=str)
def test_organ_uptake_has_the_published_mean_and_spread(draws, key, published):
    tracer, organ = key
    (low, high), (narrow, wide) = published
    values = [one[organ] for one in draws[tracer]]
    assert 0.9 * low <= np.mean(values) <= 1.1 * high
    assert 0.75 * narrow <= np.std(values) <= 1.25 * wide


def test_mean_and_sd_in_the_table_are_those_of_the_quantiles():
    scores = np.clip(norm.ppf((np.arange(2000) + 0.5) / 2000), -2.5, 2.5)
    for organ in organ_uptakes().values():
        for tracer in organ.quantiles:
            values = [organ.at(tracer, score) for score in scores]
            assert (np.mean(values), np.std(values)) == pytest.approx(organ.suv[tracer], rel=0.02), organ.organ


def test_every_texture_and_side_says_where_it_comes_from():
    known = {tissue.name: tissue.organ for tissue in tissues()}
    for organ in organ_uptakes().values():
        assert bool(organ.texture) == ("[" in organ.texture_source), organ.organ
        assert (organ.sides != (0.0, 0.0)) == ("[" in organ.sides_source), organ.organ
        assert all(known[name] == organ.organ for name in organ.tissue_texture), organ.organ


def test_correlations_are_those_of_a_distribution():
    for tracer in Tracer:
        matrix = score_factor(tracer) @ score_factor(tracer).T
        assert np.diag(matrix) == pytest.approx(1.0)
    names = list(organ_uptakes())
    fdg = score_factor(Tracer.FDG) @ score_factor(Tracer.FDG).T
    assert fdg[names.index("liver"), names.index("kidney")] > 0.5


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
