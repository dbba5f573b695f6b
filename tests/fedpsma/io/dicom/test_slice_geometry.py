"""Left stays left for any position of the patient; what is missing, doubled or crooked is refused with its place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_series import ct_slices, pet_slices, save
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from fedpsma.domain.study import Study
from fedpsma.errors import InputError
from fedpsma.io.dicom.geometry import Plane, evenly_spaced, require_even, stack
from fedpsma.io.dicom.study import load_dicom_study
from fedpsma.io.dicom.volume import grid_record

KEY = bytes(32)
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
# Image Orientation (Patient) as scanners write it for each position of the patient on the table.
POSITIONS = {
    "HFS": [1, 0, 0, 0, 1, 0],
    "HFP": [-1, 0, 0, 0, -1, 0],
    "FFS": [-1, 0, 0, 0, 1, 0],
    "FFP": [1, 0, 0, 0, -1, 0],
    "HFDR": [0, 1, 0, -1, 0, 0],
    "oblique": [0.8, 0.6, 0, -0.6, 0.8, 0],
}


def _place_of_the_hot_voxel(study: Study) -> np.ndarray:
    index = np.unravel_index(study.pet.argmax(), study.pet.shape)
    return (study.affine @ [*index, 1])[:3]


def _turned(position: str) -> tuple[list[Dataset], np.ndarray]:
    """A PET of a patient who lies so, and where its hot voxel lies in mm to the right, to anterior and superior."""
    slices, cosines = pet_slices(), np.array(POSITIONS[position], dtype=float)
    row, column = cosines[:3], cosines[3:]
    normal = np.cross(row, column)
    for index, one in enumerate(slices):
        one.PatientPosition, one.ImageOrientationPatient = position[:4].upper(), list(map(str, cosines))
        one.RescaleSlope = "3"
        one.ImagePositionPatient = [f"{value:.6f}" for value in -14 * row - 10 * column + (index * 3 - 100) * normal]
    # Row 1, column 0 of slice 2.
    lps = -14 * row + (-10 + 4) * column + (2 * 3 - 100) * normal
    return slices, lps * [-1, -1, 1]


@pytest.mark.parametrize("position", POSITIONS)
def test_left_stays_left(tmp_path: Path, position: str) -> None:
    slices, place = _turned(position)
    study = load_dicom_study(save(tmp_path, slices), key=KEY)
    assert _place_of_the_hot_voxel(study) == pytest.approx(place, abs=1e-4)
    assert (np.diag(study.affine)[:3] > 0).all()


def test_position_says_nothing_against_the_cosines(tmp_path: Path) -> None:
    """A technician may enter the wrong position; Image Orientation (Patient) is what the voxels obey."""
    plain = load_dicom_study(save(tmp_path / "a", pet_slices()), key=KEY)
    slices = pet_slices()
    for one in slices:
        one.PatientPosition = "FFP"
    assert np.array_equal(load_dicom_study(save(tmp_path / "b", slices), key=KEY).affine, plain.affine)


def test_noise_in_the_positions_is_no_fault(tmp_path: Path) -> None:
    slices, rng = pet_slices(), np.random.default_rng(0)
    for one in slices:
        one.ImagePositionPatient = [f"{value + rng.normal(0, 1e-4):.6f}" for value in one.ImagePositionPatient]
    study = load_dicom_study(save(tmp_path, slices), key=KEY)
    assert study.affine == pytest.approx(load_dicom_study(save(tmp_path / "b", pet_slices()), key=KEY).affine, abs=1e-3)


@given(order=st.permutations(range(7)), tilt=st.floats(-0.5, 0.5), gap=st.floats(0.5, 6))
@settings(max_examples=30)
def test_slices_in_any_order_and_on_a_slanted_line(order: list[int], tilt: float, gap: float) -> None:
    """A tilted gantry moves each slice sideways by the same amount."""
    planes = [Plane((0.0, tilt * gap * k, gap * k), AXIAL) for k in order]
    found = stack(planes, where="series")
    assert [order[k] for k in found.order] == list(range(7))
    affine = found.affine((2.0, 3.0))
    assert affine @ [0, 0, 6, 1] == pytest.approx([0, -6 * tilt * gap, 6 * gap, 1], abs=1e-6)
    assert affine @ [1, 2, 0, 1] == pytest.approx([-3, -4, 0, 1], abs=1e-6)


@pytest.mark.parametrize(
    ("places", "named"),
    [
        ([0, 3, 6, 12, 15], r"misses 1 slices between 6.0 and 12.0 mm"),
        ([0, 3, 6, 18, 21, 24], r"misses 3 slices between 6.0 and 18.0 mm"),
        ([0, 3, 3, 6, 9], r"several slices in one place, at 3.0 mm"),
        ([0, 0, 3, 3, 6, 6], r"several slices in one place"),
        ([0], r"has one slice only"),
        ([0, 0, 0], r"several slices in one place"),
    ],
)
def test_stack_that_is_not_whole_is_refused(places: list[float], named: str) -> None:
    with pytest.raises(InputError, match=named):
        stack([Plane((0.0, 0.0, float(place)), AXIAL) for place in places], where="series")


@pytest.mark.parametrize(
    ("plane", "named"),
    [
        (Plane((0.3, 0.0, 6.0), AXIAL), r"at 6.0 mm that lies 0.30 mm beside the others"),
        (Plane(None, AXIAL), r"without ImagePositionPatient \(0020,0032\)"),
        (Plane((0.0, 0.0, 6.0), None), r"without ImageOrientationPatient \(0020,0037\)"),
        (Plane((0.0, 0.0, 6.0), (1.0, 0.0, 0.0)), r"without ImageOrientationPatient"),
        (Plane((0.0, 0.0, 6.0), (1.0, 0.0, 0.0, 0.0, 0.0, 1.0)), r"different ImageOrientationPatient"),
    ],
)
def test_slice_that_does_not_fit_is_refused(plane: Plane, named: str) -> None:
    planes = [Plane((0.0, 0.0, 3.0 * k), AXIAL) for k in range(5)]
    planes[2] = plane
    with pytest.raises(InputError, match=named):
        stack(planes, where="series")


def test_cosines_that_are_no_right_angle_are_refused() -> None:
    crooked = (1.0, 0.0, 0.0, 0.3, 0.954, 0.0)
    with pytest.raises(InputError, match="no right angle"):
        stack([Plane((0.0, 0.0, 3.0 * k), crooked) for k in range(5)], where="series")


def test_uneven_pet_is_refused_and_uneven_ct_is_interpolated(tmp_path: Path) -> None:
    """The HU of this CT grow by 10 a mm upwards, so that linear interpolation has to give them back."""
    places = np.array([0.0, 1.5, 3.0, 5.0, 7.0, 9.0, 11.0, 12.0, 13.0, 14.0]) - 100.0
    slices = ct_slices()
    for one, place in zip(slices, places, strict=True):
        one.ImagePositionPatient[2] = place
        one.PixelData = np.full((12, 16), 1024 + 10 * place).astype("<i2").tobytes()
    save(tmp_path / "ct", slices)
    study = load_dicom_study(save(tmp_path / "pet", pet_slices()).parent, key=KEY)
    assert study.ct is not None
    assert study.ct[4, 3] == pytest.approx(10 * (np.arange(5) * 3.0 - 100.0), abs=1.0)
    assert "the slices of the CT lie 1.00 to 2.00 mm apart and were interpolated" in study.notes
    uneven = stack([Plane((0.0, 0.0, float(place)), AXIAL) for place in places], where="CT")
    with pytest.raises(InputError, match=r"has slices 1\.00 to 2\.00 mm apart"):
        require_even(uneven, where="PET")


def test_ct_with_a_hole_is_refused(tmp_path: Path) -> None:
    slices = ct_slices()
    save(tmp_path / "ct", slices[:4] + slices[5:])
    with pytest.raises(InputError, match=r"series 3 \(CT, CT\): misses 1 slices between -95.5 and -92.5 mm"):
        load_dicom_study(save(tmp_path / "pet", pet_slices()).parent, key=KEY)


def test_padding_outside_the_field_of_view_is_air(tmp_path: Path) -> None:
    slices = ct_slices()
    for one in slices:
        one.PixelData = np.full((12, 16), -2000).astype("<i2").tobytes()
    save(tmp_path / "ct", slices)
    study = load_dicom_study(save(tmp_path / "pet", pet_slices()).parent, key=KEY)
    assert study.ct is not None
    assert study.ct.min() == study.ct.max() == -1024


@given(gaps=st.lists(st.floats(0.5, 4), min_size=2, max_size=12), slope=st.floats(-5, 5), offset=st.floats(-100, 100))
def test_even_slices_of_a_linear_field(gaps: list[float], slope: float, offset: float) -> None:
    places = np.concatenate([[0.0], np.cumsum(gaps)])
    even = evenly_spaced((offset + slope * places).astype(np.float32)[:, None, None], places)
    wanted = offset + slope * np.linspace(0, places[-1], len(places))
    assert even[:, 0, 0] == pytest.approx(wanted, abs=1e-3)


def test_grid_names_the_axes_as_they_came() -> None:
    affine = np.array([[-4.0, 0, 0, 0], [0, -4, 0, 0], [0, 0, 3, 0], [0, 0, 0, 1]])
    record = grid_record((8, 6, 5), affine)
    assert (record.orientation, record.spacing_mm, record.shape) == ("LPS", (4, 4, 3), (8, 6, 5))
