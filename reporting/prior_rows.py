"""A prior report as rows for a reader: as JSON, or as text in one line a row."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from fedpsma.errors import InputError
from fedpsma.text.passages import Passage
from fedpsma.text.prior_report import NegativeStatement, PriorFinding, PriorReading, read_prior_report


def prior_as_json(text: str) -> str:
    """Return everything that was read from a prior report, each row with its quote and offsets."""
    return json.dumps(_content(read_prior_report(text)), ensure_ascii=False, indent=1)


def prior_as_text(text: str, *, where: str) -> str:
    """Return one line a row.

    Raises:
        InputError: The text is in a language that the reader does not know.
    """
    reading = read_prior_report(text)
    if not reading.readable:
        raise InputError("cannot be read: neither English nor German", where=where, remedy="enter the prior by hand")
    content = _content(reading)
    head = [f"{name}: {content[name] or 'not given'}" for name in ("date", "modality")]
    head += [f"tracer: {', '.join(content['tracers']) or 'not given'}"]
    head += [f"stated stage: {one['quote']}" for one in content["stages"]]
    return "\n".join([*head, *_rows(reading)])


def _rows(reading: PriorReading) -> Iterable[str]:
    for one in reading.findings:
        values = [f"SUVmax {one.suvmax}" if one.suvmax is not None else "", f"{one.size_mm} mm" if one.size_mm else ""]
        place = " or ".join(one.regions) + (f" {one.side}" if one.side else "") + "".join(f" {at}" for at in one.levels)
        yield f"lesion: {place}: {', '.join(value for value in values if value) or 'no value'}: {_quoted(one)}"
    for free in reading.negatives:
        yield f"free: {len(free.regions)} region(s): {_quoted(free)}"
    for conflict in (*reading.side_conflicts, *reading.conflicts):
        yield f"contradicts itself: {_quoted(conflict)}"
    for name, passages in (
        ("value without a place", reading.unplaced),
        ("instruction, not read", reading.instructions),
        ("may identify a person", reading.identifiers),
    ):
        yield from (f"{name}: {_quoted(one)}" for one in passages)
    yield from (f"read as {one.kind!r}: {_quoted(one)}" for one in reading.repairs)


def _quoted(one: Passage | PriorFinding | NegativeStatement) -> str:
    return f"“{' '.join(one.quote.split())}” [{one.start}:{one.end}]"


def _content(reading: PriorReading) -> dict[str, Any]:
    return {
        "readable": reading.readable,
        "date": reading.header.date,
        "dates": [_passage(one) for one in reading.header.dates],
        "modality": reading.header.modality,
        "tracers": [str(one) for one in reading.tracers],
        "stages": [_passage(one) for one in reading.header.stages],
        "lesions": [_finding(one) for one in reading.findings],
        "free": [{"regions": list(one.regions), **_passage(one)} for one in reading.negatives],
        "side_conflicts": [_finding(one) for one in reading.side_conflicts],
        "conflicts": [_finding(one) for one in reading.conflicts],
        "unplaced": [_passage(one) for one in reading.unplaced],
        "repairs": [{"read_as": one.kind, **_passage(one)} for one in reading.repairs],
        "instructions": [{"kind": one.kind, **_passage(one)} for one in reading.instructions],
        "identifiers": [{"kind": one.kind, **_passage(one)} for one in reading.identifiers],
    }


def _finding(one: PriorFinding) -> dict[str, Any]:
    return {
        "regions": list(one.regions),
        "side": one.side,
        "levels": list(one.levels),
        "suvmax": one.suvmax,
        "size_mm": one.size_mm,
        "in_impression": one.in_impression,
        **_passage(one),
    }


def _passage(one: Passage | PriorFinding | NegativeStatement) -> dict[str, Any]:
    return {"quote": one.quote, "start": one.start, "end": one.end}
