"""What an action changed, in words for the audit trail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from demo.reading.edits import (
    AddLesion,
    AddSentence,
    DeleteLesion,
    Exclude,
    Include,
    MarkSentence,
    RevertSentence,
    SetCategory,
    SetRegion,
    SetSide,
    SplitLesion,
)
from demo.reading.history import Amend, Look, Reading, Redo, Review, Sign, Undo
from demo.reading.state import ReadingState
from fedpsma.domain.exam import Lesion
from fedpsma.domain.region import Side

SIDES: dict[Side | None, str] = {"L": "left", "R": "right", "M": "midline", "B": "both sides", None: "not known"}
_TITLES: dict[type, str] = {
    Exclude: "Excluded",
    Include: "Included",
    SetRegion: "Region",
    SetSide: "Side",
    SetCategory: "Category",
    AddLesion: "Added",
    DeleteLesion: "Deleted",
    SplitLesion: "Split",
    MarkSentence: "Sentence",
    RevertSentence: "Sentence reverted",
    AddSentence: "Sentence added",
    Undo: "Undone",
    Redo: "Done again",
    Look: "Looked at",
    Review: "Reviewed",
    Sign: "Signed",
    Amend: "Opened to amend",
}


@dataclass(frozen=True)
class Deed:
    """One line of the audit trail: who did what when, and what stood there before and after."""

    time: str
    who: str
    what: str
    lesion: str
    before: str
    after: str


def described(reading: Reading, action: Any, *, who: str, time: str) -> Deed:
    """Describe an action on a reading as it stood before it."""
    what, lesion = _TITLES[type(action)], str(getattr(action, "lesion", ""))
    before, after = _change(reading, action)
    return Deed(time, who, what, lesion, before, after)


def _change(reading: Reading, action: Any) -> tuple[str, str]:
    if isinstance(action, (Undo, Redo)):
        steps = reading.past[-1:] if isinstance(action, Undo) else reading.future[:1]
        if not steps:
            return "", ""
        before, after = _edited(steps[0].before, steps[0].edit)
        title = _TITLES[type(steps[0].edit)].lower()
        told = f"{title} {getattr(steps[0].edit, 'lesion', '')}".strip()
        return (f"{told}: {after}", before) if isinstance(action, Undo) else (f"{told}: {before}", after)
    if isinstance(action, (Review, Sign, Amend)):
        after = {Review: "reviewed", Sign: "signed", Amend: "draft"}[type(action)]
        more = f" by {action.by}" if isinstance(action, Sign) else ""
        more = f": {action.reason}" if isinstance(action, Amend) else more
        return reading.standing, after + more
    return _edited(reading.state, action)


def _edited(state: ReadingState, edit: Any) -> tuple[str, str]:
    lesion = next((one for one in state.exam.lesions if one.lesion_id == getattr(edit, "lesion", None)), None)
    match edit:
        case Exclude():
            return "included", f"excluded ({edit.reason}{': ' + edit.note if edit.note else ''})"
        case Include():
            return "excluded", "included"
        case SetRegion():
            return lesion.region.facts.name_en if lesion else "", edit.region.facts.name_en
        case SetSide():
            return SIDES[lesion.side if lesion else None], SIDES[edit.side]
        case SetCategory():
            return _category(lesion.reader_category if lesion else None), _category(edit.category)
        case AddLesion():
            return "", f"{edit.added.lesion_id}, {_place(edit.added)}"
        case DeleteLesion():
            return _place(lesion) if lesion else "", "deleted"
        case SplitLesion():
            return _place(lesion) if lesion else "", ", ".join(part.lesion_id for part in edit.parts)
        case _:
            return _sentence(state, edit)


def _sentence(state: ReadingState, edit: Any) -> tuple[str, str]:
    match edit:
        case MarkSentence():
            return edit.drafted, edit.text or edit.deed
        case AddSentence():
            return "", edit.text
        case RevertSentence():
            mark = state.sentences.get(edit.key)
            own = next((one.text for one in state.own if one.key == edit.key), "")
            return (mark.text or mark.deed) if mark else own, "as drafted" if mark else "removed"
        case _:
            return "", ""


def _category(category: str | None) -> str:
    return category or "as the rules propose"


def _place(lesion: Lesion) -> str:
    return f"{lesion.region.facts.name_en}, {SIDES[lesion.side]}"
