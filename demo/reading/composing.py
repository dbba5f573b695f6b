"""The report on the page: the draft of the present facts with what the reader did to its sentences.

A reader's wording is never replaced silently: where the facts changed below it, the sentence says so and shows both.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from demo.reading.state import OwnSentence, ReadingState, SentenceMark
from reporting.draft import Draft, Section, Sentence, State
from reporting.verifier.verify import Line, Verifier

READER = "reader"
"""What a sentence stands on that names no lesion."""
Marker = Literal["", "accepted", "changed", "yours", "conflict", "orphan", "struck", "regenerated"]
_BRACKET = re.compile(r"\[([^\[\]]*)\]")
_ALIKE = 0.6


@dataclass(frozen=True)
class ShownSentence:
    """A sentence of the report.

    ``key`` names it, also after the facts changed. ``drafted`` is what the draft says now, empty where it has no such
    sentence any more; ``marker`` says what the reader did with it.
    """

    key: str
    section: str
    text: str
    drafted: str
    cites: tuple[str, ...]
    origin: str
    marker: Marker

    @property
    def counts(self) -> bool:
        """Whether the sentence stands in the report."""
        return self.marker != "struck"


def compose(draft: Draft, state: ReadingState) -> list[ShownSentence]:
    """Return the sentences of the report in order."""
    keyed = {key: (section, sentence) for key, section, sentence in _keyed(draft)}
    marks = dict(_placed(state.sentences, keyed))
    ids = frozenset(state.lesion_ids)
    shown: list[ShownSentence] = []
    for section in dict.fromkeys([*(one.name for one in draft.sections), *(one.section for one in state.own)]):
        here = [(key, one) for key, (name, one) in keyed.items() if name == section]
        shown += [_shown(key, section, one, marks.get(key), ids) for key, one in here]
        left = [(key, mark) for key, mark in marks.items() if key not in keyed and mark.section == section]
        shown += [_orphan(key, mark, ids) for key, mark in left if mark.deed == "edited"]
        shown += [_own(one, ids) for one in state.own if one.section == section]
    return shown


def composed_draft(draft: Draft, shown: Iterable[ShownSentence], verifier: Verifier, standing: State) -> Draft:
    """Return the draft that stands on the page, verified anew where the reader worded anything himself."""
    counting = [one for one in shown if one.counts]
    drafted = {(section.name, one.text): one for section in draft.sections for one in section.sentences}
    names = dict.fromkeys([*(section.name for section in draft.sections), *(one.section for one in counting)])
    sections = [
        Section(name=name, sentences=[_sentence(one, drafted) for one in counting if one.section == name])
        for name in names
    ]
    origins = Counter(sentence.origin for section in sections for sentence in section.sentences)
    verification = draft.verification
    if sections != draft.sections:
        verification = verifier.verify(_lines(sections))
    return draft.model_copy(
        update={
            "sections": sections,
            "verification": verification,
            "provenance": draft.provenance.model_copy(update={"sentences_by_origin": dict(origins)}),
            "state": standing,
        }
    )


def _keyed(draft: Draft) -> Iterator[tuple[str, str, Sentence]]:
    """Yield every sentence with a name that outlives a change of its words: section, what it stands on, and which."""
    counted: Counter[tuple[str, str]] = Counter()
    for section in draft.sections:
        for sentence in section.sentences:
            stands_on = sentence.cites[0] if sentence.cites else ""
            counted[section.name, stands_on] += 1
            yield f"{section.name}/{stands_on}/{counted[section.name, stands_on]}", section.name, sentence


def _placed(
    marks: Mapping[str, SentenceMark], keyed: Mapping[str, tuple[str, Sentence]]
) -> Iterator[tuple[str, SentenceMark]]:
    """Yield each mark with the sentence it now belongs to: by name, else the most alike one that is free."""
    free = {key for key in keyed if key not in marks}
    for key, mark in marks.items():
        if key in keyed:
            yield key, mark
            continue
        likely = [(_alike(mark.drafted, keyed[one][1].text), one) for one in free if keyed[one][0] == mark.section]
        best = max(likely, default=(0.0, key))
        free.discard(best[1])
        yield (best[1] if best[0] >= _ALIKE else key), mark


def _alike(first: str, second: str) -> float:
    return SequenceMatcher(None, first, second).ratio()


def _shown(key: str, section: str, sentence: Sentence, mark: SentenceMark | None, ids: frozenset[str]) -> ShownSentence:
    marker = _marker(mark, sentence.text)
    own = mark is not None and mark.deed == "edited"
    text = mark.text if mark is not None and own else sentence.text
    cites = _cites(text, sentence.cites, ids) if own else tuple(sentence.cites)
    return ShownSentence(key, section, text, sentence.text, cites, READER if own else sentence.origin, marker)


def _marker(mark: SentenceMark | None, drafted: str) -> Marker:
    if mark is None:
        return ""
    same = mark.drafted == drafted
    if mark.deed == "accepted":
        return "accepted" if same else "changed"
    if mark.deed == "edited":
        return "yours" if same else "conflict"
    return "struck" if mark.deed == "struck" else "regenerated"


def _orphan(key: str, mark: SentenceMark, ids: frozenset[str]) -> ShownSentence:
    return ShownSentence(key, mark.section, mark.text, "", _cites(mark.text, (), ids), READER, "orphan")


def _own(own: OwnSentence, ids: frozenset[str]) -> ShownSentence:
    return ShownSentence(own.key, own.section, own.text, "", _cites(own.text, (), ids), READER, "yours")


def _cites(text: str, drafted: Iterable[str], ids: frozenset[str]) -> tuple[str, ...]:
    """Return what the reader's sentence stands on: the lesions it names, and what the drafted one stood on besides."""
    named = [one.strip() for inside in _BRACKET.findall(text) for one in inside.split(",")]
    cites = [one for one in dict.fromkeys(named) if one in ids]
    return tuple(cites + [one for one in drafted if one not in ids]) or (READER,)


def _sentence(shown: ShownSentence, drafted: Mapping[tuple[str, str], Sentence]) -> Sentence:
    known = drafted.get((shown.section, shown.text))
    if known is not None and shown.origin != READER:
        return known
    return Sentence(text=shown.text, template=shown.text, cites=list(shown.cites), origin="reader")


def _lines(sections: Iterable[Section]) -> list[Line]:
    return [
        Line(section.name, sentence.text, tuple(sentence.cites))
        for section in sections
        for sentence in section.sentences
    ]
