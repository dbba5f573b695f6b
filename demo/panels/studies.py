"""The list of studies that can be read."""

from __future__ import annotations

from html import escape

from demo.panels.parts import UNKNOWN
from demo.sessions import ReadingRoom, Session


def study_list(room: ReadingRoom, session: Session) -> str:
    """Return the list as a table, each study with who is reading it now."""
    rows = "".join(_row(number, case.name, room.is_read_by(case)) for number, case in enumerate(room.cases(session)))
    head = '<tr><th scope="col">Study</th><th scope="col">Open at</th><th scope="col"></th></tr>'
    return f'<table class="fp-table"><thead>{head}</thead><tbody>{rows}</tbody></table>'


def _row(number: int, name: str, reader: str) -> str:
    button = (
        f'<button type="button" class="fp-button fp-primary" data-open="{number}" '
        f'aria-label="Read {escape(name)}">Read</button>'
    )
    return f'<tr><th scope="row">{escape(name)}</th><td>{escape(reader or UNKNOWN)}</td><td>{button}</td></tr>'
