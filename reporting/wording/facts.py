"""What a sentence template may and must say for its codes: the limits of the grammar and the check behind it.

The reader's verifier is separate code and judges the rendered report; this check only decides whether a wording is
worth showing to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from reporting.sentences import Language
from reporting.wording.vocabulary import Marks, marks

LETTERS = "A-Za-zÄÖÜäöüß"
_SLOT = re.compile(r"\{[^{}]*\}")
_TOKEN = re.compile(r"\{[^{}]*\}|<[^<>]*>")
_GAP = "#"
_STRAY = re.compile(rf"[^{LETTERS} ,;:()\[\]\-./]")
_TELLING = 5  # letters from which on a word of a mark says something by itself
_WORD = re.compile(f"[{LETTERS}]+")


def forbidden_phrases(values: Mapping[str, str], language: Language = "en") -> tuple[str, ...]:
    """Return the lower-case whole-word phrases that would state something else than these values.

    Example:
        >>> codes = {"kind": "bone", "uptake": "low", "ct": "none", "change": "new", "class": "indeterminate"}
        >>> "intense" in forbidden_phrases(codes), "low uptake" in forbidden_phrases(codes)
        (True, False)
    """
    own = _own_marks(values, marks(language))
    others = {mark for name, value in values.items() for mark in _other_marks(name, value, marks(language))}
    return tuple(sorted(other for other in others if not any(other in mark for mark in own)))


def forbidden_words(values: Mapping[str, str], language: Language = "en") -> tuple[str, ...]:
    """Return the lower-case words that may not occur.

    These are sides, number words, names of quantities, negations that no value needs, and what the codes are silent on.
    """
    known = marks(language)
    silent = [
        word
        for name, value in values.items()
        if not known.names[name].values[value]
        for word in known.names[name].topic_words
    ]
    needed = set(_WORD.findall(" ".join(_own_marks(values, known))))
    return (*known.banned_words, *silent, *(word for word in known.negations if word not in needed))


def broken_facts(
    values: Mapping[str, str], placeholders: Sequence[str], template: str, language: Language = "en"
) -> list[str]:
    """Return what is wrong with a template, empty where it says the values, all of them and nothing against them."""
    problems = []
    if [found.strip("{}") for found in _SLOT.findall(template)] != list(placeholders):
        problems.append("placeholders")
    text, known = _plain(template), marks(language)
    refused = (*forbidden_phrases(values, language), *forbidden_words(values, language))
    problems += [f"says {phrase!r}" for phrase in refused if holds(text, phrase)]
    problems += [
        f"does not say {name}:{value}" for name, value in values.items() if not _says(name, value, text, known)
    ]
    if _STRAY.search(text.replace(_GAP, "")):
        problems.append("stray character")
    if negation := _stray_negation(values, text, known):
        problems.append(f"negates something else with {negation!r}")
    return problems


def misstated(name: str, values: Mapping[str, str], template: str, language: Language = "en") -> bool:
    """Whether a template leaves one code unsaid or states another value of it."""
    text, known = _plain(template), marks(language)
    own = _own_marks(values, known)
    others = [mark for mark in _other_marks(name, values[name], known) if not any(mark in kept for kept in own)]
    return not _says(name, values[name], text, known) or any(holds(text, mark) for mark in others)


def clause_problem(name: str, value: str, clause: str, language: Language) -> str | None:
    """Return what is wrong with one way to say one value of a code, ``None`` where nothing is.

    Example:
        >>> clause_problem("ct", "none", "a small fracture on the left", "en")
        "says 'left'"
    """
    text, known = _plain(clause), marks(language)
    own = known.names[name].values[value]
    needed = set(_WORD.findall(" ".join(own)))
    refused = [*known.banned_words, *(word for word in known.negations if word not in needed)]
    refused += [mark for mark in _other_marks(name, value, known) if not any(mark in kept for kept in own)]
    said = next((phrase for phrase in refused if holds(text, phrase)), None)
    if said is not None:
        return f"says {said!r}"
    if _STRAY.search(text.replace(_GAP, "")):
        return "holds a character that is neither a letter nor plain punctuation"
    if not _says(name, value, text, known):
        return f"does not say it; one of these words is needed: {', '.join(own)}"
    return None


def free_text_problem(text: str, language: Language) -> str | None:
    """Return what is wrong with words around the clauses, which may state nothing, ``None`` where nothing is.

    Example:
        >>> free_text_problem("{site} on the left shows <uptake>", "en")
        "says 'left'"
    """
    plain, known = _plain(text), marks(language)
    stated = [mark for row in known.names.values() for found in row.values.values() for mark in found]
    telling = [word for mark in stated for word in _WORD.findall(mark) if len(word) >= _TELLING]
    for phrase in (*known.banned_words, *known.negations, *stated, *telling):
        if holds(plain, phrase):
            return f"says {phrase!r}"
    if _STRAY.search(plain.replace(_GAP, "")):
        return "holds a character that is neither a letter nor plain punctuation"
    return None


def holds(text: str, phrase: str) -> bool:
    """Whether a lower-case text holds a phrase as whole words."""
    return re.search(rf"(?<![{LETTERS}]){re.escape(phrase)}(?![{LETTERS}])", text) is not None


def _plain(template: str) -> str:
    return _TOKEN.sub(_GAP, template).lower()


def _own_marks(values: Mapping[str, str], known: Marks) -> list[str]:
    return [mark for name, value in values.items() for mark in known.names[name].values[value]]


def _other_marks(name: str, chosen: str, known: Marks) -> list[str]:
    return [mark for value, found in known.names[name].values.items() if value != chosen for mark in found]


def _says(name: str, value: str, text: str, known: Marks) -> bool:
    found = known.names[name].values[value]
    return name == "kind" or not found or any(holds(text, mark) for mark in found)


def _stray_negation(values: Mapping[str, str], text: str, known: Marks) -> str | None:
    for mark in sorted(_own_marks(values, known), key=len, reverse=True):
        text = text.replace(mark, _GAP)
    return next((word for word in _WORD.findall(text) if word in known.negations), None)
