from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from browser_room import MISSED, write_seven

from demo.images import ReadingImages, open_images
from demo.reading.edits import DeleteLesion, Exclude
from demo.reading.history import Reading, Redo, Undo, advance, begin
from demo.reading.result import result_of
from demo.viewer.route import OpenStudies
from fedpsma.domain.region import Region
from fedpsma.errors import InputError
from fedpsma.io.exam_file import read_exam


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_seven(tmp_path / "study")
    return tmp_path / "study"


def _open(folder: Path) -> tuple[Reading, ReadingImages]:
    exam = read_exam(folder / "exam.json")
    return begin(exam), open_images(folder, exam, OpenStudies(), "session")


def _outlined(images: ReadingImages, reading: Reading) -> dict[str, int]:
    """How many voxels each lesion that counts has where it is exported."""
    exam = result_of(reading).exam
    labels = images.for_export(reading, exam).lesion_labels
    return {one.lesion_id: int((labels == number).sum()) for number, one in enumerate(exam.lesions, start=1)}


def test_a_lesion_is_drawn_undone_and_drawn_again_the_same(folder: Path) -> None:
    reading, images = _open(folder)
    before = _outlined(images, reading)
    edit = images.drawn(reading, MISSED, "pct41", Region.LIVER)
    assert edit.added.lesion_id == "L8"
    assert edit.added.suvmax == pytest.approx(12.0, abs=0.1)
    added = advance(reading, edit)
    drawn = _outlined(images, added)
    assert drawn["L8"] > 5
    undone = advance(added, Undo())
    assert _outlined(images, undone) == before
    assert _outlined(images, advance(undone, Redo())) == drawn


def test_outlines_are_drawn_again_from_the_log_after_a_crash(folder: Path) -> None:
    reading, images = _open(folder)
    reading = advance(reading, images.drawn(reading, MISSED, "suv4", Region.LIVER))
    reading = advance(reading, DeleteLesion(lesion="L2"))
    reading = advance(reading, Exclude(lesion="L5", reason="benign"))
    known = _outlined(images, reading)
    _, fresh = _open(folder)
    assert _outlined(fresh, reading) == known
    assert set(known) == {"L1", "L3", "L4", "L6", "L7", "L8"}


def test_the_viewer_gets_the_lesions_in_the_order_of_the_table_and_new_outlines_when_they_change(folder: Path) -> None:
    reading, images = _open(folder)
    order = sorted(reading.state.lesion_ids, key=lambda one: one != "L4")
    value = images.value(reading, order, "L4")
    assert [one["id"] for one in value["lesions"]][:2] == ["L4", "L1"]
    assert (value["selected"], value["revision"]) == ("L4", 0)
    reading = advance(reading, images.drawn(reading, MISSED, "pct50", Region.LIVER))
    after = images.value(reading, reading.state.lesion_ids, "L8")
    assert after["revision"] == 1
    (new,) = [one for one in after["lesions"] if one["id"] == "L8"]
    assert np.abs(np.subtract(new["peak"], MISSED)).max() <= 1


def test_nothing_is_drawn_where_nothing_lights_up_or_something_is_drawn_already(folder: Path) -> None:
    reading, images = _open(folder)
    for point in ((1, 1, 1), (20, 12, 6), (400, 0, 0)):
        with pytest.raises(InputError):
            images.drawn(reading, point, "suv4", Region.LIVER)
    with pytest.raises(InputError, match="one peak"):
        images.parted(reading, "L2")
