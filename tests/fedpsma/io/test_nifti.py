"""NIfTI in and out, and what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fedpsma.errors import InputError
from fedpsma.io.nifti import Volume, read_labels_like, read_volume, read_volume_like, write_volume

AFFINE = np.array([[4.0, 0, 0, -20], [0, 4, 0, -12], [0, 0, 3, 100], [0, 0, 0, 1]])
DATA = np.random.default_rng(0).normal(5, 2, (5, 6, 7)).astype(np.float32)


def _save(path: Path, data: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    nib.save(nib.Nifti1Image(data, affine), path)
    return path


def _patch(path: Path, offset: int, content: bytes) -> None:
    """Save a volume and overwrite its header at an offset of the NIfTI-1 standard, as no library would."""
    raw = bytearray(gzip.decompress(_save(path, DATA).read_bytes()))
    raw[offset : offset + len(content)] = content
    path.write_bytes(gzip.compress(raw))


def test_what_is_written_is_what_any_reader_sees(tmp_path: Path) -> None:
    write_volume(tmp_path / "pet.nii.gz", DATA, AFFINE)
    image = nib.load(tmp_path / "pet.nii.gz")
    assert np.array_equal(np.asarray(image.dataobj), DATA)
    assert np.allclose(image.affine, AFFINE)
    assert (int(image.header["sform_code"]), int(image.header["qform_code"])) == (1, 1)
    assert image.header.get_xyzt_units()[0] == "mm"


@pytest.mark.parametrize("name", ["pet.nii", "pet.nii.gz"])
def test_round_trip_is_exact(tmp_path: Path, name: str) -> None:
    write_volume(tmp_path / name, DATA, AFFINE)
    volume = read_volume(tmp_path / name)
    assert np.array_equal(volume.data, DATA)
    assert np.array_equal(volume.affine, AFFINE)
    assert volume.notes == ()


def test_same_volume_gives_the_same_bytes(tmp_path: Path) -> None:
    write_volume(tmp_path / "a.nii.gz", DATA, AFFINE)
    write_volume(tmp_path / "b.nii.gz", DATA, AFFINE)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_other_ending_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.nii or \.nii\.gz"):
        write_volume(tmp_path / "pet.mha", DATA, AFFINE)


def test_left_handed_storage_is_turned(tmp_path: Path) -> None:
    mirrored = AFFINE.copy()
    mirrored[0] = [-4, 0, 0, -20 + 4 * 4]
    volume = read_volume(_save(tmp_path / "lps.nii.gz", DATA[::-1], mirrored))
    assert np.array_equal(volume.data, DATA)
    assert np.allclose(volume.affine, AFFINE)


def test_slope_of_the_header_is_applied(tmp_path: Path) -> None:
    stored = np.arange(8, dtype=np.int16).reshape(2, 2, 2)
    image = nib.Nifti1Image(stored, AFFINE)
    image.header.set_slope_inter(0.5, 10)
    nib.save(image, tmp_path / "scaled.nii")
    raw = bytearray((tmp_path / "scaled.nii").read_bytes())
    raw[112:120] = np.array([0.5, 10], "<f4").tobytes()
    raw[352:] = stored.tobytes(order="F")
    (tmp_path / "scaled.nii").write_bytes(raw)
    assert read_volume(tmp_path / "scaled.nii").data.ravel().tolist() == [10 + 0.5 * value for value in range(8)]


def test_single_time_point_is_a_volume(tmp_path: Path) -> None:
    assert read_volume(_save(tmp_path / "one.nii.gz", DATA[..., None])).data.shape == DATA.shape


def test_voxels_without_a_number_are_set_and_told(tmp_path: Path) -> None:
    holes = DATA.copy()
    holes[0] = np.nan
    volume = read_volume(_save(tmp_path / "holes.nii.gz", holes), outside=-1024)
    assert (volume.data[0] == -1024).all()
    assert np.array_equal(volume.data[1:], DATA[1:])
    assert volume.notes == ("42 voxels without a number (20.0%) were set to -1024",)


def _text(path: Path) -> None:
    path.write_text("id,patient,pet\n" * 50)


def _truncated(path: Path) -> None:
    _save(path, np.random.default_rng(0).normal(size=(30, 30, 30)))
    path.write_bytes(path.read_bytes()[:5000])


def _truncated_inside(path: Path) -> None:
    _save(path, DATA)
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-100]))


def _empty_file(path: Path) -> None:
    path.write_bytes(b"")


def _time(path: Path) -> None:
    _save(path, np.zeros((4, 4, 4, 3), np.float32))


def _flat(path: Path) -> None:
    _save(path, np.zeros((4, 4), np.float32))


def _colours(path: Path) -> None:
    _save(path, np.zeros((4, 4, 4), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])))


def _complex(path: Path) -> None:
    _save(path, np.zeros((4, 4, 4), np.complex64))


def _not_a_number(path: Path) -> None:
    _save(path, np.full((4, 4, 4), np.nan, np.float32))


def _infinite(path: Path) -> None:
    _save(path, np.full((4, 4, 4), np.inf, np.float32))


def _broken_affine(path: Path) -> None:
    _patch(path, 280, np.array([np.nan, 0, 0, 0], "<f4").tobytes())


def _flat_affine(path: Path) -> None:
    _patch(path, 280, bytes(16))


def _no_orientation(path: Path) -> None:
    _patch(path, 252, bytes(4))


def _contradiction(path: Path) -> None:
    image = nib.Nifti1Image(DATA, AFFINE)
    image.set_sform(AFFINE, code=1)
    image.set_qform(AFFINE * [[-1], [1], [1], [1]], code=1)
    nib.save(image, path)


def _metres(path: Path) -> None:
    _patch(path, 123, bytes([1]))


def _huge(path: Path) -> None:
    _patch(path, 42, np.array([30_000] * 3, "<i2").tobytes())


def _folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda path: None, "does not exist"),
        (_folder, "is a folder"),
        (_text, "is not a whole NIfTI file"),
        (_empty_file, "is not a whole NIfTI file"),
        (_truncated, "is not a whole NIfTI file"),
        (_truncated_inside, "is not a whole NIfTI file"),
        (_time, "4x4x4x3 instead of x, y, z"),
        (_flat, "4x4 instead of x, y, z"),
        (_colours, "holds colours"),
        (_complex, "holds colours or complex numbers"),
        (_not_a_number, "holds not one number"),
        (_infinite, "holds infinite voxels"),
        (_broken_affine, "unusable affine"),
        (_flat_affine, "unusable affine"),
        (_no_orientation, "does not tell left from right"),
        (_contradiction, "qform runs to LAS, its sform to RAS"),
        (_huge, "30000x30000x30000 voxels do not fit into its"),
        (_metres, "is not in millimetres"),
    ],
)
def test_wrong_file_is_refused_in_one_line(tmp_path: Path, make, named: str) -> None:
    path = tmp_path / "pet.nii.gz"
    make(path)
    with pytest.raises(InputError) as refused:
        read_volume(path)
    assert named in str(refused.value)
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)


def test_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pet.mgz"
    nib.save(nib.MGHImage(DATA, AFFINE), path)
    with pytest.raises(InputError, match="is not a NIfTI volume"):
        read_volume(path)


def test_volume_on_another_grid_is_refused_with_both_grids(tmp_path: Path) -> None:
    shifted = AFFINE.copy()
    shifted[2, 3] += 1.5
    with pytest.raises(InputError, match=r"from -20\.0, -12\.0, 101\.5\) than the PET \(5x6x7 voxels of 4x4x3 mm"):
        read_volume_like(_save(tmp_path / "ct.nii.gz", DATA, shifted), Volume(DATA, AFFINE))


def test_mirrored_copy_on_the_same_grid_is_read_in_place(tmp_path: Path) -> None:
    mirrored = AFFINE.copy()
    mirrored[0] = [-4, 0, 0, -20 + 4 * 4]
    labels = np.zeros(DATA.shape, np.uint8)
    labels[0, 1, 2] = 3
    path = _save(tmp_path / "mask.nii.gz", labels[::-1], mirrored)
    assert np.array_equal(read_labels_like(path, Volume(DATA, AFFINE)), labels)


@pytest.mark.parametrize("value", [-1, 0.5, 2**25, np.nan])
def test_labels_are_whole_numbers(tmp_path: Path, value: float) -> None:
    labels = np.zeros(DATA.shape)
    labels[2, 2, 2] = value
    with pytest.raises(InputError, match=r"something else than labels|not a number"):
        read_labels_like(_save(tmp_path / "mask.nii.gz", labels), Volume(DATA, AFFINE))


@pytest.mark.parametrize("kind", [np.bool_, np.int64, np.float64])
def test_wide_types_are_stored_in_the_usual_ones(tmp_path: Path, kind: type) -> None:
    labels = (DATA > 5).astype(kind)
    write_volume(tmp_path / "labels.nii.gz", labels, AFFINE)
    assert np.array_equal(read_labels_like(tmp_path / "labels.nii.gz", Volume(DATA, AFFINE)), DATA > 5)


def test_failed_writing_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_volume(tmp_path / "pet.nii.gz", DATA, AFFINE)
    before = (tmp_path / "pet.nii.gz").read_bytes()

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_volume(tmp_path / "pet.nii.gz", DATA + 1, AFFINE)
    assert (tmp_path / "pet.nii.gz").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["pet.nii.gz"]


@pytest.mark.shared
def test_real_expert_mask_keeps_its_lesions_and_volume(shared: Path) -> None:
    """The sample's published description: 112 lesions by 18 neighbours, 431 ml."""
    from scipy import ndimage

    sample = shared / "data/autopet3_psma_sample/psma_95b833d46f153cd2_2018-04-16_expert_lesions.nii.gz"
    volume = read_volume(sample)
    voxel_ml = abs(np.linalg.det(volume.affine[:3, :3])) / 1000
    assert nib.aff2axcodes(volume.affine) == ("R", "A", "S")
    assert ndimage.label(volume.data, ndimage.generate_binary_structure(3, 2))[1] == 112
    assert volume.data.sum() * voxel_ml == pytest.approx(431, abs=1)
