"""A reading on disk: an append-only log of every action, from which it goes on after a crash.

The folder is for the reader alone (0700, files 0600). ``audit.jsonl`` chains its lines by hash; the report folder
``report`` is written whole or not at all when the reading is reviewed or signed.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from demo.reading.audit import Deed, described
from demo.reading.history import ACTIONS, Reading, advance, begin
from fedpsma.domain.exam import Exam
from fedpsma.errors import InputError
from fedpsma.io.chain import append_line, read_lines, verify_chain
from fedpsma.io.files import held_alone
from reporting.report_folder import SIGN_OFF_FILE

AUDIT_FILE = "audit.jsonl"
REPORT_FOLDER = "report"


@dataclass(frozen=True)
class Resumed:
    """A reading as its log left it, the deeds so far, and what the reader has to know of the log."""

    reading: Reading
    deeds: tuple[Deed, ...]
    note: str = ""


class ReadingStore:
    """Keeps one reading in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def audit(self) -> Path:
        """The log."""
        return self.folder / AUDIT_FILE

    @property
    def report(self) -> Path:
        """The folder of the report, there once it was reviewed."""
        return self.folder / REPORT_FOLDER

    @contextmanager
    def held(self) -> Iterator[None]:
        """Make the folder where there is none, and hold it so that nobody else changes the reading meanwhile.

        Raises:
            InputError: Another process or session holds it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        with held_alone(self.folder):
            yield

    def resume(self, exam: Exam, *, who: str) -> Resumed:
        """Go on with a reading, or begin one; a reading of another exam is put aside, never lost.

        Raises:
            InputError: The log was changed or damaged.
        """
        digest = exam_digest(exam)
        note = ""
        lines, whole = read_lines(self.audit)
        if lines:
            # What a crash left of a line was never acknowledged.
            os.truncate(self.audit, whole)
            verify_chain(self.audit)
            first, *rest = map(json.loads, lines)
            if first.get("exam_sha256") == digest:
                return self._replayed(exam, rest)
            note = f"The exam changed since it was read; the earlier reading was put aside as {self._put_aside().name}."
        os.close(os.open(self.audit, os.O_CREAT | os.O_WRONLY, 0o600))
        append_line(self.audit, {"time": now(), "who": who, "what": "Opened", "exam_sha256": digest})
        return Resumed(begin(exam), (), note)

    def keep(self, reading: Reading, action: Any, *, who: str) -> Deed:
        """Append an action on a reading as it stood before it; it is on the disk when the call returns."""
        deed = described(reading, action, who=who, time=now())
        append_line(self.audit, {**asdict(deed), "action": action.model_dump(mode="json")})
        return deed

    def _replayed(self, exam: Exam, records: list[dict[str, Any]]) -> Resumed:
        reading, deeds = begin(exam), []
        for number, record in enumerate(records, start=2):
            try:
                reading = advance(reading, ACTIONS.validate_python(record["action"]))
                deeds.append(Deed(**{name: record[name] for name in Deed.__dataclass_fields__}))
            except (ValidationError, KeyError, InputError) as error:
                raise InputError(
                    f"line {number} cannot be read", where=str(self.audit), remedy="move the reading folder away"
                ) from error
        return Resumed(reading, tuple(deeds))

    def _put_aside(self) -> Path:
        aside = self.audit.with_name(f"audit-{time.strftime('%Y%m%d-%H%M%S')}.jsonl")
        self.audit.rename(aside)
        return aside


def standing_of(folder: Path) -> str:
    """Return in a word how far the reading in a folder is, without replaying it."""
    if (folder / REPORT_FOLDER / SIGN_OFF_FILE).is_file():
        return "signed"
    if (folder / REPORT_FOLDER).is_dir():
        return "reviewed"
    return "begun" if (folder / AUDIT_FILE).is_file() else "new"


def exam_digest(exam: Exam) -> str:
    """Return the SHA-256 of an exam, by which a reading knows whether it is still the same."""
    return hashlib.sha256(exam.model_dump_json().encode("utf-8")).hexdigest()


def now() -> str:
    """Return the present time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
