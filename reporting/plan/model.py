"""What a draft will say, before it is worded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reporting.sentences import SentenceRequest

IDS = "ids"


@dataclass(frozen=True)
class PlannedSentence:
    """One sentence to come.

    ``template`` is the deterministic wording and ``values`` fill its placeholders; a value of ``None`` becomes a
    visible gap. ``cites`` is what it stands on. Where ``request`` is given, a writer may word the sentence anew; the
    lesion ids are added by code.
    """

    template: str
    values: Mapping[str, str | None] = field(default_factory=dict)
    cites: tuple[str, ...] = ()
    request: SentenceRequest | None = None


@dataclass(frozen=True)
class PlannedSection:
    """One section with its sentences in order."""

    name: str
    sentences: tuple[PlannedSentence, ...]


def with_ids(template: str) -> str:
    """Put the placeholder of the lesion ids before the full stop.

    Example:
        >>> with_ids("{site}: uptake.")
        '{site}: uptake [{ids}].'
    """
    return f"{template.rstrip().removesuffix('.')} [{{{IDS}}}]."
