"""The draft of a report: the contract of ``draft.json``."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from fedpsma.domain.assessment import Assessment
from reporting.sentences import Language

Origin = Literal["llm", "template", "reader"]
State = Literal["draft", "reviewed", "signed", "amended"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Sentence(_Record):
    """One sentence of the draft.

    ``template`` is the wording with its placeholders, before code filled them in. ``cites`` names what the sentence
    stands on: lesion ids, exam fields ("reference_suv.liver"), results ("assessment.mitnm_string") or, for a negative
    statement, the part of the body ("negative:bone"). ``origin`` is who worded it;
    ``refused`` says what was wrong with the wordings of a model that this template sentence stands in for.
    """

    text: str
    template: str
    cites: list[str]
    origin: Origin = "template"
    refused: list[str] = []


class Section(_Record):
    """A part of the report; ``name`` is a key, its heading comes from the phrases of the language."""

    name: str
    sentences: list[Sentence]


class Check(_Record):
    """What one check of the verifier found; ``detail`` says which sentence and why where it failed."""

    name: str
    passed: bool
    detail: str = ""


class Verification(_Record):
    """All checks of the verifier over the whole draft."""

    checks: list[Check]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)


class Provenance(_Record):
    """Who worded the draft, and with which versions.

    ``writer`` is the backend; ``model`` and ``adapter`` are null for the template backend. ``sentences_by_origin``
    counts the sentences; ``replaced`` counts those for which the template stands in, because no wording of the model
    passed; ``style`` is the phrasing of the templates, or the one that the model had to keep to.
    """

    writer: str
    model: str | None = None
    adapter: str | None = None
    rules_version: str
    sentences_by_origin: dict[str, int] = {}
    replaced: int = 0
    style: str = "standard"


class Draft(_Record):
    """A draft report with everything a reader needs to judge it."""

    language: Language
    sections: list[Section]
    assessment: Assessment
    verification: Verification
    provenance: Provenance
    state: State = "draft"

    def section(self, name: str) -> Section:
        """Return the section of this name; raises ``KeyError`` if there is none."""
        for section in self.sections:
            if section.name == name:
                return section
        raise KeyError(name)
