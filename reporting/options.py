"""The options that several commands of ``fedpsma report`` share."""

from __future__ import annotations

from enum import StrEnum


class ReportLanguage(StrEnum):
    """The language of the report."""

    ENGLISH = "en"
    GERMAN = "de"


class Style(StrEnum):
    """How findings are said; the facts are the same in each."""

    STANDARD = "standard"
    TERSE = "terse"
    PROSE = "prose"
