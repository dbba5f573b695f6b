"""Where something lights up: the maxima of the PET near voxels that the network suspects, each with its catchment.

Touching lesions are parted at their saddle: h-maxima on the logarithm of the SUV, so that a height is a fraction of the
peak, then a watershed. Only the neighbourhood of suspected voxels is looked at, which keeps a whole body fast.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fedpsma.domain.study import Study, VoxelPrediction
from fedpsma.lesions.basins import basins
from fedpsma.lesions.geometry import (
    FACES_AND_EDGES,
    Box,
    Index,
    Mask,
    bounding_box,
    connected_to,
    grown,
    neighbourhood,
    voxels_in,
)

CORE_FRACTION = 0.5
"""The hot core of a focus: what hangs together with its peak at half the maximum and more."""

_FWHM_PER_SIGMA = 2.3548
_LEAST_SUSPECTED = 0.5


@dataclass(frozen=True)
class FocusOptions:
    """How foci are found.

    A voxel is suspected from probability ``suspected_from`` on. ``margin_mm`` is how far around suspected voxels a
    focus may reach. A maximum stands alone when the saddle to any hotter one lies at least the fraction
    ``saddle_drop`` below it, both taken after smoothing with a Gaussian of ``smoothing_mm`` (FWHM), so that noise does
    not part a large lesion: 26 real sarcomas fall into 4.9 pieces in the mean, without smoothing into 9.3. SUV
    under ``floor_suv`` is background; a focus needs at least ``min_suvmax``.
    """

    suspected_from: float = 0.2
    margin_mm: float = 10.0
    saddle_drop: float = 0.2
    smoothing_mm: float = 5.0
    floor_suv: float = 0.45
    min_suvmax: float = 1.0


@dataclass(frozen=True)
class Focus:
    """One maximum of the PET: ``basin`` (x, y, z, inside ``box``) is its catchment, ``peak`` its hottest voxel.

    ``peak`` is an index in the whole volume, ``suvmax`` the SUV there.
    """

    box: Box
    basin: Mask
    peak: Index
    suvmax: float

    @property
    def peak_in_box(self) -> Index:
        """The index of the hottest voxel inside ``box``."""
        x, y, z = (at - side.start for at, side in zip(self.peak, self.box, strict=True))
        return x, y, z

    def above(self, pet: NDArray[np.float32], threshold: float) -> Mask:
        """Return the voxels of the basin from ``threshold`` (SUV) on that hang together with the peak.

        ``pet`` is the whole volume; the result lies in ``box``. Empty where the peak is below the threshold.
        """
        if self.suvmax < threshold:
            return np.zeros_like(self.basin)
        return connected_to(self.basin & (pet[self.box] >= threshold), self.peak_in_box)


def find_foci(study: Study, prediction: VoxelPrediction, options: FocusOptions | None = None) -> tuple[Focus, ...]:
    """Return every focus that holds a suspected voxel, in the order of the volume; equal input gives equal foci."""
    options = options or FocusOptions()
    suspected = (prediction.suspicious >= options.suspected_from) & (study.pet >= options.floor_suv)
    core = bounding_box(suspected)
    if core is None:
        return ()
    box = grown(core, voxels_in(options.margin_mm, study.spacing_mm), study.pet.shape)
    near = neighbourhood(suspected[box], options.margin_mm, study.spacing_mm) & (study.pet[box] >= options.floor_suv)
    islands, _ = ndimage.label(near, structure=FACES_AND_EDGES)
    return tuple(
        focus
        for number, found in enumerate(ndimage.find_objects(islands), start=1)
        for focus in _foci_of_island(study, suspected, _inside(box, found), islands[found] == number, options)
    )


def _foci_of_island(study: Study, suspected: Mask, box: Box, island: Mask, options: FocusOptions) -> Iterator[Focus]:
    if study.pet[box][island].max() < options.min_suvmax:
        return
    smooth = ndimage.gaussian_filter(
        study.pet[box].astype(np.float64), [options.smoothing_mm / _FWHM_PER_SIGMA / step for step in study.spacing_mm]
    )
    height = np.log(np.maximum(smooth, options.floor_suv))
    parted = basins(height, island, -np.log1p(-options.saddle_drop))
    for number, found in enumerate(ndimage.find_objects(parted), start=1):
        inside = _inside(box, found)
        for small, part in _parts(study.pet[inside], suspected[inside], parted[found] == number):
            focus = _focus(study.pet, _inside(inside, small), part)
            if focus.suvmax >= options.min_suvmax:
                yield focus


def _parts(suv: NDArray[np.float32], suspected: Mask, basin: Mask) -> Iterator[tuple[Box, Mask]]:
    """Part a basin by what the network suspects in it, each part with the box that holds it.

    Where it suspects most of the hot core, the basin is one focus. Otherwise the top is something else (bladder,
    kidney), and each suspected piece on its slope is a focus of its own, with its own voxels alone.
    """
    inside = suspected & basin
    if not inside.any():
        return
    peak = _hottest(suv, basin)
    core = connected_to(basin & (suv >= CORE_FRACTION * suv[peak]), peak)
    if np.count_nonzero(inside & core) >= _LEAST_SUSPECTED * np.count_nonzero(core):
        yield (slice(0, basin.shape[0]), slice(0, basin.shape[1]), slice(0, basin.shape[2])), basin
        return
    pieces, _ = ndimage.label(inside, structure=FACES_AND_EDGES)
    for number, found in enumerate(ndimage.find_objects(pieces), start=1):
        yield found, pieces[found] == number


def _focus(pet: NDArray[np.float32], box: Box, part: Mask) -> Focus:
    x, y, z = (at + side.start for at, side in zip(_hottest(pet[box], part), box, strict=True))
    return Focus(box, part, (x, y, z), float(pet[x, y, z]))


def _hottest(pet: NDArray[np.float32], where: Mask) -> Index:
    x, y, z = np.unravel_index(int(np.argmax(np.where(where, pet, -np.inf))), pet.shape)
    return int(x), int(y), int(z)


def _inside(outer: Box, inner: Box) -> Box:
    x, y, z = (slice(o.start + i.start, o.start + i.stop) for o, i in zip(outer, inner, strict=True))
    return x, y, z
