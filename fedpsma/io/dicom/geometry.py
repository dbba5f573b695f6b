"""Where the slices of a series lie in the body, and the refusal of a stack that is not whole and straight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpsma.domain.study import Affine
from fedpsma.errors import InputError
from fedpsma.io.dicom.tags import tag_name

# Of the distance between two slices; the published real series vary by 2.5 %.
SPACING_TOLERANCE = 0.05
# A gap wider than this share of the usual one means that a slice is missing.
MISSING = 1.5
_COSINE_TOLERANCE = 1e-3
# Positions are written to a micrometre or so; a table sags less than this between two slices.
_SIDEWAYS_MM = 0.05
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_POSITION, _ORIENTATION = tag_name("ImagePositionPatient"), tag_name("ImageOrientationPatient")


@dataclass(frozen=True)
class Plane:
    """Place and direction of one slice: Image Position and Image Orientation (Patient), ``None`` where missing."""

    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None


@dataclass(frozen=True)
class Stack:
    """Slices in the order of their places.

    ``order`` sorts the given slices, ``places_mm`` are their places along the normal, rising. ``step_mm`` is the mean
    way from slice to slice (3, in LPS), ``axes`` the directions of a row and of a column (2, 3).
    """

    order: tuple[int, ...]
    places_mm: NDArray[np.float64]
    first: NDArray[np.float64]
    axes: NDArray[np.float64]
    step_mm: NDArray[np.float64]

    @property
    def is_even(self) -> bool:
        """Whether all gaps agree within 5 %, or all places lie that near to even ones: headers round positions."""
        gaps = np.diff(self.places_mm)
        usual = float(np.median(gaps))
        even = np.linspace(self.places_mm[0], self.places_mm[-1], len(self.places_mm))
        in_place = np.abs(self.places_mm - even).max() <= SPACING_TOLERANCE * usual
        return bool(in_place or (np.abs(gaps - usual) <= SPACING_TOLERANCE * usual).all())

    def affine(self, pixel_spacing: Sequence[float]) -> Affine:
        """Return the affine (RAS+, mm) of the stack as (column, row, slice), slices evenly spaced.

        Args:
            pixel_spacing: Pixel Spacing (0028,0030): mm between rows, mm between columns.
        """
        lps = np.eye(4)
        lps[:3, 0] = self.axes[0] * pixel_spacing[1]
        lps[:3, 1] = self.axes[1] * pixel_spacing[0]
        lps[:3, 2] = self.step_mm
        lps[:3, 3] = self.first
        affine: Affine = _LPS_TO_RAS @ lps
        return affine


def stack(planes: Sequence[Plane], *, where: str) -> Stack:
    """Sort slices by their place and require that none is missing, doubled, turned or off the line.

    Raises:
        InputError: It is so; the error names the place.
    """
    if len(planes) < 2:
        raise InputError("has one slice only", where=where, remedy="give the whole series")
    axes, positions = _axes(planes, where), _positions(planes, where)
    normal = np.cross(axes[0], axes[1])
    places = positions @ normal
    order = np.argsort(places, kind="stable")
    places = places[order]
    _require_whole(places, where)
    beside, slant = _line(positions[order] @ axes.T, places, where)
    direction = normal + slant @ axes
    gap = (places[-1] - places[0]) / (len(places) - 1)
    return Stack(tuple(int(k) for k in order), places, beside @ axes + places[0] * direction, axes, gap * direction)


def require_even(one: Stack, *, where: str) -> None:
    """Refuse slices that lie unevenly by more than 5 %: a PET is not interpolated.

    Raises:
        InputError: They do.
    """
    if not one.is_even:
        gaps = np.diff(one.places_mm)
        found = f"has slices {gaps.min():.2f} to {gaps.max():.2f} mm apart"
        raise InputError(found, where=where, remedy="export an even series")


def evenly_spaced(data: NDArray[np.float32], places_mm: NDArray[np.float64]) -> NDArray[np.float32]:
    """Interpolate slices (first axis) linearly at as many even places between the first and the last.

    Example:
        >>> evenly_spaced(np.float32([[0], [1], [4]]), np.array([0.0, 1.0, 4.0])).ravel().tolist()
        [0.0, 2.0, 4.0]
    """
    wanted = np.linspace(places_mm[0], places_mm[-1], len(places_mm))
    index = np.interp(wanted, places_mm, np.arange(len(places_mm)))
    below = np.minimum(index.astype(int), len(places_mm) - 2)
    share = (index - below).astype(np.float32)[:, *([None] * (data.ndim - 1))]
    even: NDArray[np.float32] = data[below] * (1 - share) + data[below + 1] * share
    return even


def _axes(planes: Sequence[Plane], where: str) -> NDArray[np.float64]:
    cosines = [plane.orientation for plane in planes]
    if any(one is None or len(one) != 6 for one in cosines):
        raise InputError(f"has a slice without {_ORIENTATION}", where=where, remedy="export the original series")
    values = np.array(cosines, dtype=np.float64)
    if np.abs(values - values[0]).max() > _COSINE_TOLERANCE:
        raise InputError(f"has slices of different {_ORIENTATION}", where=where, remedy="export one series alone")
    axes: NDArray[np.float64] = values[0].reshape(2, 3)
    if np.abs(axes @ axes.T - np.eye(2)).max() > _COSINE_TOLERANCE:
        raise InputError(f"has no right angle in {_ORIENTATION}", where=where, remedy="export the original series")
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    return axes


def _positions(planes: Sequence[Plane], where: str) -> NDArray[np.float64]:
    positions = [plane.position for plane in planes]
    if any(one is None or len(one) != 3 for one in positions):
        raise InputError(f"has a slice without {_POSITION}", where=where, remedy="export the original series")
    return np.array(positions, dtype=np.float64)


def _require_whole(places: NDArray[np.float64], where: str) -> None:
    gaps = np.diff(places)
    usual = float(np.median(gaps))
    if usual <= 0.0 or (gaps < 0.1 * usual).any():
        doubled = places[int(np.argmin(gaps))]
        raise InputError(
            f"has several slices in one place, at {doubled:.1f} mm (perhaps a dynamic or gated series, or two "
            "reconstructions)",
            where=where,
            remedy="export one static series",
        )
    widest = int(np.argmax(gaps))
    if gaps[widest] > MISSING * usual:
        raise InputError(
            f"misses {round(gaps[widest] / usual) - 1} slices between {places[widest]:.1f} and "
            f"{places[widest + 1]:.1f} mm",
            where=where,
            remedy="export the series again",
        )


def _line(
    beside: NDArray[np.float64], places: NDArray[np.float64], where: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where the line through all slices lies in their plane, and its slant, which a tilted gantry causes.

    Medians, so that one wrong slice moves neither: it is found by its distance from the line.
    """
    slant = np.median(np.diff(beside, axis=0) / np.diff(places)[:, None], axis=0)
    upright = beside - slant * places[:, None]
    start: NDArray[np.float64] = np.median(upright, axis=0)
    off = np.abs(upright - start).max(axis=1)
    furthest = int(off.argmax())
    if off[furthest] > _SIDEWAYS_MM:
        raise InputError(
            f"has a slice at {places[furthest]:.1f} mm that lies {off[furthest]:.2f} mm beside the others: {_POSITION}",
            where=where,
            remedy="export the original series",
        )
    return start, slant
