from __future__ import annotations

import numpy as np
import pytest

from fedpsma.domain.anatomy import anatomy_number
from fedpsma.domain.region import Region
from fedpsma.domain.study import Study, VoxelPrediction
from fedpsma.lesions.sides import Midline, find_midline, side_of

STRAIGHT = Midline(0.0, 0.0, 0.0)


def spine(shift_mm: float, lean: float, scoliosis_mm: float = 0.0, with_bone: bool = True):
    """A patient whose body and spine lie ``shift_mm`` off the middle of the image and lean with height."""
    shape, step = (90, 40, 80), 5.0
    affine = np.diag([step, step, step, 1.0])
    affine[:3, 3] = -np.array(shape) * step / 2
    x, y, z = (affine[axis, 3] + np.arange(shape[axis]) * step for axis in range(3))
    line = shift_mm + lean * z[None, None, :] + scoliosis_mm * np.sin(z / 60.0)[None, None, :]
    body = (np.abs(x[:, None, None] - shift_mm - lean * z) < 140) & (np.abs(y[None, :, None]) < 60)
    bone = (np.abs(x[:, None, None] - line) < 12) & (np.abs(y[None, :, None] + 40) < 12)
    anatomy = np.where(bone & with_bone, anatomy_number("thoracic_spine"), 0).astype(np.uint8)
    nothing = np.zeros(shape, dtype=np.float32)
    return Study("s", "p", body.astype(np.float32), affine), VoxelPrediction(nothing, nothing, anatomy)


@pytest.mark.parametrize("with_bone", [True, False])
@pytest.mark.parametrize(("shift", "lean"), [(0.0, 0.0), (35.0, 0.0), (-20.0, 0.08)])
def test_the_midline_is_the_patients_not_the_images(shift, lean, with_bone):
    midline = find_midline(*spine(shift, lean, with_bone=with_bone))
    for height in (-150.0, 0.0, 150.0):
        on_the_line = np.array([shift + lean * height, 0.0, height])
        assert midline.right_of(on_the_line) == pytest.approx(0.0, abs=3.0)
        assert midline.right_of(on_the_line + np.array([40, 0, 0])) == pytest.approx(40.0, abs=3.0)


def test_a_scoliosis_does_not_tip_the_plane():
    midline = find_midline(*spine(10.0, 0.0, scoliosis_mm=12.0))
    assert midline.right_of(np.array([10.0, 0.0, 0.0])) == pytest.approx(0.0, abs=5.0)


@pytest.mark.parametrize("with_bone", [True, False])
def test_one_arm_in_the_field_does_not_move_the_midline(with_bone):
    study, prediction = spine(0.0, 0.0, with_bone=with_bone)
    study.pet[77:85, 15:25, :] = 1.0
    assert find_midline(study, prediction).right_of(np.zeros(3)) == pytest.approx(0.0, abs=3.0)


@pytest.mark.parametrize("levels", [5, 8])
def test_a_few_levels_are_enough(levels):
    study, prediction = spine(25.0, 0.0)
    part = VoxelPrediction(
        *(one[:, :, :levels] for one in (prediction.suspicious, prediction.physiological)),
        prediction.anatomy[:, :, :levels],
    )
    midline = find_midline(Study("s", "p", study.pet[:, :, :levels], study.affine), part)
    assert midline.right_of(np.array([25.0, 0.0, -190.0])) == pytest.approx(0.0, abs=3.0)


def _legs(*middles_mm: float) -> tuple[Study, VoxelPrediction]:
    """Legs round these middles, a little unlike, without any bone of the midline."""
    study, prediction = spine(0.0, 0.0, with_bone=False)
    x = study.affine[0, 3] + np.arange(study.pet.shape[0]) * 5.0
    y = study.affine[1, 3] + np.arange(study.pet.shape[1]) * 5.0
    study.pet[:] = 0.0
    for number, middle in enumerate(middles_mm):
        study.pet[((x[:, None] - middle) ** 2 + y[None, :] ** 2) < (72.0 - 4 * number) ** 2] = 1.0
    return study, prediction


@pytest.mark.parametrize("middles", [(95.0, -95.0), (95.0,), (-60.0,)])
def test_legs_alone_tell_no_side(middles):
    assert find_midline(*_legs(*middles)) is None


def test_a_trunk_cut_by_the_image_tells_no_side():
    study, prediction = spine(0.0, 0.0, with_bone=False)
    study.pet[:30] = 1.0
    assert find_midline(study, prediction) is None


def test_stray_labels_of_bone_tell_no_side():
    study, prediction = _legs(95.0, -95.0)
    prediction.anatomy[64, 20, 10:15] = anatomy_number("sacrum")
    assert find_midline(study, prediction) is None


def test_too_few_levels_tell_no_side():
    study, prediction = spine(0.0, 0.0)
    part = VoxelPrediction(
        *(one[:, :, :4] for one in (prediction.suspicious, prediction.physiological)), prediction.anatomy[:, :, :4]
    )
    assert find_midline(Study("s", "p", study.pet[:, :, :4], study.affine), part) is None


@pytest.mark.parametrize("degrees", [-15.0, 10.0])
def test_a_patient_who_lies_turned_keeps_his_sides(degrees):
    """The affine turns the grid about the long axis: spine behind, sternum before, both on the patient's midline."""
    study, prediction = spine(0.0, 0.0)
    y = study.affine[1, 3] + np.arange(study.pet.shape[1]) * 5.0
    sternum = (np.abs(study.affine[0, 3] + np.arange(study.pet.shape[0]) * 5.0)[:, None] < 15) & (np.abs(y - 45) < 8)
    prediction.anatomy[sternum] = anatomy_number("sternum")
    angle = np.radians(degrees)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    midline = find_midline(Study("s", "p", study.pet, turn @ study.affine), prediction)
    for own in ((30.0, 50.0, 0.0), (30.0, -50.0, 0.0)):
        assert midline.right_of(turn[:3, :3] @ np.array(own)) == pytest.approx(30.0, abs=3.0)


def test_an_empty_image_has_no_midline():
    nothing = np.zeros((4, 4, 8), dtype=np.float32)
    blank = VoxelPrediction(nothing, nothing, nothing.astype(np.uint8))
    assert find_midline(Study("s", "p", nothing, np.eye(4)), blank) is None


@pytest.mark.parametrize(
    ("region", "x", "side"),
    [
        (Region.BONE_RIB, 60.0, "R"),
        (Region.BONE_RIB, -60.0, "L"),
        (Region.BONE_RIB, 1.0, None),
        (Region.BONE_TSPINE, 20.0, "M"),
        (Region.PROSTATE, 2.0, "M"),
        (Region.PROSTATE, 12.0, "R"),
        (Region.LN_INTERNAL_ILIAC, -40.0, "L"),
        (Region.BONE_MARROW_DIFFUSE, 30.0, None),
        (Region.LIVER, 90.0, "R"),
        (Region.LIVER, 20.0, None),
        (Region.LIVER, -20.0, "L"),
    ],
)
def test_sides_by_region(region, x, side):
    assert side_of(region, np.array([x, 0.0, 0.0]), STRAIGHT) == side


@pytest.mark.parametrize("region", list(Region))
@pytest.mark.parametrize("x", [-50.0, 0.0, 50.0])
def test_no_region_gets_an_illegal_side(region, x):
    side = side_of(region, np.array([x, 0.0, 0.0]), STRAIGHT)
    assert side is None or side in region.facts.sides


def test_without_a_midline_only_midline_bones_have_a_side():
    assert side_of(Region.BONE_STERNUM, np.zeros(3), None) == "M"
    assert side_of(Region.BONE_RIB, np.array([90.0, 0.0, 0.0]), None) is None
