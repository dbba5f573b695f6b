"""The images of an open reading: what the viewer shows, and lesions that a reader draws or parts on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from demo.reading.edits import AddLesion, DeleteLesion, SplitLesion
from demo.reading.history import Reading
from demo.viewer.component import Shown, lesion_peaks, viewer_value
from demo.viewer.route import OpenStudies
from demo.viewer.studies import examined_study, study_state
from fedpsma.domain.exam import Exam
from fedpsma.domain.region import Region
from fedpsma.domain.study import LabelVolume, Study
from fedpsma.errors import InputError
from fedpsma.lesions.by_hand import Drawing, Findings, HandContour, add_lesion, delete_lesion, split_lesion
from fedpsma.lesions.geometry import Index
from reporting.exporters.report import Images

Ids = tuple[str, ...]


@dataclass
class ReadingImages:
    """The study behind a reading, and its outlines as the reader's edits left them.

    Outlines follow from the log of edits: undoing one brings the former ones back, and after a crash they are drawn
    again from it.
    """

    study: Study
    synthetic: bool
    token: str
    opened: OpenStudies
    analysed: LabelVolume
    _shown: Ids = ()
    _revision: int = 0
    _drawn: dict[Ids, LabelVolume] = field(default_factory=dict)
    _peaks: dict[Ids, dict[str, Index]] = field(default_factory=dict)

    def value(self, reading: Reading, order: Sequence[str], chosen: str | None) -> dict[str, Any]:
        """Return what the viewer shows: outlines and lesions in the order of the table."""
        exam, labels = reading.state.exam, self._labels(reading)
        if reading.state.lesion_ids != self._shown:
            self._revision = self._send(reading, labels)
        shown = Shown(chosen, frozenset(reading.state.excluded), self._revision)
        if reading.state.lesion_ids not in self._peaks:
            self._peaks = {reading.state.lesion_ids: lesion_peaks(exam, labels, self.study.pet)}
        value = viewer_value(self.token, exam, self._peaks[reading.state.lesion_ids], shown)
        place = {name: at for at, name in enumerate(order)}
        value["lesions"] = sorted(value["lesions"], key=lambda one: place.get(one["id"], len(place)))
        return value

    def drawn(
        self, reading: Reading, at: tuple[int, int, int], contour: HandContour, region: Region | None = None
    ) -> AddLesion:
        """Return the edit that adds what lights up at a voxel of the study; the map names the region where none is.

        Raises:
            InputError: Nothing lights up there, a lesion is there already, or its region is unknown.
        """
        if any(not 0 <= one < size for one, size in zip(at, self.study.pet.shape, strict=True)):
            raise InputError("lies outside the images", where="the point")
        found = add_lesion(self.study, self._findings(reading), at, Drawing(contour, region))
        self._keep(found)
        return AddLesion(added=found.exam.lesions[-1], at=at, contour=contour)

    def parted(self, reading: Reading, lesion_id: str) -> SplitLesion:
        """Return the edit that parts a lesion at the saddle between its peaks.

        Raises:
            InputError: It has one peak only, or no outline.
        """
        found = split_lesion(self.study, self._findings(reading), lesion_id)
        self._keep(found)
        parts = tuple(one for one in found.exam.lesions if one not in reading.state.exam.lesions)
        return SplitLesion(lesion=lesion_id, parts=parts)

    def for_export(self, reading: Reading, exam: Exam) -> Images:
        """Return study and outlines of the lesions that count, numbered as in the table of the report."""
        numbers = np.zeros(len(reading.state.exam.lesions) + 1, dtype=np.int32)
        included = {lesion.lesion_id: number for number, lesion in enumerate(exam.lesions, start=1)}
        for number, lesion_id in enumerate(reading.state.lesion_ids, start=1):
            numbers[number] = included.get(lesion_id, 0)
        return Images(self.study, numbers[self._labels(reading)], synthetic=self.synthetic)

    def close(self) -> None:
        """Give the images back."""
        self.opened.close(self.token)

    def _send(self, reading: Reading, labels: LabelVolume) -> int:
        self._shown = reading.state.lesion_ids
        return self.opened.set_labels(self.token, labels, self.study)

    def _findings(self, reading: Reading) -> Findings:
        return Findings(reading.state.exam, self._labels(reading))

    def _keep(self, found: Findings) -> None:
        self._drawn[tuple(one.lesion_id for one in found.exam.lesions)] = found.labels

    def _labels(self, reading: Reading) -> LabelVolume:
        """Return the outlines of a reading, drawn again from its edits where they are not at hand."""
        ids = reading.state.lesion_ids
        if ids in self._drawn:
            return self._drawn[ids]
        found = Findings(reading.analysed, self.analysed)
        for step in reading.past:
            found = self._after(Findings(step.before.exam, found.labels), step.edit)
        self._drawn[ids] = found.labels
        return found.labels

    def _after(self, found: Findings, edit: Any) -> Findings:
        match edit:
            case AddLesion(at=at, contour=contour) if at is not None and contour is not None:
                return add_lesion(self.study, found, at, Drawing(contour, edit.added.region))
            case DeleteLesion():
                return delete_lesion(self.study, found, edit.lesion)
            case SplitLesion():
                return split_lesion(self.study, found, edit.lesion)
            case _:
                return found


def open_images(folder: Path, exam: Exam, opened: OpenStudies, owner: str) -> ReadingImages:
    """Open the images of an analysed study for one session.

    Raises:
        InputError: A file is missing or broken.
    """
    examined = examined_study(study_state(folder))
    token = opened.open(folder, owner)
    labels = examined.study.lesions
    if labels is None:
        labels = np.zeros(examined.study.pet.shape, dtype=np.int32)
    ids = tuple(lesion.lesion_id for lesion in exam.lesions)
    return ReadingImages(examined.study, examined.synthetic, token, opened, labels, _shown=ids)
