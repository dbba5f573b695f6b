"""A reading from its first look to its signature: edits with undo and redo, and the four states of the report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from demo.reading.edits import Edit, apply
from demo.reading.state import ReadingState
from fedpsma.domain.exam import Exam
from fedpsma.errors import InputError
from reporting.draft import State


class _Action(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Undo(_Action):
    """Take the last edit back."""

    kind: Literal["undo"] = "undo"


class Redo(_Action):
    """Do the edit again that was taken back last."""

    kind: Literal["redo"] = "redo"


class Look(_Action):
    """The reader looked at a lesion."""

    kind: Literal["look"] = "look"
    lesion: Annotated[str, Field(max_length=200)]


class Review(_Action):
    """The reader says that he looked at every lesion and at the rest of the body."""

    kind: Literal["review"] = "review"


class Sign(_Action):
    """The reader signs the text with this SHA-256."""

    kind: Literal["sign"] = "sign"
    by: Annotated[str, Field(min_length=1, max_length=80)]
    text_sha256: Annotated[str, Field(pattern="[0-9a-f]{64}")]
    at: str


class Amend(_Action):
    """A signed report is opened again, for a reason."""

    kind: Literal["amend"] = "amend"
    reason: Annotated[str, Field(min_length=3, max_length=300)]


Action = Annotated[Edit | Undo | Redo | Look | Review | Sign | Amend, Field(discriminator="kind")]
ACTIONS: TypeAdapter[Any] = TypeAdapter(Action)


@dataclass(frozen=True)
class Step:
    """An edit and the state before it."""

    edit: Any
    before: ReadingState


@dataclass(frozen=True)
class Reading:
    """A reading as it stands.

    ``analysed`` is the exam as the analysis left it; ``seen`` are the lesions that were looked at; ``signature`` is the
    last one, also while the report is being amended.
    """

    analysed: Exam
    state: ReadingState
    past: tuple[Step, ...] = ()
    future: tuple[Step, ...] = ()
    seen: frozenset[str] = field(default_factory=frozenset)
    standing: State = "draft"
    amendments: int = 0
    signature: Sign | None = None

    @property
    def is_signed(self) -> bool:
        """Whether the report is signed, so that nothing can be changed."""
        return self.standing in ("signed", "amended")

    @property
    def unseen(self) -> tuple[str, ...]:
        """The lesions that nobody looked at yet."""
        return tuple(one for one in self.state.lesion_ids if one not in self.seen)


def begin(exam: Exam) -> Reading:
    """Return the reading of an exam that nobody has touched yet."""
    return Reading(exam, ReadingState(exam))


def advance(reading: Reading, action: Any) -> Reading:
    """Return the reading after an action; pure, so that a log of actions gives the same reading again.

    Raises:
        InputError: The action cannot be done as the reading stands.
    """
    change = _CHANGES.get(type(action))
    return change(reading, action) if change else _edit(reading, action)


def _edit(reading: Reading, edit: Any) -> Reading:
    _require_open(reading)
    state = apply(reading.state, edit)
    return replace(reading, state=state, past=(*reading.past, Step(edit, reading.state)), future=(), standing="draft")


def _undo(reading: Reading, _: Undo) -> Reading:
    _require_open(reading)
    if not reading.past:
        raise InputError("there is nothing to undo", where="undo")
    last = reading.past[-1]
    return replace(reading, state=last.before, past=reading.past[:-1], future=(last, *reading.future), standing="draft")


def _redo(reading: Reading, _: Redo) -> Reading:
    _require_open(reading)
    if not reading.future:
        raise InputError("there is nothing to redo", where="redo")
    step, *later = reading.future
    return replace(_edit(reading, step.edit), future=tuple(later))


def _look(reading: Reading, look: Look) -> Reading:
    return replace(reading, seen=reading.seen | {look.lesion}) if look.lesion in reading.state.lesion_ids else reading


def _review(reading: Reading, _: Review) -> Reading:
    _require_open(reading)
    if reading.unseen:
        raise InputError(
            f"{len(reading.unseen)} of {len(reading.state.lesion_ids)} lesions have not been looked at",
            where=", ".join(reading.unseen[:8]),
            remedy="press n to go through them",
        )
    return replace(reading, standing="reviewed")


def _sign(reading: Reading, sign: Sign) -> Reading:
    if reading.standing != "reviewed":
        raise InputError("has to be reviewed before it is signed", where="the report")
    return replace(reading, standing="amended" if reading.amendments else "signed", signature=sign)


def _amend(reading: Reading, _: Amend) -> Reading:
    if not reading.is_signed:
        raise InputError("is not signed, so it can be changed as it is", where="the report")
    return replace(reading, standing="draft", amendments=reading.amendments + 1)


_CHANGES: dict[type[_Action], Callable[[Reading, Any], Reading]] = {
    Undo: _undo,
    Redo: _redo,
    Look: _look,
    Review: _review,
    Sign: _sign,
    Amend: _amend,
}


def _require_open(reading: Reading) -> None:
    if reading.is_signed:
        raise InputError("is signed", where="the report", remedy="amend it first, with a reason")
