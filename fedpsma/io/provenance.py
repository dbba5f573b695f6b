"""Where the numbers of an imported study come from: ``study.json`` beside its volumes.

Every factor that was used is written down, so that a physicist can compute the SUV again by hand. Nothing here names
the patient: no free text of the header besides maker and model of the scanner, and durations instead of clock times.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from fedpsma.domain.exam import Technique
from fedpsma.domain.tracer import Tracer


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SuvRecord(_Record):
    """How stored values became SUVbw = (stored x rescale slope + intercept) x ``factor`` x frame factor.

    ``method`` names the rule in words; ``decay_s`` are the seconds over which the dose was decayed;
    ``decay_reference`` says what the moment of decay correction was taken from; ``rescale_slope`` and
    ``frame_factor`` hold the least and the largest value over the slices (frame factors differ from 1 only where the
    scanner had not corrected decay).
    """

    method: str
    units: str
    factor: float
    decay_correction: str | None = None
    decay_reference: str | None = None
    decay_s: float | None = None
    uptake_min: float | None = None
    weight_kg: float | None = None
    dose_bq: float | None = None
    half_life_s: float | None = None
    rescale_slope: tuple[float, float] | None = None
    frame_factor: tuple[float, float] | None = None


class TracerRecord(_Record):
    """What the tracer was taken from; ``evidence`` is the code or name of our own table that fitted."""

    tracer: Tracer | None
    radionuclide: str | None = None
    decided_by: Literal["caller", "radiopharmaceutical", "sidecar", "nobody"]
    evidence: str | None = None


class GridRecord(_Record):
    """A grid as it came: voxel edges in mm, counts, and the axis order such as "LPS"."""

    spacing_mm: tuple[float, float, float]
    shape: tuple[int, int, int]
    orientation: str


class CtRecord(_Record):
    """The CT as it came, and the share (0 to 1) of the PET's slices that it covers."""

    grid: GridRecord
    covered: float
    resampled: bool


class ContourRecord(_Record):
    """Where the lesion mask comes from; ``objects`` counts segments, regions of interest or labels that were read."""

    kind: Literal["SEG", "RTSTRUCT", "mask"]
    objects: int
    grid: GridRecord | None = None


class Provenance(_Record):
    """``study.json``: the whole way of one study from its files to the data set."""

    source: Literal["DICOM", "NIfTI", "BIDS"]
    software: str
    manufacturer: str | None = None
    scanner: str | None = None
    pet: GridRecord
    suv: SuvRecord
    tracer: TracerRecord
    technique: Technique = Technique()
    ct: CtRecord | None = None
    contours: ContourRecord | None = None
    date_shifted: bool = False
    notes: tuple[str, ...] = ()
