"""Which tracer a DICOM header speaks of; ``None`` where it does not say so without doubt."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

from pydantic import BaseModel, ConfigDict

from fedpsma.domain.tracer import Tracer

HALF_LIFE_TOLERANCE = 0.03
REMEDY = "name the tracer with --tracer"


@dataclass(frozen=True)
class RadiopharmaceuticalHeader:
    """The radiopharmaceutical item of a PET header; codes are "scheme value", for example "SCT 35321007"."""

    name: str | None = None
    code: str | None = None
    code_meaning: str | None = None
    nuclide_code: str | None = None
    nuclide_meaning: str | None = None
    half_life_s: float | None = None


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    codes: tuple[str, ...]
    names: tuple[str, ...]
    source: str

    def fits(self, code: str | None, texts: tuple[str | None, ...]) -> bool:
        return code in self.codes or any(name in _letters(text) for text in texts for name in self.names)


class _Nuclide(_Row):
    radionuclide: str
    half_life_s: float


class _Radiopharmaceutical(_Row):
    tracer: Tracer


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    note: str
    radionuclides: tuple[_Nuclide, ...]
    radiopharmaceuticals: tuple[_Radiopharmaceutical, ...]


def guess_tracer(header: RadiopharmaceuticalHeader) -> tuple[Tracer | None, tuple[str, ...]]:
    """Name the tracer if code or text name exactly one and the radionuclide agrees.

    Returns:
        The tracer or ``None``, and notes: why it stays open, or what contradicts.

    Example:
        >>> guess_tracer(RadiopharmaceuticalHeader(name="FDG -- fluorodeoxyglucose", half_life_s=6588))[0]
        <Tracer.FDG: '18F-FDG'>
        >>> guess_tracer(RadiopharmaceuticalHeader(name="68Ga PSMA"))[0] is None
        True
    """
    nuclide = radionuclide(header)
    texts = (header.name, header.code_meaning)
    fitting = [row.tracer for row in _table().radiopharmaceuticals if row.fits(header.code, texts)]
    if not fitting:
        return None, (f"the header does not name a tracer we know ({header.name or 'no name'}): {REMEDY}",)
    if len(fitting) > 1:
        return None, (f"the header names several tracers ({', '.join(sorted(fitting))}): {REMEDY}",)
    tracer = fitting[0]
    if nuclide is not None and nuclide != tracer.facts.radionuclide:
        return None, (f"the header names {tracer}, but the radionuclide is {nuclide}: {REMEDY}",)
    return tracer, _half_life_note(header, tracer.facts.half_life_s)


def radionuclide(header: RadiopharmaceuticalHeader) -> str | None:
    """Return "F-18" or "Ga-68" by code or text, else by the half-life within 3 %, else ``None``."""
    rows = _table().radionuclides
    named = [row for row in rows if row.fits(header.nuclide_code, (header.nuclide_meaning,))]
    if not named and header.nuclide_code is None and header.nuclide_meaning is None:
        named = [row for row in rows if _is_half_life(header.half_life_s, row.half_life_s)]
    return named[0].radionuclide if len(named) == 1 else None


def _half_life_note(header: RadiopharmaceuticalHeader, expected_s: float) -> tuple[str, ...]:
    if header.half_life_s is None or _is_half_life(header.half_life_s, expected_s):
        return ()
    return (f"half-life {header.half_life_s:g} s in the header, {expected_s:g} s by the physics: SUV may be wrong",)


def _is_half_life(half_life_s: float | None, expected_s: float) -> bool:
    return half_life_s is not None and abs(half_life_s / expected_s - 1.0) <= HALF_LIFE_TOLERANCE


def _letters(text: str | None) -> str:
    return re.sub(r"[^A-Z0-9]", "", (text or "").upper())


@cache
def _table() -> _Table:
    return _Table.model_validate_json(
        resources.files(__package__).joinpath("data/radiopharmaceuticals.json").read_text("utf-8")
    )
