"""``scanner.json`` as checked records: the constants of image formation, each with its source."""

from __future__ import annotations

from functools import cache

from pydantic import Field

from fedpsma.phantom.tables import Row, read_table


class _Sourced(Row):
    tag: str
    source: str


class PositronRange(_Sourced):
    """Width (FWHM in mm) that the range of the positron adds in quadrature."""

    ga_68: float = Field(alias="Ga-68")
    f_18: float = Field(alias="F-18")

    def fwhm_mm(self, radionuclide: str) -> float:
        """Return the width for a radionuclide as named in ``tracers.json``."""
        return {"Ga-68": self.ga_68, "F-18": self.f_18}[radionuclide]


class Enhancement(_Sourced):
    """How a reconstruction with resolution modelling sharpens edges."""

    width_ratio: float
    least_kept: float


class Noise(_Sourced):
    """How noise grows with uptake, and how it varies between the studies of a site."""

    power: float
    counts_log_sd: float
    cv_range: tuple[float, float]


class Breathing(_Sourced):
    """Amplitude in mm from top to bottom, where along the body it acts, and how much of it each tissue follows."""

    amplitude_mm: tuple[float, float]
    fade_mm: tuple[float, float, float, float]
    mobility: dict[str, float]
    stations: dict[str, float]


class Registration(_Sourced):
    """How far the CT may lie off the PET."""

    breath_sd_mm: float
    breath_max_mm: float
    motion_sd_mm: float
    motion_max_mm: float


class Ct(_Sourced):
    """Attenuation in HU beyond that of ``tissues.json``."""

    enhancement_sd: float
    lesion_enhancement_hu: float
    cortex_hu: dict[str, float]
    texture_hu: dict[str, float]
    texture_mm: float


class ScannerTable(Row):
    """``scanner.json``."""

    note: str
    positron_range_mm: PositronRange
    enhancement: Enhancement
    noise: Noise
    breathing: Breathing
    registration: Registration
    ct: Ct


@cache
def scanner_table() -> ScannerTable:
    """Return the constants of image formation."""
    return ScannerTable.model_validate(read_table("scanner.json"))
