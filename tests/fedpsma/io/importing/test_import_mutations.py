"""Damaged NIfTI files: each is refused in one line or read as it was, and none costs memory or a traceback."""

from __future__ import annotations

import gzip
import resource
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fedpsma.errors import InputError
from fedpsma.io.dataset import DatasetInfo, read_dataset
from fedpsma.io.importing.table import read_import_table
from fedpsma.io.importing.writer import Imported, Outcome, Refused, import_studies
from fedpsma.io.nifti import read_volume, write_volume

AFFINE = np.array([[-4.0, 0, 0, 20], [0, 4, 0, -12], [0, 0, 3, 100], [0, 0, 0, 1]])
SHAPE = (12, 11, 10)
RNG = np.random.default_rng(5)
VOLUMES = {
    "pet": RNG.gamma(2.0, 1.5, SHAPE).astype(np.float32),
    "ct": RNG.integers(-1000, 1500, SHAPE).astype(np.int16),
    "mask": (RNG.random(SHAPE) > 0.99).astype(np.uint8),
}
HEADER_BYTES = 348
MUTATIONS = 50


def _mutate_header(content: bytearray, rng: np.random.Generator) -> bytearray:
    """Flip one bit, mostly of the fields that are read."""
    place = int(rng.choice([*range(40, 56), *range(70, 124), *range(252, 348)]))
    content[place] ^= 1 << int(rng.integers(8))
    return content


def _overwrite(content: bytearray, rng: np.random.Generator) -> bytearray:
    start = int(rng.integers(HEADER_BYTES))
    content[start : start + 4] = rng.bytes(4)
    return content


def _truncate(content: bytearray, rng: np.random.Generator) -> bytearray:
    return content[: int(rng.integers(len(content)))]


def _flip_anywhere(content: bytearray, rng: np.random.Generator) -> bytearray:
    content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
    return content


INSIDE = (_mutate_header, _mutate_header, _overwrite, _truncate, _flip_anywhere)
OUTSIDE = (_truncate, _flip_anywhere)


def _mutated(kind: str, number: int) -> tuple[str, bytes]:
    """One damaged file by its number: its name and content, plain or compressed, damaged inside or outside."""
    rng = np.random.default_rng([number, len(kind)])
    image = nib.Nifti1Image(VOLUMES[kind], AFFINE)
    image.set_sform(AFFINE, code=1)
    image.set_qform(AFFINE, code=1)
    content = bytearray(image.to_bytes())
    if number % 4 == 0:
        packed = bytearray(gzip.compress(bytes(content), mtime=0))
        return f"{kind}.nii.gz", bytes(OUTSIDE[int(rng.integers(len(OUTSIDE)))](packed, rng))
    content = INSIDE[int(rng.integers(len(INSIDE)))](content, rng)
    return (f"{kind}.nii", bytes(content)) if number % 2 else (f"{kind}.nii.gz", gzip.compress(bytes(content), mtime=0))


def _import(folder: Path, files: dict[str, str]) -> Outcome:
    (folder / "table.csv").write_text(f"id,patient,{','.join(files)}\ns,p,{','.join(files.values())}\n")
    sources = read_import_table(folder / "table.csv").sources(tracer=None, suv_declared=True)
    (outcome,) = import_studies(sources, folder / "out", DatasetInfo(name="n", site="s", contour="manual"))
    return outcome


def _require_clean(outcome: Outcome, folder: Path) -> None:
    if isinstance(outcome, Refused):
        told = str(outcome.error)
        assert "\n" not in told
        # The last resort against the unforeseen has another wording: here every refusal is a foreseen one.
        assert "could not be read (" not in told
        assert not (folder / "out").exists()
        return
    assert isinstance(outcome, Imported)
    data = read_dataset(folder / "out")
    study = data.load(data.rows[0])
    assert np.isfinite(study.pet).all()
    assert 0.5 <= study.pet.max() <= 1000
    assert study.ct is not None
    assert study.ct.shape == study.pet.shape


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("kind", ["pet", "ct", "mask"])
@pytest.mark.parametrize("number", range(MUTATIONS))
def test_damaged_file_is_refused_or_read(tmp_path: Path, kind: str, number: int) -> None:
    files = {}
    for name, data in VOLUMES.items():
        files[name] = f"{name}.nii"
        write_volume(tmp_path / files[name], data, AFFINE)
    files[kind], content = _mutated(kind, number)
    (tmp_path / files[kind]).write_bytes(content)
    _require_clean(_import(tmp_path, files), tmp_path)


def _set(offset: int, kind: str, *values: float) -> Callable[[bytearray], None]:
    def change(content: bytearray) -> None:
        raw = np.array(values, kind).tobytes()
        content[offset : offset + len(raw)] = raw

    return change


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_set(42, "<i2", 30_000, 30_000, 30_000), "30000x30000x30000 voxels do not fit into its"),
        (_set(42, "<i2", 2_000, 2_000, 2_000), "2000x2000x2000 voxels do not fit into its"),
        (_set(42, "<i2", -12), "is not a whole NIfTI file|has no voxel"),
        (_set(40, "<i2", 4, 12, 11, 5, 2), "12x11x5x2 instead of x, y, z"),
        (_set(70, "<i2", 9999), "is not a whole NIfTI file"),
        (_set(70, "<i2", 128), "holds colours"),
        (_set(70, "<i2", 64), "do not fit into its|is not a whole NIfTI file"),
        (_set(108, "<f4", np.nan), "is not a whole NIfTI file"),
        (_set(108, "<f4", 1e30), "is not a whole NIfTI file"),
        (_set(112, "<f4", 1e38), "holds infinite voxels"),
        (_set(80, "<f4", 8.0), "contradicts itself: voxels of 8x4x3 mm by its pixdim, of 4x4x3 mm by its sform"),
        (_set(280, "<f4", 4.0), "qform runs to LAS, its sform to RAS"),
        (_set(292, "<f4", 140.0), "put the same voxel 120 mm apart"),
        (_set(284, "<f4", 1.0), "of 4x4x3 mm by its pixdim, of 4x4.12x3 mm by its sform"),
        (_set(280, "<f4", np.inf), "unusable affine"),
        (_set(252, "<i2", 0, 0), "does not tell left from right"),
        (_set(254, "<i2", 0), None),
        (_set(256, "<f4", np.nan), "is not a whole NIfTI file|unusable affine"),
    ],
)
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_header_that_cannot_be_true_is_refused(
    tmp_path: Path, change: Callable[[bytearray], None], named: str | None, ending: str
) -> None:
    write_volume(tmp_path / "pet.nii", VOLUMES["pet"], AFFINE)
    content = bytearray((tmp_path / "pet.nii").read_bytes())
    change(content)
    path = tmp_path / f"damaged{ending}"
    path.write_bytes(bytes(content) if ending == ".nii" else gzip.compress(bytes(content)))
    if named is None:
        assert np.array_equal(read_volume(path).data[::-1], VOLUMES["pet"])
        return
    with pytest.raises(InputError, match=named) as refused:
        read_volume(path)
    assert "\n" not in str(refused.value)


def test_claimed_gigabytes_take_no_memory(tmp_path: Path) -> None:
    """A compressed file of ten thousand bytes that claims ten gigabytes is refused by its size alone."""
    write_volume(tmp_path / "pet.nii", VOLUMES["pet"], AFFINE)
    content = bytearray((tmp_path / "pet.nii").read_bytes())
    _set(42, "<i2", 1400, 1400, 1400)(content)
    (tmp_path / "pet.nii.gz").write_bytes(gzip.compress(bytes(content)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="voxels do not fit into its"):
        read_volume(tmp_path / "pet.nii.gz")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
