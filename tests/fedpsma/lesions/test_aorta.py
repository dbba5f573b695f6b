from __future__ import annotations

import numpy as np
import pytest

from fedpsma.domain.anatomy import anatomy_number
from fedpsma.domain.study import VoxelPrediction
from fedpsma.domain.tracer import Tracer
from fedpsma.lesions.aorta import aortic_lumen
from fedpsma.lesions.references import measure_references
from fedpsma.phantom.patient import PhantomOptions, draw_patient

STEP_MM = (4.0, 4.0, 4.0)
SHAPE = (60, 50, 60)


def chest(aorta_mm=12.0, heart_mm=45.0, aside_mm=-25.0):
    """A spine, an aorta before it on the left, and a heart in front; centres in mm from the middle of the volume."""
    x, y, z = np.meshgrid(*[(np.arange(n) - n // 2) * 4.0 for n in SHAPE], indexing="ij")
    spine = np.hypot(x, y + 60) <= 18
    aorta = np.hypot(x - aside_mm, y + 35) <= aorta_mm
    heart = np.sqrt((x + 20) ** 2 + (y - 40) ** 2 + (z + 30) ** 2) <= heart_mm
    return aorta, heart, spine


def test_the_lumen_lies_in_the_aorta_and_not_in_the_heart():
    aorta, heart, spine = chest()
    lumen = aortic_lumen(aorta | heart, spine, STEP_MM)
    assert lumen.any()
    assert not (lumen & heart).any()
    assert not (lumen & ~aorta).any()


def test_the_wall_is_left_out():
    aorta, heart, spine = chest()
    lumen = aortic_lumen(aorta | heart, spine, STEP_MM)
    x, y, _ = np.argwhere(lumen).T
    away = np.hypot((x - SHAPE[0] // 2) * 4.0 + 25, (y - SHAPE[1] // 2) * 4.0 + 35)
    assert away.max() <= 6.0, "of an aorta with a radius of 12 mm"


@pytest.mark.parametrize(
    "change", [{"aorta_mm": 3.0}, {"aorta_mm": 28.0}, {"aside_mm": -80.0}], ids=["thread", "aneurysm", "far from spine"]
)
def test_what_is_no_usual_aorta_is_not_taken_for_one(change):
    aorta, _, spine = chest(**change)
    assert not aortic_lumen(aorta, spine, STEP_MM).any()


def test_without_a_spine_or_vessels_there_is_none():
    aorta, heart, spine = chest()
    assert not aortic_lumen(aorta | heart, np.zeros_like(spine), STEP_MM).any()
    assert not aortic_lumen(np.zeros_like(aorta), spine, STEP_MM).any()


def test_a_short_piece_or_a_stray_label_of_spine_is_not_enough():
    aorta, _, spine = chest()
    near, far = slice(25, 30), slice(25, 55)
    for vessels, bone in ((near, far), (far, slice(25, 26))):
        seen, back = np.zeros_like(aorta), np.zeros_like(spine)
        seen[:, :, vessels], back[:, :, bone] = aorta[:, :, vessels], spine[:, :, bone]
        assert not aortic_lumen(seen, back, STEP_MM).any()


def test_on_fdg_the_hot_wall_of_the_heart_is_not_the_blood_pool():
    """The drawn myocardium of this patient has an SUV of 24 and his blood one of 5; both are one class of the map."""
    patient = draw_patient("E", 502, 77, PhantomOptions(spacing_mm=4.0, tracer=Tracer.FDG))
    study, truth = patient.study, patient.truth.organ_suv
    nothing = np.zeros_like(study.pet)
    found = measure_references(study, VoxelPrediction(nothing, nothing, study.anatomy)).blood_pool
    whole = study.pet[study.anatomy == anatomy_number("blood_pool")].mean()
    assert whole > 1.3 * truth["blood_pool"], "else the test shows nothing"
    assert found.mean == pytest.approx(truth["blood_pool"], rel=0.1)
