"""Which DICOM series lie below a folder, and one series as a volume in the working orientation."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import highdicom
import numpy as np
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.misc import is_dicom

from fedpsma.errors import InputError
from fedpsma.io.dicom.header import text
from fedpsma.io.nifti import Volume
from fedpsma.io.orientation import to_working_orientation

# Of the distance between two slices; the published real series vary by 2.5 %.
SPACING_TOLERANCE = 0.05
_INDEX_TAGS = [
    "SOPClassUID",
    "SOPInstanceUID",
    "Modality",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "SeriesDescription",
    "FrameOfReferenceUID",
    "ImageType",
    "CorrectedImage",
    "ImagePositionPatient",
    "ImageOrientationPatient",
]
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Series:
    """One series below a folder: its files and the first header, without pixels."""

    modality: str
    study_uid: str
    frame_of_reference: str | None
    header: Dataset = field(repr=False)
    paths: tuple[Path, ...] = field(repr=False)
    places_mm: tuple[float, ...] = field(repr=False)

    @property
    def name(self) -> str:
        """How messages call the series."""
        number, description = text(self.header, "SeriesNumber"), text(self.header, "SeriesDescription")
        return f"series {number or '?'} ({self.modality}{f', {description}' if description else ''})"


def find_series(folder: Path) -> list[Series]:
    """Index every DICOM image below a folder, in any nesting; other files are passed over.

    The same image twice (by its SOP Instance UID) counts once.
    """
    grouped: dict[str, dict[str, tuple[Path, Dataset]]] = defaultdict(dict)
    for path, header in _headers(folder):
        uid, instance = text(header, "SeriesInstanceUID"), text(header, "SOPInstanceUID")
        if uid and instance and text(header, "Modality"):
            grouped[uid].setdefault(instance, (path, header))
    return [_series(list(found.values())) for found in grouped.values()]


def read_slices(series: Series) -> list[Dataset]:
    """Read a series with its pixels.

    Raises:
        InputError: A file is damaged.
    """
    slices = []
    for path in series.paths:
        try:
            slices.append(dcmread(path))
        except (InvalidDicomError, OSError, EOFError, ValueError) as error:
            raise InputError("is damaged", where=str(path), remedy="export or copy it again") from error
    return slices


def series_volume(slices: Sequence[Dataset], *, where: str) -> Volume:
    """Stack the slices of a series by their place in the body, each with its own rescale applied.

    Raises:
        InputError: A slice is missing, doubled or off the regular spacing by more than 5 %, or the slices do not fit
            together.
    """
    _require_regular([_place(one) for one in slices], where)
    tolerance = SPACING_TOLERANCE * _mean_gap([_place(one) for one in slices])
    try:
        stacked = highdicom.get_volume_from_series(
            slices, dtype=np.float32, atol=tolerance, apply_real_world_transform=False, orientation_tol=1e-4
        )
    except (ValueError, AttributeError, RuntimeError, NotImplementedError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise InputError(f"cannot be stacked: {reason}", where=where, remedy="export the original series") from error
    if stacked.array.ndim != 3:
        raise InputError("holds colours", where=where, remedy="give the original grey images")
    data, affine = to_working_orientation(stacked.array, _LPS_TO_RAS @ stacked.affine)
    return Volume(data, affine)


def _headers(folder: Path) -> Iterator[tuple[Path, Dataset]]:
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            if path.is_file() and is_dicom(path) and name != "DICOMDIR":
                yield path, _index_header(path)


def _index_header(path: Path) -> Dataset:
    try:
        return dcmread(path, stop_before_pixels=True, specific_tags=_INDEX_TAGS)
    except (InvalidDicomError, OSError, EOFError, ValueError, NotImplementedError) as error:
        raise InputError("is damaged", where=str(path), remedy="export or copy it again") from error


def _series(found: list[tuple[Path, Dataset]]) -> Series:
    header = found[0][1]
    return Series(
        modality=text(header, "Modality") or "",
        study_uid=text(header, "StudyInstanceUID") or "",
        frame_of_reference=text(header, "FrameOfReferenceUID"),
        header=header,
        paths=tuple(path for path, _ in found),
        places_mm=tuple(_place(one) for _, one in found if "ImagePositionPatient" in one),
    )


def _place(header: Dataset) -> float:
    """Return where a slice lies along the normal of the series, in mm."""
    orientation, position = header.get("ImageOrientationPatient"), header.get("ImagePositionPatient")
    if orientation is None or position is None or len(orientation) != 6 or len(position) != 3:
        return float("nan")
    axes = np.array(orientation, dtype=np.float64).reshape(2, 3)
    return float(np.cross(axes[0], axes[1]) @ np.array(position, dtype=np.float64))


def _mean_gap(places: Sequence[float]) -> float:
    return (max(places) - min(places)) / (len(places) - 1)


def _require_regular(places: list[float], where: str) -> None:
    if len(places) < 2:
        raise InputError("has one slice only", where=where, remedy="give the whole series")
    ordered = np.sort(places)
    if not np.isfinite(ordered).all():
        raise InputError(
            "has a slice without ImagePositionPatient (0020,0032) or ImageOrientationPatient (0020,0037)",
            where=where,
            remedy="export the original series",
        )
    gaps = np.diff(ordered)
    usual = float(np.median(gaps))
    if (gaps < 0.1 * usual).any() or usual <= 0.0:
        raise InputError(
            "has several slices in one place (perhaps a dynamic or gated series, or two reconstructions)",
            where=where,
            remedy="export one static series",
        )
    widest = int(np.argmax(gaps))
    if gaps[widest] > 1.5 * usual:
        raise InputError(
            f"misses {round(gaps[widest] / usual) - 1} slices between {ordered[widest]:.1f} and "
            f"{ordered[widest + 1]:.1f} mm",
            where=where,
            remedy="export the series again",
        )
    if (np.abs(gaps - usual) > SPACING_TOLERANCE * usual).any():
        raise InputError(
            f"has slices {gaps.min():.2f} to {gaps.max():.2f} mm apart", where=where, remedy="export an even series"
        )
