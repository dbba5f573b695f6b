"""Hundreds of damaged exports: each is refused in one line, or read as it was before the damage."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dicom_series import save, siemens_slices
from pydicom import Dataset, config, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from fedpsma.domain.study import Study
from fedpsma.errors import InputError
from fedpsma.io.dicom.convert import DicomOptions, convert_study
from fedpsma.io.dicom.find import find_studies

OPTIONS = DicomOptions(key=bytes(32), dates="keep")
# What one slice may say otherwise than its neighbours; a damage there stays within it.
OWN_TO_A_SLICE = ("PixelData", "RescaleSlope", "RescaleIntercept")
HOSTILE = ("abc", "1e400", "NaN", "-5", "0", "1e-300", "99999999999", "1\\2", "\x00\x01", "", "9" * 64, "00010101")
TEXT_VRS = ("DS", "IS", "TM", "DA", "DT", "UI", "CS", "LO", "SH")
Damage = Callable[[Path, np.random.Generator], bool]


def _convert(folder: Path) -> Study | InputError:
    found = find_studies(folder)
    outcomes: list[Study | InputError] = []
    for study in found.studies:
        try:
            outcomes.append(convert_study(study, OPTIONS).study)
        except InputError as error:
            outcomes.append(error)
    lines = [str(one) for one in (*outcomes, *found.damaged) if not isinstance(one, Study)]
    assert not any("\n" in line or "Muster" in line for line in lines)
    converted = [one for one in outcomes if isinstance(one, Study)]
    assert len(converted) <= 1, "one study became two"
    if converted:
        return converted[0]
    return next((one for one in outcomes if isinstance(one, InputError)), InputError("no study", where=str(folder)))


def _one_file(folder: Path, rng: np.random.Generator) -> Path:
    return sorted(folder.iterdir())[rng.integers(len(list(folder.iterdir())))]


def _truncate(folder: Path, rng: np.random.Generator) -> bool:
    path = _one_file(folder, rng)
    content = path.read_bytes()
    path.write_bytes(content[: rng.integers(len(content))])
    return False


def _flip(folder: Path, rng: np.random.Generator) -> bool:
    """Flip one bit, of the header in nine of ten cases; tell whether it lies in what a slice may have alone."""
    path = _one_file(folder, rng)
    content = bytearray(path.read_bytes())
    dataset = dcmread(path)
    pixels = dataset.get_item("PixelData").value_tell
    place = int(rng.integers(128, pixels)) if rng.random() < 0.9 else int(rng.integers(pixels, len(content)))
    content[place] ^= 1 << int(rng.integers(8))
    path.write_bytes(content)
    elements = [dataset.get_item(keyword) for keyword in OWN_TO_A_SLICE]
    return any(one.value_tell <= place < one.value_tell + one.length for one in elements)


def _rewrite(path: Path, change: Callable[[Dataset], None]) -> None:
    dataset = dcmread(path)
    change(dataset)
    with config.disable_value_validation():
        dataset.save_as(path)


def _delete_tag(folder: Path, rng: np.random.Generator) -> bool:
    path = _one_file(folder, rng)
    tags = [element.tag for element in dcmread(path)]
    tag, empty = tags[rng.integers(len(tags))], rng.random() < 0.5

    def change(dataset: Dataset) -> None:
        if empty:
            dataset[tag].value = [] if dataset[tag].VR == "SQ" else None
        else:
            del dataset[tag]

    _rewrite(path, change)
    return False


def _delete_tag_everywhere(folder: Path, rng: np.random.Generator) -> bool:
    tags = [element.tag for element in dcmread(next(folder.iterdir()))]
    tag = tags[rng.integers(len(tags))]
    for path in folder.iterdir():
        _rewrite(path, lambda dataset: dataset.__delitem__(tag))
    return False


def _hostile_value(folder: Path, rng: np.random.Generator) -> bool:
    """Write what no decoder expects into one tag, as raw bytes, of the header or of the radiopharmaceutical."""
    path = _one_file(folder, rng)
    inside = rng.random() < 0.3
    value = HOSTILE[rng.integers(len(HOSTILE))].encode()
    dataset = dcmread(path)
    holder = dataset.RadiopharmaceuticalInformationSequence[0] if inside else dataset
    chosen = [element for element in holder if element.VR in TEXT_VRS]
    element = chosen[rng.integers(len(chosen))]
    holder[element.tag] = RawDataElement(
        Tag(element.tag), element.VR, len(value) + len(value) % 2, value + b" " * (len(value) % 2), 0, False, True
    )
    with config.disable_value_validation():
        dataset.save_as(path)
    return element.keyword in OWN_TO_A_SLICE


def _hostile_number(folder: Path, rng: np.random.Generator) -> bool:
    path, other = _one_file(folder, rng), int(rng.choice([0, 1, 7, 8, 12, 32, 4000, 65535]))
    tags = [element.tag for element in dcmread(path) if element.VR == "US"]
    tag = tags[rng.integers(len(tags))]
    _rewrite(path, lambda dataset: setattr(dataset[tag], "value", other))
    return False


def _double_slice(folder: Path, rng: np.random.Generator) -> bool:
    path = _one_file(folder, rng)
    _rewrite(path, lambda dataset: None)
    again = dcmread(path)
    again.SOPInstanceUID = again.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{rng.integers(10**6)}"
    again.save_as(folder / "again")
    return False


def _copy_file(folder: Path, rng: np.random.Generator) -> bool:
    shutil.copy(_one_file(folder, rng), folder / "copy.bin")
    return False


def _drop_slice(folder: Path, rng: np.random.Generator) -> bool:
    _one_file(folder, rng).unlink()
    return False


def _swap_places(folder: Path, rng: np.random.Generator) -> bool:
    """Exchange the places of two slices, so that each shows another part of the body."""
    one, other = (sorted(folder.iterdir())[k] for k in rng.choice(len(list(folder.iterdir())), 2, replace=False))
    places = [dcmread(path).ImagePositionPatient for path in (one, other)]
    _rewrite(one, lambda dataset: setattr(dataset, "ImagePositionPatient", places[1]))
    _rewrite(other, lambda dataset: setattr(dataset, "ImagePositionPatient", places[0]))
    return False


def _swap_names(folder: Path, rng: np.random.Generator) -> bool:
    one, other = (sorted(folder.iterdir())[k] for k in rng.choice(len(list(folder.iterdir())), 2, replace=False))
    one.rename(folder / "between")
    other.rename(one)
    (folder / "between").rename(other)
    return False


def _shorten_pixels(folder: Path, rng: np.random.Generator) -> bool:
    length = int(rng.integers(0, 95))
    _rewrite(_one_file(folder, rng), lambda one: setattr(one, "PixelData", one.PixelData[: length - length % 2]))
    return False


DAMAGES: dict[Damage, int] = {
    _flip: 10,
    _truncate: 3,
    _delete_tag: 3,
    _delete_tag_everywhere: 3,
    _hostile_value: 5,
    _hostile_number: 2,
    _double_slice: 1,
    _copy_file: 1,
    _drop_slice: 1,
    _swap_places: 1,
    _swap_names: 1,
    _shorten_pixels: 1,
}
ALWAYS_REFUSED = (_truncate, _double_slice, _drop_slice, _swap_places, _shorten_pixels)
NEVER_REFUSED = (_copy_file, _swap_names)


def _judge(damage: Damage, before: Study, after: Study | InputError, own: bool) -> str:
    if isinstance(after, InputError):
        assert damage not in NEVER_REFUSED, f"{damage.__name__}: {after}"
        return "refused"
    assert damage not in ALWAYS_REFUSED, damage.__name__
    assert after.pet.shape == before.pet.shape
    assert after.affine == pytest.approx(before.affine, abs=1e-4)
    changed = (np.abs(after.pet - before.pet) > 3e-5 * before.pet).any(axis=(0, 1))
    assert changed.sum() <= (1 if own else 0), f"{damage.__name__} changed {changed.sum()} slices"
    return "bounded" if changed.any() else "same"


def _damage_and_judge(whole: Path, scratch: Path, count: int, seed: int) -> Counter[str]:
    before = _convert(whole)
    assert isinstance(before, Study)
    plan = [damage for damage, share in DAMAGES.items() for _ in range(share)]
    seen: Counter[str] = Counter()
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        folder = scratch / str(number)
        shutil.copytree(whole, folder)
        damage = plan[number % len(plan)]
        own = damage(folder, rng)
        seen[_judge(damage, before, _convert(folder), own)] += 1
        shutil.rmtree(folder)
    return seen


@pytest.fixture
def siemens(tmp_path: Path) -> Path:
    slices = siemens_slices()
    for one in slices:
        one.private_block(0x0071, "SIEMENS MED PT", create=True).add_new(0x22, "DT", "20240131110000.000000")
        one.ReconstructionMethod, one.BodyPartExamined, one.PatientSize = "OSEM3D 4i8s", "WHOLEBODY", "1.75"
    return save(tmp_path / "whole", slices)


def _ge_slab(shared: Path, folder: Path) -> Path:
    """Six neighbouring slices of the real series, as if it held no more."""
    import tarfile

    folder.mkdir()
    with tarfile.open(next((shared / "data/sts_001_raw").glob("*.tar.xz"))) as archive:
        for member in archive:
            if member.name.endswith(tuple(f"1-{number:03d}.dcm" for number in range(91, 97))):
                dataset = dcmread(archive.extractfile(member))
                dataset.NumberOfSlices = 6
                dataset.save_as(folder / Path(member.name).name)
    assert len(list(folder.iterdir())) == 6
    return folder


def test_150_damaged_exports(siemens: Path, tmp_path: Path) -> None:
    seen = _damage_and_judge(siemens, tmp_path / "scratch", 150, seed=1)
    assert seen["refused"] > 60
    assert seen["same"] > 20


@pytest.mark.slow
def test_500_damaged_exports(siemens: Path, tmp_path: Path) -> None:
    seen = _damage_and_judge(siemens, tmp_path / "scratch", 500, seed=2)
    assert sum(seen.values()) == 500


@pytest.mark.shared
@pytest.mark.slow
def test_damaged_slab_of_a_real_ge_series(shared: Path, tmp_path: Path) -> None:
    seen = _damage_and_judge(_ge_slab(shared, tmp_path / "slab"), tmp_path / "scratch", 150, seed=3)
    assert seen["refused"] > 40
