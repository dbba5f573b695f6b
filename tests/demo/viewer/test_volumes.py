from __future__ import annotations

import gzip
import itertools
import json

import nibabel as nib
import numpy as np
import pytest

from demo.viewer.rotation import rotation_maps
from demo.viewer.volumes import display_factor, meta_bytes, pack_labels, prepare, to_las
from fedpsma.domain.study import CT_OUTSIDE_HU, Study
from fedpsma.io.orientation import to_working_orientation

SHAPE, EDGES = (7, 9, 11), (4.0, 3.0, 5.0)
ORDERS = [
    (order, signs) for order in itertools.permutations(range(3)) for signs in itertools.product((1, -1), repeat=3)
]


def phantom():
    """A body that no turn or mirror maps onto itself, in RAS+ order."""
    pet = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE) % 17
    pet[1, 2, 3], pet[5, 7, 9] = 100.0, 60.0
    affine = np.diag([*EDGES, 1.0])
    affine[:3, 3] = (-12.0, 5.0, -300.0)
    return pet, affine


@pytest.mark.parametrize(("order", "signs"), ORDERS)
def test_left_stays_left_however_the_axes_lie(order, signs):
    pet, affine = phantom()
    turn = np.array([[order[axis], signs[axis]] for axis in range(3)])
    stored = nib.orientations.apply_orientation(pet, turn)
    stored_affine = affine @ nib.orientations.inv_ornt_aff(turn, pet.shape)
    shown, shown_affine = to_las(stored, stored_affine)
    assert nib.aff2axcodes(shown_affine) == ("L", "A", "S")
    assert (shown == pet[::-1]).all()
    for voxel in ((1, 2, 3), (5, 7, 9)):
        in_las = (SHAPE[0] - 1 - voxel[0], *voxel[1:])
        assert shown[in_las] == pet[voxel]
        assert np.allclose(shown_affine @ [*in_las, 1], affine @ [*voxel, 1])


def unpacked(content, kind, shape):
    """Read a part as the browser does: x runs fastest."""
    return np.frombuffer(gzip.decompress(content), kind).reshape(shape[::-1]).transpose(2, 1, 0)


def study_of(pet, affine, **more):
    return Study("made-up", "made-up", pet, affine, **more)


def test_what_is_sent_is_the_study_in_whole_steps():
    pet, affine = phantom()
    pet = pet + np.float32(0.126)
    ct = (pet * 10 - 500).astype(np.float32)
    ct[0] = CT_OUTSIDE_HU
    labels = np.zeros(SHAPE, np.int32)
    labels[1, 2, 3], labels[5] = 2, 1
    sent = prepare(study_of(pet, affine, ct=ct, lesions=labels), told={"study": "<b>"})
    assert np.abs(unpacked(sent.parts["pet"], "<u2", SHAPE)[::-1] * 0.01 - pet).max() <= 0.005 + 1e-6
    assert np.abs(unpacked(sent.parts["ct"], "<i2", SHAPE)[::-1] - ct).max() <= 0.5
    assert (unpacked(sent.parts["lesions"], "<u2", SHAPE)[::-1] == labels).all()
    meta = json.loads(gzip.decompress(meta_bytes(sent.meta)))
    assert (meta["shape"], meta["unit"], meta["ct"], meta["study"]) == (list(SHAPE), "SUV", True, "<b>")
    assert meta["notes"] == []
    assert np.allclose(np.array(meta["affine"]) @ [0, 0, 0, 1], affine @ [SHAPE[0] - 1, 0, 0, 1])
    assert sent.bytes_sent == sum(len(part) for part in sent.parts.values())


def test_what_is_not_exact_is_said():
    pet, affine = phantom()
    pet[3, 3, 3] = 900.0
    sent = prepare(study_of(pet, affine))
    assert unpacked(sent.parts["pet"], "<u2", SHAPE).max() == 65535
    assert "ct" not in sent.parts
    assert [note.split(":")[0] for note in sent.meta["notes"]] == ["no CT", "SUV above 655 is shown as 655"]


def test_without_an_suv_none_is_claimed():
    pet, affine = phantom()
    sent = prepare(study_of(pet * 1000, affine), unit="Bq/ml")
    assert sent.meta["unit"] == "Bq/ml"
    stored = unpacked(sent.parts["pet"], "<u2", SHAPE)
    assert stored.max() * sent.meta["step"] == pytest.approx(100_000, rel=1e-3)
    assert sent.meta["notes"][0].startswith("SUV cannot be computed")


def test_a_very_large_study_is_shown_coarser_and_says_so():
    pet = np.ones((258, 20, 9), np.float32)
    pet[200:202, 4, 2] = 9.0
    affine = np.diag([1.5, 1.5, 2.0, 1.0])
    labels = np.zeros(pet.shape, np.int32)
    labels[200, 4, 2] = 3
    sent = prepare(study_of(pet, affine, lesions=labels))
    assert sent.meta["factor"] == [2, 1, 1]
    assert sent.meta["shape"] == [129, 20, 9]
    assert "large study" in sent.meta["notes"][1]
    # 258 - 1 - 200 = 57 from the left, and two voxels are one
    x, y, z = np.argwhere(unpacked(sent.parts["lesions"], "<u2", (129, 20, 9)) == 3)[0]
    assert (x, y, z) == (28, 4, 2)
    assert np.allclose((np.array(sent.meta["affine"]) @ [x, y, z, 1])[:3], [(200 + 201) / 2 * 1.5, 6.0, 4.0])
    assert display_factor((440, 440, 645)) == (2, 2, 2)
    assert (
        np.prod([size / by for size, by in zip((512, 512, 2000), display_factor((512, 512, 2000)), strict=True)]) < 25e6
    )


def test_new_outlines_are_packed_as_the_first_ones():
    pet, affine = phantom()
    labels = np.zeros(SHAPE, np.int32)
    labels[2, 3, 4] = 7
    study = study_of(pet, affine, lesions=labels)
    assert pack_labels(labels, study) == prepare(study).parts["lesions"]


@pytest.mark.parametrize("edges", [(4.0, 4.0), (3.0, 4.5)])
def test_every_pixel_of_every_projection_is_the_hottest_voxel_of_its_column(edges):
    rng = np.random.default_rng(0)
    pet = rng.integers(20, 1500, (13, 10, 3)).astype(np.uint16)
    rotation = rotation_maps(pet, edges, ((0, 13), (0, 10)))
    columns = rotation.maps.shape[2]
    x, y = np.meshgrid(np.arange(13), np.arange(10), indexing="ij")
    for number, level in itertools.product(range(18), range(3)):
        angle = np.deg2rad(10 * number)
        across = (x - 6) * edges[0] * np.cos(angle) + (y - 4.5) * edges[1] * np.sin(angle)
        column = np.floor(across / rotation.edge_mm + columns / 2 + 1e-9).astype(int)
        assert column.min() >= 0
        assert column.max() < columns
        for one in np.unique(column):
            voxel = int(rotation.maps[number, level, one])
            shown = (voxel % 13, voxel // 13)
            assert column[shown] == one
            assert pet[(*shown, level)] == pet[..., level][column == one].max()


def test_the_patient_faces_the_reader_at_zero_degrees():
    pet = np.zeros((9, 5, 2), np.uint16)
    pet[7, 2, 1] = 500
    rotation = rotation_maps(pet, (2.0, 2.0), ((0, 9), (0, 5)))
    columns = rotation.maps.shape[2]
    level, column = np.argwhere(rotation.maps[0] > 0)[0]
    assert (level, column) == (1, 7 + (columns - 9) // 2), "left of the patient is right on the screen"
    assert rotation.maps[9, 1, columns // 2] == 7 + 9 * 2, "at 90 degrees the middle of the body is the middle"


def test_air_alone_makes_no_projection():
    assert not rotation_maps(np.zeros((4, 4, 2), np.uint16), (4.0, 4.0), ((0, 4), (0, 4))).maps.any()
    affine = phantom()[1]
    assert prepare(study_of(np.zeros(SHAPE, np.float32), affine)).meta["crop"] == [[0, 7], [0, 9]]


def test_the_working_orientation_is_the_mirror_image():
    pet, affine = phantom()
    assert (to_working_orientation(pet, affine)[0] == to_las(pet, affine)[0][::-1]).all()
