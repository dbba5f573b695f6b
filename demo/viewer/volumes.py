"""An analysed study as the viewer wants it: one grid, one orientation, small whole numbers, compressed.

Everything the browser gets runs to the patient's left, to anterior and to superior (LAS), so that a column number grows
to the right of the screen as radiology shows a patient who faces the reader. On the wire x runs fastest.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from demo.viewer.rotation import Rotation, rotation_maps
from fedpsma.domain.study import CT_OUTSIDE_HU, Affine, FloatVolume, LabelVolume, Study
from fedpsma.io.orientation import to_working_orientation

Scalar = TypeVar("Scalar", bound=np.generic)
Unit = Literal["SUV", "Bq/ml"]

SUV_STEP = 0.01
"""SUV (g/ml) between two stored numbers; what the table says is measured on the whole study, never on these."""

_TOP = np.iinfo(np.uint16).max
# In-plane numbers of voxels go over the wire as 16 bit; a browser holds this many voxels with ease.
_MOST_IN_PLANE = 256
_MOST_VOXELS = 24_000_000
_HIGHEST_HU = 3071.0
_BODY_SUV = 0.3
_BODY_HU = -500.0
_MARGIN_MM = 15.0
# Speed counts more than size on the way to a browser of the same house.
_COMPRESSION = 1


@dataclass(frozen=True)
class Prepared:
    """A study ready to be sent: ``meta`` tells what the ``parts`` are, each gzip-compressed.

    Parts are ``pet`` (uint16), ``ct`` (int16, HU; absent without CT), ``lesions`` (uint16, numbers) and ``rotation``
    (uint16, see :mod:`demo.viewer.rotation`).
    """

    meta: dict[str, Any]
    parts: Mapping[str, bytes]

    @property
    def bytes_sent(self) -> int:
        """Size of all parts together."""
        return sum(map(len, self.parts.values()))


def to_las(data: NDArray[Scalar], affine: Affine) -> tuple[NDArray[Scalar], Affine]:
    """Permute and flip the axes so that they run to left, anterior and superior; no voxel leaves its place in the body.

    Args:
        data: Any of the 48 axis orders, three axes.
        affine: 4 x 4, maps voxel indices of ``data`` to mm in RAS+ space.

    Raises:
        ValueError: The affine cannot be inverted.

    Example:
        >>> data, affine = to_las(np.arange(2).reshape(2, 1, 1), np.diag([3.0, 3.0, 3.0, 1.0]))
        >>> data.ravel().tolist(), affine[0].tolist()
        ([1, 0], [-3.0, 0.0, 0.0, 3.0])
    """
    working, to_mm = to_working_orientation(data, affine)
    mirror = np.diag([-1.0, 1.0, 1.0, 1.0])
    mirror[0, 3] = working.shape[0] - 1
    return np.ascontiguousarray(working[::-1]), to_mm @ mirror + 0.0


def prepare(study: Study, unit: Unit = "SUV", told: Mapping[str, Any] | None = None) -> Prepared:
    """Make what the viewer shows of a study, a few seconds of work.

    Args:
        study: PET with what lies on its grid.
        unit: What the PET is in; where no SUV could be computed, the viewer must not show a number under that name.
        told: More for the reader (name, date, that the patient is synthetic), passed on as it is.
    """
    pet, affine = to_las(study.pet, study.affine)
    factor = display_factor(pet.shape)
    small = _coarser(pet, factor)
    ct = None if study.ct is None else _coarser(to_las(study.ct, study.affine)[0], factor)
    spacing = tuple(float(edge) for edge in np.linalg.norm(affine[:3, :3], axis=0) * factor)
    stored, step, clipped = _quantised(small, unit)
    crop = _body(small / (step / SUV_STEP), ct, spacing)
    rotation = rotation_maps(stored, (spacing[0], spacing[1]), crop)
    meta = dict(told or {}) | {
        "shape": list(small.shape),
        "spacing_mm": list(spacing),
        "affine": _shrunk(affine, factor).tolist(),
        "study_shape": list(pet.shape),
        "factor": list(factor),
        "unit": unit,
        "step": step,
        "crop": [list(pair) for pair in crop],
        "ct": ct is not None,
        "rotation": {"angles": rotation.maps.shape[0], "columns": rotation.maps.shape[2], "edge_mm": rotation.edge_mm},
        "notes": _notes(factor, spacing, study, unit, clipped=clipped),
    }
    return Prepared(meta, _parts(stored, ct, pack_labels(study.lesions, study), rotation))


def pack_labels(labels: LabelVolume | None, study: Study) -> bytes:
    """Return numbered lesions (x, y, z, on the grid of the study) as the viewer wants them, compressed."""
    found = np.zeros(study.pet.shape, np.uint16) if labels is None else labels.astype(np.uint16)
    turned = to_las(found, study.affine)[0]
    return _compressed(_wired(_strongest(turned, display_factor(turned.shape))))


def display_factor(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return how many voxels along x, y and z are shown as one; 1 for every usual PET.

    Example:
        >>> display_factor((200, 200, 400)), display_factor((440, 440, 645))
        ((1, 1, 1), (2, 2, 2))
    """
    x, y = (-(-extent // _MOST_IN_PLANE) for extent in shape[:2])
    z = 1
    while np.prod([-(-extent // by) for extent, by in zip(shape, (x, y, z), strict=True)]) > _MOST_VOXELS:
        z += 1
    if max(x, y) > 1:
        z = max(z, min(x, y))
    return x, y, z


def _blocks(data: NDArray[Scalar], factor: tuple[int, int, int]) -> NDArray[Scalar]:
    """View a volume as blocks (x, in block, y, in block, z, in block); the last ones repeat the edge."""
    padded = np.pad(data, [(0, -extent % by) for extent, by in zip(data.shape, factor, strict=True)], mode="edge")
    x, y, z = (extent // by for extent, by in zip(padded.shape, factor, strict=True))
    return padded.reshape(x, factor[0], y, factor[1], z, factor[2])


def _coarser(data: FloatVolume, factor: tuple[int, int, int]) -> FloatVolume:
    if factor == (1, 1, 1):
        return data
    return np.asarray(_blocks(data, factor).mean(axis=(1, 3, 5)), dtype=np.float32)


def _strongest(labels: NDArray[np.uint16], factor: tuple[int, int, int]) -> NDArray[np.uint16]:
    return labels if factor == (1, 1, 1) else np.asarray(_blocks(labels, factor).max(axis=(1, 3, 5)))


def _shrunk(affine: Affine, factor: tuple[int, int, int]) -> Affine:
    """Return the affine of blocks of voxels: the middle of a block lies between the voxels in it."""
    step = np.diag([*map(float, factor), 1.0])
    step[:3, 3] = [(by - 1) / 2 for by in factor]
    return affine @ step


def _quantised(pet: FloatVolume, unit: Unit) -> tuple[NDArray[np.uint16], float, bool]:
    """Return the PET in whole steps, the size of a step, and whether values were too large for it."""
    step = SUV_STEP if unit == "SUV" else max(float(pet.max()), 1.0) / _TOP
    return np.clip(np.rint(pet / step), 0, _TOP).astype(np.uint16), step, bool(pet.max() > _TOP * step)


def _body(
    pet: FloatVolume, ct: FloatVolume | None, spacing_mm: tuple[float, ...]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return where along x and y the body lies, with a margin, so that no air is shown beside it."""
    body = pet > _BODY_SUV if ct is None else (pet > _BODY_SUV) | (ct > _BODY_HU)
    spans = []
    for axis in (0, 1):
        # One hot voxel of noise is no body: a hundredth of the busiest line counts.
        lines = body.sum(axis=(1 - axis, 2))
        hits = np.flatnonzero(lines > 0.01 * lines.max()) if lines.any() else np.arange(pet.shape[axis])
        margin = round(_MARGIN_MM / spacing_mm[axis])
        spans.append((max(int(hits[0]) - margin, 0), min(int(hits[-1]) + 1 + margin, pet.shape[axis])))
    return spans[0], spans[1]


def _parts(stored: NDArray[np.uint16], ct: FloatVolume | None, lesions: bytes, rotation: Rotation) -> dict[str, bytes]:
    arrays: dict[str, NDArray[Any]] = {"pet": _wired(stored), "rotation": rotation.maps}
    if ct is not None:
        arrays["ct"] = _wired(np.clip(np.rint(ct), CT_OUTSIDE_HU, _HIGHEST_HU).astype(np.int16))
    with ThreadPoolExecutor() as pool:
        return {"lesions": lesions} | dict(zip(arrays, pool.map(_compressed, arrays.values()), strict=True))


def _wired(volume: NDArray[Any]) -> NDArray[Any]:
    """Return a volume (x, y, z) in the order of the wire."""
    return np.ascontiguousarray(volume.transpose(2, 1, 0))


def _compressed(array: NDArray[Any]) -> bytes:
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return gzip.compress(little.data, _COMPRESSION, mtime=0)


def _notes(
    factor: tuple[int, int, int], spacing: tuple[float, ...], study: Study, unit: Unit, *, clipped: bool
) -> list[str]:
    notes = []
    if unit != "SUV":
        notes.append("SUV cannot be computed: values are Bq/ml")
    if study.ct is None:
        notes.append("no CT: PET only")
    if factor != (1, 1, 1):
        edges = " x ".join(f"{edge:.1f}" for edge in spacing)
        notes.append(f"large study, shown in voxels of {edges} mm; the table is measured on all voxels")
    if clipped:
        notes.append(f"SUV above {_TOP * SUV_STEP:.0f} is shown as {_TOP * SUV_STEP:.0f}")
    return notes


def meta_bytes(meta: Mapping[str, Any]) -> bytes:
    """Return the description of the parts as compressed JSON."""
    return gzip.compress(json.dumps(meta, allow_nan=False).encode("utf-8"), _COMPRESSION, mtime=0)
