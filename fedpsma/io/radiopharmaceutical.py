"""Which tracer a DICOM header speaks of; ``None`` where it does not say so without doubt."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

from pydantic import BaseModel, ConfigDict

from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError

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

    def evidence(self, code: str | None, texts: tuple[str | None, ...]) -> str | None:
        """Return our own code or name that fits, so that no text of a header is ever passed on."""
        if code in self.codes:
            return code
        return next((name for name in self.names if any(name in _letters(text) for text in texts)), None)


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


@dataclass(frozen=True)
class TracerGuess:
    """What a header says of the tracer, ``None`` where it leaves a doubt.

    ``evidence`` is the code or name of our own table that fitted; ``notes`` say why the tracer stays open, or what
    contradicts it.
    """

    tracer: Tracer | None
    radionuclide: str | None
    evidence: str | None = None
    notes: tuple[str, ...] = ()


def guess_tracer(header: RadiopharmaceuticalHeader) -> TracerGuess:
    """Name the tracer if code or text name exactly one and the radionuclide agrees.

    Example:
        >>> guess_tracer(RadiopharmaceuticalHeader(name="FDG -- fluorodeoxyglucose", half_life_s=6588)).tracer
        <Tracer.FDG: '18F-FDG'>
        >>> guess_tracer(RadiopharmaceuticalHeader(name="68Ga PSMA")).tracer is None
        True
    """
    nuclide = radionuclide(header)
    texts = (header.name, header.code_meaning)
    rows = [(row.tracer, row.evidence(header.code, texts)) for row in _table().radiopharmaceuticals]
    fitting = [(tracer, evidence) for tracer, evidence in rows if evidence is not None]
    if not fitting:
        return TracerGuess(None, nuclide, notes=(f"the header does not name a tracer we know: {REMEDY}",))
    if len(fitting) > 1:
        names = ", ".join(sorted(tracer for tracer, _ in fitting))
        return TracerGuess(None, nuclide, notes=(f"the header names several tracers ({names}): {REMEDY}",))
    tracer, evidence = fitting[0]
    if nuclide is not None and nuclide != tracer.facts.radionuclide:
        note = f"the header names {tracer}, but the radionuclide is {nuclide}: {REMEDY}"
        return TracerGuess(None, nuclide, notes=(note,))
    return TracerGuess(tracer, nuclide, evidence, _half_life_note(header, tracer.facts.half_life_s))


def radionuclide(header: RadiopharmaceuticalHeader) -> str | None:
    """Return, for example, "F-18" by code or text, else by the half-life within 3 %, else ``None``."""
    row = _named_nuclide(header)
    if row is not None:
        return row.radionuclide
    if header.nuclide_code is not None or header.nuclide_meaning is not None:
        return None
    fitting = [row for row in _table().radionuclides if _is_half_life(header.half_life_s, row.half_life_s)]
    return fitting[0].radionuclide if len(fitting) == 1 else None


def half_life_s(radionuclide: str) -> float | None:
    """Return the half-life of a radionuclide of our table in seconds, ``None`` for any other.

    Example:
        >>> half_life_s("F-18")
        6586.2
    """
    return next((row.half_life_s for row in _table().radionuclides if row.radionuclide == radionuclide), None)


def require_half_life(header: RadiopharmaceuticalHeader, *, where: str) -> None:
    """Refuse a half-life by which decay would be computed wrongly.

    Raises:
        InputError: The header names a radionuclide, and its half-life is another one.
    """
    row = _named_nuclide(header)
    if row is None or header.half_life_s is None:
        return
    if not _is_half_life(header.half_life_s, row.half_life_s):
        raise InputError(
            f"RadionuclideHalfLife (0018,1075) is {header.half_life_s:g} s, but {row.radionuclide} has "
            f"{row.half_life_s:g} s",
            where=where,
            remedy="correct the half-life or the radionuclide",
        )


def _named_nuclide(header: RadiopharmaceuticalHeader) -> _Nuclide | None:
    texts = (header.nuclide_meaning,)
    named = [row for row in _table().radionuclides if row.evidence(header.nuclide_code, texts) is not None]
    return named[0] if len(named) == 1 else None


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
