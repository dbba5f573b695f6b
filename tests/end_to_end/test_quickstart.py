"""The whole chain in one go, on very few synthetic patients."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from demo.quickstart.config import QuickstartConfig
from demo.quickstart.run import STEPS, run_quickstart
from fedpsma.errors import InputError
from fedpsma.evaluation.compare import Comparison
from fedpsma.io.exam_file import read_exam
from fedpsma.io.files import read_json
from fedpsma.io.nifti import read_volume
from fedpsma.staging import assess
from reporting.draft import Draft

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chain") / "quickstart"
    run_quickstart(folder, QuickstartConfig.tiny(), Console(file=StringIO()))
    return folder


def test_every_site_stays_within_its_budget_over_three_rounds(finished: Path) -> None:
    state = read_json(sorted((finished / "federation" / "checkpoints").glob("round_*.json"))[-1])
    assert state["round"] == 3
    spent = [site["epsilon"] for site in state["sites"].values()]
    assert len(spent) == 2
    assert all(0 < epsilon <= 8 for epsilon in spent)


def test_the_table_compares_all_models_and_says_that_it_is_synthetic(finished: Path) -> None:
    table = Comparison.model_validate(read_json(finished / "comparison.json"))
    names = [row.name for row in table.rows]
    assert names == ["starting weights", "site A alone", "site B alone", "shared model"]
    assert table.synthetic
    assert [row.epsilon is None for row in table.rows] == [True, False, False, False]
    assert table.markdown().startswith("Held-out synthetic patients: 2")


def test_the_patient_goes_from_images_to_a_verified_draft(finished: Path) -> None:
    exam = read_exam(finished / "patient" / "exam.json")
    draft = Draft.model_validate(read_json(finished / "report" / "draft.json"))
    mask = read_volume(finished / "patient" / "lesions.nii.gz")
    assert int(mask.data.max()) <= len(exam.lesions)
    assert draft.assessment == assess(exam)
    assert [check.name for check in draft.verification.checks if not check.passed] == []


def test_the_page_needs_no_network(finished: Path) -> None:
    page = (finished / "index.html").read_text("utf-8")
    assert "Every patient on this page is synthetic" in page
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", page)
    for link in re.findall(r"(?:src|href)=\"([^\"]+)\"", page):
        assert (finished / link).is_file()


def test_started_again_it_does_nothing_twice(finished: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}
    told = StringIO()
    run_quickstart(finished, QuickstartConfig.tiny(), Console(file=told, width=200))
    assert told.getvalue().count("(done before)") == len(STEPS)
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()} == before


def test_other_settings_need_another_folder(finished: Path) -> None:
    with pytest.raises(InputError, match="other settings"):
        run_quickstart(finished, QuickstartConfig.tiny(seed=2), Console(file=StringIO()))


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="holds other files"):
        run_quickstart(tmp_path, QuickstartConfig.tiny(), Console(file=StringIO()))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
