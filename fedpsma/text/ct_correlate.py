"""Reads a CT (or MRI) correlate text into one of the five CT classes, by a lexicon with negations.

Classes: none (nothing seen), nonspecific, degenerative, benign (pathognomonic), suspicious. Where the text does not
tell, the class is null: it is never guessed. Data: ``data/ct_lexicon.json``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

from fedpsma.domain.exam import CtClass
from fedpsma.domain.region import Region
from fedpsma.text.guard import mask_untrusted
from fedpsma.text.measures import find_sizes
from fedpsma.text.passages import last_match, read_data

Mark = Literal[
    "physiologic", "other_primary", "benign_node", "fracture", "urinary", "artefact", "treated", "extracapsular"
]
_LIST_WORD = re.compile(r"\b(?:or|nor|oder|noch|and|und|/)\b", re.IGNORECASE)
_CLAUSE_END = re.compile(r"[.;:\n(]")
_ADJECTIVE = re.compile(r"(?:isch(?:e[nrms]?)?|ic|ed)\W*$", re.IGNORECASE)
_PREFIX = re.compile(r"\b(?:non|nicht)-\s?$", re.IGNORECASE)
_DOUBT = re.compile(r"\b(?:cannot|can not|not|kann|nicht)\b", re.IGNORECASE)
_LIST_REACH = 8
# A negation reaches this many characters at most, so that a very long text is read in no more than linear time.
_REACH = 200
_HU = re.compile(r"(?P<sign>[-−–]?)\s?(?P<value>\d{1,3})\s?(?:HU|HE)\b")
_ADENOMA_HU = 10
_HEDGE_REACH = 28
_TELLING = re.compile(
    r"metasta|malign|destru|infiltra|invasi|pathologi\w* fra|cortical (?:break|breach)", re.IGNORECASE
)


@dataclass(frozen=True)
class CtReading:
    """What a correlate text says.

    ``words`` are the words, as written, on which ``ct_class`` rests. ``short_axis_mm`` is the short axis (or the only
    size) given in the text. ``marks`` are other things the words tell, ``denied`` the classes whose words are negated.
    """

    ct_class: CtClass | None = None
    words: tuple[str, ...] = ()
    short_axis_mm: float | None = None
    marks: frozenset[Mark] = frozenset()
    denied: frozenset[CtClass] = frozenset()


@dataclass(frozen=True)
class _Term:
    ct_class: CtClass
    weak: bool
    sites: frozenset[str]
    marks: frozenset[Mark]
    pattern: re.Pattern[str]


@dataclass(frozen=True)
class _Hit:
    ct_class: CtClass
    weak: bool
    marks: frozenset[Mark]
    start: int
    end: int
    word: str
    negated: bool = False
    hedged: bool = False


def read_ct_correlate(text: str | None, region: Region) -> CtReading:
    """Read one correlate text of a lesion in ``region``; instructions to the software in it are not read.

    Example:
        >>> read_ct_correlate("no sclerosis, lysis or fracture on CT", Region.BONE_RIB).ct_class
        'none'
        >>> read_ct_correlate("coarse trabeculae, cortical thickening, typical Paget", Region.BONE_PELVIS).ct_class
        'benign'
        >>> read_ct_correlate("right 6th rib", Region.BONE_RIB).ct_class is None
        True
    """
    if not text:
        return CtReading()
    trusted = mask_untrusted(text)
    kinds = _kinds(region)
    hits = [*_hits(trusted, kinds), *_combined(trusted, kinds), *_fatty_adrenal(trusted, region)]
    ct_class, words = _decide(hits)
    short_axis = _short_axis(trusted)
    if ct_class is None and region.is_node and short_axis is not None:
        ct_class = "nonspecific"
    return CtReading(
        ct_class=ct_class,
        words=words,
        short_axis_mm=short_axis,
        marks=_marks(trusted, hits),
        denied=frozenset(hit.ct_class for hit in hits if hit.negated),
    )


def _decide(hits: list[_Hit]) -> tuple[CtClass | None, tuple[str, ...]]:
    said = [hit for hit in hits if not hit.negated]
    benign = [hit for hit in said if hit.ct_class == "benign" and not hit.hedged]
    strong = [hit for hit in said if hit.ct_class == "suspicious" and not hit.weak]
    other = [hit for hit in strong if not any(hit.start < one.end and one.start < hit.end for one in benign)]
    if benign and not _outweighs(other):
        return "benign", _words(benign)
    order: tuple[tuple[CtClass, list[_Hit]], ...] = (
        ("suspicious", strong),
        ("degenerative", [hit for hit in said if hit.ct_class == "degenerative"]),
        ("suspicious", [hit for hit in said if hit.ct_class == "suspicious" and hit.weak]),
        ("nonspecific", [hit for hit in said if hit.ct_class == "nonspecific" or hit.ct_class == "benign"]),
        ("none", [hit for hit in said if hit.ct_class == "none"]),
        ("none", [hit for hit in hits if hit.negated and hit.ct_class in ("suspicious", "degenerative")]),
    )
    for ct_class, found in order:
        if found:
            return ct_class, _words(found)
    return None, ()


def _outweighs(strong: list[_Hit]) -> bool:
    """Tell whether words outweigh a named benign entity: a mass does not, a metastasis or destruction does."""
    return any(_TELLING.search(hit.word) and not hit.hedged for hit in strong)


def _words(hits: list[_Hit]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(hit.word for hit in sorted(hits, key=lambda hit: hit.start)))


def _hits(text: str, kinds: frozenset[str]) -> list[_Hit]:
    found: list[_Hit] = []
    for term in _terms():
        if not term.sites & kinds:
            continue
        for match in term.pattern.finditer(text):
            if not match.group().strip():
                continue
            negated = term.ct_class != "none" and not _own_negation(match.group()) and _is_negated(text, match)
            hedged = _is_hedged(text, match)
            word = match.group().strip()
            found.append(_Hit(term.ct_class, term.weak, term.marks, match.start(), match.end(), word, negated, hedged))
    return found


def _own_negation(word: str) -> bool:
    return _negation_before().match(word) is not None


def _combined(text: str, kinds: frozenset[str]) -> list[_Hit]:
    found: list[_Hit] = []
    for row in read_data("ct_lexicon.json")["combinations"]:
        if not kinds & set(row["sites"]):
            continue
        matches = [match for one in row["patterns"] for match in re.finditer(one, text, re.IGNORECASE)]
        said = [match for match in matches if not _is_negated(text, match)]
        if len({match.re.pattern for match in said}) >= row["at_least"]:
            found += [
                _Hit(row["class"], False, frozenset(), match.start(), match.end(), match.group().strip())
                for match in said
            ]
    return found


def _fatty_adrenal(text: str, region: Region) -> list[_Hit]:
    if region is not Region.ADRENAL:
        return []
    return [
        _Hit("benign", False, frozenset(), match.start(), match.end(), match.group().strip())
        for match in _HU.finditer(text)
        if match["sign"] or int(match["value"]) <= _ADENOMA_HU
    ]


def _marks(text: str, hits: list[_Hit]) -> frozenset[Mark]:
    marks: set[Mark] = set()
    for hit in hits:
        if not hit.negated and not (hit.hedged and "physiologic" in hit.marks):
            marks |= hit.marks
    for row in read_data("ct_lexicon.json")["marks"]:
        matches = _compiled(tuple(row["patterns"])).finditer(text)
        if any(not _is_negated(text, match) for match in matches):
            marks.add(row["mark"])
    return frozenset(marks)


def _short_axis(text: str) -> float | None:
    sizes = find_sizes(text)
    named = [size for size in sizes if size.short_axis]
    if named:
        return named[0].smallest
    return sizes[0].smallest if len(sizes) == 1 else None


def _is_negated(text: str, match: re.Match[str]) -> bool:
    before = _CLAUSE_END.split(text[max(0, match.start() - _REACH) : match.start()])[-1]
    last = last_match(_negation_before(), before)
    if last is not None and _in_scope(before[last.end() :], text[match.start() : match.end() + _REACH]):
        return True
    if _PREFIX.search(before):
        return True
    return _negation_after().match(text, match.end()) is not None or _ends_negated_list(
        text[match.end() : match.end() + _REACH]
    )


def _in_scope(between: str, rest: str) -> bool:
    """Whether a negation reaches over ``between``: not past "but", past a comma only within a list."""
    if _scope_end().search(between):
        return False
    if "," not in between:
        return True
    first, last = between.partition(",")[0], between.rpartition(",")[2]
    if _hedge().search(last) and not _LIST_WORD.search(last):
        return False
    clause = _CLAUSE_END.split(rest, maxsplit=1)[0]
    if _LIST_WORD.search(between) or _LIST_WORD.search(clause):
        return True
    single = not last.strip() and len(clause.split()) == 1
    # "no haemangioma, osteolytic" goes on with what is there, "no sclerosis, lysis" with what is not.
    return single and (not _ADJECTIVE.search(clause) or _ADJECTIVE.search(first) is not None)


def _ends_negated_list(after: str) -> bool:
    """Whether a list goes on and ends with a negation: "(sclerosis,) lysis or fracture not seen"."""
    clause = _CLAUSE_END.split(after, maxsplit=1)[0]
    negation = _negation_after().search(clause)
    if negation is None or _scope_end().search(clause[: negation.start()]):
        return False
    between = clause[: negation.start()]
    listed = _LIST_WORD.search(between.rpartition(",")[2])
    return listed is not None and len(between.split()) <= _LIST_REACH and not _DOUBT.search(between)


def _is_hedged(text: str, match: re.Match[str]) -> bool:
    before = text[max(0, match.start() - _HEDGE_REACH) : match.start()]
    before = re.split(r"[.;\n]", before)[-1]
    after = text[match.end() : match.end() + 18]
    return (
        _hedge().search(before) is not None
        or re.match(r"\s*(?:\?|cannot be excluded|not excluded|möglich)", after) is not None
    )


def _kinds(region: Region) -> frozenset[str]:
    if region.is_node:
        kind = "node"
    elif region.is_bone:
        kind = "bone"
    elif region.facts.mitnm_axis == "T":
        kind = "local"
    else:
        kind = "organ" if region.facts.site == "organ" else "soft"
    return frozenset({"any", kind, region.value})


@cache
def _terms() -> tuple[_Term, ...]:
    return tuple(
        _Term(
            ct_class=row["class"],
            weak=row.get("weak", False),
            sites=frozenset(row["sites"]),
            marks=frozenset(row.get("marks", [])),
            pattern=_compiled(tuple(row["patterns"])),
        )
        for row in read_data("ct_lexicon.json")["terms"]
    )


@cache
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{'|'.join(patterns)})(?!\w)", re.IGNORECASE)


@cache
def _negation_before() -> re.Pattern[str]:
    return _compiled(tuple(read_data("ct_lexicon.json")["negations_before"]))


@cache
def _negation_after() -> re.Pattern[str]:
    return re.compile(rf"\s*(?:{'|'.join(read_data('ct_lexicon.json')['negations_after'])})(?!\w)", re.IGNORECASE)


@cache
def _scope_end() -> re.Pattern[str]:
    return _compiled(tuple(read_data("ct_lexicon.json")["scope_ends"]))


@cache
def _hedge() -> re.Pattern[str]:
    words = [word for word in read_data("ct_lexicon.json")["hedges"] if word != "\\?"]
    return _compiled(tuple(words))
