"""What all panels share: escaped text, lesion chips, buttons that carry what they do, numbers with their units."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from html import escape
from typing import Any

UNKNOWN = "–"
_BRACKET = re.compile(r"\[([^\[\]]{1,400})\]")


def chip(lesion_id: str) -> str:
    """Return a button that jumps to a lesion."""
    return (
        f'<button type="button" class="fp-chip" data-jump="{escape(lesion_id)}" '
        f'aria-label="Show lesion {escape(lesion_id)}">{escape(lesion_id)}</button>'
    )


def with_chips(text: str, ids: Collection[str]) -> str:
    """Return escaped text in which a bracket of lesion ids is a row of chips.

    Example:
        >>> with_chips("a < b [L1].", {"L1"}).startswith("a &lt; b <button")
        True
    """
    parts, end = [], 0
    for match in _BRACKET.finditer(text):
        named = [one.strip() for one in match[1].split(",")]
        if not all(one in ids for one in named):
            continue
        parts += [escape(text[end : match.start()]), " ".join(map(chip, named))]
        end = match.end()
    return "".join([*parts, escape(text[end:])])


def deed(label: str, action: Mapping[str, Any], *, kind: str = "", title: str = "", focus: str = "") -> str:
    """Return a button that does something to the reading.

    Args:
        label: What it says.
        action: What is sent when it is pressed.
        kind: CSS classes besides its own.
        title: What is read out instead of the label, where that is only a sign.
        focus: By which name the page finds it again after an update; by default what it does.
    """
    sent = json.dumps(dict(action), sort_keys=True)
    named = f' aria-label="{escape(title)}" title="{escape(title)}"' if title else ""
    return (
        f'<button type="button" class="fp-button {kind}" data-do="{escape(sent)}" '
        f'data-focus="{escape(focus or sent)}"{named}>{escape(label)}</button>'
    )


def number(value: float | None, digits: int) -> str:
    """Return a number with fixed digits, a dash where it is not known.

    Example:
        >>> number(5.64, 1), number(None, 1)
        ('5.6', '–')
    """
    return UNKNOWN if value is None else f"{value:.{digits}f}"


def problem(error: Exception | str) -> str:
    """Return an error as the one line a reader can act on."""
    return f'<p role="alert" class="fp-problem">{escape(str(error))}</p>'


def quiet(text: str) -> str:
    """Return a quiet line."""
    return f'<p class="fp-quiet">{escape(text)}</p>'
