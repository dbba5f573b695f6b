"""Whether a report names the parts of the body outside the field of view, and no others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fedpsma.domain.region import Region
from reporting.verifier.problems import Problem
from reporting.verifier.reading import Reading
from reporting.verifier.view import View

_WHERE_TOLD = ("technique", "impression")


def coverage_problems(reading: Reading, view: View) -> Iterator[Problem]:
    """Yield sites that a sentence says were not imaged although the exam does not say so."""
    outside = set(view.exam.technique.not_covered or ())
    for name in reading.not_imaged:
        if not _regions(name, view) & outside:
            told = ", ".join(sorted(outside)) or "nothing"
            yield Problem("coverage", name, f"the exam names {told} as outside the field of view")


def untold_coverage(readings: Sequence[Reading], view: View) -> Iterator[Problem]:
    """Yield the regions outside the field of view that technique or impression do not name."""
    for section in _WHERE_TOLD:
        named = [name for reading in readings if reading.section == section for name in reading.not_imaged]
        told = frozenset().union(*(_regions(name, view) for name in named))
        for region in view.exam.technique.not_covered or ():
            if region not in told:
                yield Problem("omissions", "", f"the {section} does not say that {region} was not imaged")


def _regions(name: str, view: View) -> frozenset[Region]:
    return next((word.regions for word in view.lexicon.regions if word.pattern.search(name)), frozenset())
