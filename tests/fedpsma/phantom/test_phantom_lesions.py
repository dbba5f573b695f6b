from __future__ import annotations

import numpy as np
import pytest

from fedpsma.domain.anatomy import anatomy_classes, anatomy_number
from fedpsma.domain.region import Region
from fedpsma.domain.tracer import Tracer
from fedpsma.phantom.anatomy import build_anatomy
from fedpsma.phantom.body import draw_body
from fedpsma.phantom.grid import sample_nearest
from fedpsma.phantom.lesions import draw_disease
from fedpsma.phantom.placement import place_disease, shape_focus, side_of

OPEN = {one.number for one in anatomy_classes() if one.name == "soft_tissue" or (one.region and one.region.is_node)}


@pytest.fixture(scope="module")
def diseases():
    rng = np.random.default_rng(4)
    return [draw_disease(rng, "castration_resistant", "in_situ", Tracer.PSMA_1007) for _ in range(150)]


@pytest.fixture(scope="module")
def placed():
    """Foci of two patients with much disease, each with his anatomy."""
    found = []
    for seed in (1, 2, 3):
        rng = np.random.default_rng(seed)
        anatomy = build_anatomy(draw_body(rng, "in_situ"))
        disease = draw_disease(rng, "castration_resistant", "in_situ", Tracer.PSMA_1007)
        found += [(anatomy, one) for one in place_disease(rng, disease, anatomy)]
    assert len(found) > 30
    return found


def test_lesion_volumes_have_the_published_quartiles(diseases):
    volumes = [lesion.volume_ml for disease in diseases for lesion in disease.lesions]
    assert len(volumes) > 1500
    assert np.percentile(volumes, [25, 50, 75]) == pytest.approx([0.6, 1.3, 3.0], rel=0.10)


def test_lesion_uptake_spreads_between_and_within_patients(diseases):
    logs = [np.log([lesion.suvmax for lesion in disease.lesions]) for disease in diseases if len(disease.lesions) > 8]
    assert np.exp(np.median(np.concatenate(logs))) == pytest.approx(12.6, rel=0.15)
    assert np.mean([np.std(one) for one in logs]) == pytest.approx(0.75, rel=0.2)
    assert np.std([np.mean(one) for one in logs]) == pytest.approx(0.5, rel=0.3)


def test_unspecific_bone_uptake_follows_the_tracer():
    def share(tracer: Tracer) -> float:
        rng = np.random.default_rng(8)
        drawn = [draw_disease(rng, "staging", "in_situ", tracer) for _ in range(400)]
        return float(np.mean([any(m.kind == "unspecific_bone_uptake" for m in one.mimics) for one in drawn]))

    assert share(Tracer.PSMA_11) == pytest.approx(0.239, abs=0.06)
    assert 0.51 <= share(Tracer.PSMA_1007) <= 0.72
    assert share(Tracer.FDG) == 0


def test_after_prostatectomy_the_recurrence_is_in_the_bed():
    rng = np.random.default_rng(3)
    drawn = [draw_disease(rng, "recurrence", "removed", Tracer.PSMA_11) for _ in range(200)]
    regions = {lesion.region for disease in drawn for lesion in disease.lesions}
    assert Region.PROSTATE_BED in regions
    assert not regions & {Region.PROSTATE, Region.SEMINAL_VESICLE}


def test_each_lesion_starts_in_the_class_it_declares(placed):
    for anatomy, one in placed:
        grid = anatomy.grid
        index = tuple(np.rint((np.array(one.centre_mm) - grid.origin_mm) / grid.spacing_mm).astype(int))
        assert anatomy.classes[index] == one.class_number
        if one.focus.suspicious:
            assert one.class_number == anatomy_number(one.focus.target)
            declared = anatomy_classes()[one.class_number].region
            assert one.region in (declared, Region.PROSTATE_BED)


def test_no_focus_grows_into_another_structure(placed):
    for anatomy, one in placed:
        shape = shape_focus(one, anatomy, margin_mm=8)
        touched = set(np.unique(sample_nearest(anatomy.classes, anatomy.grid, shape.grid)[shape.occupancy > 0]))
        allowed = OPEN if one.class_number in OPEN or one.focus.path else {one.class_number}
        assert touched <= allowed, one.focus.kind


def test_a_focus_has_its_volume_unless_its_structure_is_too_small(placed):
    ratios = [shape_focus(one, anatomy, 8).volume_ml / one.focus.volume_ml for anatomy, one in placed]
    assert np.median(ratios) == pytest.approx(1.0, abs=0.05)
    assert max(ratios) < 1.35


def test_the_side_is_where_the_focus_lies(placed):
    for _, one in placed:
        assert one.side in one.region.facts.sides
        if one.side in ("L", "R"):
            assert (one.centre_mm[0] > 0) == (one.side == "R")


@pytest.mark.parametrize(
    ("region", "x_mm", "side"),
    [
        (Region.LN_OBTURATOR, 3.0, "R"),
        (Region.LN_OBTURATOR, -3.0, "L"),
        (Region.PROSTATE, 3.0, "M"),
        (Region.PROSTATE, -12.0, "L"),
        (Region.BONE_STERNUM, 11.0, "M"),
    ],
)
def test_side_of(region, x_mm, side):
    assert side_of(region, x_mm) == side
