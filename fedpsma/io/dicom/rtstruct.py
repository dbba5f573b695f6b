"""Regions of interest of an RT Structure Set (RTSTRUCT) and where their voxels lie on a PET grid."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import RawDataElement
from skimage.measure import points_in_poly

from fedpsma.errors import InputError
from fedpsma.io.dicom.lesion_object import (
    LesionObject,
    Patch,
    Points,
    index_box,
    is_lesion_code,
    is_lesion_interpretation,
)
from fedpsma.io.dicom.tags import Tags, parsing, read_tags, tag_name
from fedpsma.io.nifti import Volume

CLOSED = {"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"}
SEQUENCES = ("StructureSetROISequence", "ROIContourSequence", "RTROIObservationsSequence")
UNDEFINED_LENGTH = 0xFFFFFFFF
# Contours whose planes are closer than this lie in one plane: files write coordinates with two or more decimals.
SAME_PLANE_MM = 0.1
# A contour whose points leave its plane by more than this is not planar.
FLATNESS_MM = 0.5
# No PET or CT has slices further apart; a wider gap separates two parts of a region.
WIDEST_SPACING_MM = 10.0
# Scanner coordinates stay within a few metres.
FARTHEST_MM = 1e5
_LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class _Slab:
    """All contours of one plane: polygons (n, 2) along the plane's axes, and the part of its normal it stands for.

    ``low`` belongs to the slab, ``high`` to the next one, so that no voxel is lost between two or counted twice.
    """

    low: float
    high: float
    polygons: tuple[Points, ...]


def read_regions(path: Path) -> list[LesionObject]:
    """Read the regions of interest of an RTSTRUCT that have closed planar contours, or none at all.

    Raises:
        InputError: The file is damaged.
    """
    tags = read_tags(path)
    _require_whole(tags)
    for keyword in SEQUENCES:
        if not tags.items(keyword):
            raise InputError(f"has no {tag_name(keyword)}", where=str(path), remedy="export or copy it again")
    lesions = {_reference(item) for item in tags.items("RTROIObservationsSequence") if _is_lesion(item)}
    contours: dict[int, list[Tags]] = defaultdict(list)
    for item in tags.items("ROIContourSequence"):
        contours[_reference(item)].extend(item.items("ContourSequence"))
    return [
        LesionObject(
            kind="RTSTRUCT",
            number=number,
            name=region.text("ROIName") or "",
            says_lesion=number in lesions,
            frame_of_reference=region.text("ReferencedFrameOfReferenceUID"),
            where=str(path),
            draw=partial(_draw, tuple(contours[number]), number),
        )
        for region in tags.items("StructureSetROISequence")
        for number in [_number(region, "ROINumber")]
    ]


def _require_whole(tags: Tags) -> None:
    """Refuse a file that ends within a value, which pydicom decodes as far as it goes."""
    with parsing(tags.where):
        # Iterating the data set itself would decode every value.
        stored = [tags.dataset.get_item(tag) for tag in list(tags.dataset.keys())]
    for one in stored:
        raw = isinstance(one, RawDataElement) and one.length != UNDEFINED_LENGTH
        if raw and len(one.value or b"") < one.length:
            raise InputError(f"ends within {one.tag}", where=tags.where, remedy="export or copy it again")


def _number(item: Tags, keyword: str) -> int:
    value = item.number(keyword)
    if value is None:
        raise InputError(f"has an item without {tag_name(keyword)}", where=item.where, remedy="export or copy it again")
    return int(value)


def _reference(item: Tags) -> int:
    return _number(item, "ReferencedROINumber")


def _is_lesion(observation: Tags) -> bool:
    codes = observation.items("RTROIIdentificationCodeSequence")
    coded = any(is_lesion_code(f"{code.text('CodingSchemeDesignator')} {code.text('CodeValue')}") for code in codes)
    return coded or is_lesion_interpretation(observation.text("RTROIInterpretedType") or "")


def _draw(contours: tuple[Tags, ...], number: int, pet: Volume) -> Patch:
    rings = [ring for contour in contours if contour.text("ContourGeometricType") in CLOSED for ring in _ring(contour)]
    # The same contour stored twice would cancel itself out.
    rings = list({ring.tobytes(): ring for ring in rings}.values())
    if not rings:
        return Patch((slice(0), slice(0), slice(0)), np.zeros((0, 0, 0), bool))
    axes = _plane_axes(rings)
    slabs = _slabs([ring @ axes.T for ring in rings], axes, pet, f"{contours[0].where}, ROI {number}")
    box, clipped = index_box(np.concatenate([_corners(slab) for slab in slabs]) @ axes, pet)
    mask = np.zeros(tuple(part.stop - part.start for part in box), bool)
    for slab in slabs:
        _fill(mask, slab, axes, Volume(pet.data[box], pet.affine @ _shift(box)))
    return Patch(box, mask, clipped)


def _ring(contour: Tags) -> list[Points]:
    """Return the points (n, 3) in mm, RAS+; nothing where there are too few for an area."""
    where = f"{contour.where}, {tag_name('ContourData')}"
    with parsing(where, "cannot be read"):
        points = np.array(_numbers(contour), dtype=np.float64).reshape(-1, 3) * _LPS_TO_RAS
    if not (np.abs(points) < FARTHEST_MM).all():
        raise InputError("holds a point out of this world", where=where, remedy="export or copy it again")
    return [points] if len(points) >= 3 else []


def _numbers(contour: Tags) -> Sequence[float]:
    """Decode ContourData; of text that pydicom has not touched this is many times faster than its own decoding."""
    stored = contour.dataset.get_item("ContourData")
    if isinstance(stored, RawDataElement):
        return [float(number) for number in stored.value.decode("ascii").split("\\")] if stored.value else []
    return stored.value or () if stored else ()


def _plane_axes(rings: list[Points]) -> NDArray[np.float64]:
    """Return two axes within the planes of the contours and, last, their common normal, as rows."""
    centred = np.concatenate([ring - ring.mean(axis=0) for ring in rings])
    axes: NDArray[np.float64] = np.linalg.svd(centred, full_matrices=False)[2]
    return axes


def _slabs(rings: list[Points], axes: NDArray[np.float64], pet: Volume, where: str) -> list[_Slab]:
    """Gather contours (n, 3), given along ``axes``, by plane; a plane reaches half way to the next one."""
    heights = np.array([ring[:, 2].mean() for ring in rings])
    if max(np.abs(ring[:, 2] - height).max() for ring, height in zip(rings, heights, strict=True)) > FLATNESS_MM:
        raise InputError("has contours that lie in no common plane", where=where, remedy="export planar contours")
    order = np.argsort(heights)
    breaks = np.flatnonzero(np.diff(heights[order]) > SAME_PLANE_MM) + 1
    groups = np.split(order, breaks)
    planes = np.array([heights[group].mean() for group in groups])
    lows, highs = _bounds(planes, float(np.abs(axes[2] @ pet.affine[:3, :3]).max()))
    return [
        _Slab(low, high, tuple(rings[index][:, :2] for index in group))
        for low, high, group in zip(lows, highs, groups, strict=True)
    ]


def _bounds(planes: NDArray[np.float64], pet_mm: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return from where to where each plane, in ascending order, stands for its surroundings.

    Neighbours meet half way; at the ends and at gaps it is half the spacing of the contours, or half the PET's own
    where the region tells none.
    """
    gaps = np.diff(planes)
    spacing = gaps.min() if gaps.size and gaps.min() <= WIDEST_SPACING_MM else pet_mm
    middles = (planes[1:] + planes[:-1]) / 2
    meet = gaps <= 1.5 * spacing
    lows = np.append(planes[:1] - spacing / 2, np.where(meet, middles, planes[1:] - spacing / 2))
    highs = np.append(np.where(meet, middles, planes[:-1] + spacing / 2), planes[-1:] + spacing / 2)
    return lows, highs


def _corners(slab: _Slab) -> Points:
    points = np.concatenate(slab.polygons)
    sides = zip((*points.min(axis=0), slab.low), (*points.max(axis=0), slab.high), strict=True)
    corners: Points = np.array(np.meshgrid(*sides)).reshape(3, -1).T
    return corners


def _fill(mask: NDArray[np.bool_], slab: _Slab, axes: NDArray[np.float64], grid: Volume) -> None:
    """Mark the voxels whose centre lies in an odd number of the slab's polygons: holes and keyholes stay empty."""
    box, _ = index_box(_corners(slab) @ axes, grid)
    indices = np.moveaxis(np.mgrid[box], 0, -1)
    places = (indices @ grid.affine[:3, :3].T + grid.affine[:3, 3]) @ axes.T
    within = (places[..., 2] >= slab.low) & (places[..., 2] < slab.high)
    points = places[within][:, :2]
    odd = np.zeros(len(points), bool)
    for polygon in slab.polygons:
        odd ^= points_in_poly(points, polygon)
    mask[box][within] = odd


def _shift(box: tuple[slice, slice, slice]) -> NDArray[np.float64]:
    shift = np.eye(4)
    shift[:3, 3] = [part.start for part in box]
    return shift
