"""A table of NIfTI studies, and what a data set makes of it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from sarcoma_sites import published_values, write_site_tables
from scipy import ndimage

from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError
from fedpsma.io.dataset import DatasetInfo, read_dataset
from fedpsma.io.importing.lesions import number_lesions
from fedpsma.io.importing.table import read_import_table
from fedpsma.io.importing.writer import Imported, Outcome, Refused, import_studies
from fedpsma.io.nifti import write_volume
from fedpsma.io.provenance import Provenance

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


def _import(table: Path, out: Path, *, suv_declared: bool = True, info: DatasetInfo = INFO) -> list[Outcome]:
    sources = read_import_table(table).sources(tracer=info.tracer, suv_declared=suv_declared)
    return list(import_studies(sources, out, info))


def test_studies_arrive_in_working_orientation_with_numbered_lesions(source: Path, tmp_path: Path) -> None:
    table = _table(source, "s1,p1,s1.nii.gz,mask.nii.gz,18F-PSMA-1007,2024-01-31", "s2,p1,s2.nii.gz,,,")
    done = _import(table, tmp_path / "out")
    assert [one.row.id for one in done if isinstance(one, Imported)] == ["s1", "s2"]
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


def test_record_says_who_declared_suv_and_how_the_files_lay(source: Path, tmp_path: Path) -> None:
    write_volume(source / "ct.nii", np.full((10, 12, 14), 40, np.int16), np.diag([2.0, 2.0, 1.5, 1.0]) + _offset(z=100))
    table = _table(source, "s1,p1,s1.nii.gz,ct.nii,mask.nii.gz", header="id,patient,pet,ct,mask")
    _import(table, tmp_path / "out")
    row = read_dataset(tmp_path / "out").rows[0]
    record = Provenance.model_validate_json((tmp_path / "out" / str(row.sidecar)).read_text())
    assert record.source == "NIfTI"
    assert (record.suv.method, record.suv.factor) == ("the caller says that the PET is in SUVbw", 1.0)
    assert (record.pet.orientation, record.pet.shape, record.pet.spacing_mm) == ("LPS", (5, 6, 7), (4.0, 4.0, 3.0))
    assert record.ct is not None
    assert (record.ct.grid.orientation, record.ct.resampled, record.ct.covered) == ("RAS", True, 1.0)
    assert record.contours is not None
    assert (record.contours.kind, record.contours.objects) == ("mask", 2)
    assert (record.tracer.tracer, record.tracer.decided_by) == (Tracer.PSMA_11, "caller")
    assert record.notes == row.notes


def _offset(z: float) -> np.ndarray:
    moved = np.zeros((4, 4))
    moved[2, 3] = z
    return moved


def test_voxels_without_a_number_stay_in_the_notes(source: Path, tmp_path: Path) -> None:
    holes = SUV.copy()
    holes[0] = np.nan
    write_volume(source / "s1.nii.gz", holes, LPS)
    _import(_table(source, "s1,p1,s1.nii.gz,,,"), tmp_path / "out")
    dataset = read_dataset(tmp_path / "out")
    assert any("42 voxels without a number" in note for note in dataset.load(dataset.rows[0]).notes)


def _spoil(source: Path, what: str) -> None:
    if what == "text":
        (source / "s1.nii.gz").write_text("not a volume")
    elif what == "mask":
        write_volume(source / "mask.nii.gz", np.zeros((5, 6, 8), np.uint8), LPS)
    elif what == "hounsfield":
        write_volume(source / "s1.nii.gz", (SUV * 100 - 1000).astype(np.int16), LPS)


@pytest.mark.parametrize(
    ("what", "named"),
    [
        ("text", r"s1\.nii\.gz: is not a whole NIfTI file"),
        ("mask", r"mask\.nii\.gz: lies on another grid"),
        ("hounsfield", r"holds values down to -\d+, which is no SUVbw"),
    ],
)
def test_wrong_study_is_refused_with_its_line_and_the_others_go_on(
    source: Path, tmp_path: Path, what: str, named: str
) -> None:
    _spoil(source, what)
    table = _table(source, "s1,p1,s1.nii.gz,mask.nii.gz,,", "s2,p2,s2.nii.gz,,,")
    refused, imported = _import(table, tmp_path / "out")
    assert isinstance(refused, Refused)
    assert refused.name == f"{table}, line 2"
    assert re.search(named, str(refused.error))
    assert isinstance(imported, Imported)
    assert [row.id for row in read_dataset(tmp_path / "out").rows] == ["s2"]


def test_pet_without_units_is_refused(source: Path, tmp_path: Path) -> None:
    (refused,) = _import(_table(source, "s1,p1,s1.nii.gz,,,"), tmp_path / "out", suv_declared=False)
    assert isinstance(refused, Refused)
    assert "is a PET without units" in str(refused.error)
    assert not (tmp_path / "out").exists()


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
    assert sum(len(read_import_table(path).rows) for path in tables.values()) == 26
    for number, (spacing, table) in enumerate(tables.items()):
        info = DatasetInfo(name=f"sts{number}", site=f"grid{number}", contour="manual")
        assert all(isinstance(one, Imported) for one in _import(table, tmp_path / info.name, info=info))
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
