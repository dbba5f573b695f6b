"""The list of studies that can be read."""

from __future__ import annotations

from html import escape

from demo.library import Case
from demo.panels.parts import UNKNOWN
from demo.reading.store import standing_of
from demo.sessions import ReadingRoom, Session


def study_list(room: ReadingRoom, session: Session) -> str:
    """Return the list as a table: each study with how far its reading is, and who has it open now."""
    rows = "".join(_row(number, case, room.is_read_by(case)) for number, case in enumerate(room.cases(session)))
    heads = ("Study", "Report", "Open with", "")
    head = "".join(f'<th scope="col">{name}</th>' if name else "<td></td>" for name in heads)
    return f'<table class="fp-table"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def _row(number: int, case: Case, reader: str) -> str:
    name = escape(case.name)
    button = (
        f'<button type="button" class="fp-button fp-primary" data-open="{number}" '
        f'aria-label="Read {name}">Read</button>'
    )
    images = "" if case.folder else ' <small class="fp-told">no images</small>'
    cells = f"<td>{standing_of(case.reading)}</td><td>{escape(reader or UNKNOWN)}</td><td>{button}</td>"
    return f'<tr><th scope="row">{name}{images}</th>{cells}</tr>'
