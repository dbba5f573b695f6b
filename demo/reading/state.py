"""What a reader has made of an exam so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from fedpsma.domain.exam import Exam, Lesion

Reason = Literal["physiological", "artefact", "benign", "duplicate", "other"]
SentenceDeed = Literal["accepted", "edited", "struck", "regenerated"]


@dataclass(frozen=True)
class Exclusion:
    """Why a lesion does not count; it stays in the table, for the audit trail and for later training."""

    reason: Reason
    note: str = ""


@dataclass(frozen=True)
class SentenceMark:
    """What the reader did with one drafted sentence.

    ``drafted`` is what the draft said when he did it, so that a later change of the facts is noticed. ``text`` is his
    own wording of an edited sentence.
    """

    section: str
    deed: SentenceDeed
    drafted: str
    text: str = ""


@dataclass(frozen=True)
class OwnSentence:
    """A sentence that the reader added to a section; ``key`` names it on the page."""

    key: str
    section: str
    text: str


@dataclass(frozen=True)
class ReadingState:
    """The exam as the reader corrected it, what he excluded, and what he did with the sentences.

    ``exam`` holds excluded lesions too; ``measured_anew`` says that the set of lesions or their volumes changed, so
    that the total volume of the analysis no longer holds.
    """

    exam: Exam
    excluded: Mapping[str, Exclusion] = field(default_factory=dict)
    sentences: Mapping[str, SentenceMark] = field(default_factory=dict)
    own: tuple[OwnSentence, ...] = ()
    measured_anew: bool = False

    @property
    def lesion_ids(self) -> tuple[str, ...]:
        """The ids of all lesions, excluded ones too."""
        return tuple(lesion.lesion_id for lesion in self.exam.lesions)

    @property
    def included(self) -> tuple[Lesion, ...]:
        """The lesions that count."""
        return tuple(one for one in self.exam.lesions if one.lesion_id not in self.excluded)
