"""Small histograms as inline SVG; colours come from the page, so that they follow light, dark and print."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import ceil, floor, log10

import numpy as np
from numpy.typing import NDArray

_WIDTH, _HEIGHT = 320, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 8, 8, 24
_MOST_BINS = 16
_MOST_TICKS = 6


def histogram(values: Sequence[float], title: str, *, logarithmic: bool = False) -> str:
    """Return a histogram as an ``<svg>`` element; a logarithmic one leaves out what is not above zero.

    Example:
        >>> histogram([1.0, 2.0, 2.0], "lesions").startswith("<svg")
        True
    """
    known = np.array([value for value in values if value > 0 or not logarithmic], dtype=np.float64)
    if not known.size:
        return '<p class="quiet">no value</p>'
    placed = np.log10(known) if logarithmic else known
    edges = _edges(placed, whole=not logarithmic and bool((known == np.round(known)).all()))
    counts, _ = np.histogram(placed, bins=edges)
    bars = "".join(_bar(count, at, edges, int(counts.max())) for at, count in enumerate(counts) if count)
    axis = _axis(edges, int(counts.max()), logarithmic=logarithmic)
    label = escape(f"{title}: {known.size} values, median {np.median(known):.3g}", quote=True)
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">{bars}{axis}</svg>'


def _edges(placed: NDArray[np.float64], *, whole: bool) -> NDArray[np.float64]:
    low, high = float(placed.min()), float(placed.max())
    if whole:
        step = max(1, ceil((high - low + 1) / _MOST_BINS))
        return np.arange(low - 0.5, high + step + 0.5, step)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, min(_MOST_BINS, 2 + ceil(2 * placed.size**0.5)) + 1)


def _x(value: float, edges: NDArray[np.float64]) -> float:
    share = (value - edges[0]) / (edges[-1] - edges[0])
    return float(_LEFT + share * (_WIDTH - _LEFT - _RIGHT))


def _y(count: float, most: int) -> float:
    return _TOP + (1.0 - count / most) * (_HEIGHT - _TOP - _BOTTOM)


def _bar(count: int, at: int, edges: NDArray[np.float64], most: int) -> str:
    left, right, top = _x(edges[at], edges), _x(edges[at + 1], edges), _y(count, most)
    height = _HEIGHT - _BOTTOM - top
    return (
        f'<rect x="{left + 0.5:.1f}" y="{top:.1f}" width="{right - left - 1:.1f}" height="{height:.1f}">'
        f"<title>{count}</title></rect>"
    )


def _axis(edges: NDArray[np.float64], most: int, *, logarithmic: bool) -> str:
    base = _HEIGHT - _BOTTOM
    parts = [f'<path d="M{_LEFT} {_TOP}V{base}H{_WIDTH - _RIGHT}"/>']
    for count in sorted({0, most}):
        parts.append(f'<text x="{_LEFT - 5}" y="{_y(count, most) + 4:.1f}" text-anchor="end">{count}</text>')
    for value in _ticks(float(edges[0]), float(edges[-1]), logarithmic=logarithmic):
        x = _x(log10(value) if logarithmic else value, edges)
        parts.append(f'<path d="M{x:.1f} {base}v4"/>')
        parts.append(f'<text x="{x:.1f}" y="{base + 16}" text-anchor="middle">{value:g}</text>')
    return "".join(parts)


def _ticks(low: float, high: float, *, logarithmic: bool) -> list[float]:
    """Return round numbers between two ends of the axis, as they are written (not their logarithms).

    Example:
        >>> _ticks(0.0, 10.0, logarithmic=False), _ticks(-1.0, 1.0, logarithmic=True)
        ([0.0, 2.0, 4.0, 6.0, 8.0, 10.0], [0.1, 1.0, 10.0])
    """
    if logarithmic and high - low >= 1.0:
        return [10.0**power for power in range(ceil(low - 1e-9), floor(high + 1e-9) + 1)]
    if logarithmic:
        low, high = 10.0**low, 10.0**high
    size = 10.0 ** floor(log10((high - low) / _MOST_TICKS))
    step = next(size * factor for factor in (1, 2, 5, 10) if (high - low) / (size * factor) <= _MOST_TICKS)
    return [round(number * step, 9) for number in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]
