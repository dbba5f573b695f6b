"""The one way into a data set: whole studies, going on after a stop, nothing outside the folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fedpsma.domain.study import Study
from fedpsma.errors import InputError
from fedpsma.io.dataset import DatasetInfo, read_dataset
from fedpsma.io.importing.source import ImportedStudy, StudySource
from fedpsma.io.importing.writer import Imported, Kept, Outcome, Refused, import_studies
from fedpsma.io.provenance import GridRecord, Provenance, SuvRecord, TracerRecord

INFO = DatasetInfo(name="test", site="A", contour="manual")
GRID = GridRecord(spacing_mm=(4, 4, 3), shape=(3, 4, 5), orientation="RAS")
RECORD = Provenance(
    source="NIfTI",
    software="test",
    manufacturer="SIEMENS",
    scanner="Biograph 64",
    pet=GRID,
    suv=SuvRecord(method="told", units="SUVbw", factor=1.0),
    tracer=TracerRecord(tracer=None, decided_by="nobody"),
)


def _study(name: str) -> ImportedStudy:
    pet = np.full((3, 4, 5), 2.0, np.float32)
    return ImportedStudy(Study(name, name, pet, np.diag([4.0, 4.0, 3.0, 1.0]), notes=("a note",)), RECORD)


def _refuse() -> ImportedStudy:
    raise InputError("has no weight", where="series 3", remedy="export it again")


def _stop() -> ImportedStudy:
    raise KeyboardInterrupt


def _source(
    name: str, read: Callable[[], ImportedStudy] | None = None, patient: str | None = None, study_id: str | None = None
) -> StudySource:
    return StudySource(f"file {name}", study_id or name, patient or f"p-{name}", read or (lambda: _study(name)))


def _kinds(outcomes: list[Outcome]) -> list[str]:
    return [type(one).__name__ for one in outcomes]


def _ids(folder: Path) -> list[str]:
    return [row.id for row in read_dataset(folder).rows]


def test_row_has_scanner_sidecar_and_notes(tmp_path: Path) -> None:
    list(import_studies([_source("a")], tmp_path / "out", INFO))
    (row,) = read_dataset(tmp_path / "out").rows
    assert (row.scanner, row.sidecar, row.notes) == ("SIEMENS Biograph 64", "volumes/a/study.json", ("a note",))
    assert (row.spacing, row.ct, row.mask) == ((4.0, 4.0, 3.0), None, None)
    assert Provenance.model_validate_json((tmp_path / "out/volumes/a/study.json").read_text()) == RECORD


def test_refused_study_costs_only_itself_and_is_tried_again(tmp_path: Path) -> None:
    broken = [_source("a"), _source("b", _refuse), _source("c")]
    first = list(import_studies(broken, tmp_path / "out", INFO))
    assert _kinds(first) == ["Imported", "Refused", "Imported"]
    assert isinstance(first[1], Refused)
    assert str(first[1].error) == "series 3: has no weight; export it again"
    mended = [_source("a"), _source("b"), _source("c")]
    assert _kinds(list(import_studies(mended, tmp_path / "out", INFO))) == ["Kept", "Imported", "Kept"]
    assert _ids(tmp_path / "out") == ["a", "c", "b"]


def test_kept_study_is_not_read_again(tmp_path: Path) -> None:
    list(import_studies([_source("a")], tmp_path / "out", INFO))
    (kept,) = import_studies([_source("a", _refuse)], tmp_path / "out", INFO)
    assert isinstance(kept, Kept)


@pytest.mark.parametrize("at", [0, 1, 2])
def test_stop_leaves_a_data_set_in_order_to_go_on_with(tmp_path: Path, at: int) -> None:
    names = ["a", "b", "c"]
    sources = [_source(name, _stop if number == at else None) for number, name in enumerate(names)]
    with pytest.raises(KeyboardInterrupt):
        list(import_studies(sources, tmp_path / "out", INFO))
    if at:
        assert _ids(tmp_path / "out") == names[:at]
    else:
        assert list(tmp_path.iterdir()) == []
    assert _kinds(list(import_studies([_source(name) for name in names], tmp_path / "out", INFO))) == [
        *["Kept"] * at,
        *["Imported"] * (3 - at),
    ]
    assert _ids(tmp_path / "out") == names


@pytest.mark.parametrize("name", ["studies.jsonl", "lesions.nii.gz", "study.json"])
def test_stop_while_writing_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Whatever file is being replaced when the machine stops, the next run ends with the whole data set."""
    import os

    list(import_studies([_source("a")], tmp_path / "out", INFO))
    replace = os.replace

    def stop(draft: Path, path: Path) -> None:
        if Path(path).name == name:
            raise KeyboardInterrupt
        replace(draft, path)

    def with_lesions() -> ImportedStudy:
        one = _study("b")
        lesions = np.ones(one.study.pet.shape, np.int32)
        return ImportedStudy(Study("b", "b", one.study.pet, one.study.affine, lesions=lesions), RECORD)

    sources = [_source("a"), _source("b", with_lesions)]
    monkeypatch.setattr("os.replace", stop)
    with pytest.raises(KeyboardInterrupt):
        list(import_studies(sources, tmp_path / "out", INFO))
    monkeypatch.setattr("os.replace", replace)
    assert _ids(tmp_path / "out") == ["a"]
    assert _kinds(list(import_studies(sources, tmp_path / "out", INFO))) == ["Kept", "Imported"]
    data = read_dataset(tmp_path / "out")
    lesions = data.load(data.rows[1]).lesions
    assert lesions is not None
    assert lesions.all()
    assert sorted(path.name for path in (tmp_path / "out/volumes").iterdir()) == ["a", "b"]


def test_nothing_imported_leaves_no_folder(tmp_path: Path) -> None:
    assert _kinds(list(import_studies([_source("a", _refuse)], tmp_path / "new/out", INFO))) == ["Refused"]
    assert list(tmp_path.iterdir()) == []


def test_unforeseen_failure_of_one_study_does_not_end_the_night(tmp_path: Path) -> None:
    def fail() -> ImportedStudy:
        raise ZeroDivisionError("float division\nby zero")

    refused, imported = import_studies([_source("a", fail), _source("b")], tmp_path / "out", INFO)
    assert isinstance(refused, Refused)
    assert str(refused.error) == (
        "file a: could not be read (ZeroDivisionError: float division by zero); export or copy it again"
    )
    assert isinstance(imported, Imported)


@pytest.mark.parametrize(
    "study_id", ["", ".", "..", "../a", "a/b", "a\\b", "/a", ".hidden", "a b", "a\n", "a\0", "x" * 121, "CON:", "é"]
)
def test_id_that_is_no_safe_file_name_is_refused(tmp_path: Path, study_id: str) -> None:
    source = StudySource("file a", study_id, "p", lambda: _study("a"))
    (refused,) = import_studies([source], tmp_path / "out", INFO)
    assert isinstance(refused, Refused)
    assert "is no safe file name" in str(refused.error)
    assert list(tmp_path.iterdir()) == []


def test_same_id_twice_is_refused_in_any_case_of_letters(tmp_path: Path) -> None:
    sources = [_source("a"), _source("other", study_id="A"), _source("third", study_id="a")]
    outcomes = list(import_studies(sources, tmp_path / "out", INFO))
    assert _kinds(outcomes) == ["Imported", "Refused", "Refused"]
    assert isinstance(outcomes[1], Refused)
    assert "has the same id as file a" in str(outcomes[1].error)


def test_same_id_of_another_patient_or_case_is_refused_in_a_later_run(tmp_path: Path) -> None:
    list(import_studies([_source("a", patient="p1")], tmp_path / "out", INFO))
    for later in (_source("a", patient="p2"), _source("A", patient="p1")):
        (refused,) = import_studies([later], tmp_path / "out", INFO)
        assert isinstance(refused, Refused)
        assert "the data set has 'a' already" in str(refused.error)


@pytest.mark.parametrize(
    "change", [{"name": "other"}, {"site": "B"}, {"contour": "suv3"}, {"tracer": "18F-FDG"}, {"synthetic": True}]
)
def test_other_information_is_not_mixed_in(tmp_path: Path, change: dict[str, object]) -> None:
    list(import_studies([_source("a")], tmp_path / "out", INFO))
    other = DatasetInfo.model_validate(INFO.model_dump() | change)
    with pytest.raises(InputError, match=f"is a data set with {next(iter(change))}"):
        list(import_studies([_source("b")], tmp_path / "out", other))
    assert _ids(tmp_path / "out") == ["a"]


def test_citation_written_by_hand_stays(tmp_path: Path) -> None:
    list(import_studies([_source("a")], tmp_path / "out", INFO))
    path = tmp_path / "out/dataset.json"
    path.write_text(path.read_text().replace('"citation": null', '"citation": "Somebody 2024"'))
    list(import_studies([_source("b")], tmp_path / "out", INFO))
    assert read_dataset(tmp_path / "out").info.citation == "Somebody 2024"
    assert _ids(tmp_path / "out") == ["a", "b"]


def test_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="exists and is not a data set"):
        list(import_studies([_source("a")], tmp_path / "out", INFO))
    assert (tmp_path / "out/thesis.txt").read_text() == "years of work"


def test_empty_folder_is_used(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert _kinds(list(import_studies([_source("a")], tmp_path / "out", INFO))) == ["Imported"]
