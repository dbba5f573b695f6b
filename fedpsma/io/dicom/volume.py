"""The images of one series as a volume, each with its own rescale applied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from fedpsma.domain.study import CT_OUTSIDE_HU, Affine, FloatVolume
from fedpsma.errors import InputError
from fedpsma.io.dicom.consistency import (
    require_no_outlier,
    require_one_image_kind,
    require_order,
    require_steady_scale,
)
from fedpsma.io.dicom.enhanced import read_frames
from fedpsma.io.dicom.find import ENHANCED_PET_CLASSES, Series
from fedpsma.io.dicom.geometry import Plane, Stack, evenly_spaced, require_even, stack
from fedpsma.io.dicom.tags import LARGEST_VOLUME, Tags, read_image, tag_name
from fedpsma.io.nifti import Volume
from fedpsma.io.orientation import to_working_orientation
from fedpsma.io.provenance import GridRecord

_ORIENTATION = "ImageOrientationPatient"
SLOPE, INTERCEPT = tag_name("RescaleSlope"), tag_name("RescaleIntercept")


@dataclass(frozen=True)
class SeriesVolume:
    """A series in memory.

    Attributes:
        data: Rescaled values (slice, row, column), slices by rising place along the normal.
        affine: Maps (column, row, slice) to mm, RAS+.
        slices: The headers, in the order of ``data``, without pixels.
        slopes: Rescale Slope of each slice.
        intercepts: Rescale Intercept of each slice.
        notes: What was changed while reading.
    """

    data: FloatVolume
    affine: Affine
    slices: tuple[Tags, ...]
    slopes: tuple[float, ...]
    intercepts: tuple[float, ...]
    notes: tuple[str, ...] = ()

    @property
    def grid(self) -> GridRecord:
        """The grid as it came, in the order column, row, slice."""
        slices, rows, columns = self.data.shape
        return grid_record((columns, rows, slices), self.affine)

    def in_working_orientation(self) -> Volume:
        """Return the volume (x, y, z) in RAS+ order."""
        data, affine = to_working_orientation(np.transpose(self.data, (2, 1, 0)), self.affine)
        return Volume(data, affine, self.notes)


def read_pet(series: Series, *, where: str) -> SeriesVolume:
    """Read a PET series, before any SUV factor.

    Raises:
        InputError: A file is damaged, a slice is missing, doubled, uneven or out of order, or the slices do not fit
            together.
    """
    place, images = _slices(series, where)
    require_even(place, where=where)
    volume = _read(place, images, where)
    require_order(volume.slices, place.places_mm, where=where)
    require_no_outlier(volume.slopes, SLOPE, where=where)
    require_no_outlier(volume.intercepts, INTERCEPT, where=where)
    require_steady_scale(volume.slopes, volume.data, place.places_mm, where=where)
    return volume


def read_ct(series: Series, *, where: str) -> SeriesVolume:
    """Read a CT series in HU; unevenly spaced slices are interpolated between their true places.

    What lies below -1024 HU is the padding outside the field of view and becomes -1024 HU.

    Raises:
        InputError: As :func:`read_pet`, except that the slices may be uneven as long as none is missing.
    """
    place, images = _slices(series, where)
    volume = _read(place, images, where)
    data = volume.data
    notes: tuple[str, ...] = ()
    if not place.is_even:
        gaps = np.diff(place.places_mm)
        data = evenly_spaced(data, place.places_mm)
        notes = (f"the slices of the CT lie {gaps.min():.2f} to {gaps.max():.2f} mm apart and were interpolated",)
    np.maximum(data, np.float32(CT_OUTSIDE_HU), out=data)
    return replace(volume, data=data, notes=notes)


def grid_record(shape: tuple[int, int, int], affine: Affine) -> GridRecord:
    """Describe a grid: voxel edges in mm, counts, and the axis order such as "LPS"."""
    x, y, z = (round(float(edge), 5) for edge in np.linalg.norm(affine[:3, :3], axis=0))
    return GridRecord(spacing_mm=(x, y, z), shape=shape, orientation="".join(nib.orientations.aff2axcodes(affine)))


def _slices(series: Series, where: str) -> tuple[Stack, Iterator[tuple[Tags, NDArray[Any]]]]:
    """Return the places of the slices, and each slice in their order, read when it is asked for."""
    if series.first.sop_class in ENHANCED_PET_CLASSES:
        if len(series.instances) > 1:
            raise InputError("is split over several multi-frame files", where=where, remedy="export it as one file")
        frames = read_frames(series.first.path)
        planes = [Plane(one.numbers("ImagePositionPatient"), one.numbers(_ORIENTATION)) for one, _ in frames]
        place = stack(planes, where=where)
        return place, (frames[k] for k in place.order)
    place = stack([Plane(one.position, one.orientation) for one in series.instances], where=where)
    return place, (_one_slice(series.instances[k].path) for k in place.order)


def _one_slice(path: Path) -> tuple[Tags, NDArray[Any]]:
    tags, pixels = read_image(path)
    if len(pixels) != 1:
        raise InputError(f"holds {len(pixels)} frames", where=tags.where, remedy="export single-frame images")
    return tags, pixels[0]


def _read(place: Stack, images: Iterator[tuple[Tags, NDArray[Any]]], where: str) -> SeriesVolume:
    slices, slopes, intercepts = [], [], []
    data = np.empty(0, np.float32)
    for k, (tags, pixels) in enumerate(images):
        if k == 0:
            data = _empty((len(place.order), *pixels.shape), where)
        if pixels.shape != data.shape[1:]:
            raise InputError(
                f"mixes slices of different {tag_name('Rows')} or {tag_name('Columns')}",
                where=where,
                remedy="export one series alone",
            )
        slope, intercept = _rescale(tags)
        data[k] = pixels * slope + intercept
        slices.append(tags)
        slopes.append(slope)
        intercepts.append(intercept)
    require_one_image_kind(slices, where=where)
    affine = place.affine(_pixel_spacing(slices[0]))
    return SeriesVolume(data, affine, tuple(slices), tuple(slopes), tuple(intercepts))


def _empty(shape: tuple[int, ...], where: str) -> FloatVolume:
    if np.prod(shape) > LARGEST_VOLUME:
        raise InputError(f"has {'x'.join(map(str, shape))} voxels", where=where, remedy="give one PET/CT series")
    return np.empty(shape, np.float32)


def _rescale(tags: Tags) -> tuple[float, float]:
    slope, intercept = tags.number("RescaleSlope"), tags.number("RescaleIntercept")
    if slope is None or slope <= 0.0:
        raise InputError(f"has no usable {SLOPE}", where=tags.where, remedy="export the original series")
    if intercept is None:
        raise InputError(f"has no {INTERCEPT}", where=tags.where, remedy="export the original series")
    return slope, intercept


def _pixel_spacing(first: Tags) -> Sequence[float]:
    spacing = first.numbers("PixelSpacing")
    if spacing is None or len(spacing) != 2 or not all(0.05 <= edge <= 50.0 for edge in spacing):
        raise InputError(f"has no usable {tag_name('PixelSpacing')}", where=first.where, remedy="export it again")
    return spacing
