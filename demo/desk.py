"""A reading that is open in a browser: takes what the page asks for, keeps it, and answers with what changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from demo.images import ReadingImages, open_images
from demo.library import IDENTITY_FIELDS, Case, Identity, identity_of
from demo.reading.audit import Deed
from demo.reading.edits import AddLesion
from demo.reading.history import ACTIONS, Reading, Review, Sign, advance
from demo.reading.result import Result, result_of
from demo.reading.store import ReadingStore, now
from demo.viewer.route import OpenStudies
from demo.wording import Progress, Wanted, WordingDesk
from fedpsma.domain.exam import Exam, unknown_fields
from fedpsma.domain.region import Region
from fedpsma.errors import InputError, first_problem
from fedpsma.io.exam_file import read_exam
from fedpsma.lesions.by_hand import HandContour
from reporting.draft import Draft
from reporting.exporters.registry import FormatName, export
from reporting.exporters.report import Export, Report, SignOff, content_sha256
from reporting.report_folder import write_report


class Point(BaseModel):
    """Where a reader wants a lesion, and how it is drawn."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["add"]
    at: tuple[int, int, int]
    contour: HandContour = "suv4"
    region: Region | None = None


@dataclass
class Desk:
    """One open reading; only the session that opened it may use it.

    ``chosen`` is the lesion on the card, ``fresh`` the sentences that the last edit changed. ``first`` are the lesions
    that were open questions when the reading was opened: they lead the table, which does not jump at every edit.
    ``touched`` is when its page was last heard of.
    """

    case: Case
    who: str
    identity: Identity
    store: ReadingStore
    reading: Reading
    result: Result
    deeds: list[Deed]
    notes: tuple[str, ...]
    wording: WordingDesk
    dicom: Path | None = None
    first: tuple[str, ...] = ()
    images: ReadingImages | None = None
    writer: Wanted = "template"
    progress: Progress = field(default_factory=Progress)
    chosen: str | None = None
    fresh: frozenset[str] = frozenset()
    touched: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)
    _held: ExitStack = field(default_factory=ExitStack)

    def do(self, asked: Mapping[str, Any]) -> None:
        """Do what the page asks for: it is on the disk before anything is shown.

        Raises:
            InputError: It cannot be done as the reading stands.
        """
        action = self._action(asked)
        advanced = advance(self.reading, action)
        if advanced == self.reading:
            return
        self.deeds.append(self.store.keep(self.reading, action, who=self.who))
        self._show(advanced)
        if isinstance(action, AddLesion):
            self.choose(action.added.lesion_id)
        if isinstance(action, (Review, Sign)):
            write_report(self.store.report, self.result.exam, self.report(), self.sign_off)

    def choose(self, lesion_id: str) -> None:
        """Put a lesion on the card; it counts as looked at, which a signed reading does not need any more."""
        if lesion_id in self.reading.state.lesion_ids:
            self.chosen = lesion_id
            self.do({"kind": "look", "lesion": lesion_id})

    @property
    def failed_checks(self) -> int:
        """How many checks of the report ask for another look."""
        return self.result.failed_checks

    def word(self, writer: Wanted) -> None:
        """Choose who words the findings; the language model goes to work in the background."""
        self.writer = writer
        if writer == "llm":
            kept = self.wording.writer()
            result_of(self.reading, kept)
            self.progress = self.wording.start(kept.asked, self.reading.state.exam.language)
        self._show(self.reading)

    def refresh(self) -> None:
        """Take the sentences that were written since."""
        self._show(self.reading)

    def report(self) -> Draft:
        """Return the report as it may leave the page.

        Raises:
            InputError: It was not reviewed, or cannot be written.
        """
        if self.reading.standing == "draft":
            raise InputError("has to be reviewed first", where="the report", remedy="look at every lesion")
        return self._draft()

    @property
    def sign_off(self) -> SignOff | None:
        """The signature, ``None`` while the report is not signed."""
        sign = self.reading.signature if self.reading.is_signed else None
        return SignOff(who=sign.by, when=datetime.fromisoformat(sign.at), sha256=sign.text_sha256) if sign else None

    def export(self, name: FormatName) -> Export:
        """Write the report in one format.

        Raises:
            InputError: It was not reviewed, or the format needs what this study has not.
        """
        draft, exam = self.report(), self.result.exam
        images = self.images.for_export(self.reading, exam) if self.images else None
        return export(Report(exam, draft, self.sign_off, images, self.dicom), name)

    def close(self) -> None:
        """Let go of images and reading folder."""
        if self.images is not None:
            self.images.close()
        self._held.close()

    def _show(self, reading: Reading) -> None:
        before = {one.key: one.text for one in self.result.sentences}
        same = reading.state is self.reading.state and reading.standing == self.reading.standing
        self.reading = reading
        if not same or self.writer == "llm":
            self.result = result_of(reading, self.wording.writer() if self.writer == "llm" else None)
            now_there = {one.key: one.text for one in self.result.sentences}
            self.fresh = frozenset(key for key, text in now_there.items() if before.get(key, text) != text)
        if self.chosen not in reading.state.lesion_ids:
            self.chosen = None

    def _action(self, asked: Mapping[str, Any]) -> Any:
        asked = dict(asked)
        if asked.get("kind") == "sentence":
            shown = next((one for one in self.result.sentences if one.key == asked.get("key")), None)
            if shown is None:
                raise InputError("is not in the report any more", where="the sentence")
            asked |= {"section": shown.section, "drafted": shown.drafted}
        if asked.get("kind") == "sign":
            asked |= {"text_sha256": content_sha256(self.result.exam, self._draft()), "at": now()}
        if asked.get("kind") in ("add", "split"):
            return self._drawn(asked)
        try:
            return ACTIONS.validate_python(asked)
        except ValidationError as error:
            raise InputError(first_problem(error)[1], where="the page") from error

    def _drawn(self, asked: Mapping[str, Any]) -> Any:
        """Return the edit that adds or splits a lesion on the images."""
        if self.images is None:
            raise InputError("has no images to draw on", where="this study")
        if asked["kind"] == "split":
            return self.images.parted(self.reading, str(asked.get("lesion")))
        try:
            point = Point.model_validate(asked)
        except ValidationError as error:
            raise InputError(first_problem(error)[1], where="the point") from error
        return self.images.drawn(self.reading, point.at, point.contour, point.region)

    def _draft(self) -> Draft:
        if self.result.draft is None:
            raise InputError(self.result.problem, where="the report")
        return self.result.draft


@dataclass(frozen=True)
class Place:
    """What all desks of a room share: the sentences of the language model, the opened images, the DICOM series."""

    wording: WordingDesk
    opened: OpenStudies
    dicom: Path | None = None


def open_desk(case: Case, who: str, owner: str, place: Place) -> Desk:
    """Open a case for one reader; nobody else can change its reading meanwhile.

    Args:
        case: What is read.
        who: The reader's name.
        owner: The session that alone may have the images.
        place: What all desks share.

    Raises:
        InputError: The exam cannot be read, its log is damaged, or another process holds the reading.
    """
    exam = read_exam(case.exam)
    identity = identity_of(case, exam)
    store = ReadingStore(case.reading)
    with ExitStack() as held:
        held.enter_context(store.held())
        resumed = store.resume(exam, who=who)
        unread = [f"{name} is not a field of an exam and was not read." for name in _unread(exam)]
        result = result_of(resumed.reading)
        images, without = _images_of(case, exam, owner, place)
        return Desk(
            case=case,
            who=who,
            identity=identity,
            store=store,
            reading=resumed.reading,
            result=result,
            deeds=list(resumed.deeds),
            notes=(*unread, *identity.notes, *filter(None, [resumed.note, without])),
            wording=place.wording,
            dicom=place.dicom,
            images=images,
            first=tuple(one.lesion for one in result.assessment.indeterminate),
            _held=held.pop_all(),
        )


def _images_of(case: Case, exam: Exam, owner: str, place: Place) -> tuple[ReadingImages | None, str]:
    """Open the images of a case, or say why it has none; the table can be read without them."""
    if case.folder is None:
        return None, ""
    try:
        return open_images(case.folder, exam, place.opened, owner), ""
    except InputError as error:
        return None, f"No images: {error}"


def _unread(exam: Exam) -> list[str]:
    shown = {name for names in IDENTITY_FIELDS.values() for name in names}
    return [name for name in unknown_fields(exam) if name not in shown]
