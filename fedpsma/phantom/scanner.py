"""Image formation: from a body, its uptake and its foci to PET (SUV) and CT (HU) on a site's grid.

The fast level: Gaussian resolution, respiratory blur, edge overshoot, correlated noise with a set coefficient of
variation in the liver. No sinogram is simulated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fedpsma.domain.study import FloatVolume
from fedpsma.domain.tracer import Tracer
from fedpsma.phantom.anatomy import Anatomy
from fedpsma.phantom.grid import Grid, sample_linear, sample_nearest
from fedpsma.phantom.placement import FINE_MM, FocusShape
from fedpsma.phantom.sites import SiteProfile
from fedpsma.phantom.tables import tissues

FWHM_PER_SIGMA = 2.3548
_POSITRON_RANGE_MM = {"Ga-68": 2.4, "F-18": 0.0}
_OVERSHOOT_WIDTH = 1.8
# The SD of the noise grows with this power of the uptake: counting alone gives 0.5, iterative reconstruction near 1.
_NOISE_POWER = 0.75
_CORTEX_HU = 330.0
# Where breathing moves organs, standard mm: nothing below and above, everything in between.
_BREATHING_Z = ([215, 290, 370, 420], [0.0, 1.0, 1.0, 0.0])


@dataclass(frozen=True)
class Exposure:
    """How one study was taken: resolution (FWHM in mm), noise in the liver, amplitude of breathing in mm."""

    psf_mm: float
    overshoot: float
    liver_cv: float
    noise_fwhm_mm: float
    breathing_mm: float

    @property
    def margin_mm(self) -> float:
        """How far the blur of a focus reaches beyond it."""
        return 1.1 * self.psf_mm + FINE_MM


@dataclass(frozen=True)
class ImagedFocus:
    """A focus on the site's grid, inside ``box``: how much of each voxel it fills, and what SUV it adds there."""

    shape: FocusShape
    box: tuple[slice, slice, slice]
    occupancy: NDArray[np.float32]
    signal: NDArray[np.float32]


def draw_exposure(rng: np.random.Generator, site: SiteProfile, tracer: Tracer) -> Exposure:
    """Draw how a study of the site was taken; the positron range adds to the resolution."""
    return Exposure(
        psf_mm=float(np.hypot(site.psf_mm, _POSITRON_RANGE_MM[tracer.facts.radionuclide])),
        overshoot=site.overshoot,
        liver_cv=site.liver_cv * float(np.exp(np.clip(rng.normal(0, 0.07), -0.14, 0.14))),
        noise_fwhm_mm=site.noise_fwhm_mm,
        breathing_mm=float(rng.uniform(5, 15)),
    )


def image_background(anatomy: Anatomy, activity: NDArray[np.float32], exposure: Exposure, grid: Grid) -> FloatVolume:
    """Return the noise-free PET of the normal body on a site's grid; ``activity`` is the SUV of each tissue label."""
    working = anatomy.grid.spacing_mm[0]
    volume = _breathe(activity[anatomy.tissue], anatomy, exposure.breathing_mm)
    return sample_linear(_respond(volume, exposure, working), anatomy.grid, grid)


def image_focus(
    shape: FocusShape, anatomy: Anatomy, activity: NDArray[np.float32], exposure: Exposure, grid: Grid
) -> ImagedFocus:
    """Return what a focus adds to the background on a site's grid."""
    fine = shape.grid
    below = activity[sample_nearest(anatomy.tissue, anatomy.grid, fine)]
    excess = shape.occupancy * (np.float32(shape.placed.focus.suvmax) - below)
    start = np.array(fine.origin_mm)
    box = grid.box(start, start + (np.array(fine.shape) - 1) * FINE_MM)
    target = grid.crop(box)
    signal = sample_linear(_respond(excess, exposure, FINE_MM), fine, target)
    if not shape.placed.focus.suspicious and signal.size and signal.max() > 0:
        # The uptake of benign foci is published as measured, so the blur is made good for.
        signal *= excess.max() / signal.max()
    return ImagedFocus(shape, box, sample_linear(shape.occupancy, fine, target), signal)


def add_foci(background: FloatVolume, foci: Sequence[ImagedFocus]) -> FloatVolume:
    """Return the noise-free PET of the whole patient."""
    volume = background.copy()
    for focus in foci:
        volume[focus.box] += focus.signal
    return np.maximum(volume, 0, out=volume)


def add_noise(
    rng: np.random.Generator, pet: FloatVolume, liver_suv: float, exposure: Exposure, grid: Grid
) -> FloatVolume:
    """Return the PET with correlated noise that grows with the uptake, with the set variation in the liver."""
    noise = rng.standard_normal(pet.shape, dtype=np.float32)
    sigma = [exposure.noise_fwhm_mm / FWHM_PER_SIGMA / edge for edge in grid.spacing_mm]
    noise = _smooth(noise, sigma)
    noise *= np.float32(exposure.liver_cv * liver_suv / noise.std())
    noise *= (pet / np.float32(liver_suv)) ** np.float32(_NOISE_POWER)
    noise += pet
    return np.maximum(noise, 0, out=noise)


def image_ct(
    rng: np.random.Generator, anatomy: Anatomy, foci: Sequence[ImagedFocus], site: SiteProfile, grid: Grid
) -> FloatVolume | None:
    """Return the CT in HU on the PET grid, or ``None`` where the site has none."""
    if site.ct is None:
        return None
    hu = np.array([t.hu_contrast if site.ct == "contrast" else t.hu for t in tissues()], dtype=np.float32)
    working = hu[anatomy.tissue]
    working += _CORTEX_HU * _cortex(anatomy)
    volume = sample_linear(working, anatomy.grid, grid)
    for focus in foci:
        density = focus.shape.placed.focus.hu
        if density is not None:
            volume[focus.box] += focus.occupancy * (np.float32(density) - volume[focus.box])
    inside = volume > -950
    volume += inside * np.float32(site.ct_noise_hu) * rng.standard_normal(volume.shape, dtype=np.float32)
    return np.clip(np.rint(volume, out=volume), -1024, 3071, out=volume)


def _respond(volume: NDArray[np.float32], exposure: Exposure, spacing_mm: float) -> NDArray[np.float32]:
    """Blur with the scanner's resolution; overshoot sharpens edges the way resolution modelling does.

    The voxels themselves (a box) and the linear interpolation that follows blur too; that much is left out.
    """
    variance = (exposure.psf_mm / FWHM_PER_SIGMA) ** 2 - spacing_mm**2 / 12 - spacing_mm**2 / 6
    sigma = float(np.sqrt(max(variance, 0.0))) / spacing_mm
    blurred = _smooth(volume, [sigma] * 3)
    if exposure.overshoot:
        wider = _smooth(blurred, [max(_OVERSHOOT_WIDTH * sigma, 0.6)] * 3)
        blurred += np.float32(exposure.overshoot) * (blurred - wider)
    return blurred


def _smooth(volume: NDArray[np.float32], sigma: Sequence[float]) -> NDArray[np.float32]:
    return np.asarray(ndimage.gaussian_filter(volume, sigma, truncate=2.7, mode="nearest"), dtype=np.float32)


def _breathe(volume: NDArray[np.float32], anatomy: Anatomy, amplitude_mm: float) -> NDArray[np.float32]:
    """Blur along z where the diaphragm moves organs; a sine of that amplitude spreads like a third of it."""
    height = anatomy.grid.axes[2] / np.float32(anatomy.parameters.scale[2])
    share = np.interp(height, *_BREATHING_Z).astype(np.float32)
    moving = np.flatnonzero(share)
    if not len(moving):
        return volume
    slab = slice(moving[0], moving[-1] + 1)
    sigma = amplitude_mm / (2 * np.sqrt(2)) / anatomy.grid.spacing_mm[2]
    moved = ndimage.gaussian_filter1d(volume[:, :, slab], sigma, axis=2, truncate=2.7)
    volume[:, :, slab] += share[slab] * (moved - volume[:, :, slab])
    return volume


def _cortex(anatomy: Anatomy) -> NDArray[np.bool_]:
    """Surface voxels of long and flat bones, where the dense cortex lies."""
    dense = np.array([t.name in _CORTICAL for t in tissues()])[anatomy.tissue]
    core = dense.copy()
    for axis in range(3):
        for step in (1, -1):
            core &= np.roll(dense, step, axis)
    return np.asarray(dense & ~core)


_CORTICAL = ("femur", "humerus", "pelvic_bone", "thoracic_spine", "lumbar_spine", "cervical_spine", "sacrum")
