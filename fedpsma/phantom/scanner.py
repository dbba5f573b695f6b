"""Image formation: from a body, its uptake and its foci to the PET (SUV) on a site's grid.

The fast level: Gaussian resolution with the edge enhancement of resolution modelling, respiratory blur, correlated
noise with a set coefficient of variation in the liver. No sinogram is simulated. :mod:`fedpsma.phantom.ct` makes the
CT.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize, stats

from fedpsma.domain.study import FloatVolume
from fedpsma.domain.tracer import Tracer
from fedpsma.phantom.anatomy import Anatomy
from fedpsma.phantom.breathing import focus_motion_mm, height_share, tissue_mobility
from fedpsma.phantom.grid import Grid, sample_linear, sample_nearest
from fedpsma.phantom.lesions import lesion_table
from fedpsma.phantom.placement import FINE_MM, FocusShape
from fedpsma.phantom.scanner_table import scanner_table
from fedpsma.phantom.sites import SiteProfile

FWHM_PER_SIGMA = 2.3548
# Gaussians are cut at this many sigma.
_TRUNCATE = 2.7
# A point that moves like a sine from top to bottom by 1 mm spreads with this SD.
_SINE_SD = 1 / (2 * np.sqrt(2))

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class CtSetting:
    """How the CT of a study was taken.

    ``enhancement`` is the share of the usual contrast enhancement (0 without contrast), ``breath_mm`` how far the
    diaphragm lies above its middle on the PET, ``motion_mm`` how far the patient moved since.
    """

    kind: Literal["contrast", "low_dose"]
    noise_hu: float
    enhancement: float
    breath_mm: float
    motion_mm: Vector


@dataclass(frozen=True)
class Exposure:
    """How one study was taken: resolution (FWHM in mm), noise in the liver, amplitude of breathing in mm, CT.

    ``overshoot`` is the share by which a straight edge overshoots.
    """

    psf_mm: float
    overshoot: float
    liver_cv: float
    noise_fwhm_mm: float
    breathing_mm: float
    ct: CtSetting | None

    @property
    def margin_mm(self) -> float:
        """How far the blur of a focus reaches beyond it."""
        narrow, wide, _ = response_widths(self.psf_mm, self.overshoot)
        return 2.3 * (wide if self.overshoot else narrow) + FINE_MM


@dataclass(frozen=True)
class ImagedFocus:
    """A focus on the site's grid, inside ``box``: how much of each voxel it fills, and what SUV it adds there.

    ``suvmax`` is the true SUV: for a lesion the drawn one, or more where it would not have stood out.
    """

    shape: FocusShape
    box: tuple[slice, slice, slice]
    occupancy: NDArray[np.float32]
    signal: NDArray[np.float32]
    suvmax: float
    motion_mm: float


def draw_exposure(rng: np.random.Generator, site: SiteProfile, tracer: Tracer) -> Exposure:
    """Draw how a study of the site was taken; the positron range adds to the resolution."""
    table = scanner_table()
    log_counts = rng.normal(0, table.noise.counts_log_sd)
    cv = float(np.clip(site.liver_cv * np.exp(-log_counts / 2), *table.noise.cv_range))
    return Exposure(
        psf_mm=float(np.hypot(site.psf_mm, table.positron_range_mm.fwhm_mm(tracer.facts.radionuclide))),
        overshoot=site.overshoot,
        liver_cv=cv,
        noise_fwhm_mm=site.noise_fwhm_mm,
        breathing_mm=float(rng.uniform(*table.breathing.amplitude_mm)),
        ct=_draw_ct_setting(rng, site),
    )


def _draw_ct_setting(rng: np.random.Generator, site: SiteProfile) -> CtSetting | None:
    table = scanner_table()
    limits = table.registration
    breath = float(np.clip(rng.normal(0, limits.breath_sd_mm), -limits.breath_max_mm, limits.breath_max_mm))
    motion = rng.normal(0, limits.motion_sd_mm, 3)
    motion *= min(1.0, limits.motion_max_mm / float(np.linalg.norm(motion)))
    enhancement = float(np.clip(rng.normal(1, table.ct.enhancement_sd), 0.4, 1.6))
    if site.ct is None:
        return None
    moved = (float(motion[0]), float(motion[1]), float(motion[2]))
    return CtSetting(site.ct, site.ct_noise_hu, enhancement if site.ct == "contrast" else 0.0, breath, moved)


def image_background(anatomy: Anatomy, activity: NDArray[np.float32], exposure: Exposure, grid: Grid) -> FloatVolume:
    """Return the noise-free PET of the normal body on a site's grid.

    ``activity`` is the true SUV of each tissue label, or a volume (x, y, z) of it on the working grid.
    """
    working = anatomy.grid.spacing_mm[0]
    volume = activity.copy() if activity.ndim == anatomy.tissue.ndim else activity[anatomy.tissue]
    volume = _breathe(volume, anatomy, exposure.breathing_mm)
    return sample_linear(_respond(volume, exposure, working), anatomy.grid, grid)


def image_focus(
    shape: FocusShape, anatomy: Anatomy, activity: NDArray[np.float32], exposure: Exposure, grid: Grid
) -> ImagedFocus:
    """Return what a focus adds to the background on a site's grid."""
    focus = shape.placed.focus
    below = activity[sample_nearest(anatomy.tissue, anatomy.grid, shape.grid)]
    around = float((shape.occupancy * below).sum() / max(float(shape.occupancy.sum()), 1e-6))
    suvmax = max(focus.suvmax, lesion_table().suvmax.least_contrast * around) if focus.suspicious else focus.suvmax
    motion = focus_motion_mm(shape.placed, anatomy, exposure.breathing_mm)
    sigma = motion * _SINE_SD / FINE_MM
    pad = int(np.ceil(_TRUNCATE * sigma))
    fine = _padded(shape.grid, pad)
    occupancy = np.pad(shape.occupancy, ((0, 0), (0, 0), (pad, pad)))
    excess = np.pad(shape.occupancy * (np.float32(suvmax) - below), ((0, 0), (0, 0), (pad, pad)))
    if sigma:
        excess = ndimage.gaussian_filter1d(excess, sigma, axis=2, truncate=_TRUNCATE, mode="constant")
    start = np.array(fine.origin_mm)
    box = grid.box(start, start + (np.array(fine.shape) - 1) * FINE_MM)
    target = grid.crop(box)
    signal = sample_linear(_respond(excess, exposure, FINE_MM), fine, target)
    if not focus.suspicious and signal.size and signal.max() > 0:
        # The uptake of benign foci is published as measured, so the blur is made good for.
        signal *= max(suvmax - around, 0.0) / float(signal.max())
    return ImagedFocus(shape, box, sample_linear(occupancy, fine, target), signal, suvmax, motion)


def _padded(grid: Grid, count: int) -> Grid:
    """Return the grid with so many more voxels below and above."""
    x, y, z = grid.origin_mm
    shape = (grid.shape[0], grid.shape[1], grid.shape[2] + 2 * count)
    return Grid(shape, grid.spacing_mm, (x, y, z - count * grid.spacing_mm[2]))


def add_foci(background: FloatVolume, foci: Sequence[ImagedFocus]) -> FloatVolume:
    """Return the noise-free PET of the whole patient."""
    volume = background.copy()
    for focus in foci:
        volume[focus.box] += focus.signal
    return np.maximum(volume, 0, out=volume)


def add_noise(
    rng: np.random.Generator, pet: FloatVolume, liver_suv: float, exposure: Exposure, grid: Grid
) -> FloatVolume:
    """Return the PET with correlated noise that grows with the uptake, with the set variation in the liver.

    The noise is log-normal with mean 1, as that of iterative reconstruction (Barrett, Wilson and Tsui 1994): never
    negative, and without bias where little is taken up.
    """
    noise = rng.standard_normal(pet.shape, dtype=np.float32)
    sigma = [exposure.noise_fwhm_mm / FWHM_PER_SIGMA / edge for edge in grid.spacing_mm]
    noise = _smooth(noise, sigma)
    noise /= noise.std()
    floor = np.float32(1e-3 * liver_suv)
    cv = np.maximum(pet, floor)
    cv /= np.float32(liver_suv)
    np.power(cv, np.float32(scanner_table().noise.power - 1), out=cv)
    cv *= np.float32(exposure.liver_cv)
    variance = np.log1p(np.square(cv, out=cv), out=cv)
    noise *= np.sqrt(variance)
    variance *= np.float32(0.5)
    noise -= variance
    np.exp(noise, out=noise)
    noise *= pet
    return noise


@cache
def response_widths(fwhm_mm: float, overshoot: float) -> tuple[float, float, float]:
    """Return the SDs (mm) of the two blurs whose weighted difference is the scanner's response, and the weight.

    The response to an edge is (1 + weight) times the narrow blur less weight times the wide one: it has the slope of a
    Gaussian of this FWHM and overshoots by this share.

    Example:
        >>> [round(one, 3) for one in response_widths(6.0, 0.0)]
        [2.548, 4.077, 0.0]
    """
    sigma, ratio = fwhm_mm / FWHM_PER_SIGMA, scanner_table().enhancement.width_ratio
    if not overshoot:
        return sigma, sigma * ratio, 0.0
    x = np.linspace(0, 6, 601)
    beyond, wide_beyond = stats.norm.sf(x), stats.norm.sf(x / ratio)

    def error(weight: float) -> float:
        return float((weight * wide_beyond - (1 + weight) * beyond).max()) - overshoot

    weight = float(optimize.brentq(error, 0.01, 20.0))
    narrow = sigma * (1 + weight - weight / ratio)
    return narrow, narrow * ratio, weight


def _respond(volume: NDArray[np.float32], exposure: Exposure, spacing_mm: float) -> NDArray[np.float32]:
    """Blur with the scanner's resolution, and sharpen edges the way resolution modelling does.

    The voxels themselves (a box) and the linear interpolation that follows blur too; that much is left out.
    """
    narrow, wide, weight = response_widths(exposure.psf_mm, exposure.overshoot)
    plain = _smooth(volume, [_left_to_blur(narrow, spacing_mm)] * 3)
    if not weight:
        return plain
    sharp = _smooth(volume, [_left_to_blur(wide, spacing_mm)] * 3)
    sharp *= np.float32(-weight)
    sharp += np.float32(1 + weight) * plain
    plain *= np.float32(scanner_table().enhancement.least_kept)
    return np.maximum(sharp, plain, out=sharp)


def _left_to_blur(sigma_mm: float, spacing_mm: float) -> float:
    """Return the SD in voxels that is missing after what the voxels blur themselves."""
    return float(np.sqrt(max(sigma_mm**2 - spacing_mm**2 / 12 - spacing_mm**2 / 6, 0.0))) / spacing_mm


def _smooth(volume: NDArray[np.float32], sigma: Sequence[float]) -> NDArray[np.float32]:
    return np.asarray(ndimage.gaussian_filter(volume, sigma, truncate=_TRUNCATE, mode="nearest"), dtype=np.float32)


def _breathe(volume: NDArray[np.float32], anatomy: Anatomy, amplitude_mm: float) -> NDArray[np.float32]:
    """Blur along z what the diaphragm moves; bones and the wall of the body stay."""
    share = height_share(anatomy)
    moving = np.flatnonzero(share)
    if not len(moving) or not amplitude_mm:
        return volume
    slab = slice(moving[0], moving[-1] + 1)
    sigma = amplitude_mm * _SINE_SD / anatomy.grid.spacing_mm[2]
    moved = ndimage.gaussian_filter1d(volume[:, :, slab], sigma, axis=2, truncate=_TRUNCATE)
    moved -= volume[:, :, slab]
    moved *= tissue_mobility()[anatomy.tissue[:, :, slab]]
    moved *= share[slab]
    volume[:, :, slab] += moved
    return volume
