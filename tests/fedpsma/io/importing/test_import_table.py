"""A table of NIfTI studies as a data set, all or nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sarcoma_sites import published_values, write_site_tables
from scipy import ndimage

from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError
from fedpsma.io.dataset import DatasetInfo, read_dataset
from fedpsma.io.importing.table import import_table, number_lesions, read_import_table
from fedpsma.io.nifti import write_volume

INFO = DatasetInfo(name="test", site="A", contour="manual", tracer=Tracer.PSMA_11)
LPS = np.array([[-4.0, 0, 0, 16], [0, -4, 0, 20], [0, 0, 3, 100], [0, 0, 0, 1]])
SUV = np.random.default_rng(0).uniform(0, 12, (5, 6, 7)).astype(np.float32)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two studies stored left-handed, as scanners do, one with a mask of two lesions."""
    folder = tmp_path / "source"
    mask = np.zeros(SUV.shape, np.uint8)
    mask[0, 0, 0] = mask[4, 5, 6] = 1
    for name in ("s1", "s2"):
        write_volume(folder / f"{name}.nii.gz", SUV, LPS)
    write_volume(folder / "mask.nii.gz", mask, LPS)
    return folder


def _table(folder: Path, *lines: str, header: str = "id,patient,pet,mask,tracer,date") -> Path:
    path = folder / "table.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def test_studies_arrive_in_working_orientation_with_numbered_lesions(source: Path, tmp_path: Path) -> None:
    table = read_import_table(
        _table(source, "s1,p1,s1.nii.gz,mask.nii.gz,18F-PSMA-1007,2024-01-31", "s2,p1,s2.nii.gz,,,")
    )
    done = [row.id for row in import_table(table, tmp_path / "out", INFO, suv_declared=True)]
    assert done == ["s1", "s2"]
    dataset = read_dataset(tmp_path / "out")
    assert dataset.info == INFO
    assert dataset.patients == ("p1",)
    first, second = (dataset.load(row) for row in dataset.rows)
    assert np.array_equal(first.pet, SUV[::-1, ::-1])
    assert first.affine[:3, 3] == pytest.approx([0, 0, 100])
    assert first.lesions is not None
    assert sorted(np.unique(first.lesions)) == [0, 1, 2]
    assert (first.lesions > 0).nonzero()[0].tolist() == [0, 4]
    assert first.lesions[4, 5, 0] > 0
    assert (first.tracer, second.tracer) == (Tracer.PSMA_1007, Tracer.PSMA_11)
    assert (first.date, second.date, second.lesions) == ("2024-01-31", None, None)
    assert "the caller says that the PET is in SUVbw" in first.notes


def test_voxels_without_a_number_stay_in_the_notes(source: Path, tmp_path: Path) -> None:
    holes = SUV.copy()
    holes[0] = np.nan
    write_volume(source / "s1.nii.gz", holes, LPS)
    table = read_import_table(_table(source, "s1,p1,s1.nii.gz,,,"))
    list(import_table(table, tmp_path / "out", INFO, suv_declared=True))
    dataset = read_dataset(tmp_path / "out")
    assert any("42 voxels without a number" in note for note in dataset.load(dataset.rows[0]).notes)


def test_one_wrong_study_writes_nothing_and_names_its_line(source: Path, tmp_path: Path) -> None:
    (source / "s2.nii.gz").write_text("not a volume")
    table = read_import_table(_table(source, "s1,p1,s1.nii.gz,,,", "s2,p2,s2.nii.gz,,,"))
    with pytest.raises(InputError, match=r"table\.csv, line 3: .*s2\.nii\.gz: is not a whole NIfTI file"):
        list(import_table(table, tmp_path / "out", INFO, suv_declared=True))
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_stopping_half_way_writes_nothing(source: Path, tmp_path: Path) -> None:
    table = read_import_table(_table(source, "s1,p1,s1.nii.gz,,,", "s2,p2,s2.nii.gz,,,"))
    steps = import_table(table, tmp_path / "out", INFO, suv_declared=True)
    next(steps)
    steps.close()
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_existing_folder_is_never_overwritten(source: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    table = read_import_table(_table(source, "s1,p1,s1.nii.gz,,,"))
    with pytest.raises(InputError, match="exists already"):
        list(import_table(table, tmp_path / "out", INFO, suv_declared=True))


def test_pet_without_units_is_refused_with_its_line(source: Path, tmp_path: Path) -> None:
    table = read_import_table(_table(source, "s1,p1,s1.nii.gz,,,"))
    with pytest.raises(InputError, match=r"line 2: .*is a PET without units"):
        list(import_table(table, tmp_path / "out", INFO, suv_declared=False))


def test_mask_on_another_grid_is_refused_with_its_line(source: Path, tmp_path: Path) -> None:
    write_volume(source / "mask.nii.gz", np.zeros((5, 6, 8), np.uint8), LPS)
    table = read_import_table(_table(source, "s1,p1,s1.nii.gz,mask.nii.gz,,"))
    with pytest.raises(InputError, match=r"line 2: .*mask\.nii\.gz: lies on another grid"):
        list(import_table(table, tmp_path / "out", INFO, suv_declared=True))


@pytest.mark.parametrize(
    ("header", "lines", "named"),
    [
        ("id,pet", ["s1,s1.nii.gz"], "line 1: lacks the column patient"),
        ("id,patient,pet,seg", ["s1,p1,s1.nii.gz,x"], "line 1: has the column 'seg'"),
        ("id,patient,pet,pet", ["s1,p1,s1.nii.gz,x"], "line 1: has a column twice"),
        ("id,patient,pet", [], "has no study"),
        ("id,patient,pet", ["s1,p1"], "line 2: has more or fewer fields"),
        ("id,patient,pet", ["s1,p1,s1.nii.gz,x"], "line 2: has more or fewer fields"),
        ("id,patient,pet", ["s1,,s1.nii.gz"], "line 2: patient: Field required"),
        ("id,patient,pet", ["s1,p1,nowhere.nii.gz"], "nowhere.nii.gz does not exist"),
        ("id,patient,pet", ["../s1,p1,s1.nii.gz"], "line 2: id:"),
        ("id,patient,pet", ["s1,p1,s1.nii.gz", "S1,p2,s2.nii.gz"], "line 3: the id 'S1' stands on line 2 already"),
        ("id,patient,pet,tracer", ["s1,p1,s1.nii.gz,PSMA"], "line 2: tracer:"),
        ("id,patient,pet,date", ["s1,p1,s1.nii.gz,31/01/2024"], "line 2: date:"),
        ("id,patient,pet", ['s1,"p1,s1.nii.gz'], "is not CSV"),
    ],
)
def test_wrong_row_is_refused_with_its_line(source: Path, header: str, lines: list[str], named: str) -> None:
    with pytest.raises(InputError) as refused:
        read_import_table(_table(source, *lines, header=header))
    assert named in str(refused.value)


def test_table_of_a_spreadsheet_is_read(source: Path) -> None:
    """Spreadsheets write a byte order mark, carriage returns, and blanks after the comma."""
    path = source / "table.csv"
    path.write_bytes("\ufeffid, patient, pet\r\ns1, p1, s1.nii.gz\r\n\r\ns2, p2, s2.nii.gz\r\n".encode())
    table = read_import_table(path)
    assert [(row.line, row.id, row.patient) for row in table.rows] == [(2, "s1", "p1"), (4, "s2", "p2")]


def test_diagonal_neighbours_are_one_lesion_and_corners_are_not() -> None:
    edge, corner = np.zeros((3, 3, 3), np.int32), np.zeros((3, 3, 3), np.int32)
    edge[0, 0, 0] = edge[1, 1, 0] = 1
    corner[0, 0, 0] = corner[1, 1, 1] = 1
    assert number_lesions(edge).max() == 1
    assert number_lesions(corner).max() == 2


@pytest.mark.shared
def test_real_tumours_become_three_sites_by_scanner_grid(shared: Path, tmp_path: Path) -> None:
    """26 sarcomas: volume, SUVmax and SUVmean of each tumour equal the published table."""
    published = published_values(shared)
    tables = write_site_tables(shared, tmp_path)
    assert len(tables) == 3
    checked = {spacing: read_import_table(path) for spacing, path in tables.items()}
    assert sum(len(table.rows) for table in checked.values()) == 26
    for number, (spacing, table) in enumerate(checked.items()):
        info = DatasetInfo(name=f"sts{number}", site=f"grid{number}", contour="manual")
        list(import_table(table, tmp_path / info.name, info, suv_declared=True))
        _compare_with_published(tmp_path / info.name, spacing, published)


def _compare_with_published(folder: Path, spacing: str, published: dict[str, dict[str, str]]) -> None:
    dataset = read_dataset(folder)
    for row in dataset.rows:
        study, expected = dataset.load(row), published[row.patient]
        assert study.lesions is not None
        assert study.ct is not None
        tumour = study.lesions > 0
        assert f"({', '.join(f'{edge:.3f}'.rstrip('0') for edge in study.spacing_mm)})" == spacing
        assert tumour.sum() * study.voxel_ml == pytest.approx(float(expected["gtv_ml"]), abs=0.06)
        assert study.pet[tumour].max() == pytest.approx(float(expected["suvmax_gtv"]), abs=0.006)
        assert study.pet[tumour].mean() == pytest.approx(float(expected["suvmean_gtv"]), abs=0.006)
        assert np.median(study.ct[tumour]) == pytest.approx(float(expected["median_hu_gtv"]), abs=0.6)
        assert study.lesions.max() == ndimage.label(tumour, ndimage.generate_binary_structure(3, 2))[1]
