from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest

from fedpsma.domain.anatomy import anatomy_classes, anatomy_number
from fedpsma.phantom.anatomy import Anatomy, build_anatomy
from fedpsma.phantom.body import draw_body
from fedpsma.phantom.tables import tissue_number

BODIES = 12


@pytest.fixture(scope="module")
def bodies() -> list[Anatomy]:
    return [build_anatomy(draw_body(np.random.default_rng(seed), "in_situ")) for seed in range(BODIES)]


def centre_mm(anatomy: Anatomy, name: str) -> np.ndarray:
    index = np.argwhere(anatomy.classes == anatomy_number(name))
    return np.array(anatomy.grid.origin_mm) + index.mean(axis=0) * anatomy.grid.spacing_mm


def volume_ml(anatomy: Anatomy, name: str) -> float:
    return float((anatomy.classes == anatomy_number(name)).sum()) * anatomy.grid.voxel_ml


def test_same_seed_same_body():
    one, two = (draw_body(np.random.default_rng(5), "in_situ") for _ in range(2))
    assert np.array_equal(build_anatomy(one).tissue, build_anatomy(two).tissue)


def test_left_stays_left(bodies):
    for anatomy in bodies:
        assert centre_mm(anatomy, "liver")[0] > 40
        assert centre_mm(anatomy, "spleen")[0] < -70
        assert centre_mm(anatomy, "stomach")[0] < -15
        heart = np.argwhere(anatomy.tissue == tissue_number("myocardium"))
        assert anatomy.grid.origin_mm[0] + heart[:, 0].mean() * anatomy.grid.spacing_mm[0] < -15


def test_organs_lie_above_each_other_as_in_man(bodies):
    for anatomy in bodies:
        order = ["rectum", "sacrum", "lumbar_spine", "liver", "mediastinal_hilar", "thyroid", "parotid"]
        heights = [centre_mm(anatomy, name)[2] for name in order]
        assert heights == sorted(heights)
        assert centre_mm(anatomy, "sternum")[1] > centre_mm(anatomy, "thoracic_spine")[1] + 60
        assert centre_mm(anatomy, "prostate")[2] < centre_mm(anatomy, "bladder")[2]


def test_every_class_is_there(bodies):
    present = np.unique(np.concatenate([np.unique(anatomy.classes) for anatomy in bodies]))
    assert set(present) == {one.number for one in anatomy_classes()}


def test_paired_node_stations_have_both_sides(bodies):
    for name in ("internal_iliac", "external_iliac", "obturator", "common_iliac", "axillary", "inguinal", "cervical"):
        for anatomy in bodies:
            x = anatomy.grid.axes[0][np.argwhere(anatomy.classes == anatomy_number(name))[:, 0]]
            assert 0.3 < (x > 0).mean() < 0.7, name


def test_prostatectomy_leaves_a_bed_but_no_gland():
    anatomy = build_anatomy(draw_body(np.random.default_rng(1), "removed"))
    assert volume_ml(anatomy, "seminal_vesicle") == 0
    assert not (anatomy.tissue == tissue_number("prostate")).any()
    assert volume_ml(anatomy, "prostate") > 3


def test_body_does_not_touch_the_side_of_the_grid(bodies):
    for anatomy in bodies:
        torso = anatomy.tissue[:, :, : anatomy.grid.shape[2] // 2]
        assert not torso[0].any()
        assert not torso[-1].any()
        assert not torso[:, 0].any()
        assert not torso[:, -1].any()


def test_the_axis_leads_from_the_standard_body_to_where_a_man_lies():
    straight = draw_body(np.random.default_rng(6), "in_situ")
    crooked = replace(straight, sway=((0.0, 20.0, -12.0), (420.0, 0.0, 0.0)))
    straight = replace(straight, sway=())
    pelvis = np.array([0.0, 0.0, 0.0])
    assert crooked.to_real(pelvis) - straight.to_real(pelvis) == pytest.approx([20, -12, 0])
    moved = centre_mm(build_anatomy(crooked), "prostate") - centre_mm(build_anatomy(straight), "prostate")
    assert moved == pytest.approx([20, -12, 0], abs=4)


def test_men_do_not_lie_straight(bodies):
    beside = np.array([centre_mm(one, "bladder")[0] - centre_mm(one, "lung")[0] for one in bodies])
    for one, offset in zip(bodies, beside, strict=True):
        axis = one.parameters.axis_mm(np.array([centre_mm(one, name)[2] for name in ("bladder", "lung")]))[0]
        assert offset == pytest.approx(axis[0] - axis[1], abs=14)
    assert 5 < beside.std() < 17


@pytest.mark.shared
def test_organ_sizes_and_places_are_those_of_real_patients(bodies, shared):
    with (shared / "data/autopet3_organ_suv/organ_geometry_half.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    names = {"liver": "liver", "spleen": "spleen", "kidneys": "kidney", "lungs": "lung"}
    for real_name, name in names.items():
        real = np.array([float(row[f"{real_name}_ml"]) for row in rows])
        ours = np.array([volume_ml(anatomy, name) for anatomy in bodies])
        assert ours.mean() == pytest.approx(real.mean(), rel=0.15), name
        height = np.array([float(row[f"{real_name}_dz"]) for row in rows if row[f"{real_name}_dz"]])
        relative = [centre_mm(one, name)[2] - centre_mm(one, "bladder")[2] for one in bodies]
        assert np.mean(relative) == pytest.approx(np.median(height), abs=15), name
