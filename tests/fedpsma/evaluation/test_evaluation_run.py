"""The loop over studies and readers: what is kept, and what is read again."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from fedpsma.errors import InputError
from fedpsma.evaluation.readers import MaskReader, readers_of
from fedpsma.evaluation.run import plan, read_all
from fedpsma.evaluation.scoring import score_mask
from fedpsma.io.dataset import DatasetInfo, StudyRow, read_dataset, write_dataset
from fedpsma.io.nifti import write_volume


@dataclasses.dataclass
class CountingReader:
    """Reads by the true mask, and counts how often it was asked."""

    version: str = "1"
    asked: int = 0
    name: str = "counting"
    epsilon: float | None = None

    def key(self, study_id):
        return self.version

    def read(self, question):
        self.asked += 1
        return score_mask(question.study, question.study.lesions > 0, question.truth, dataset=question.dataset)


@pytest.fixture
def dataset(ball, make_patient, tmp_path):
    folder, rows = tmp_path / "data", []
    for number in range(3):
        study = make_patient([ball((20 * number, 0, 0), 10, 9.0, lesion=1)]).study
        for kind, volume in (("pet", study.pet), ("mask", study.lesions)):
            write_volume(folder / kind / f"s{number}.nii.gz", volume, study.affine)
        files = {"pet": f"pet/s{number}.nii.gz", "mask": f"mask/s{number}.nii.gz"}
        rows.append(StudyRow(id=f"s{number}", patient=f"p{number}", spacing=study.spacing_mm, **files))
    return write_dataset(folder, DatasetInfo(name="made up", site="A", contour="pct50"), rows)


def test_a_second_run_reads_nothing_and_says_the_same(dataset, tmp_path):
    reader, seen = CountingReader(), []
    first = read_all(plan([dataset]), [reader], tmp_path / "kept", lambda: seen.append(1))
    second = read_all(plan([dataset]), [reader], tmp_path / "kept", lambda: seen.append(1))
    assert first == second
    assert (reader.asked, len(seen)) == (3, 6)


def test_what_changed_is_read_again_and_only_that(dataset, tmp_path):
    reader = CountingReader()
    read_all(plan([dataset]), [reader], tmp_path / "kept")
    mask = dataset.folder / "mask/s1.nii.gz"
    volume = dataset.load(dataset.rows[1])
    write_volume(mask, np.zeros_like(volume.lesions), volume.affine)
    (scores,) = read_all(plan([dataset]), [reader], tmp_path / "kept")
    assert reader.asked == 4
    assert [len(one.lesions) for one in scores] == [1, 0, 1]
    read_all(plan([dataset], "suv3"), [reader], tmp_path / "kept")
    assert reader.asked == 7, "another convention outlines every study again"
    read_all(plan([dataset]), [CountingReader(version="2")], tmp_path / "kept")
    (other,) = read_all(plan([dataset]), [reader], tmp_path / "kept")
    assert (reader.asked, other) == (7, scores), "two readers do not overwrite each other"


def test_a_truth_record_that_appears_is_read(dataset, tmp_path):
    reader = CountingReader()
    read_all(plan([dataset]), [reader], tmp_path / "kept")
    record = dataset.folder / "truth/s0.json"
    record.parent.mkdir()
    record.write_text("{}")
    with pytest.raises(InputError, match=r"s0\.json.*Field required"):
        read_all(plan([dataset]), [reader], tmp_path / "kept")


def test_a_kept_file_that_was_damaged_is_made_anew(dataset, tmp_path):
    reader = CountingReader()
    read_all(plan([dataset]), [reader], tmp_path / "kept")
    damaged = next((tmp_path / "kept").rglob("*.json"))
    damaged.write_text(damaged.read_text()[:100])
    read_all(plan([dataset]), [reader], tmp_path / "kept")
    assert reader.asked == 4
    json.loads(damaged.read_text())


def test_what_is_kept_names_the_patient_by_pseudonym_and_no_path(dataset, tmp_path):
    read_all(plan([dataset]), [CountingReader()], tmp_path / "kept")
    kept = [path.read_text() for path in (tmp_path / "kept").rglob("*.json")]
    assert len(kept) == 3
    assert not any(str(tmp_path) in text or ".nii" in text for text in kept)


@pytest.mark.parametrize(
    ("patients", "expected"),
    [(None, "012"), ("p1", "1"), ("p0, p2", "02"), ("p1..p2", "12"), ("p0,p1..p9", "012")],
)
def test_patients_by_name_and_range(dataset, patients, expected):
    assert "".join(task.row.id[1] for task in plan([dataset], patients=patients)) == expected


@pytest.mark.parametrize("patients", ["p7", "q..r", " , "])
def test_a_patient_who_is_not_there(dataset, patients):
    with pytest.raises(InputError, match=r"--patients: .*no patient"):
        plan([dataset], patients=patients)


def test_studies_that_cannot_be_told_apart_or_have_no_mask_are_refused_before_any_work(dataset):
    with pytest.raises(InputError, match=r"study s0 of .*another data set of the name 'made up'"):
        plan([dataset, read_dataset(dataset.folder)])
    bare = dataclasses.replace(dataset, rows=(dataset.rows[0].model_copy(update={"mask": None}),))
    with pytest.raises(InputError, match=r"study s0 of .*: has no lesion mask"):
        plan([bare])


def test_a_folder_of_masks_is_a_reader(dataset, tmp_path):
    given = tmp_path / "theirs"
    for number in range(3):
        study = dataset.load(dataset.rows[number])
        write_volume(given / f"s{number}.nii.gz", study.lesions * (number < 2), study.affine)
    (reader,) = readers_of([], given)
    (scores,) = read_all(plan([dataset]), [reader], tmp_path / "kept")
    assert (reader.name, [one.dice for one in scores]) == ("theirs", [1.0, 1.0, 0.0])
    (given / "s2.nii.gz").unlink()
    with pytest.raises(InputError, match=r"theirs: has no mask s2\.nii\.gz"):
        read_all(plan([dataset]), [MaskReader(given)], tmp_path / "kept")


def test_a_mask_on_another_grid_is_refused(dataset, tmp_path):
    study = dataset.load(dataset.rows[0])
    write_volume(tmp_path / "theirs/s0.nii.gz", study.lesions[:-2], study.affine)
    with pytest.raises(InputError, match="grid"):
        read_all(plan([dataset], patients="p0"), [MaskReader(tmp_path / "theirs")], tmp_path / "kept")


def test_readers_are_told_apart_by_name(tmp_path):
    with pytest.raises(InputError, match="is not a folder"):
        readers_of([], tmp_path / "nowhere")
    with pytest.raises(InputError, match="does not exist"):
        readers_of([tmp_path / "none.safetensors"], None)
