"""Uptake of normal organs: drawn per patient from published or measured statistics of each tracer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fedpsma.domain.tracer import Tracer
from fedpsma.phantom.tables import Row, read_table, tissues


class OrganUptake(Row):
    """SUVmean of one organ as (mean, SD) by tracer, and how it moves with others."""

    organ: str
    group: str | None
    correlation: float
    sink: bool
    recovery: float
    suv: dict[Tracer, tuple[float, float]]
    source: str


class TumourSink(Row):
    """How a large tumour takes the tracer away from organs; volume in ml."""

    source: str
    slope: float
    volume_ml: float
    floor: float

    def factor(self, tumour_ml: float) -> float:
        """Return what is left of an organ's uptake.

        Example:
            >>> TumourSink(source="", slope=0.25, volume_ml=500, floor=0.4).factor(4500)
            0.75
        """
        return max(self.floor, 1 - self.slope * float(np.log10(1 + tumour_ml / self.volume_ml)))


@cache
def organ_uptakes() -> dict[str, OrganUptake]:
    """Return every organ of ``biodistribution.json`` by name."""
    rows = read_table("biodistribution.json")["organs"]
    return {row["organ"]: OrganUptake.model_validate(row) for row in rows}


@cache
def tumour_sink() -> TumourSink:
    """Return the tumour sink of ``biodistribution.json``."""
    return TumourSink.model_validate(read_table("biodistribution.json")["tumour_sink"])


def draw_uptake(rng: np.random.Generator, tracer: Tracer, tumour_ml: float, furosemide: bool) -> dict[str, float]:
    """Draw the SUVmean (g/ml) that each organ shows in a patient with this volume of tumour."""
    organs = organ_uptakes()
    shared = {group: rng.standard_normal() for group in sorted({row.group for row in organs.values() if row.group})}
    sink = tumour_sink().factor(tumour_ml)
    uptake = {}
    for name, row in organs.items():
        own = float(rng.standard_normal())
        together = shared[row.group] if row.group else 0.0
        share = row.correlation if row.group else 0.0
        score = float(np.clip(np.sqrt(share) * together + np.sqrt(1 - share) * own, -2.5, 2.5))
        uptake[name] = _log_normal(*row.suv[tracer], score) * (sink if row.sink else 1.0)
    if not furosemide:
        uptake["bladder"] = uptake["bladder_without_furosemide"]
    del uptake["bladder_without_furosemide"]
    return uptake


def activity_by_tissue(uptake: Mapping[str, float]) -> NDArray[np.float32]:
    """Return the true SUV of each tissue label, so that the blurred image shows the organs' drawn uptake."""
    organs = organ_uptakes()
    values = [0.0 if t.organ is None else uptake[t.organ] / organs[t.organ].recovery for t in tissues()]
    return np.array(values, dtype=np.float32)


def _log_normal(mean: float, sd: float, score: float) -> float:
    """Return the value at a standard score of the log-normal distribution with this mean and SD."""
    spread = float(np.sqrt(np.log1p((sd / mean) ** 2)))
    return float(mean * np.exp(spread * score - spread**2 / 2))
