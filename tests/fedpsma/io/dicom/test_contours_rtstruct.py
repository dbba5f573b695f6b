"""Lesions from RTSTRUCT: shapes of known area written here, and a real file against its published mask."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest
from contour_files import FRAME, lps_affine, pet_grid, region, segment, write_rtstruct, write_seg
from numpy.typing import NDArray

from fedpsma.errors import InputError
from fedpsma.io.dicom.contours import Contours, read_contours
from fedpsma.io.nifti import Volume, read_volume

EDGES = (3.0, 2.0, 2.0)
SHAPE = (12, 30, 40)
AXIAL = lps_affine([1, 0, 0], [0, 1, 0], EDGES, [-40, -30, -100])


def _square(x: float, y: float, z: float, edge: float) -> NDArray[np.float64]:
    """A square (4, 3) whose corners lie between voxel centres, in mm, LPS."""
    return np.array([[x, y, z], [x + edge, y, z], [x + edge, y + edge, z], [x, y + edge, z]])


def _circle(centre: tuple[float, float, float], radius: float, points: int = 90) -> NDArray[np.float64]:
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    x, y, z = centre
    return np.column_stack([x + radius * np.cos(angle), y + radius * np.sin(angle), np.full(points, z)])


def _ball(spacing_mm: float, start_mm: float, centre: tuple[float, float, float], radius: float) -> list:
    """Axial contours of a ball, on slices of their own."""
    heights = np.arange(start_mm, centre[2] + radius, spacing_mm)
    inside = [z for z in heights if abs(z - centre[2]) < radius]
    return [_circle((centre[0], centre[1], z), np.sqrt(radius**2 - (z - centre[2]) ** 2)) for z in inside]


def _read(path: Path, pet: Volume, names: str | None = None) -> Contours:
    found = read_contours([path], pet, FRAME, names)
    assert found is not None
    return found


def _voxels(found: Contours) -> int:
    assert found.labels is not None
    return int((found.labels > 0).sum())


def test_square_fills_the_voxels_whose_centre_it_holds(tmp_path: Path) -> None:
    path = write_rtstruct(tmp_path / "a.dcm", region(1, "a", [_square(-11, -5, -91, 10), _square(-11, -5, -88, 6)]))
    found = _read(path, pet_grid(SHAPE, AXIAL))
    assert found.labels is not None
    # DICOM column 15 (x = -10) is x index 40 - 1 - 15 of an axis that grows to the right; slice 3 lies at -91.
    expected = np.zeros((40, 30, 12), np.int32)
    expected[20:25, 30 - 18 : 30 - 13, 3] = 1
    expected[22:25, 30 - 16 : 30 - 13, 4] = 1
    np.testing.assert_array_equal(found.labels, expected)
    assert found.notes == ()
    assert found.record is not None
    assert (found.record.kind, found.record.objects, found.record.grid) == ("RTSTRUCT", 1, None)


@pytest.mark.parametrize("geometric", ["CLOSED_PLANAR", "CLOSEDPLANAR_XOR"])
def test_hole_stays_empty(tmp_path: Path, geometric: str) -> None:
    rings = [_square(-11, -5, -91, 14), _square(-7, -1, -91, 6)]
    path = write_rtstruct(tmp_path / "a.dcm", region(1, "a", rings, geometric=geometric))
    assert _voxels(_read(path, pet_grid(SHAPE, AXIAL))) == 7 * 7 - 3 * 3


def test_keyhole_stays_empty(tmp_path: Path) -> None:
    outer, inner = _square(-11, -5, -91, 14), _square(-7, -1, -91, 6)
    keyhole = np.concatenate([outer, outer[:1], inner[:1], inner[::-1]])
    path = write_rtstruct(tmp_path / "a.dcm", region(1, "a", [keyhole]))
    assert _voxels(_read(path, pet_grid(SHAPE, AXIAL))) == 7 * 7 - 3 * 3


def test_island_in_a_hole_is_filled_and_a_lesion_of_its_own(tmp_path: Path) -> None:
    rings = [_square(-11, -5, -91, 22), _square(-7, -1, -91, 14), _square(-3, 3, -91, 6)]
    found = _read(write_rtstruct(tmp_path / "a.dcm", region(1, "a", rings)), pet_grid(SHAPE, AXIAL))
    assert np.bincount(found.labels.ravel())[1:].tolist() == [11 * 11 - 7 * 7, 9]  # type: ignore[union-attr]


def test_contour_stored_twice_counts_once(tmp_path: Path) -> None:
    ring = _square(-11, -5, -91, 14)
    path = write_rtstruct(tmp_path / "a.dcm", region(1, "a", [ring, ring]))
    assert _voxels(_read(path, pet_grid(SHAPE, AXIAL))) == 49


@pytest.mark.parametrize("contour_mm", [1.0, 1.5, 2.0, 3.27, 5.0, 6.0])
@pytest.mark.parametrize("start_mm", [-96.0, -95.27])
def test_contours_of_another_slice_spacing_keep_the_volume(tmp_path: Path, contour_mm: float, start_mm: float) -> None:
    radius = 14.0
    rings = _ball(contour_mm, start_mm, (1.0, -1.0, -82.0), radius)
    path = write_rtstruct(tmp_path / "a.dcm", region(1, "a", rings))
    pet = pet_grid(SHAPE, AXIAL)
    found = _read(path, pet)
    assert _voxels(found) * 12.0 == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.08)
    assert found.labels is not None
    assert found.labels.max() == 1
    # No slice within the ball is left out.
    filled = (found.labels > 0).any(axis=(0, 1))
    assert np.diff(np.flatnonzero(filled)).max() == 1
    centre = pet.affine[:3, :3] @ np.argwhere(found.labels).mean(axis=0) + pet.affine[:3, 3]
    assert centre == pytest.approx([-1, 1, -82], abs=1.6)


def test_voxels_midway_between_two_contours_count_once(tmp_path: Path) -> None:
    """PET centres lie exactly on the border of every slab; three contours of 3 mm are three slices of 3 mm."""
    rings = [_square(-11, -5, z, 10) for z in (-92.5, -89.5, -86.5)]
    path = write_rtstruct(tmp_path / "a.dcm", region(1, "a", rings))
    pet = pet_grid(SHAPE, lps_affine([1, 0, 0], [0, 1, 0], EDGES, [-40, -30, -100]))
    assert _voxels(_read(path, pet)) == 75


def test_lesions_of_one_contour_each_do_not_grow_into_the_gap(tmp_path: Path) -> None:
    rings = [_square(-11, -5, -97, 10), _square(-11, -5, -73, 10)]
    found = _read(write_rtstruct(tmp_path / "a.dcm", region(1, "a", rings)), pet_grid(SHAPE, AXIAL))
    assert np.bincount(found.labels.ravel())[1:].tolist() == [25, 25]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("rows_to", "columns_to"),
    [
        ([-1, 0, 0], [0, -1, 0]),
        ([0, 1, 0], [0, 0, -1]),
        ([1, 0, 0], [0, 0, -1]),
        ([0.96, 0.28, 0], [-0.28, 0.96, 0]),
        ([0.96, 0, 0.28], [0, 1, 0]),
        ([0.8, 0.48, 0.36], [-0.6, 0.64, 0.48]),
    ],
)
def test_any_orientation_of_the_pet_gives_the_same_ball(
    tmp_path: Path, rows_to: list[float], columns_to: list[float]
) -> None:
    """Axial contours on PET grids that are sagittal, coronal or oblique, even against the planes of the contours."""
    centre, radius = (12.0, -7.0, -82.0), 14.0
    path = write_rtstruct(tmp_path / "a.dcm", region(1, "a", _ball(1.0, -97.0, centre, radius)))
    shape = (40, 40, 40)
    affine = lps_affine(rows_to, columns_to, (2.0, 2.0, 2.0), [0, 0, 0])
    affine[:3, 3] = np.array([12.3, -7.4, -81.8]) - affine[:3, :3] @ [20, 20, 20]
    pet = pet_grid(shape, affine)
    found = _read(path, pet)
    assert found.labels is not None
    assert _voxels(found) * 8.0 == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.03)
    places = np.argwhere(found.labels) @ pet.affine[:3, :3].T + pet.affine[:3, 3]
    assert places.mean(axis=0) == pytest.approx([-12, 7, -82], abs=0.6)
    assert np.linalg.norm(places - [-12, 7, -82], axis=1).max() < radius + 1.0
    assert found.labels.max() == 1


def test_sagittal_contours_are_read(tmp_path: Path) -> None:
    rings = [ring[:, [2, 0, 1]] + [85.0, 0, -80.0] for ring in _ball(1.5, -96.0, (1.0, -1.0, -82.0), 14.0)]
    found = _read(write_rtstruct(tmp_path / "a.dcm", region(1, "a", rings)), pet_grid(SHAPE, AXIAL))
    assert _voxels(found) * 12.0 == pytest.approx(4 / 3 * np.pi * 14.0**3, rel=0.04)


def test_only_a_gross_tumour_volume_is_a_lesion(tmp_path: Path) -> None:
    path = write_rtstruct(
        tmp_path / "a.dcm",
        region(3, "Liver Muster", [_square(-31, -25, -91, 10)], interpreted="ORGAN"),
        region(5, "PTV Muster", [_square(-31, -5, -91, 12)], interpreted="PTV"),
        region(8, "GTV Muster", [_square(9, -5, -91, 6)]),
        region(9, "Meta Muster", [_square(9, 11, -91, 4)], interpreted=""),
    )
    pet = pet_grid(SHAPE, AXIAL)
    found = _read(path, pet)
    assert _voxels(found) == 9
    assert found.notes == ("3 contour objects are not among the lesions and were not read",)
    named = _read(path, pet, "gtv*,META*")
    assert np.bincount(named.labels.ravel())[1:].tolist() in ([9, 4], [4, 9])  # type: ignore[union-attr]
    assert "Muster" not in repr((found.record, found.notes, named.record, named.notes))


def test_nothing_is_read_where_nothing_tells(tmp_path: Path) -> None:
    path = write_rtstruct(tmp_path / "a.dcm", region(3, "Liver", [_square(-31, -25, -91, 10)], interpreted="ORGAN"))
    found = _read(path, pet_grid(SHAPE, AXIAL))
    assert (found.labels, found.record) == (None, None)


def test_points_and_open_lines_enclose_nothing(tmp_path: Path) -> None:
    path = write_rtstruct(tmp_path / "a.dcm", region(1, "a", [np.zeros((1, 3))], geometric="POINT"))
    found = _read(path, pet_grid(SHAPE, AXIAL))
    assert found.labels is None
    assert "region of interest 1: holds no voxel centre of the PET" in found.notes


def test_contour_beyond_the_pet_is_cut_and_told(tmp_path: Path) -> None:
    rings = [_square(-11, -5, z, 10) for z in (-106, -103, -100, -97)]
    found = _read(write_rtstruct(tmp_path / "a.dcm", region(1, "a", rings)), pet_grid(SHAPE, AXIAL))
    assert _voxels(found) == 50
    assert found.notes == ("region of interest 1: reaches beyond the PET",)


def test_overlap_and_touch(tmp_path: Path) -> None:
    path = write_rtstruct(
        tmp_path / "a.dcm",
        region(1, "a", [_square(-11, -5, -91, 10)]),
        region(2, "b", [_square(-11, -5, -91, 14)]),
        region(4, "c", [_square(3, -5, -91, 4)]),
    )
    found = _read(path, pet_grid(SHAPE, AXIAL))
    assert sorted(np.bincount(found.labels.ravel())[1:]) == [4, 24, 25]  # type: ignore[union-attr]
    assert found.notes == (
        "region of interest 2 lies over region of interest 1 in 25 voxels, which stay with the latter",
    )


def test_seg_outranks_the_rtstruct_beside_it(tmp_path: Path) -> None:
    masks = np.zeros((*SHAPE, 1), np.uint8)
    masks[3, 5:8, 5:8] = 1
    seg = write_seg(tmp_path / "seg.dcm", masks, AXIAL, [segment(1, "a")])
    structures = write_rtstruct(tmp_path / "a.dcm", region(1, "a", [_square(9, 9, -91, 10)]))
    found = read_contours([structures, seg], pet_grid(SHAPE, AXIAL), FRAME)
    assert found is not None
    assert _voxels(found) == 9
    assert found.notes == ("1 regions of interest of an RTSTRUCT were not read, as a SEG holds the lesions",)


def test_another_frame_of_reference_is_refused(tmp_path: Path) -> None:
    path = write_rtstruct(tmp_path / "a.dcm", region(1, "Muster", [_square(-11, -5, -91, 10)], frame="1.2.3"))
    with pytest.raises(InputError, match=r"another Frame of Reference UID \(0020,0052\)") as refused:
        read_contours([path], pet_grid(SHAPE, AXIAL), FRAME)
    assert "Muster" not in str(refused.value)


def test_contour_that_lies_in_no_plane_is_refused(tmp_path: Path) -> None:
    bent = _circle((0, 0, -82), 12) + np.column_stack([np.zeros((90, 2)), np.linspace(0, 9, 90)])
    path = write_rtstruct(tmp_path / "a.dcm", region(7, "a", [_circle((0, 0, -85), 12), bent]))
    with pytest.raises(InputError, match="ROI 7: has contours that lie in no common plane"):
        read_contours([path], pet_grid(SHAPE, AXIAL), FRAME)


@pytest.mark.shared
def test_real_region_equals_its_published_mask(shared: Path, tmp_path: Path) -> None:
    """GTV_Mass of STS_001, drawn on the PET; the published mask is the one of the IBSI data set."""
    with tarfile.open(next((shared / "data/sts_001_raw").glob("*.tar.xz"))) as archive:
        member = next(one for one in archive if "mask" in one.name and one.name.endswith(".dcm"))
        archive.extract(member, tmp_path, filter="data")
    folder = shared / "data/ibsi_validation_sts/nifti"
    pet = read_volume(folder / "STS_001_pet_suv.nii.gz")
    published = read_volume(folder / "STS_001_gtv_mask.nii.gz").data > 0
    found = read_contours([tmp_path / member.name], pet, None, "GTV_Mass")
    assert found is not None
    assert found.labels is not None
    np.testing.assert_array_equal(found.labels > 0, published)
    assert found.labels.max() == 1
