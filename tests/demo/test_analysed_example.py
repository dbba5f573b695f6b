"""The analysed study that ships with the demo: its table is what its images say."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from demo.examples.__main__ import STUDY
from demo.viewer.volumes import prepare
from fedpsma.comparison.folder import read_examined
from fedpsma.io.files import read_json
from fedpsma.lesions.by_hand import Drawing, Findings, add_lesion, delete_lesion
from fedpsma.lesions.geometry import indices_of
from fedpsma.lesions.quantities import measure

FOLDER = Path(str(resources.files("demo").joinpath("examples", STUDY)))


@pytest.fixture(scope="module")
def found():
    return read_examined(FOLDER)


def test_it_is_small_and_says_that_it_is_synthetic(found):
    assert sum(path.stat().st_size for path in FOLDER.rglob("*")) < 2_000_000
    assert found.synthetic
    assert (found.study.study_id, len(found.exam.lesions)) == (STUDY, 7)
    assert found.exam.indication == "primary staging"
    assert {one.label for one in found.exam.lesions} == {"malignant", "indeterminate"}


def test_its_table_is_measured_on_its_images(found):
    whole = tuple(slice(0, size) for size in found.labels.shape)
    for number, lesion in enumerate(found.exam.lesions, start=1):
        measured = measure(found.study, found.labels == number, whole, 0.0)
        # the stored PET is rounded to 1/128
        assert measured.suvmax == pytest.approx(lesion.suvmax, abs=0.06)
        assert measured.suvmean == pytest.approx(lesion.suvmean, abs=0.06)
        assert measured.volume_ml == pytest.approx(lesion.volume_ml, abs=0.051)


def test_a_deleted_lesion_can_be_drawn_again_where_the_map_says_it_lies(found):
    findings = Findings(found.exam, found.labels)
    whole = tuple(slice(0, size) for size in found.labels.shape)
    for name in ("L1", "L2"):
        old = found.exam.lesion(name)
        inside = indices_of(found.labels == findings.number(name), whole)
        x, y, z = inside[np.argmax(found.study.pet[tuple(inside.T)])]
        drawn = add_lesion(
            found.study, delete_lesion(found.study, findings, name), (int(x), int(y), int(z)), Drawing("pct41")
        )
        new = drawn.exam.lesions[-1]
        assert (new.region, new.side, new.suvmax) == (old.region, old.side, old.suvmax)
        assert new.volume_ml == pytest.approx(old.volume_ml, rel=0.25)


def test_the_contour_by_the_liver_rests_on_the_liver_of_the_images(found):
    findings = delete_lesion(found.study, Findings(found.exam, found.labels), "L1")
    inside = np.argwhere(found.labels == 1)
    x, y, z = map(int, inside[np.argmax(found.study.pet[tuple(inside.T)])])
    drawn = add_lesion(found.study, findings, (x, y, z), Drawing("liver"))
    mask = drawn.labels == len(drawn.exam.lesions)
    liver = read_json(FOLDER / "analysis.json")["references"]["liver"]
    threshold = 4.30 / liver["mean"] * (liver["mean"] + liver["sd"])
    beside = ndimage.binary_dilation(mask) & (drawn.labels == 0)
    assert found.study.pet[mask].min() >= 0.97 * threshold
    assert np.median(found.study.pet[beside]) < threshold


def test_it_is_ready_for_the_viewer_without_loss(found):
    sent = prepare(found.study)
    assert sent.meta["factor"] == [1, 1, 1]
    assert sent.meta["notes"] == []
    assert sent.bytes_sent < 5_000_000
    assert read_json(FOLDER / "analysis.json")["seconds"] == {}
