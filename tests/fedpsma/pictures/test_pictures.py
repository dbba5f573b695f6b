from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpsma.domain.exam import Lesion
from fedpsma.pictures.drawing import COLOURS, png_bytes, spread
from fedpsma.pictures.key_slices import fused, key_image_sheet
from fedpsma.pictures.mip import CORONAL, SAGITTAL, mip_picture, projection, view_picture


def lesion(number, label="malignant", suvmax=12.0):
    return Lesion(lesion_id=f"L{number}", region="LIVER", label=label, suvmax=suvmax)


def test_the_patients_left_is_on_the_right_of_the_picture():
    volume = np.zeros((5, 4, 6), dtype=np.float32)
    volume[0, 0, 5] = 1.0  # x 0 is the patient's left, y 0 posterior, z 5 superior
    rows, columns = np.nonzero(projection(volume, CORONAL))
    assert (rows[0], columns[0]) == (0, 4)
    rows, columns = np.nonzero(projection(volume, SAGITTAL))
    assert (rows[0], columns[0]) == (0, 3), "posterior is on the right of the sagittal view"


def _where(picture, colour):
    pixels = np.asarray(picture).astype(int)
    return np.argwhere(np.abs(pixels - colour).sum(axis=-1) < 12)


def test_the_outline_lies_on_the_lesion_and_its_tag_on_the_same_side(ball, make_patient):
    body = ball((0, 0, 0), 100, 1.0, probability=0.0)
    patient = make_patient([body, ball((-60, 0, 40), 15, 12.0, lesion=1)])  # left, superior
    picture = view_picture(patient.study, patient.study.lesions, [lesion(1)], CORONAL)
    marks = _where(picture, COLOURS["malignant"])
    assert marks[:, 1].min() > picture.width / 2, "all ink of a left lesion is on the right half"
    assert marks[:, 0].max() < picture.height / 2, "all ink of a superior lesion is in the upper half"


def test_a_lesion_is_dark_and_background_white(ball, make_patient):
    patient = make_patient([ball((0, 0, 0), 40, 15.0)])
    grey = np.asarray(view_picture(patient.study, patient.study.lesions, [], CORONAL).convert("L"))
    assert grey[grey.shape[0] // 2, grey.shape[1] // 2] < 10


def test_every_lesion_has_a_tag_even_when_crowded(ball, make_patient):
    patient = make_patient([ball((0, 0, 0), 100, 1.0, probability=0.0)])
    labels = np.zeros(patient.study.pet.shape, dtype=np.int32)
    for number in range(1, 61):
        labels[20 + number % 20, 30, 20 + number // 20] = number
    picture = mip_picture(patient.study, labels, [lesion(number) for number in range(1, 61)], caption="made up")
    assert picture.width > 400
    assert len(_where(picture, COLOURS["malignant"])) > 60 * 20


def test_a_healthy_patient_has_a_picture_and_no_key_image(ball, make_patient):
    patient = make_patient([ball((0, 0, 0), 60, 1.0, probability=0.0)])
    nothing = np.zeros(patient.study.pet.shape, dtype=np.int32)
    assert mip_picture(patient.study, nothing, []).height > 100
    assert key_image_sheet(patient.study, nothing, []) is None


@pytest.mark.parametrize("with_ct", [True, False])
def test_key_images_show_the_lesion_in_the_middle_even_at_the_edge(ball, make_patient, with_ct):
    edge = ball((-110, 100, 0), 12, 14.0, lesion=1, hu=40.0)
    patient = make_patient([edge], with_ct=with_ct)
    sheet = np.asarray(key_image_sheet(patient.study, patient.study.lesions, [lesion(1)]))
    marks = _where(sheet[28:348, :320], (0, 220, 255) if with_ct else COLOURS["malignant"])
    assert marks.mean(axis=0) == pytest.approx([160, 160], abs=8)


def test_fusion_shows_ct_where_there_is_no_uptake():
    picture = np.asarray(
        fused(np.array([[0.0, 15.0]], dtype=np.float32), np.array([[240.0, -160.0]], dtype=np.float32))
    )
    assert picture[0, 0].tolist() == [255, 255, 255]
    assert picture[0, 1].tolist() == [255, 255, 255]


def test_the_same_study_gives_the_same_bytes(ball, make_patient):
    patient = make_patient([ball((0, 0, 0), 30, 9.0, lesion=1)])
    first, second = (png_bytes(mip_picture(patient.study, patient.study.lesions, [lesion(1)])) for _ in range(2))
    assert first == second


@given(st.lists(st.floats(0, 500), max_size=25))
def test_tags_keep_their_distance_and_their_order(wanted):
    wanted = sorted(wanted)
    places = spread(wanted, 20.0, 0.0, 500.0)
    assert all(later - earlier >= 20.0 - 1e-6 for earlier, later in pairwise(places))
    assert all(-1e-6 <= place <= 500.0 for place in places)
