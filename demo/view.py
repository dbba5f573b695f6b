"""What the page shows of a desk, in pieces, so that only the pieces that changed travel to the browser."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

from demo.desk import Desk
from demo.panels import beside, frame, lesions, report
from demo.panels.parts import quiet

View = Mapping[str, Mapping[str, str]]
"""Panels by name, and in each its pieces by name, in order."""


def view_of(desk: Desk, formats: Sequence[tuple[str, str]]) -> dict[str, dict[str, str]]:
    """Return every panel of a desk."""
    reading, result = desk.reading, desk.result
    order = table_order(desk)
    return {
        "identity": {"": frame.identity(desk.identity, reading)},
        "summary": {"": frame.summary(reading, result)},
        "table": {one: lesions.row(reading, result, one) for one in order},
        "card": {"": lesions.card(reading, result, desk.chosen)},
        "report": report.sections(reading, result, desk.fresh),
        "questions": {"": beside.questions(result)},
        "prior": {"": beside.prior(result)},
        "checks": {"": beside.checks(result) + beside.notes(desk.notes)},
        "trail": {"": beside.trail(desk.deeds)},
        "signoff": {"": frame.signoff(reading, result, desk.who, formats)},
    }


def table_order(desk: Desk) -> list[str]:
    """Return the lesions in the order of the table, which does not jump while the reader works."""
    return lesions.lesion_order(desk.reading, desk.first)


def changes(before: View, now: View) -> dict[str, dict[str, object]]:
    """Return what has to be replaced: single pieces where a panel still has the same ones, else the whole panel.

    Example:
        >>> changes({"a": {"x": "1", "y": "2"}}, {"a": {"x": "1", "y": "3"}})
        {'a': {'pieces': {'y': '3'}}}
    """
    told: dict[str, dict[str, object]] = {}
    for name, pieces in now.items():
        old = before.get(name)
        if old == pieces:
            continue
        if old is not None and list(old) == list(pieces) and "" not in pieces:
            told[name] = {"pieces": {key: html for key, html in pieces.items() if old[key] != html}}
        else:
            told[name] = {"whole": "".join(pieces.values())}
    return told


def picture(path: Path | None) -> str:
    """Return the picture inside the page itself, so that no other address has to be opened."""
    if path is None:
        return quiet("This exam came without images.")
    encoded = base64.b64encode(path.read_bytes()).decode("ascii")
    what = "Maximum intensity projection with numbered lesions"
    return f'<img class="fp-mip" alt="{what}" src="data:image/png;base64,{encoded}">'
