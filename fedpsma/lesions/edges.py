"""Where a tumour ends, as a reader draws it: half way between its mean uptake and that of what lies around it.

The threshold is found by iterative selection (Ridler and Calvard 1978, IEEE Trans Syst Man Cybern 8:630): the mean of
what lies above a threshold and the background around it give the next one, until it stands. It adapts to faint and to
large uneven tumours, where a fixed SUV or a fraction of the hottest voxel finds too little; a reader's outline also
takes in necrosis, so that holes and narrow gaps are closed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fedpsma.lesions.foci import CORE_FRACTION, Focus
from fedpsma.lesions.geometry import FACES_AND_EDGES, Box, Mask, grown, voxels_in

Spacing = tuple[float, float, float]

_START_FRACTION = 0.41
_ROUNDS = 30
_SETTLED_SUV = 1e-3
_BODY_SUV = 0.2


@dataclass(frozen=True)
class EdgeOptions:
    """How an edge is found.

    The threshold lies at the fraction ``contrast`` of the way from the background (the median of a shell that begins
    ``shell_from_mm`` outside the tumour, beyond its blur, and ends at ``shell_to_mm``) to the mean of the tumour. Gaps
    up to twice ``closing_mm`` wide are closed.
    """

    contrast: float = 0.5
    shell_from_mm: float = 8.0
    shell_to_mm: float = 25.0
    closing_mm: float = 8.0


def join(foci: Sequence[Focus], pet: NDArray[np.float32]) -> tuple[tuple[int, ...], ...]:
    """Return which foci are maxima of one tumour, as tuples of places in ``foci``.

    Two that touch belong together where the PET (SUV, whole volume) falls nowhere between them below half the maximum
    of the lower one, so that their hot cores meet.
    """
    if not foci:
        return ()
    owner = np.zeros(pet.shape, dtype=np.int32)
    for number, focus in enumerate(foci, start=1):
        owner[focus.box][focus.basin] = number
    tops = np.array([np.inf, *(focus.suvmax for focus in foci)])
    pairs = np.concatenate([_meetings(owner, pet, tops, axis) for axis in range(3)])
    graph = coo_array((np.ones(len(pairs)), tuple(pairs.T - 1)), shape=(len(foci), len(foci)))
    count, group = connected_components(graph, directed=False)
    return tuple(tuple(np.flatnonzero(group == number).tolist()) for number in range(count))


def _meetings(
    owner: NDArray[np.int32], pet: NDArray[np.float32], tops: NDArray[np.float64], axis: int
) -> NDArray[np.int32]:
    """Return the pairs (n, 2) of foci that meet along an axis above half the maximum of the lower one."""
    here, there = (tuple(part if at == axis else slice(None) for at in range(3)) for part in _BESIDE)
    one, other = owner[here], owner[there]
    at = np.nonzero((one != other) & (one > 0) & (other > 0))
    one, other = one[at], other[at]
    saddle = np.minimum(pet[here][at], pet[there][at])
    return np.column_stack([one, other])[saddle >= CORE_FRACTION * np.minimum(tops[one], tops[other])]


_BESIDE = (slice(None, -1), slice(1, None))


def tumour_outlines(
    foci: Sequence[Focus], pet: NDArray[np.float32], spacing_mm: Spacing, options: EdgeOptions | None = None
) -> tuple[Mask, ...]:
    """Outline one tumour with one or several foci; returns each focus' share of it, a mask inside its box.

    Holes and gaps that lie in no focus' basin are left out of the shares.

    Args:
        foci: The foci of the tumour; see :func:`join`.
        pet: The PET (x, y, z) in SUV, whole.
        spacing_mm: Voxel edge lengths.
        options: How the edge is found.
    """
    options = options or EdgeOptions()
    box = grown(_around(foci), voxels_in(options.shell_to_mm, spacing_mm), pet.shape)
    catchment = np.zeros([side.stop - side.start for side in box], dtype=bool)
    for focus in foci:
        catchment[_inside(box, focus.box)] |= focus.basin
    tumour = _above_background(_Scene(pet[box], catchment, tuple(_peaks(foci, box)), spacing_mm), options)
    whole = _closed(tumour, options.closing_mm, spacing_mm)
    return tuple(focus.basin & whole[_inside(box, focus.box)] for focus in foci)


@dataclass(frozen=True)
class _Scene:
    """The neighbourhood of a tumour: its PET, where the tumour may lie, and the hottest voxels of its foci."""

    suv: NDArray[np.float32]
    catchment: Mask
    peaks: tuple[tuple[int, int, int], ...]
    spacing_mm: Spacing

    def above(self, threshold: float) -> Mask:
        """Return what hangs together with a peak from a threshold on."""
        labels, count = ndimage.label(self.catchment & (self.suv >= threshold), structure=FACES_AND_EDGES)
        wanted = np.zeros(count + 1, dtype=bool)
        wanted[[labels[peak] for peak in self.peaks]] = True
        wanted[0] = False
        return np.asarray(wanted[labels])

    def background(self, tumour: Mask, threshold: float, options: EdgeOptions) -> float:
        """Return the median SUV of the body in the shell round the tumour; 0 where there is none."""
        distance = ndimage.distance_transform_edt(~tumour, sampling=self.spacing_mm)
        shell = (distance > options.shell_from_mm) & (distance <= options.shell_to_mm)
        values = self.suv[shell & (self.suv > _BODY_SUV) & (self.suv < threshold)]
        return float(np.median(values)) if values.size else 0.0


def _above_background(scene: _Scene, options: EdgeOptions) -> Mask:
    """Select iteratively: threshold, mean and background, next threshold."""
    threshold = _START_FRACTION * max(float(scene.suv[peak]) for peak in scene.peaks)
    tumour = scene.above(threshold)
    for _ in range(_ROUNDS):
        background = scene.background(tumour, threshold, options)
        mean = float(scene.suv[tumour].mean(dtype=np.float64))
        following = background + options.contrast * (mean - background)
        if abs(following - threshold) < _SETTLED_SUV:
            break
        threshold, tumour = following, scene.above(following)
    return tumour


def _closed(mask: Mask, reach_mm: float, spacing_mm: Spacing) -> Mask:
    """Close gaps and fill holes, also such as are holes in one axial, coronal or sagittal slice alone."""
    margin = voxels_in(reach_mm, spacing_mm)
    padded = np.pad(mask, [(more, more) for more in margin])
    far = ndimage.distance_transform_edt(~padded, sampling=spacing_mm) > reach_mm
    closed = ndimage.distance_transform_edt(~far, sampling=spacing_mm) > reach_mm
    inner = closed[tuple(slice(more, size - more) for more, size in zip(margin, padded.shape, strict=True))] | mask
    for axis in range(3):
        for plane in np.moveaxis(inner, axis, 0):
            plane[...] = ndimage.binary_fill_holes(plane)
    return np.asarray(inner)


def _peaks(foci: Sequence[Focus], box: Box) -> Iterator[tuple[int, int, int]]:
    for focus in foci:
        x, y, z = (at - side.start for at, side in zip(focus.peak, box, strict=True))
        yield x, y, z


def _around(foci: Sequence[Focus]) -> Box:
    """Return the box that holds the boxes of all foci."""
    x, y, z = (
        slice(min(side.start for side in sides), max(side.stop for side in sides))
        for sides in zip(*(focus.box for focus in foci), strict=True)
    )
    return x, y, z


def _inside(outer: Box, inner: Box) -> Box:
    x, y, z = (slice(i.start - o.start, i.stop - o.start) for o, i in zip(outer, inner, strict=True))
    return x, y, z
