"""Damaged contour files: read right or refused in one line, and never anything else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from contour_files import FRAME, PRIMARY, lps_affine, pet_grid, region, segment, write_rtstruct, write_seg
from pydicom import dcmread

from fedpsma.errors import InputError
from fedpsma.io.dicom.contours import Contours, read_contours

SHAPE = (6, 12, 14)
AXIAL = lps_affine([1, 0, 0], [0, 1, 0], (3.0, 2.0, 2.0), [-14, -12, -100])
MUTANTS = 120


def _seg(path: Path) -> Path:
    masks = np.zeros((*SHAPE, 2), np.uint8)
    masks[1:4, 2:6, 3:8, 0] = masks[4:, 9:11, 10:12, 1] = 1
    return write_seg(path, masks, AXIAL, [segment(1, "Muster a"), segment(2, "Muster b", PRIMARY)])


def _rtstruct(path: Path) -> Path:
    square = np.array([[-9, -5, 0], [1, -5, 0], [1, 5, 0], [-9, 5, 0]], float)
    rings = [np.add(square, [0, 0, z]) for z in (-97, -94, -91)]
    return write_rtstruct(path, region(1, "Muster a", rings), region(2, "Muster b", [np.add(square, [9, 0, -88])]))


def _read_or_refuse(path: Path) -> Contours | None:
    found, line = None, str(path)
    try:
        found = read_contours([path], pet_grid(SHAPE, AXIAL), FRAME)
    except InputError as error:
        line = str(error)
    assert line.startswith(str(path))
    assert "\n" not in line
    return found


@pytest.mark.parametrize("write", [_seg, _rtstruct])
def test_truncated_file_is_refused_or_whole(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    path = write(tmp_path / "whole.dcm")
    content = path.read_bytes()
    whole = _read_or_refuse(path)
    assert whole is not None
    assert whole.labels is not None
    cut = tmp_path / "cut.dcm"
    for length in np.linspace(0, len(content) - 1, MUTANTS).astype(int):
        cut.write_bytes(content[:length])
        found = _read_or_refuse(cut)
        if found is not None:
            # Only what follows the contours may be missing.
            assert length > 0.9 * len(content)
            np.testing.assert_array_equal(found.labels, whole.labels)


@pytest.mark.parametrize("write", [_seg, _rtstruct])
@pytest.mark.parametrize("seed", range(3))
def test_flipped_bits_never_break_the_reader(tmp_path: Path, write: Callable[[Path], Path], seed: int) -> None:
    content = np.frombuffer(write(tmp_path / "whole.dcm").read_bytes(), np.uint8)
    rng = np.random.default_rng(seed)
    flipped = tmp_path / "flipped.dcm"
    for _ in range(MUTANTS):
        mutant = content.copy()
        places = rng.integers(128, len(content), rng.integers(1, 6))
        mutant[places] ^= (1 << rng.integers(0, 8, len(places))).astype(np.uint8)
        flipped.write_bytes(mutant.tobytes())
        found = _read_or_refuse(flipped)
        if found is not None and found.labels is not None:
            assert found.labels.shape == (14, 12, 6)
        assert found is None or "Muster" not in repr((found.notes, found.record))


@pytest.mark.parametrize("write", [_seg, _rtstruct])
def test_deleted_tags_never_break_the_reader(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    path = write(tmp_path / "whole.dcm")
    places = _places(dcmread(path))
    assert len(places) > 20
    for steps, tag in places:
        dataset = holder = dcmread(path)
        for sequence, index in steps:
            holder = holder[sequence].value[index]
        del holder[tag]
        dataset.save_as(tmp_path / "less.dcm", enforce_file_format=False)
        _read_or_refuse(tmp_path / "less.dcm")


def _places(dataset: object, steps: tuple = ()) -> list[tuple[tuple, object]]:
    """Every element of a data set and of the items of its sequences."""
    found = []
    for element in dataset:  # type: ignore[attr-defined]
        found.append((steps, element.tag))
        if element.VR == "SQ":
            for index, item in enumerate(element.value):
                found += _places(item, (*steps, (element.tag, index)))
    return found


def test_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_text("no DICOM at all")
    with pytest.raises(InputError, match="neither a SEG nor an RTSTRUCT"):
        read_contours([path], pet_grid(SHAPE, AXIAL), FRAME)


def test_contours_out_of_this_world_are_refused(tmp_path: Path) -> None:
    ring = np.array([[0, 0, 0], [1e9, 0, 0], [1e9, 1e9, 0]], float)
    path = write_rtstruct(tmp_path / "a.dcm", region(1, "a", [ring]))
    with pytest.raises(InputError, match=r"ContourData \(3006,0050\)"):
        read_contours([path], pet_grid(SHAPE, AXIAL), FRAME)
