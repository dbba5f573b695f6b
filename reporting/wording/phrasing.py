"""Styles: the ways in which a finding may be said, as presets and as a site's own file."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from fedpsma.errors import InputError, first_problem
from fedpsma.io.files import read_json
from reporting.data_files import read_data
from reporting.sentences import Language
from reporting.verifier.unread import unread_words
from reporting.wording.facts import clause_problem, free_text_problem
from reporting.wording.vocabulary import placeholder_order, values_of

TUMOUR = "<tumour>"
StyleName = Literal["standard", "terse", "prose"]
_WORDED = ("uptake", "ct", "change", "class")
_COMPARED = ("increased", "decreased", "stable")
_TOKEN = re.compile(r"\{[^{}]*\}|<[^<>]*>")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Heads(_Record):
    """How a sentence may begin, without and with the size; ``<uptake>`` stands for the clause of the uptake."""

    plain: tuple[str, ...]
    size: tuple[str, ...]


class Phrasing(_Record):
    """Every way in which a style says a finding; the first of each list is what the templates say.

    ``clauses`` has the ways to say each value by code and value (none: the sentence is silent about it), and
    ``clauses_with_prior`` those that hold ``{prior_suvmax}``. ``joins`` stand before the certainty. In ``any_order`` CT
    and change may change places. ``class_at`` says a certainty otherwise at some kinds of site, for grammar's sake.
    """

    about: str = ""
    source: str = ""
    name: str
    language: Language
    heads: Heads
    suvmax: tuple[str, ...]
    category: tuple[str, ...]
    joins: tuple[str, ...]
    any_order: bool
    tumour: dict[str, tuple[str, ...]]
    clauses: dict[str, dict[str, tuple[str, ...]]]
    clauses_with_prior: dict[str, tuple[str, ...]]
    class_at: dict[str, dict[str, tuple[str, ...]]] = {}

    def certainty(self, kind: str, value: str) -> tuple[str, ...]:
        """Return the ways to say a certainty at a kind of site."""
        return self.class_at.get(kind, {}).get(value) or self.clauses["class"][value]

    def fingerprint(self) -> str:
        """Return a short hash of the wording; the name and the remarks of a style do not count."""
        words = self.model_dump(exclude={"about", "source", "name"})
        return hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()[:16]


@cache
def style(name: StyleName, language: Language) -> Phrasing:
    """Return a preset.

    Example:
        >>> style("terse", "en").clauses["uptake"]["intense"]
        ('intense uptake',)
    """
    return Phrasing.model_validate(read_data(f"styles/{name}.{language}.json"))


def read_phrasing(path: Path, language: Language) -> Phrasing:
    """Read a site's own phrasing; what the file does not word is said as in the standard style.

    Args:
        path: A JSON file with any of the fields of :class:`Phrasing`.
        language: The language of the report, which the file must be in.

    Raises:
        InputError: The file cannot be read, is in another language, or a wording leaves a fact out, states another
            one, or holds a number or a side.
    """
    given = _content(path)
    if given.get("language", language) != language:
        raise InputError(
            f"is in the language {given['language']!r}, the report is in {language!r}",
            where=str(path),
            remedy="give a phrasing file of the language of the report",
        )
    base = style("standard", language).model_dump(mode="json")
    merged = _merged(base, {"name": path.stem, "source": "", "about": "", **given})
    try:
        phrasing = Phrasing.model_validate(merged)
    except ValidationError as error:
        field, problem = first_problem(error)
        raise InputError(f"{field}: {problem}", where=str(path), remedy=_REMEDY) from error
    wrong = next(itertools.chain(_problems(phrasing), _unread(phrasing)), None)
    if wrong is not None:
        raise InputError(wrong, where=str(path), remedy=_REMEDY)
    return phrasing


_REMEDY = "see docs/drafting.md for what a phrasing file may hold"


def _content(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError("is no phrasing: it must be a JSON object", where=str(path), remedy=_REMEDY)
    return content


def _merged(base: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in given.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        result[key] = _merged(base[key], value) if both else value
    return result


def _problems(phrasing: Phrasing) -> Iterator[str]:
    """Yield what is wrong with a phrasing, each as one line that names the wording."""
    yield from _frame_problems(phrasing)
    yield from _unknown_keys(phrasing)
    for name in _WORDED:
        for value, clauses in phrasing.clauses[name].items():
            yield from _clause_problems(phrasing, name, value, clauses)
    for value, clauses in phrasing.clauses_with_prior.items():
        yield from _clause_problems(phrasing, "change", value, clauses, tokens=("{prior_suvmax}",))
    for row in phrasing.class_at.values():
        for value, clauses in row.items():
            yield from _clause_problems(phrasing, "class", value, clauses)
    for kind, words in phrasing.tumour.items():
        for word in words:
            if _TOKEN.search(word):
                yield f"tumour.{kind}: {word!r} must hold no placeholder"
            if problem := clause_problem("kind", kind, word, phrasing.language):
                yield f"tumour.{kind}: {word!r} {problem}"


def _unread(phrasing: Phrasing) -> Iterator[str]:
    """Yield the wordings with a word that the verifier cannot read: it would pass no sentence that holds it."""
    clauses = [text for row in phrasing.clauses.values() for texts in row.values() for text in texts]
    clauses += [text for texts in phrasing.clauses_with_prior.values() for text in texts]
    clauses += [text for row in phrasing.class_at.values() for texts in row.values() for text in texts]
    frames = (phrasing.heads.plain, phrasing.heads.size, phrasing.suvmax, phrasing.category, phrasing.joins)
    words = [*clauses, *itertools.chain(*frames), *itertools.chain(*phrasing.tumour.values())]
    for text in words:
        said = _TOKEN.sub(" ", text.replace(TUMOUR, phrasing.tumour["node"][0]))
        if unknown := unread_words(said, phrasing.language):
            yield f"{text!r} holds {', '.join(map(repr, unknown))}, which the verifier cannot read; say it otherwise"


def _frame_problems(phrasing: Phrasing) -> Iterator[str]:
    frames = {
        "heads.plain": (phrasing.heads.plain, ("{site}", "<uptake>")),
        "heads.size": (phrasing.heads.size, ("{site}", "{size}", "<uptake>")),
        "suvmax": (phrasing.suvmax, ("<uptake>", "{suvmax}")),
        "category": (phrasing.category, ("<class>", "{category}")),
        "joins": (phrasing.joins, ()),
    }
    for field, (texts, tokens) in frames.items():
        if not texts:
            yield f"{field}: is empty"
        for text in texts:
            if sorted(_TOKEN.findall(text)) != sorted(tokens):
                yield f"{field}: {text!r} must hold {' and '.join(tokens) or 'no placeholder'}, each once"
            if _order(text) != sorted(_order(text)):
                yield f"{field}: {text!r} must hold its placeholders in the order {', '.join(tokens)}"
            if problem := free_text_problem(text, phrasing.language):
                yield f"{field}: {text!r} {problem}"


def _order(text: str) -> list[int]:
    return [
        placeholder_order().index(name) for name in re.findall(r"\{([a-z_]+)\}", text) if name in placeholder_order()
    ]


def _unknown_keys(phrasing: Phrasing) -> Iterator[str]:
    tables = {
        f"clauses.{name}": (set(row), set(values_of(name))) for name, row in phrasing.clauses.items() if name in _WORDED
    }
    tables["clauses"] = set(phrasing.clauses), set(_WORDED)
    tables["clauses_with_prior"] = set(phrasing.clauses_with_prior), set(_COMPARED)
    tables["class_at"] = set(phrasing.class_at), set(values_of("kind"))
    tables |= {f"class_at.{kind}": (set(row), set(values_of("class"))) for kind, row in phrasing.class_at.items()}
    tables["tumour"] = set(phrasing.tumour), set(values_of("kind"))
    for field, (given, known) in tables.items():
        for key in sorted(given - known):
            yield f"{field}: {key!r} is not one of {', '.join(sorted(known))}"


def _clause_problems(
    phrasing: Phrasing, name: str, value: str, clauses: Sequence[str], tokens: Sequence[str] = ()
) -> Iterator[str]:
    field = f"clauses{'_with_prior' if tokens else f'.{name}'}.{value}"
    is_silent = not style("standard", phrasing.language).clauses[name].get(value)
    if is_silent and clauses:
        yield f"{field}: must stay empty, because the sentence is silent about it"
    if not is_silent and not clauses:
        yield f"{field}: is empty"
    for clause in clauses:
        found = [token for token in _TOKEN.findall(clause) if not (token == TUMOUR and name == "class")]
        if found != list(tokens):
            yield f"{field}: {clause!r} must hold {' and '.join(tokens) or 'no placeholder'}"
        if (name, value, clause) == ("class", "malignant", TUMOUR):
            continue
        if problem := clause_problem(name, value, clause, phrasing.language):
            yield f"{field}: {clause!r} {problem}"
