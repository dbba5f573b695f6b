"""Laying the organs of a map over a parametric body."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fedpsma.phantom.anatomy import Anatomy
from fedpsma.phantom.boxes import bounding_box
from fedpsma.phantom.grid import Grid, sample_linear
from fedpsma.phantom.mapfit import OrganMap, map_organs, organ_number
from fedpsma.phantom.tables import tissue_classes, tissue_number, tissues

Labels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

# What an organ hides of bones and vessels comes to lie on its surface if it was no deeper than this.
_PUSH_MM = 20.0
_SKIN_MM = 14.0
_LEAST_GLAND_VOXELS = 3
_HALF = 0.5
_SOFT = ("outside", "fat", "muscle")


@dataclass(frozen=True)
class _Gland:
    """A gland of the map: its voxels, its tissue, and the voxels of the parametric gland that it replaces."""

    mask: Mask
    tissue: str
    own: Mask


def sample_inside(organ_map: OrganMap, grid: Grid) -> Labels:
    """Bring the organs of a map to another grid: a voxel belongs to an organ that fills half of it or more."""
    organs = np.zeros(grid.shape, dtype=np.uint8)
    for name in map_organs():
        box = bounding_box(organ_map.mask(name), margin=1)
        if box is not None:
            source = organ_map.grid.crop(box)
            low = np.array(source.origin_mm)
            target = grid.box(low, low + (np.array(source.shape) - 1) * source.spacing_mm)
            mask = organ_map.mask(name)[box].astype(np.float32)
            organs[target][sample_linear(mask, source, grid.crop(target)) >= _HALF] = organ_number(name)
    return organs


def stamp(anatomy: Anatomy, organs: Labels) -> Anatomy:
    """Return the body with these organs (x, y, z; numbers of :func:`organ_number`) in place of its own.

    Every voxel of the map's organs is kept. The parametric organs of the same name are cleared away; bones, vessels
    and other structures that the stamped organs hide are pushed to their surface, and skin is laid round what would
    stick out of the body.
    """
    glands = _glands(anatomy, organs)
    stamped = _stamped_tissue(anatomy, organs, glands)
    tissue = _cleared(anatomy, organs, stamped, glands)
    inside = stamped > 0
    hidden = _push_out(tissue, inside, anatomy.grid)
    tissue[inside] = stamped[inside]
    reach = int(np.ceil(_SKIN_MM / anatomy.grid.spacing_mm[0]))
    near = ndimage.binary_dilation(inside | hidden, iterations=reach)
    tissue[near & (tissue == tissue_number("outside"))] = tissue_number("fat")
    classes = np.where(tissue == anatomy.tissue, anatomy.classes, tissue_classes()[tissue])
    return replace(anatomy, tissue=tissue, classes=classes)


def _stamped_tissue(anatomy: Anatomy, organs: Labels, glands: list[_Gland]) -> Labels:
    """Return the tissue of each voxel of the map's organs, 0 elsewhere."""
    stamped = np.zeros_like(anatomy.tissue)
    for name, organ in map_organs().items():
        stamped[organs == organ_number(name)] = tissue_number(organ.tissues[0])
    wall = tissue_number("myocardium")
    stamped[(organs == organ_number("heart")) & (anatomy.tissue == wall)] = wall
    if anatomy.parameters.prostate == "removed":
        stamped[organs == organ_number("prostate")] = tissue_number("prostate_bed")
    for gland in glands:
        stamped[gland.mask] = tissue_number(gland.tissue)
    return stamped


def _glands(anatomy: Anatomy, organs: Labels) -> list[_Gland]:
    """Tell which glands the map holds by the parametric glands nearest to them."""
    own = [
        (name, parts == number, np.array(ndimage.center_of_mass(parts == number)))
        for name in map_organs()["head_glands"].tissues
        for parts, count in [ndimage.label(anatomy.tissue == tissue_number(name))]
        for number in range(1, count + 1)
    ]
    parts, count = ndimage.label(organs == organ_number("head_glands"))
    found = []
    for number in range(1, count + 1):
        mask = parts == number
        if own and mask.sum() >= _LEAST_GLAND_VOXELS:
            distances = [float(np.linalg.norm(ndimage.center_of_mass(mask) - centre)) for _, _, centre in own]
            name, nearest, _ = own[int(np.argmin(distances))]
            found.append(_Gland(mask, name, nearest))
    return found


def _cleared(anatomy: Anatomy, organs: Labels, stamped: Labels, glands: list[_Gland]) -> Labels:
    """Return the parametric tissues without the organs that the map brings."""
    tissue = anatomy.tissue.copy()
    for name, organ in map_organs().items():
        if name != "head_glands" and (organs == organ_number(name)).any():
            numbers = [tissue_number(one) for one in organ.tissues]
            tissue[np.isin(tissue, numbers) & (stamped == 0)] = tissue_number(organ.filler)
    for gland in glands:
        tissue[gland.own] = tissue_number(map_organs()["head_glands"].filler)
    return tissue


def _push_out(tissue: Labels, inside: Mask, grid: Grid) -> Mask:
    """Move what the stamped organs hide to the nearest soft voxel outside them; return where it went."""
    brought = {name for organ in map_organs().values() for name in organ.tissues}
    firm = np.array([one.name not in brought and one.name not in _SOFT for one in tissues()])
    depth, nearest = ndimage.distance_transform_edt(inside, sampling=grid.spacing_mm, return_indices=True)
    hidden = inside & firm[tissue] & (depth <= _PUSH_MM)
    place = tuple(axis[hidden] for axis in nearest)
    soft = np.isin(tissue[place], [tissue_number(name) for name in _SOFT])
    place = tuple(axis[soft] for axis in place)
    tissue[place] = tissue[hidden][soft]
    moved = np.zeros_like(inside)
    moved[place] = True
    return moved
