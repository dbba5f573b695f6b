"""NIfTI volumes in and out, always in the working orientation (x, y, z) RAS+."""

from __future__ import annotations

import gzip
import struct
import zlib
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from fedpsma.domain.study import Affine, FloatVolume, LabelVolume
from fedpsma.errors import InputError
from fedpsma.io.files import require_file, write_bytes
from fedpsma.io.orientation import is_usable_affine, same_grid, to_working_orientation
from fedpsma.io.provenance import GridRecord

_UNITS_OTHER_THAN_MM = {"meter", "micron"}
# float32 holds every whole number up to here.
_LARGEST_LABEL = 2**24
_BROKEN = (OSError, EOFError, ValueError, OverflowError, KeyError, struct.error, zlib.error)
# Deflate shrinks by less than this, so a header that claims more is wrong.
_MOST_COMPRESSED = 1040
# Of a voxel's edge; headers hold single precision.
_EDGE_TOLERANCE = 0.01
_PLACE_TOLERANCE = 0.5
# Every clinical and preclinical scanner, and every thick-slice CT, lies well within (mm).
_USUAL_EDGE = (0.01, 100.0)


@dataclass(frozen=True)
class Volume:
    """A volume (x, y, z) in RAS+ order with its affine in mm.

    ``notes`` says in words what was changed while reading, beside the orientation.
    """

    data: FloatVolume
    affine: Affine
    notes: tuple[str, ...] = ()


def read_volume(path: Path, *, outside: float = 0.0) -> Volume:
    """Read a NIfTI volume, with the scaling of its header applied, and bring it to the working orientation.

    Voxels that are not a number lie outside the field of view by common usage: they become ``outside``, and a note
    says how many there were. A volume that holds nothing else is refused, as are infinite voxels.

    Raises:
        InputError: The file is missing, is not a whole NIfTI file, has a time axis or colours, no orientation, an
            orientation that contradicts itself, or another unit of length than the millimetre.
    """
    image = _open(path)
    _require_orientation(image, path)
    data, affine = to_working_orientation(_voxels(image, path), np.asarray(image.affine, dtype=np.float64))
    return _without_nan(Volume(data, affine), path, outside)


def read_grid(path: Path) -> GridRecord:
    """Return the grid of a NIfTI volume as it is stored, before any turning, from its header alone.

    Raises:
        InputError: As :func:`read_volume`, as far as the header tells.
    """
    image = _open(path)
    _require_orientation(image, path)
    x, y, z = (int(extent) for extent in image.shape[:3])
    dx, dy, dz = (float(edge) for edge in np.linalg.norm(image.affine[:3, :3], axis=0))
    axes = "".join(nib.aff2axcodes(image.affine))
    return GridRecord(spacing_mm=(dx, dy, dz), shape=(x, y, z), orientation=axes)


def read_volume_like(path: Path, reference: Volume, *, outside: float = 0.0) -> Volume:
    """Read a volume that must lie on the grid of ``reference``.

    Raises:
        InputError: As :func:`read_volume`, or the volume lies on another grid.
    """
    volume = read_volume(path, outside=outside)
    if not same_grid(reference.data.shape, reference.affine, volume.data.shape, volume.affine):
        raise InputError(
            f"lies on another grid ({_grid(volume)}) than the PET ({_grid(reference)})",
            where=str(path),
            remedy="resample it to the PET grid (labels with nearest neighbour)",
        )
    return volume


def read_labels_like(path: Path, reference: Volume) -> LabelVolume:
    """Read whole-number labels (0 is none) that must lie on the grid of ``reference``.

    Raises:
        InputError: As :func:`read_volume_like`, or a voxel is negative, broken, or not a number.
    """
    return _labels(read_volume_like(path, reference), path)


def read_labels(path: Path) -> tuple[LabelVolume, Affine]:
    """Read whole-number labels (0 is none) on a grid of their own, with its affine.

    Raises:
        InputError: As :func:`read_volume`, or a voxel is negative, broken, or not a number.
    """
    volume = read_volume(path)
    return _labels(volume, path), volume.affine


def _labels(volume: Volume, path: Path) -> LabelVolume:
    if volume.notes:
        raise InputError("has voxels that are not a number", where=str(path), remedy="write 0 where there is no label")
    if (volume.data != np.floor(volume.data)).any() or volume.data.min() < 0 or volume.data.max() > _LARGEST_LABEL:
        raise InputError(
            f"holds something else than labels 0, 1, 2, ... (from {volume.data.min():g} to {volume.data.max():g})",
            where=str(path),
            remedy="give a mask or a label map",
        )
    return volume.data.astype(np.int32)


def write_volume(path: Path, data: NDArray[Any], affine: Affine) -> None:
    """Write a volume (x, y, z) as ``.nii`` or ``.nii.gz``, whole or not at all; the same input gives the same bytes.

    Raises:
        ValueError: The name has another ending.
    """
    if not path.name.endswith((".nii", ".nii.gz")):
        raise ValueError(f"{path.name}: a NIfTI volume is called .nii or .nii.gz")
    image = nib.Nifti1Image(_storable(data), affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    content: bytes = image.to_bytes()
    write_bytes(path, gzip.compress(content, compresslevel=1, mtime=0) if path.suffix == ".gz" else content)


def nifti_stem(path: Path) -> str:
    """Return the file name without ``.nii`` or ``.nii.gz``.

    Example:
        >>> nifti_stem(Path("case.v2.nii.gz"))
        'case.v2'
    """
    return path.name.removesuffix(".gz").removesuffix(".nii")


def _open(path: Path) -> Any:
    require_file(path)
    try:
        image = nib.load(path)
    except (ImageFileError, HeaderDataError, *_BROKEN) as error:
        raise _not_whole(path, error) from error
    if not isinstance(image, nib.Nifti1Image):
        raise InputError("is not a NIfTI volume", where=str(path), remedy="give a .nii or .nii.gz file")
    _require_one_volume(image, path)
    return image


def _not_whole(path: Path, error: Exception) -> InputError:
    reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
    return InputError(f"is not a whole NIfTI file ({reason})", where=str(path), remedy="export or copy it again")


def _require_one_volume(image: Any, path: Path) -> None:
    """Refuse what is no volume, or larger than its file can hold, before any memory is taken for it."""
    if image.get_data_dtype().kind not in "iuf":
        raise InputError("holds colours or complex numbers", where=str(path), remedy="give one number a voxel")
    shape = tuple(int(extent) for extent in image.shape)
    if len(shape) < 3 or any(extent != 1 for extent in shape[3:]):
        raise InputError(
            f"has the axes {'x'.join(map(str, shape))} instead of x, y, z", where=str(path), remedy="give one volume"
        )
    if min(shape) < 1:
        raise InputError("has no voxel", where=str(path), remedy="export it again")
    claimed = prod(shape) * image.get_data_dtype().itemsize
    held = path.stat().st_size * (_MOST_COMPRESSED if path.suffix == ".gz" else 1)
    if claimed > held:
        extent = "x".join(map(str, shape))
        raise _not_whole(path, ValueError(f"{extent} voxels do not fit into its {path.stat().st_size} bytes"))


def _require_orientation(image: Any, path: Path) -> None:
    try:
        unit = image.header.get_xyzt_units()[0]
        qform, qcode = image.get_qform(coded=True)
        sform, scode = image.get_sform(coded=True)
    except (HeaderDataError, *_BROKEN) as error:
        raise _not_whole(path, error) from error
    if unit in _UNITS_OTHER_THAN_MM:
        raise InputError("is not in millimetres", where=str(path), remedy="export it with millimetres")
    if not qcode and not scode:
        raise InputError(
            "does not tell left from right (qform_code and sform_code are 0)",
            where=str(path),
            remedy="export it with its orientation",
        )
    for affine in (form for form in (image.affine, qform, sform) if form is not None):
        if not is_usable_affine(np.asarray(affine, dtype=np.float64)):
            raise InputError("has an unusable affine", where=str(path), remedy="export it with its orientation")
    edges = np.linalg.norm(image.affine[:3, :3], axis=0)
    if edges.min() < _USUAL_EDGE[0] or edges.max() > _USUAL_EDGE[1]:
        raise InputError(f"has voxels of {_edges(edges)} mm", where=str(path), remedy="export it with its true size")
    if scode:
        _require_true_edges(image, sform, path)
    if qcode and scode:
        _require_agreement(image, qform, sform, path, same_space=qcode == scode)


def _require_agreement(image: Any, qform: Affine, sform: Affine, path: Path, *, same_space: bool) -> None:
    """Refuse a header with two orientations, or two places in one space: programs differ in which they believe."""
    told = None
    corners = np.array([[i, j, k, 1] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * (*image.shape[:3], 1)
    apart = float(np.linalg.norm(corners @ (qform - sform).T, axis=1).max())
    if nib.aff2axcodes(qform) != nib.aff2axcodes(sform):
        forms = ("".join(nib.aff2axcodes(form)) for form in (qform, sform))
        told = "its qform runs to {}, its sform to {}".format(*forms)
    elif same_space and apart > _PLACE_TOLERANCE * np.linalg.norm(sform[:3, :3], axis=0).min():
        told = f"its qform and its sform put the same voxel {apart:.3g} mm apart"
    if told is not None:
        remedy = "find out which one is right and write both alike"
        raise InputError(f"contradicts itself: {told}", where=str(path), remedy=remedy)


def _require_true_edges(image: Any, sform: Affine, path: Path) -> None:
    edges = np.abs(np.asarray(image.header.get_zooms()[:3], dtype=np.float64))
    sform_edges = np.linalg.norm(sform[:3, :3], axis=0)
    if (np.abs(edges - sform_edges) > _EDGE_TOLERANCE * sform_edges).any():
        raise InputError(
            f"contradicts itself: voxels of {_edges(edges)} mm by its pixdim, of {_edges(sform_edges)} mm by its sform",
            where=str(path),
            remedy="find out which one is right and write both alike",
        )


def _voxels(image: Any, path: Path) -> FloatVolume:
    shape = image.shape
    try:
        # A number too large for single precision becomes infinite here, and is refused as such.
        with np.errstate(over="ignore", invalid="ignore"):
            data = np.asanyarray(image.dataobj, dtype=np.float32)
    except _BROKEN as error:
        raise _not_whole(path, error) from error
    except MemoryError as error:
        extent = "x".join(map(str, shape))
        raise InputError(f"does not fit into memory ({extent})", where=str(path), remedy="check its header") from error
    return data.reshape(shape[:3])


def _without_nan(volume: Volume, path: Path, outside: float) -> Volume:
    if np.isinf(volume.data).any():
        raise InputError("holds infinite voxels", where=str(path), remedy="export it again")
    missing = np.isnan(volume.data)
    count = int(missing.sum())
    if count == 0:
        return volume
    if count == missing.size:
        raise InputError("holds not one number", where=str(path), remedy="export it again")
    note = f"{count} voxels without a number ({count / missing.size:.1%}) were set to {outside:g}"
    return Volume(np.where(missing, np.float32(outside), volume.data), volume.affine, (note,))


def _storable(data: NDArray[Any]) -> NDArray[Any]:
    if data.dtype == np.bool_:
        return data.astype(np.uint8)
    return data.astype({np.dtype(np.float64): np.float32, np.dtype(np.int64): np.int32}.get(data.dtype, data.dtype))


def _edges(spacing: Any) -> str:
    return "x".join(f"{edge:.3g}" for edge in spacing)


def _grid(volume: Volume) -> str:
    spacing = np.linalg.norm(volume.affine[:3, :3], axis=0)
    origin = volume.affine[:3, 3]
    return (
        f"{'x'.join(map(str, volume.data.shape))} voxels of {_edges(spacing)} mm "
        f"from {', '.join(f'{value:.1f}' for value in origin)}"
    )
