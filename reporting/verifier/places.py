"""Whether sides and sites of a sentence are those of the lesions it speaks of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fedpsma.domain.exam import Lesion, PriorLesion
from fedpsma.domain.region import Side
from fedpsma.text.regions import Mention, find_mentions
from reporting.verifier.problems import Problem
from reporting.verifier.reading import Segment, mask
from reporting.verifier.view import View

Site = Lesion | PriorLesion
_SIDED: frozenset[Side | None] = frozenset(("L", "R", "B"))


def side_problems(
    text: str, segment: Segment, sites: Sequence[Site], view: View, *, complete: bool
) -> Iterator[Problem]:
    """Yield sides that are said and not there, said of nothing, or (``complete``) left out of an exact site."""
    said = {word.meaning: match[0] for word in view.lexicon.sides if (match := word.pattern.search(text))}
    have = {site.side for site in sites}
    for side, words in said.items():
        if side not in have and not (side == "B" and {"L", "R"} <= have):
            yield Problem("sides", words, f"the table has {view.places(sites)}")
    named = most_exact_region(text, segment, view)
    if said and not named:
        yield Problem("regions", ", ".join(said.values()), "a side without a site")
    if named != 1 or not complete:
        return
    for own in have & _SIDED:
        if own not in said and not ("B" in said and {"L", "R"} <= have):
            yield Problem("sides", text.strip(), f"leaves out the side of {view.places(sites)}")


def most_exact_region(text: str, segment: Segment, view: View) -> int:
    """How many regions the closest name of a site in a text stands for; 0 where it names none."""
    sizes = []
    for word in view.lexicon.regions:
        if word.pattern.search(text) is None:
            continue
        if word.regions:
            sizes.append(len(word.regions))
        text = mask(word.pattern, text)
    sizes += [len(mention.regions) for mention in mentions_left(segment, text)]
    return min(sizes, default=0)


def region_problems(text: str, segment: Segment, sites: Sequence[Site], view: View) -> Iterator[Problem]:
    """Yield sites that are not those of the lesions; where none is spoken of, sites that only a lesion can have."""
    text = mask(view.lexicon.pattern("not_a_region"), text)
    have = {site.region for site in sites}
    for word in view.lexicon.regions:
        match = word.pattern.search(text)
        if match is None:
            continue
        text = mask(word.pattern, text)
        if not word.regions:
            continue
        if have and not have <= word.regions if len(word.regions) == 1 else have and not have & word.regions:
            yield Problem("regions", match[0], f"the table has {view.places(sites)}")
        if not have and len(word.regions) == 1 and _must_cite(match[0], view):
            yield Problem("regions", match[0], "no lesion of the table is named there")
    for mention in mentions_left(segment, text):
        if not mention.group and (not have & set(mention.regions) if have else len(mention.regions) == 1):
            yield Problem("regions", text[mention.start : mention.end], f"the table has {view.places(sites)}")


def mentions_left(segment: Segment, text: str) -> list[Mention]:
    """Return the sites that a segment names and that no check has read and blanked yet."""
    found = find_mentions(segment.text)
    return [one for one in found if text[one.start : one.end] == segment.text[one.start : one.end]]


def _must_cite(word: str, view: View) -> bool:
    return not any(topic.pattern.search(word) for topic in view.lexicon.words("topics", "topic"))
