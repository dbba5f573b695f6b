"""How the SUV is spread inside a lesion: the intensity-based statistical features of IBSI."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class IntensityStatistics:
    """Intensity-based statistical features of the Image Biomarker Standardisation Initiative (IBSI 1, section 3.3).

    Mean and maximum are SUVmean and SUVmax. In g/ml, but for ``variance`` and ``energy`` (squared) and for
    ``skewness``, ``kurtosis`` (excess), ``variation`` (SD over mean) and ``quartile_dispersion``, which have no unit.
    Spread is that of the voxels themselves, not an estimate for a larger population. ``robust_mean_deviation`` is
    ``None`` where no voxel lies between the percentiles 10 and 90.
    """

    minimum: float
    p10: float
    median: float
    p90: float
    interquartile_range: float
    range: float
    variance: float
    skewness: float
    kurtosis: float
    variation: float
    quartile_dispersion: float
    mean_deviation: float
    robust_mean_deviation: float | None
    median_deviation: float
    energy: float
    root_mean_square: float


def intensity_statistics(values: NDArray[np.float64]) -> IntensityStatistics:
    """Return the features of a lesion's voxels (n,), at least one.

    Where all voxels are equal, skewness and kurtosis are 0, as IBSI has it; where they are all 0, the relative
    measures of spread are 0 too.

    Example:
        >>> intensity_statistics(np.array([1.0, 2.0, 3.0, 6.0])).median
        2.5
    """
    mean, variance = float(values.mean()), float(values.var())
    p10, p25, median, p75, p90 = (float(one) for one in np.percentile(values, [10, 25, 50, 75, 90]))
    inner = values[(values >= p10) & (values <= p90)]
    energy = float((values**2).sum())
    return IntensityStatistics(
        minimum=float(values.min()),
        p10=p10,
        median=median,
        p90=p90,
        interquartile_range=p75 - p25,
        range=float(np.ptp(values)),
        variance=variance,
        skewness=_moment(values, 3, variance),
        kurtosis=_moment(values, 4, variance) - 3.0 if variance else 0.0,
        variation=float(np.sqrt(variance)) / mean if mean else 0.0,
        quartile_dispersion=(p75 - p25) / (p75 + p25) if p75 + p25 else 0.0,
        mean_deviation=float(np.abs(values - mean).mean()),
        robust_mean_deviation=float(np.abs(inner - inner.mean()).mean()) if inner.size else None,
        median_deviation=float(np.abs(values - median).mean()),
        energy=energy,
        root_mean_square=float(np.sqrt(energy / values.size)),
    )


def _moment(values: NDArray[np.float64], order: int, variance: float) -> float:
    """Return the standardised central moment; 0 where nothing varies."""
    if not variance:
        return 0.0
    return float(((values - values.mean()) ** order).mean() / variance ** (order / 2))
