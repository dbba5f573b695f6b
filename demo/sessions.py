"""Who is there: one session a browser, and the readings that each has open."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

from demo.desk import Desk, Place, open_desk
from demo.library import Case
from demo.viewer.route import OpenStudies
from demo.wording import WordingDesk
from fedpsma.errors import InputError

_TOKEN_BYTES = 24
# A browser that opens more than this at once sees its oldest reading closed; nothing is lost, it lies on the disk.
_MOST_DESKS = 3
# A page that is open says so every twenty seconds, in the background every minute.
_LEFT_AFTER_S = 90.0


@dataclass
class Session:
    """One browser: a random name, who reads there, its open readings and the exams that it brought."""

    name: str
    user: str
    desks: OrderedDict[str, Desk] = field(default_factory=OrderedDict)
    uploads: list[Case] = field(default_factory=list)
    shown: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Folders:
    """Where a room finds and keeps things.

    ``uploads`` is private and holds what the sessions bring, ``readings`` their readings of it; ``dicom`` holds the PET
    series, which SEG and SR need, ``runs`` the runs of a federation.
    """

    uploads: Path
    readings: Path
    dicom: Path | None = None
    runs: Path | None = None


class ReadingRoom:
    """All sessions and what they have open; nobody reaches a reading that another session opened.

    Args:
        cases: The studies that everybody may open.
        keeps: Where the room keeps things.
    """

    def __init__(self, cases: tuple[Case, ...], keeps: Folders) -> None:
        self._cases = cases
        self.keeps = keeps
        self.place = Place(WordingDesk(), OpenStudies(), keeps.dicom)
        self._owners: dict[Path, tuple[Session, str]] = {}
        self._lock = threading.Lock()

    def cases(self, session: Session) -> tuple[Case, ...]:
        """Return what a session may open: the studies of the folder, and what it brought itself."""
        return (*self._cases, *session.uploads)

    def open(self, session: Session, number: int, *, take_over: bool = False) -> str:
        """Open a case and return the random name by which its session reaches it.

        Raises:
            InputError: There is no such case, it cannot be read, or somebody else is reading it.
        """
        cases = self.cases(session)
        if not 0 <= number < len(cases):
            raise InputError("is not in the list", where=f"study {number}")
        case = cases[number]
        with self._lock:
            self._release(case, session, take_over=take_over)
            desk = open_desk(case, session.user, session.name, self.place)
            token = secrets.token_urlsafe(_TOKEN_BYTES)
            session.desks[token] = desk
            self._owners[case.reading] = (session, token)
            while len(session.desks) > _MOST_DESKS:
                self._close(session, next(iter(session.desks)))
        return token

    def desk(self, session: Session, token: str) -> Desk:
        """Return an open reading of this session.

        Raises:
            KeyError: The session has none of this name (any more).
        """
        desk = session.desks[token]
        desk.touched = time.monotonic()
        return desk

    def first_free(self, session: Session) -> int:
        """Return the number of the first case that nobody else reads, 0 where there is none."""
        owners = [self._owners.get(case.reading) for case in self.cases(session)]
        return next((at for at, owner in enumerate(owners) if owner is None or owner[0] is session), 0)

    def close(self, session: Session, token: str) -> None:
        """Close one reading of a session; closing it twice does nothing."""
        with self._lock:
            if token in session.desks:
                self._close(session, token)

    def leave(self, session: Session) -> None:
        """Close everything that a session has open."""
        with self._lock:
            for token in tuple(session.desks):
                self._close(session, token)

    def is_read_by(self, case: Case) -> str:
        """Return who has a case open, empty where nobody does."""
        owner = self._owners.get(case.reading)
        return owner[0].user if owner else ""

    def _release(self, case: Case, session: Session, *, take_over: bool) -> None:
        owner = self._owners.get(case.reading)
        if owner is None:
            return
        reader, token = owner
        left = time.monotonic() - reader.desks[token].touched > _LEFT_AFTER_S
        if reader is not session and not take_over and not left:
            raise BusyError(reader.user)
        self._close(reader, token)

    def _close(self, session: Session, token: str) -> None:
        desk = session.desks.pop(token)
        session.shown.pop(token, None)
        self._owners.pop(desk.case.reading, None)
        desk.close()


class BusyError(InputError):
    """Somebody else is reading the case; it can be taken over."""

    def __init__(self, user: str) -> None:
        super().__init__(f"is being read by {user} in another window", where="this study", remedy="take it over")
