"""What a sentence template may and must say for its codes: the limits of the grammar and the check behind it.

The reader's verifier is separate code and judges the rendered report; this check only decides whether a wording of the
model is worth showing to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from reporting.llm.wording import wording

_SLOT = re.compile(r"\{[^{}]*\}")
_GAP = "#"
_STRAY = re.compile(r"[^A-Za-z ,;:()\[\]\-./]")


def forbidden_phrases(values: Mapping[str, str]) -> tuple[str, ...]:
    """Return the lower-case whole-word phrases that would state something else than these values.

    Example:
        >>> codes = {"kind": "bone", "uptake": "low", "ct": "none", "change": "new", "class": "indeterminate"}
        >>> "intense" in forbidden_phrases(codes), "low uptake" in forbidden_phrases(codes)
        (True, False)
    """
    own = _own_marks(values)
    others = {mark for name, value in values.items() for mark in _other_marks(name, value)}
    return tuple(sorted(other for other in others if not any(other in mark for mark in own)))


def forbidden_words(values: Mapping[str, str]) -> tuple[str, ...]:
    """Return the lower-case words that may not occur.

    These are sides, number words, names of quantities, negations that no value needs, and what the codes are silent on.
    """
    silent = [
        word
        for name, value in values.items()
        if not wording().names[name].values[value].marks
        for word in wording().names[name].topic_words
    ]
    needed = set(re.findall(r"[a-z]+", " ".join(_own_marks(values))))
    return (*wording().banned_words, *silent, *(word for word in wording().negations if word not in needed))


def broken_facts(values: Mapping[str, str], placeholders: Sequence[str], template: str) -> list[str]:
    """Return what is wrong with a template, empty where it says the values, all of them and nothing against them."""
    problems = []
    if [found.strip("{}") for found in _SLOT.findall(template)] != list(placeholders):
        problems.append("placeholders")
    text = _plain(template)
    refused = (*forbidden_phrases(values), *forbidden_words(values))
    problems += [f"says {phrase!r}" for phrase in refused if _holds(text, phrase)]
    problems += [f"does not say {name}:{value}" for name, value in values.items() if not _says(name, value, text)]
    if _STRAY.search(text.replace(_GAP, "")):
        problems.append("stray character")
    if negation := _stray_negation(values, text):
        problems.append(f"negates something else with {negation!r}")
    return problems


def misstated(name: str, values: Mapping[str, str], template: str) -> bool:
    """Whether a template leaves one code unsaid or states another value of it."""
    text, own = _plain(template), _own_marks(values)
    others = [mark for mark in _other_marks(name, values[name]) if not any(mark in kept for kept in own)]
    return not _says(name, values[name], text) or any(_holds(text, mark) for mark in others)


def _plain(template: str) -> str:
    return _SLOT.sub(_GAP, template).lower()


def _own_marks(values: Mapping[str, str]) -> list[str]:
    return [mark for name, value in values.items() for mark in wording().names[name].values[value].marks]


def _other_marks(name: str, chosen: str) -> list[str]:
    values = wording().names[name].values
    return [mark for value, worded in values.items() if value != chosen for mark in worded.marks]


def _says(name: str, value: str, text: str) -> bool:
    marks = wording().names[name].values[value].marks
    return name == "kind" or not marks or any(_holds(text, mark) for mark in marks)


def _holds(text: str, phrase: str) -> bool:
    return re.search(rf"(?<![a-z]){re.escape(phrase)}(?![a-z])", text) is not None


def _stray_negation(values: Mapping[str, str], text: str) -> str | None:
    for mark in sorted(_own_marks(values), key=len, reverse=True):
        text = text.replace(mark, _GAP)
    return next((word for word in re.findall(r"[a-z]+", text) if word in wording().negations), None)
