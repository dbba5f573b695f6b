"""The edits of a reader: each a small frozen record that a log can keep, and one pure function that applies it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from demo.reading.state import Exclusion, OwnSentence, ReadingState, Reason, SentenceMark
from fedpsma.domain.assessment import PsmaRads
from fedpsma.domain.exam import Lesion
from fedpsma.domain.region import Region, Side
from fedpsma.errors import InputError
from fedpsma.lesions.by_hand import HandContour

Name = Annotated[str, Field(min_length=1, max_length=200)]
Words = Annotated[str, Field(max_length=2000)]
Value = TypeVar("Value")


class _Edit(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Exclude(_Edit):
    """Take a lesion out of the stage and the report, with the reason."""

    kind: Literal["exclude"] = "exclude"
    lesion: Name
    reason: Reason
    note: Annotated[str, Field(max_length=200)] = ""


class Include(_Edit):
    """Count a lesion again."""

    kind: Literal["include"] = "include"
    lesion: Name


class SetRegion(_Edit):
    """Correct where a lesion lies; a side that the new region cannot have becomes unknown."""

    kind: Literal["region"] = "region"
    lesion: Name
    region: Region


class SetSide(_Edit):
    """Correct the side of a lesion; null where it is not known."""

    kind: Literal["side"] = "side"
    lesion: Name
    side: Side | None


class SetCategory(_Edit):
    """Give a PSMA-RADS category of one's own; null goes back to what the rules propose."""

    kind: Literal["category"] = "category"
    lesion: Name
    category: PsmaRads | None


class AddLesion(_Edit):
    """Add a missed lesion, drawn around the voxel ``at`` of the study by a contour convention."""

    kind: Literal["add"] = "add"
    added: Lesion
    at: tuple[int, int, int] | None = None
    contour: HandContour | None = None


class DeleteLesion(_Edit):
    """Remove a lesion from the table."""

    kind: Literal["delete"] = "delete"
    lesion: Name


class SplitLesion(_Edit):
    """Put parts in the place of a lesion."""

    kind: Literal["split"] = "split"
    lesion: Name
    parts: Annotated[tuple[Lesion, ...], Field(min_length=2, max_length=20)]


class MarkSentence(_Edit):
    """Accept, reword, strike or regenerate a sentence; ``drafted`` is what the draft said of it then."""

    kind: Literal["sentence"] = "sentence"
    key: Name
    section: Name
    deed: Literal["accepted", "edited", "struck", "regenerated"]
    drafted: Words
    text: Words = ""


class RevertSentence(_Edit):
    """Go back to the drafted sentence, or take away a sentence of one's own."""

    kind: Literal["revert"] = "revert"
    key: Name


class AddSentence(_Edit):
    """Add a sentence of one's own to a section."""

    kind: Literal["own"] = "own"
    section: Name
    text: Annotated[str, Field(min_length=1, max_length=2000)]


Edit = Annotated[
    Exclude
    | Include
    | SetRegion
    | SetSide
    | SetCategory
    | AddLesion
    | DeleteLesion
    | SplitLesion
    | MarkSentence
    | RevertSentence
    | AddSentence,
    Field(discriminator="kind"),
]


def apply(state: ReadingState, edit: _Edit) -> ReadingState:
    """Return the state after an edit.

    Raises:
        InputError: The edit names a lesion that is not there, or a side that its region cannot have.
    """
    return _APPLY[type(edit)](state, edit)


def _exclude(state: ReadingState, edit: Exclude) -> ReadingState:
    _lesion(state, edit.lesion)
    excluded = {**state.excluded, edit.lesion: Exclusion(edit.reason, edit.note.strip())}
    return replace(state, excluded=excluded, measured_anew=True)


def _include(state: ReadingState, edit: Include) -> ReadingState:
    _lesion(state, edit.lesion)
    return replace(state, excluded=_without(state.excluded, edit.lesion), measured_anew=True)


def _set_region(state: ReadingState, edit: SetRegion) -> ReadingState:
    sides = edit.region.facts.sides
    side = _lesion(state, edit.lesion).side
    if side not in sides:
        side = sides[0] if len(sides) == 1 else None
    return _changed(state, edit.lesion, region=edit.region, side=side)


def _set_side(state: ReadingState, edit: SetSide) -> ReadingState:
    region = _lesion(state, edit.lesion).region
    if edit.side is not None and edit.side not in region.facts.sides:
        raise InputError(f"cannot have the side {edit.side}", where=region.facts.name_en)
    return replace(_changed(state, edit.lesion, side=edit.side), measured_anew=state.measured_anew)


def _set_category(state: ReadingState, edit: SetCategory) -> ReadingState:
    return _changed(state, edit.lesion, reader_category=edit.category)


def _add(state: ReadingState, edit: AddLesion) -> ReadingState:
    if edit.added.lesion_id in state.lesion_ids:
        raise InputError("is already in the table", where=edit.added.lesion_id)
    return _with_lesions(state, (*state.exam.lesions, edit.added))


def _delete(state: ReadingState, edit: DeleteLesion) -> ReadingState:
    _lesion(state, edit.lesion)
    left = tuple(one for one in state.exam.lesions if one.lesion_id != edit.lesion)
    return replace(_with_lesions(state, left), excluded=_without(state.excluded, edit.lesion))


def _split(state: ReadingState, edit: SplitLesion) -> ReadingState:
    _lesion(state, edit.lesion)
    taken = (set(state.lesion_ids) - {edit.lesion}) & {part.lesion_id for part in edit.parts}
    if taken or len({part.lesion_id for part in edit.parts}) < len(edit.parts):
        raise InputError("has parts whose ids are taken", where=edit.lesion)
    lesions: list[Lesion] = []
    for one in state.exam.lesions:
        lesions += edit.parts if one.lesion_id == edit.lesion else (one,)
    return replace(_with_lesions(state, lesions), excluded=_without(state.excluded, edit.lesion))


def _mark(state: ReadingState, edit: MarkSentence) -> ReadingState:
    text = one_line(edit.text)
    if edit.deed == "edited" and not text:
        raise InputError("is empty", where="the sentence", remedy="strike it instead")
    if edit.deed == "edited" and any(one.key == edit.key for one in state.own):
        own = tuple(replace(one, text=text) if one.key == edit.key else one for one in state.own)
        return replace(state, own=own)
    mark = SentenceMark(edit.section, edit.deed, edit.drafted, text)
    return replace(state, sentences={**state.sentences, edit.key: mark})


def _revert(state: ReadingState, edit: RevertSentence) -> ReadingState:
    own = tuple(one for one in state.own if one.key != edit.key)
    return replace(state, own=own, sentences=_without(state.sentences, edit.key))


def _add_sentence(state: ReadingState, edit: AddSentence) -> ReadingState:
    number = 1 + max((int(one.key.removeprefix("own-")) for one in state.own), default=0)
    text = one_line(edit.text)
    if not text:
        raise InputError("is empty", where="the sentence")
    return replace(state, own=(*state.own, OwnSentence(f"own-{number}", edit.section, text)))


_Applied = Callable[[ReadingState, Any], ReadingState]
_APPLY: dict[type[_Edit], _Applied] = {
    Exclude: _exclude,
    Include: _include,
    SetRegion: _set_region,
    SetSide: _set_side,
    SetCategory: _set_category,
    AddLesion: _add,
    DeleteLesion: _delete,
    SplitLesion: _split,
    MarkSentence: _mark,
    RevertSentence: _revert,
    AddSentence: _add_sentence,
}


def one_line(text: str) -> str:
    """Return a text with every run of white space as one blank.

    Example:
        >>> one_line("  a   b ")
        'a b'
    """
    return " ".join(text.split())


def _lesion(state: ReadingState, lesion_id: str) -> Lesion:
    try:
        return state.exam.lesion(lesion_id)
    except KeyError as error:
        raise InputError("is not in the table", where=lesion_id) from error


def _changed(state: ReadingState, lesion_id: str, **fields: Any) -> ReadingState:
    changed = _lesion(state, lesion_id).model_copy(update=fields)
    lesions = (changed if one.lesion_id == lesion_id else one for one in state.exam.lesions)
    return _with_lesions(state, lesions)


def _with_lesions(state: ReadingState, lesions: Iterable[Lesion]) -> ReadingState:
    exam = state.exam.model_copy(update={"lesions": list(lesions)})
    return replace(state, exam=exam, measured_anew=True)


def _without(mapping: Mapping[str, Value], key: str) -> dict[str, Value]:
    return {name: value for name, value in mapping.items() if name != key}
