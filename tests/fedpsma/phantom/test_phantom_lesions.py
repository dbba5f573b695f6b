from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

from fedpsma.domain.anatomy import anatomy_classes, anatomy_number
from fedpsma.domain.region import Region
from fedpsma.domain.tracer import Tracer
from fedpsma.phantom.anatomy import build_anatomy
from fedpsma.phantom.body import draw_body
from fedpsma.phantom.grid import sample_nearest
from fedpsma.phantom.lesions import draw_disease, mimic_rows, resized
from fedpsma.phantom.placement import place_disease, shape_focus, side_of
from fedpsma.phantom.sites import site_profiles

OPEN = {one.number for one in anatomy_classes() if one.name == "soft_tissue" or (one.region and one.region.is_node)}


@pytest.fixture(scope="module")
def diseases():
    rng = np.random.default_rng(4)
    return [draw_disease(rng, "castration_resistant", "in_situ", Tracer.PSMA_1007) for _ in range(150)]


@pytest.fixture(scope="module")
def cohort():
    """What 1,000 patients of the five sites have."""
    rng, found = np.random.default_rng(2), []
    for profile in site_profiles().values():
        for _ in range(200):
            tracer, scenario = profile.draw_tracer(rng), profile.draw_scenario(rng)
            found.append(draw_disease(rng, scenario, "in_situ", tracer))
    return found


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
    assert np.exp(min(map(min, logs))) < 2
    assert np.exp(max(map(max, logs))) > 100
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


def test_counts_are_those_of_the_specification(cohort):
    counts = np.array([len(one.lesions) for one in cohort])
    assert 0.22 <= np.mean(counts == 0) <= 0.35
    assert 2 <= np.median(counts[counts > 0]) <= 4
    assert np.percentile(counts[counts > 0], 95) == pytest.approx(40, rel=0.25)
    assert 100 < counts.max() <= 300


def test_everybody_has_a_benign_focus_whatever_the_tracer():
    for tracer in Tracer:
        rng = np.random.default_rng(9)
        assert all(draw_disease(rng, "staging", "in_situ", tracer).mimics for _ in range(150))


def test_every_mimic_has_its_sources():
    kinds = [row.kind for row in mimic_rows()]
    assert len(kinds) == len(set(kinds))
    for row in mimic_rows():
        assert row.tag in ("M", "S", "K")
        assert len(row.source) > 8
        assert set(row.prevalence) == set(Tracer)
        assert row.tissues or row.paths


def test_visible_ganglia_are_as_frequent_as_published():
    """EJNMMI Res 2021 s13550-021-00845-z: 43.5 % with PSMA-11, 71.7 % with PSMA-1007."""
    for tracer, share in ((Tracer.PSMA_11, 0.435), (Tracer.PSMA_1007, 0.717)):
        rng = np.random.default_rng(6)
        drawn = [draw_disease(rng, "staging", "in_situ", tracer) for _ in range(600)]
        seen = np.mean([any(one.kind.endswith("ganglion") for one in disease.mimics) for disease in drawn])
        assert seen == pytest.approx(share, abs=0.06)


def test_a_reader_errs_in_5_to_10_percent_of_the_categories(cohort):
    foci = [focus for disease in cohort for focus in disease.lesions + disease.mimics]
    assert 0.05 <= np.mean([focus.category_hint != focus.category_read for focus in foci]) <= 0.10
    assert {focus.category_hint for focus in foci} >= {"1A", "1B", "2", "3A", "3B", "3C", "4", "5"}
    assert {focus.category_hint for focus in foci if focus.suspicious} <= {"2", "3A", "3B", "3D", "4", "5"}


def test_faint_bone_lesions_are_equivocal(cohort):
    bone = [one for disease in cohort for one in disease.lesions if one.region is not None and one.region.is_bone]
    assert all(one.category_hint == "3B" for one in bone if one.suvmax < 4)
    assert all(one.category_hint in "45" for one in bone if one.suvmax > 10)


def test_a_node_that_grows_is_called_enlarged():
    rng = np.random.default_rng(1)
    diseases = (draw_disease(rng, "castration_resistant", "in_situ", Tracer.PSMA_11) for _ in range(40))
    nodes = [one for disease in diseases for one in disease.lesions if one.region is not None and one.region.is_node]
    small = next(one for one in nodes if one.ct_class == "nonspecific" and one.category_hint == "4")
    grown = resized(small, 30.0)
    assert (grown.ct_class, grown.category_hint, grown.volume_ml) == ("suspicious", "5", 30.0)
    assert str(grown.ct_correlate).startswith("enlarged")
    assert resized(grown, small.volume_ml) == small


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
        free = one.focus.path and one.focus.target is None
        allowed = OPEN if one.class_number in OPEN or free else {one.class_number}
        assert touched <= allowed, one.focus.kind


def test_a_focus_has_its_volume_unless_its_structure_is_too_small(placed):
    ratios = [shape_focus(one, anatomy, 8).volume_ml / one.focus.volume_ml for anatomy, one in placed]
    assert np.median(ratios) == pytest.approx(1.0, abs=0.05)
    assert max(ratios) < 1.35


def test_lesions_do_not_lie_in_each_other(placed):
    """The middle of a lesion is in no other lesion of the patient, unless his lesions run into each other."""
    for anatomy in {id(one): one for one, _ in placed}.values():
        own = [one for found, one in placed if found is anatomy and one.focus.suspicious]
        centres = np.array([one.centre_mm for one in own])
        radii = np.array([(3000 * one.focus.volume_ml / (4 * np.pi)) ** (1 / 3) for one in own])
        distance = np.linalg.norm(centres[:, None] - centres[None], axis=2) + 1e6 * np.eye(len(own))
        assert (distance > 0.65 * np.maximum(radii[:, None], radii[None])).all()


def test_confluent_bone_lesions_touch(cohort):
    most = max(cohort, key=lambda one: len(one.lesions))
    bone = [one for one in most.lesions if one.region is not None and one.region.is_bone][:40]
    anatomy = build_anatomy(draw_body(np.random.default_rng(1), "in_situ"))
    nearest = {}
    for confluent in (True, False):
        disease = replace(most, lesions=tuple(bone), mimics=(), confluent=confluent)
        centres = np.array([one.centre_mm for one in place_disease(np.random.default_rng(2), disease, anatomy)])
        distance = np.linalg.norm(centres[:, None] - centres[None], axis=2) + 1e6 * np.eye(len(centres))
        nearest[confluent] = np.median(distance.min(axis=1))
    assert nearest[True] < 0.8 * nearest[False]


def test_nothing_free_leaves_the_voxel_at_the_centre(placed):
    """A focus moved beside its thin structure fills that voxel, without a warning."""
    anatomy, one = next(pair for pair in placed if pair[1].focus.suspicious)
    lost = replace(one, class_number=anatomy_number("brain"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert 0 < shape_focus(lost, anatomy, 8).volume_ml < 0.1


def test_the_side_is_where_the_focus_lies(placed):
    for anatomy, one in placed:
        assert one.side in one.region.facts.sides
        if one.side in ("L", "R"):
            midline = anatomy.parameters.axis_mm(one.centre_mm[2])[0]
            assert (one.centre_mm[0] > midline) == (one.side == "R")


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
