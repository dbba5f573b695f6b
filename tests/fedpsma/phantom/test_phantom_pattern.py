from __future__ import annotations

import numpy as np
import pytest

from fedpsma.domain.tracer import Tracer
from fedpsma.phantom.anatomy import Anatomy, build_anatomy
from fedpsma.phantom.biodistribution import activity_by_tissue, draw_uptake
from fedpsma.phantom.body import draw_body
from fedpsma.phantom.pattern import UptakePattern, activity_volume, draw_pattern
from fedpsma.phantom.tables import tissue_number, tissues


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    return build_anatomy(draw_body(np.random.default_rng(2), "in_situ"), 6.0)


@pytest.fixture(scope="module")
def uptake() -> dict[str, float]:
    return draw_uptake(np.random.default_rng(3), Tracer.PSMA_11, 0.0, True)


def even(**sides: float) -> UptakePattern:
    organs = {tissue.organ for tissue in tissues() if tissue.organ}
    return UptakePattern(dict.fromkeys(organs, 0.0), dict.fromkeys(organs, 0.0) | sides, seed=1)


def test_an_even_pattern_is_the_table(anatomy, uptake):
    volume = activity_volume(anatomy, uptake, even())
    assert volume == pytest.approx(activity_by_tissue(uptake)[anatomy.tissue], rel=1e-4)


def test_texture_keeps_the_mean_of_each_tissue_and_is_the_same_for_the_same_seed(anatomy, uptake):
    pattern = draw_pattern(np.random.default_rng(4), Tracer.PSMA_11)
    volume = activity_volume(anatomy, uptake, pattern)
    table = activity_by_tissue(uptake)
    for name in ("kidney", "liver", "duodenum", "bladder"):
        inside = volume[anatomy.tissue == tissue_number(name)]
        assert inside.mean() == pytest.approx(table[tissue_number(name)], rel=1e-3)
    kidney = volume[anatomy.tissue == tissue_number("kidney")]
    assert 0.15 < np.log(kidney).std() < 0.8
    assert np.array_equal(volume, activity_volume(anatomy, uptake, pattern))


def test_sides_are_those_of_the_man_and_not_of_the_grid(anatomy, uptake):
    volume = activity_volume(anatomy, uptake, even(kidney=0.2))
    kidney = anatomy.tissue == tissue_number("kidney")
    x, _, z = anatomy.grid.axes
    left = (x[:, None] < anatomy.parameters.axis_mm(z)[0])[:, None, :] & kidney
    assert volume[left].mean() / volume[kidney & ~left].mean() == pytest.approx(np.exp(0.2), rel=1e-3)


def test_the_skull_is_more_uneven_than_other_bone(anatomy, uptake):
    organs = {tissue.organ for tissue in tissues() if tissue.organ}
    pattern = UptakePattern(dict.fromkeys(organs, 0.0) | {"bone": 0.2}, dict.fromkeys(organs, 0.0), seed=1)
    logs = np.log(np.maximum(activity_volume(anatomy, uptake, pattern), 1e-6))
    skull, spine = (logs[anatomy.tissue == tissue_number(name)].std() for name in ("skull", "lumbar_spine"))
    assert skull > 2.5 * spine
