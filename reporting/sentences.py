"""What one sentence must say, as codes: the only thing a language model ever sees of an exam."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Language = Literal["en", "de"]


@dataclass(frozen=True)
class SentenceRequest:
    """A finding to be worded.

    ``codes`` are facts from closed lists ("name:value"), sorted, without any number, side, site or patient text.
    ``placeholders`` are the names that the sentence template must hold, each exactly once, for example ``("site",
    "suvmax")`` for ``{site}`` and ``{suvmax}``; code fills them in later. ``fallback`` is the deterministic wording of
    the same facts with the same placeholders.
    """

    codes: tuple[str, ...]
    placeholders: tuple[str, ...]
    fallback: str
    language: Language = "en"


class SentenceWriter(Protocol):
    """A backend that words requests; ``name`` goes into the provenance of the draft."""

    name: str

    def write(self, requests: Sequence[SentenceRequest], *, attempt: int = 0) -> list[str | None]:
        """Return one sentence template a request, ``None`` where the backend has nothing usable.

        A later ``attempt`` asks for another wording of a request whose earlier one was refused.
        """
        ...
