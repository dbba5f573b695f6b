"""Left stays left: whatever the axis order of PET, CT and mask, the data set holds the same bytes."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fedpsma.io.dataset import DatasetInfo, read_dataset
from fedpsma.io.importing.table import read_import_table
from fedpsma.io.importing.writer import Imported, import_studies

ORDERS = [
    "".join(pair[side] for pair, side in zip(axes, sides, strict=True))
    for axes in permutations(("RL", "AP", "SI"))
    for sides in product((0, 1), repeat=3)
]
AFFINE = np.array([[4.0, 0, 0, -20], [0, 5, 0, -12], [0, 0, 3, 100], [0, 0, 0, 1]])
CT_AFFINE = np.array([[2.0, 0, 0, -22], [0, 2.5, 0, -14], [0, 0, 1.5, 99], [0, 0, 0, 1]])


def _save(folder: Path, name: str, data: np.ndarray, affine: np.ndarray, order: str) -> None:
    image = nib.Nifti1Image(data, affine)
    turn = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(affine), nib.orientations.axcodes2ornt(tuple(order))
    )
    turned = image.as_reoriented(turn)
    turned.set_sform(turned.affine, 1)
    turned.set_qform(turned.affine, 1)
    nib.save(turned, folder / f"{name}.nii")


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 studies of one asymmetric patient; PET, CT and mask run through the axis orders out of step."""
    folder = tmp_path_factory.mktemp("axes")
    rng = np.random.default_rng(3)
    pet = rng.uniform(0, 12, (5, 6, 7)).astype(np.float32)
    ct = rng.integers(-1000, 1000, (11, 13, 15)).astype(np.int16)
    mask = np.zeros(pet.shape, np.uint8)
    mask[0, 1, 2] = mask[4, 4, 6] = mask[4, 5, 6] = 1
    lines = ["id,patient,pet,ct,mask"]
    for number, order in enumerate(ORDERS):
        name = f"s{number}"
        _save(folder, f"{name}_pet", pet, AFFINE, order)
        _save(folder, f"{name}_ct", ct, CT_AFFINE, ORDERS[(5 * number + 7) % 48])
        _save(folder, f"{name}_mask", mask, AFFINE, ORDERS[(11 * number + 17) % 48])
        lines.append(f"{name},p,{name}_pet.nii,{name}_ct.nii,{name}_mask.nii")
    (folder / "table.csv").write_text("\n".join(lines))
    sources = read_import_table(folder / "table.csv").sources(tracer=None, suv_declared=True)
    outcomes = list(import_studies(sources, folder / "out", DatasetInfo(name="n", site="s", contour="manual")))
    assert all(isinstance(one, Imported) for one in outcomes)
    return folder / "out"


def test_each_order_is_there_once() -> None:
    assert len(set(ORDERS)) == 48


@pytest.mark.parametrize("kind", ["pet", "ct", "lesions"])
def test_every_axis_order_gives_the_same_bytes(imported: Path, kind: str) -> None:
    contents = {path.read_bytes() for path in imported.glob(f"volumes/*/{kind}.nii.gz")}
    assert len(list(imported.glob(f"volumes/*/{kind}.nii.gz"))) == 48
    assert len(contents) == 1


def test_the_lesion_on_the_left_stays_on_the_left(imported: Path) -> None:
    data = read_dataset(imported)
    study = data.load(data.rows[0])
    assert study.lesions is not None
    assert [axis.tolist() for axis in study.lesions.nonzero()] == [[0, 4, 4], [1, 4, 5], [2, 6, 6]]
    assert study.lesions[0, 1, 2] != study.lesions[4, 4, 6] == study.lesions[4, 5, 6]
    assert nib.aff2axcodes(study.affine) == ("R", "A", "S")
