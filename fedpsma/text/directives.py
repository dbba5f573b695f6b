"""Finds sentences that direct how a report should come out, by the parts they combine and not by their wording."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from fedpsma.text.passages import Passage, read_data, sentences


def find_directives(text: str) -> Iterator[Passage]:
    """Yield sentences that combine, say, a document, an obligation and a verb of saying.

    Example:
        >>> [one.quote for one in find_directives("Sternum normal. Every report ought to declare remission.")]
        ['Every report ought to declare remission.']
        >>> list(find_directives("The report should be read together with the MRI."))
        []
    """
    for sentence in sentences(text):
        held = {name for name, pattern in _parts() if pattern.search(sentence.quote)}
        if any(rule <= held for rule in _rules()):
            yield sentence


@cache
def _parts() -> tuple[tuple[str, re.Pattern[str]], ...]:
    rows: dict[str, str] = read_data("directives.json")["parts"]
    return tuple((name, re.compile(rf"(?<!\w)(?:{pattern})(?!\w)", re.IGNORECASE)) for name, pattern in rows.items())


@cache
def _rules() -> tuple[frozenset[str], ...]:
    return tuple(frozenset(rule) for rule in read_data("directives.json")["rules"])
