from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedpsma.analysis import describe
from fedpsma.domain.exam import Exam
from fedpsma.domain.region import Region
from fedpsma.errors import InputError
from fedpsma.lesions.by_hand import Drawing, Findings, add_lesion, delete_lesion, split_lesion
from fedpsma.lesions.contours import OrganUptake
from fedpsma.lesions.quantities import measure
from fedpsma.lesions.references import References

MISSED = (60.0, 20.0, 0.0)


@pytest.fixture(scope="module")
def patient(ball, make_patient):
    """Two lesions that the network sees, one of them with two peaks, and a rib that it misses."""
    spine = [ball((0, -60, z), 10, 0.8, probability=0.0, anatomy="lumbar_spine") for z in range(-100, 101, 10)]
    return make_patient(
        [
            *spine,
            ball(MISSED, 10, 12.0, probability=0.0, anatomy="rib"),
            ball((-60, 0, 40), 9, 25.0, anatomy="obturator"),
            ball((-60, 20, -60), 10, 9.0, anatomy="pelvic_bone"),
            ball((-60, 42, -60), 10, 8.0, anatomy="pelvic_bone"),
        ],
        spacing_mm=(3, 3, 3),
    )


@pytest.fixture(scope="module")
def study(patient):
    return replace(patient.study, lesions=None, anatomy=patient.prediction.anatomy)


@pytest.fixture(scope="module")
def found(patient):
    analysis = describe(patient.study, patient.prediction)
    return Findings(analysis.exam, analysis.lesion_labels)


def voxel(study, point_mm):
    x, y, z = np.rint(np.linalg.inv(study.affine) @ [*point_mm, 1.0])[:3].astype(int)
    return int(x), int(y), int(z)


def test_a_missed_lesion_gets_the_row_that_the_analysis_would_have_given(study, found, patient):
    drawn = add_lesion(study, found, voxel(study, MISSED), Drawing("pct50"))
    row, number = drawn.exam.lesions[-1], len(drawn.exam.lesions)
    assert (row.lesion_id, row.region, row.side, row.label) == ("L4", Region.BONE_RIB, "R", "malignant")
    assert row.model_prob is None
    mask = drawn.labels == number
    measured = measure(study, mask, tuple(slice(0, size) for size in mask.shape), 0.0)
    assert row.suvmax == round(measured.suvmax, 1) == 12.0
    assert (row.suvmean, row.volume_ml) == (round(measured.suvmean, 1), round(measured.volume_ml, 1))
    # a ball of 10 mm has 4.2 ml, and half the maximum lies at its edge
    assert row.volume_ml == pytest.approx(4.2, rel=0.1)
    assert drawn.exam.psma_vol_ml == pytest.approx(found.exam.psma_vol_ml + row.volume_ml, abs=0.15)
    seen = replace(patient.prediction, suspicious=np.maximum(patient.prediction.suspicious, mask * np.float32(0.9)))
    by_network = next(one for one in describe(patient.study, seen).exam.lesions if one.region == Region.BONE_RIB)
    assert (by_network.side, by_network.suvmax, by_network.size_mm) == (
        row.side,
        row.suvmax,
        pytest.approx(row.size_mm, abs=4),
    )


def test_nothing_given_is_changed(study, found):
    before = found.labels.copy()
    add_lesion(study, found, voxel(study, MISSED))
    delete_lesion(study, found, "L1")
    assert (found.labels == before).all()
    assert len(found.exam.lesions) == 3


@pytest.mark.parametrize(
    ("drawing", "threshold"),
    [
        (Drawing("suv4"), 4.0),
        (Drawing("pct41"), 0.41 * 12.0),
        (Drawing("liver", region=Region.LIVER), 4.73),
        (Drawing("liver", region=Region.BONE_RIB), 3.0),
    ],
)
def test_every_contour_is_the_threshold_it_says(study, found, drawing, threshold, monkeypatch):
    liver = References(liver=OrganUptake(5.0, 0.5))
    monkeypatch.setattr("fedpsma.lesions.by_hand.measure_references", lambda *_: liver)
    drawn = add_lesion(study, found, voxel(study, MISSED), drawing)
    mask = drawn.labels == len(drawn.exam.lesions)
    around = tuple(slice(at - 5, at + 6) for at in voxel(study, MISSED))
    assert (mask[around] == (study.pet[around] >= threshold - 0.01)).all()


def test_a_click_on_the_slope_finds_the_peak(study, found):
    x, y, z = voxel(study, MISSED)
    on_the_slope = add_lesion(study, found, (x + 3, y, z), Drawing("pct50"))
    assert (on_the_slope.labels == add_lesion(study, found, (x, y, z), Drawing("pct50")).labels).all()


@pytest.mark.parametrize(
    ("at_mm", "drawing", "words"),
    [
        (MISSED, Drawing("liver", region=Region.LIVER), "the liver cannot be measured"),
        ((-60.0, 0.0, 40.0), Drawing(), "L1 is there already"),
        ((90.0, 90.0, 90.0), Drawing("pct50"), "nothing stands out"),
        ((60.0, -5.0, 0.0), Drawing("pct50"), "nothing stands out"),
    ],
)
def test_what_cannot_be_added_is_refused_in_one_line(study, found, at_mm, drawing, words):
    with pytest.raises(InputError, match=words) as refused:
        add_lesion(study, found, voxel(study, at_mm), drawing)
    assert "\n" not in str(refused.value)
    assert refused.value.remedy


def test_background_and_the_outside_are_no_lesion(study, found):
    cold = replace(study, pet=np.where(study.pet < 1.0, np.float32(0.1), study.pet))
    faint = replace(study, pet=study.pet * np.float32(0.3))
    with pytest.raises(InputError, match="lies below it"):
        add_lesion(faint, found, voxel(study, MISSED))
    with pytest.raises(InputError, match="nothing stands out"):
        add_lesion(cold, found, (2, 2, 2))
    with pytest.raises(InputError, match="outside the image"):
        add_lesion(study, found, (2, -1, 2))


def test_without_a_map_the_reader_chooses_the_region(study, found):
    blind = replace(study, anatomy=None)
    with pytest.raises(InputError, match="region is unknown"):
        add_lesion(blind, found, voxel(study, MISSED))
    drawn = add_lesion(blind, found, voxel(study, MISSED), Drawing(region=Region.BONE_RIB))
    assert drawn.exam.lesions[-1].region == Region.BONE_RIB


def test_an_empty_table_can_grow(study):
    empty = Findings(Exam(psma_vol_ml=0.0), np.zeros(study.pet.shape, np.int32))
    drawn = add_lesion(study, empty, voxel(study, MISSED))
    assert [one.lesion_id for one in drawn.exam.lesions] == ["L1"]
    assert drawn.exam.psma_vol_ml == drawn.exam.lesions[0].volume_ml
    gone = delete_lesion(study, drawn, "L1")
    assert (gone.exam, gone.labels.any()) == (empty.exam, False)


def test_after_a_deletion_the_map_numbers_what_is_left(study, found):
    gone = delete_lesion(study, found, "L1")
    assert [one.lesion_id for one in gone.exam.lesions] == ["L2", "L3"]
    for name in ("L2", "L3"):
        assert ((gone.labels == gone.number(name)) == (found.labels == found.number(name))).all()
    assert gone.exam.psma_vol_ml < found.exam.psma_vol_ml
    with pytest.raises(InputError, match="not in the table"):
        delete_lesion(study, gone, "L1")


def test_two_balls_in_one_outline_come_apart(study, found):
    pair = Findings(found.exam, np.where(found.labels == found.number("L3"), found.number("L2"), found.labels))
    pair = delete_lesion(study, pair, "L3")
    parted = split_lesion(study, pair, "L2")
    hot, new = parted.exam.lesion("L2"), parted.exam.lesion("L3")
    assert (hot.suvmax, new.suvmax) == (found.exam.lesion("L2").suvmax, found.exam.lesion("L3").suvmax)
    assert ((parted.labels > 0) == (pair.labels > 0)).all()
    middle = voxel(study, (-60, 31, -60))[1]
    hot_y, new_y = (np.argwhere(parted.labels == parted.number(name))[:, 1] for name in ("L2", "L3"))
    assert hot_y.max() <= middle + 1
    assert new_y.min() >= middle - 1
    assert new.model_prob is None
    with pytest.raises(InputError, match="one peak"):
        split_lesion(study, parted, "L2")


def test_noise_makes_no_second_peak(study, found):
    rng = np.random.default_rng(1)
    noisy = replace(study, pet=(study.pet * rng.normal(1.0, 0.05, study.pet.shape)).astype(np.float32))
    with pytest.raises(InputError, match="one peak"):
        split_lesion(noisy, found, "L1")
