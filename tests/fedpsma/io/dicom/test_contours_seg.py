"""Lesions from DICOM SEG: written here with highdicom, and real ones against what highdicom reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from contour_files import FRAME, LIVER, LPS_TO_RAS, ORGAN, lps_affine, pet_grid, segment, write_seg
from highdicom.seg import Segmentation
from numpy.typing import NDArray
from pydicom import dcmread

from fedpsma.errors import InputError
from fedpsma.io.dicom.contours import read_contours
from fedpsma.io.importing.lesions import number_lesions
from fedpsma.io.orientation import to_working_orientation

SHAPE = (7, 9, 11)
EDGES = (3.0, 2.0, 2.5)
TILT = np.deg2rad(17.0)
ORIENTATIONS = {
    "axial, head first": lps_affine([1, 0, 0], [0, 1, 0], EDGES, [-20, -30, -400]),
    "axial, feet first": lps_affine([-1, 0, 0], [0, 1, 0], EDGES, [20, -30, -400]),
    "sagittal": lps_affine([0, 1, 0], [0, 0, -1], EDGES, [-20, -30, -400]),
    "coronal": lps_affine([1, 0, 0], [0, 0, -1], EDGES, [-20, -30, -400]),
    "oblique": lps_affine([np.cos(TILT), np.sin(TILT), 0], [-np.sin(TILT), np.cos(TILT), 0], EDGES, [5, 6, 7]),
}
AXIAL = ORIENTATIONS["axial, head first"]


def _masks() -> NDArray[np.uint8]:
    """Two segments (slice, row, column, segment): two islands, and one that touches the first island and the edge."""
    masks = np.zeros((*SHAPE, 2), np.uint8)
    masks[1:3, 2:4, 2:5, 0] = 1
    masks[5, 7, 1, 0] = 1
    masks[0:3, 4:9, 2:5, 1] = 1
    return masks


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL"])
def test_labels_come_back_where_they_were_written(tmp_path: Path, orientation: str, kind: str) -> None:
    affine, masks = ORIENTATIONS[orientation], _masks()
    written = masks if kind == "BINARY" else masks * 0.75 + (1 - masks) * 0.25
    path = write_seg(tmp_path / "a.dcm", written, affine, [segment(1, "a"), segment(2, "b")], kind=kind)
    pet = pet_grid(SHAPE, affine)
    found = read_contours([path], pet, FRAME)
    assert found is not None
    assert found.labels is not None
    turned, _ = to_working_orientation((masks @ np.array([1, 2])).astype(np.int32), LPS_TO_RAS @ affine)
    np.testing.assert_array_equal(found.labels, number_lesions(turned))
    assert found.labels.dtype == np.int32
    assert found.labels.max() == 3
    assert found.notes == ()


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_left_stays_left(tmp_path: Path, orientation: str) -> None:
    affine, masks = ORIENTATIONS[orientation], np.zeros((*SHAPE, 1), np.uint8)
    masks[1, 2, 8] = 1
    path = write_seg(tmp_path / "a.dcm", masks, affine, [segment(1, "a")])
    pet = pet_grid(SHAPE, affine)
    labels = read_contours([path], pet, FRAME).labels  # type: ignore[union-attr]
    place = pet.affine @ [*np.argwhere(labels)[0], 1.0]
    left, posterior, superior, _ = affine @ [1.0, 2.0, 8.0, 1.0]
    assert place[:3] == pytest.approx([-left, -posterior, superior])


def test_half_counts_in_a_fraction(tmp_path: Path) -> None:
    fractions = np.zeros((*SHAPE, 1))
    fractions[3, 3, 3:7, 0] = [0.2, 0.49, 0.51, 0.9]
    path = write_seg(tmp_path / "a.dcm", fractions, AXIAL, [segment(1, "a")], kind="FRACTIONAL")
    labels = read_contours([path], pet_grid(SHAPE, AXIAL), FRAME).labels  # type: ignore[union-attr]
    assert (labels > 0).sum() == 2


def test_segment_of_a_finer_grid_keeps_its_volume(tmp_path: Path) -> None:
    fine = lps_affine([1, 0, 0], [0, 1, 0], (1.0, 0.8, 0.8), [-20, -30, -400])
    z, y, x = np.indices((40, 50, 60))
    ball = (z - 20) ** 2 * 1.0 + ((y - 25) * 0.8) ** 2 + ((x - 30) * 0.8) ** 2 <= 12**2
    path = write_seg(tmp_path / "a.dcm", ball[..., None].astype(np.uint8), fine, [segment(1, "a")])
    coarse = lps_affine([1, 0, 0], [0, 1, 0], (2.7, 2.1, 2.1), [-21, -31.3, -401])
    pet = pet_grid((17, 22, 26), coarse)
    labels = read_contours([path], pet, FRAME).labels  # type: ignore[union-attr]
    volume_mm3 = (labels == 1).sum() * 2.7 * 2.1 * 2.1
    assert volume_mm3 == pytest.approx(ball.sum() * 0.64, rel=0.02)
    centre = pet.affine[:3, :3] @ np.argwhere(labels).mean(axis=0) + pet.affine[:3, 3]
    assert centre == pytest.approx([20 - 24, 30 - 20, -400 + 20], abs=0.3)


def test_single_slice_is_read(tmp_path: Path) -> None:
    masks = np.zeros((*SHAPE, 1), np.uint8)
    masks[4, 3:5, 6:9] = 1
    path = write_seg(tmp_path / "a.dcm", masks, AXIAL, [segment(1, "a")])
    labels = read_contours([path], pet_grid(SHAPE, AXIAL), FRAME).labels  # type: ignore[union-attr]
    assert (labels == 1).sum() == 6
    assert (labels[:, :, 4] > 0).sum() == 6


def test_an_organ_never_becomes_a_lesion(tmp_path: Path) -> None:
    masks = _masks()
    path = write_seg(tmp_path / "a.dcm", masks, AXIAL, [segment(1, "a"), segment(2, "Muster liver", LIVER, ORGAN)])
    found = read_contours([path], pet_grid(SHAPE, AXIAL), FRAME)
    assert found is not None
    assert found.record is not None
    assert (found.labels > 0).sum() == masks[..., 0].sum()  # type: ignore[operator]
    assert found.record.objects == 1
    assert found.record.kind == "SEG"
    assert found.record.grid is not None
    # The empty slice at one end is not stored.
    assert found.record.grid.shape == (11, 9, 6)
    assert found.record.grid.spacing_mm == pytest.approx((2.5, 2.0, 3.0))
    assert found.notes == ("1 contour objects are not among the lesions and were not read",)


def test_without_a_code_nothing_is_read_and_names_help(tmp_path: Path) -> None:
    masks = _masks()
    described = [segment(1, "Muster liver", LIVER, ORGAN), segment(2, "Muster Meta 1", LIVER, ORGAN)]
    path = write_seg(tmp_path / "a.dcm", masks, AXIAL, described)
    pet = pet_grid(SHAPE, AXIAL)
    unknown = read_contours([path], pet, FRAME)
    assert unknown is not None
    assert (unknown.labels, unknown.record) == (None, None)
    assert "names of lesions can be given" in unknown.notes[0]
    named = read_contours([path], pet, FRAME, "ROI*, *meta ?")
    assert named is not None
    assert (named.labels > 0).sum() == masks[..., 1].sum()  # type: ignore[operator]
    assert "Muster" not in repr((unknown.notes, named.notes, named.record))
    with pytest.raises(InputError, match=r"no contour is called 'GTV', but 'Muster Meta 1', 'Muster liver'"):
        read_contours([path], pet, FRAME, "GTV")


def test_overlap_stays_with_the_first_and_is_told(tmp_path: Path) -> None:
    masks = np.zeros((*SHAPE, 2), np.uint8)
    masks[2:4, 2:4, 2:6, 0] = 1
    masks[2:4, 2:4, 4:9, 1] = 1
    path = write_seg(tmp_path / "a.dcm", masks, AXIAL, [segment(1, "a"), segment(2, "b")])
    found = read_contours([path], pet_grid(SHAPE, AXIAL), FRAME)
    assert found is not None
    assert found.notes == ("segment 2 lies over segment 1 in 8 voxels, which stay with the latter",)
    assert sorted(np.bincount(found.labels.ravel())[1:]) == [12, 16]  # type: ignore[union-attr]


def test_two_readings_of_one_lesion_are_refused(tmp_path: Path) -> None:
    masks = np.zeros((*SHAPE, 1), np.uint8)
    masks[2:4, 2:4, 2:6] = 1
    first = write_seg(tmp_path / "a.dcm", masks, AXIAL, [segment(1, "a")])
    second = write_seg(tmp_path / "b.dcm", np.roll(masks, 1, axis=2), AXIAL, [segment(1, "a")])
    apart = write_seg(tmp_path / "c.dcm", np.roll(masks, 5, axis=2), AXIAL, [segment(1, "a")])
    pet = pet_grid(SHAPE, AXIAL)
    with pytest.raises(InputError, match=r"holds the same lesion as a\.dcm"):
        read_contours([first, second], pet, FRAME)
    labels = read_contours([first, apart], pet, FRAME).labels  # type: ignore[union-attr]
    assert labels.max() == 2  # type: ignore[union-attr]


def test_lesion_off_the_grid_is_told(tmp_path: Path) -> None:
    masks = np.zeros((*SHAPE, 2), np.uint8)
    masks[2:4, 2:4, 2:6, 0] = masks[6, 8, 10, 1] = 1
    path = write_seg(tmp_path / "a.dcm", masks, AXIAL, [segment(1, "a"), segment(2, "b")])
    found = read_contours([path], pet_grid((3, 9, 11), AXIAL), FRAME)
    assert found is not None
    assert found.notes == ("segment 2: outside the PET", "segment 1: reaches beyond the PET")
    assert found.record is not None
    assert found.record.objects == 1
    far = AXIAL.copy()
    far[0, 3] += 1000.0
    nothing = read_contours([path], pet_grid(SHAPE, far), FRAME)
    assert nothing is not None
    assert nothing.labels is None
    assert nothing.notes == (
        "segment 1, 2: outside the PET",
        "no lesion contour lies on the PET, so lesions are unknown",
    )


def test_lesion_between_voxel_centres_is_told(tmp_path: Path) -> None:
    fine = lps_affine([1, 0, 0], [0, 1, 0], (1.0, 0.5, 0.5), [-20, -30, -400])
    masks = np.zeros((20, 20, 20, 1), np.uint8)
    masks[10, 10, 10] = 1
    path = write_seg(tmp_path / "a.dcm", masks, fine, [segment(1, "a")])
    coarse = lps_affine([1, 0, 0], [0, 1, 0], (4.0, 4.0, 4.0), [-20, -30, -400])
    found = read_contours([path], pet_grid((5, 5, 5), coarse), FRAME)
    assert found is not None
    assert "segment 1: holds no voxel centre of the PET" in found.notes
    assert found.labels is None


def test_another_frame_of_reference_is_refused(tmp_path: Path) -> None:
    path = write_seg(tmp_path / "a.dcm", _masks(), AXIAL, [segment(1, "a"), segment(2, "b", LIVER, ORGAN)])
    pet = pet_grid(SHAPE, AXIAL)
    with pytest.raises(InputError, match=r"segment 1 has another Frame of Reference UID \(0020,0052\)"):
        read_contours([path], pet, "1.2.3")
    unchecked = read_contours([path], pet, None)
    assert unchecked is not None
    assert "that they fit together was not checked" in unchecked.notes[0]


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = write_seg(tmp_path / "a.dcm", _masks(), AXIAL, [segment(1, "a"), segment(2, "b")])
    other = dcmread(path)
    other.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    other.save_as(tmp_path / "b.dcm")
    pet = pet_grid(SHAPE, AXIAL)
    with pytest.raises(InputError, match="neither a SEG nor an RTSTRUCT"):
        read_contours([tmp_path / "b.dcm"], pet, FRAME)
    assert read_contours([], pet, FRAME) is None


@pytest.mark.shared
@pytest.mark.parametrize(("name", "voxels"), [("dcmqi_seg.dcm", [795]), ("Iowa2DICOM_tumor.dcm", [1126, 127])])
def test_real_segments_equal_what_highdicom_reads(shared: Path, name: str, voxels: list[int]) -> None:
    path = shared / "data/dicom_sr_seg_examples" / name
    dataset = dcmread(path)
    for measures in dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence:
        # One of the files lacks it, and highdicom asks for it.
        measures.SliceThickness = measures.SpacingBetweenSlices
    volume = Segmentation.from_dataset(dataset).get_volume()
    assert volume.array.sum(axis=(0, 1, 2)).tolist() == voxels
    turned, affine = to_working_orientation(volume.array.max(axis=3), volume.get_affine("RAS"))
    pet = pet_grid(volume.spatial_shape, volume.affine)
    np.testing.assert_allclose(pet.affine, affine)
    found = read_contours([path], pet, str(dataset.FrameOfReferenceUID))
    assert found is not None
    assert found.labels is not None
    np.testing.assert_array_equal(found.labels > 0, turned > 0)
    assert np.bincount(found.labels.ravel())[1:].tolist() == voxels
