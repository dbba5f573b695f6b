"""Looks through every text field of an exam for instructions to the software and for identifying passages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from fedpsma.domain.assessment import Flag
from fedpsma.domain.exam import Exam
from fedpsma.staging.rulebook import Noted, traced
from fedpsma.text.guard import find_identifiers, find_instructions
from fedpsma.text.passages import Passage

_FIXED_FIELDS = re.compile(r"(?:^|\.)(?:tracer|region|side|ct_class|t_extent|prostate_status|language)$")
_LESION = re.compile(r"^lesions\[(\d+)\]")


def inspect_texts(exam: Exam) -> Noted[None]:
    """Flag instructions and identifying passages by field and offset, never by their words."""
    fields = [(path, text) for path, text in _texts(exam.model_dump(mode="json"), "") if not _FIXED_FIELDS.search(path)]
    instructions = list(
        _flags(exam, fields, find_instructions, "untrusted_instruction", "addresses the software; not read")
    )
    identifiers = list(_flags(exam, fields, _find_open_identifiers, "phi_detected", "may identify a person; remove it"))
    result = {"untrusted_instruction": len(instructions), "phi_detected": len(identifiers)}
    return Noted(None, (traced("free_text", {"fields": len(fields)}, result),), (*instructions, *identifiers))


def _find_open_identifiers(text: str) -> tuple[Passage, ...]:
    """Find identifying passages outside instructions, which are pointed at already and never read."""
    hidden = find_instructions(text)
    return tuple(
        one for one in find_identifiers(text) if not any(at.start <= one.start and one.end <= at.end for at in hidden)
    )


def _flags(
    exam: Exam,
    fields: list[tuple[str, str]],
    find: Callable[[str], tuple[Passage, ...]],
    code: str,
    meaning: str,
) -> Iterator[Flag]:
    for path, text in fields:
        found = find(text)
        if not found:
            continue
        places = ", ".join(f"{one.start} to {one.end}" for one in found)
        lesion = _LESION.match(path)
        lesions = [exam.lesions[int(lesion.group(1))].lesion_id] if lesion else []
        message = f"{path}: text at characters {places} {meaning}"
        yield Flag.model_validate({"code": code, "lesions": lesions, "message": message})


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _texts(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, f"{path}[{index}]")
