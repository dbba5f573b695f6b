"""Multi-frame PET (Enhanced, and Legacy Converted Enhanced) as single slices with the tags of classic PET."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from pydicom import Dataset

from fedpsma.errors import InputError
from fedpsma.io.dicom.tags import Tags, parsing, read_image, tag_name

ENHANCED_PET_CLASS = "1.2.840.10008.5.1.4.1.1.130"
LEGACY_PET_CLASS = "1.2.840.10008.5.1.4.1.1.128.1"
_SHARED, _PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
# UCUM units of the real-world values, as Units (0054,1001) calls them.
_UNITS = {"Bq/ml": "BQML", "g/ml{SUVbw}": "GML", "{SUVbw}g/ml": "GML"}
_DECAY = {"YES": "START", "NO": "NONE"}
_CORRECTIONS = {"AttenuationCorrected": "ATTN", "DecayCorrected": "DECY"}


def read_frames(path: Path) -> list[tuple[Tags, NDArray[Any]]]:
    """Read a multi-frame PET as headers of classic slices with their stored values (row, column).

    A header holds the file's own tags, what its frames share, and what belongs to the frame. A legacy converted PET
    keeps the tags of its classic slices there; those of an enhanced PET are translated.

    Raises:
        InputError: The file is damaged or lacks its functional groups.
    """
    tags, pixels = read_image(path)
    shared, per_frame = tags.items(_SHARED), tags.items(_PER_FRAME)
    if len(shared) != 1 or len(per_frame) != len(pixels):
        raise InputError(
            f"has {len(per_frame)} items in {tag_name(_PER_FRAME)} for {len(pixels)} frames",
            where=str(path),
            remedy="export it again, or as classic single-frame images",
        )
    enhanced = tags.text("SOPClassUID") == ENHANCED_PET_CLASS
    slices = []
    with parsing(str(path)):
        del tags.dataset[_SHARED], tags.dataset[_PER_FRAME]
    for frame, stored in zip(per_frame, pixels, strict=True):
        flat = _flat(tags.dataset, shared[0], frame)
        _translate_clock(flat)
        if enhanced:
            _translate_quantity(flat)
        slices.append((flat, stored))
    return slices


def _flat(own: Dataset, shared: Tags, frame: Tags) -> Tags:
    """Lay the tags of all functional groups into one header; a frame's own outrank the shared ones."""
    flat = Dataset()
    with parsing(shared.where, "has functional groups that cannot be read"):
        flat.update(own)
        for groups in (shared.dataset, frame.dataset):
            for group in groups:
                if group.VR == "SQ" and len(group.value) == 1:
                    flat.update(group.value[0])
                flat[group.tag] = group
    return Tags(flat, shared.where)


def _translate_clock(frame: Tags) -> None:
    """Write when the frame was measured as a classic PET does; both kinds of file keep it in their own tags."""
    acquired = frame.local("FrameAcquisitionDateTime", frame.zone())
    duration_ms = frame.number("FrameAcquisitionDuration")
    with parsing(frame.where):
        if acquired is not None:
            frame.dataset.AcquisitionDate = acquired.strftime("%Y%m%d")
            frame.dataset.AcquisitionTime = acquired.strftime("%H%M%S.%f")
        if duration_ms is not None:
            frame.dataset.ActualFrameDuration = round(duration_ms)


def _translate_quantity(frame: Tags) -> None:
    """Write units and corrections as a classic PET does; what an enhanced PET does not tell stays missing."""
    mapping = frame.item("RealWorldValueMappingSequence")
    units = mapping.item("MeasurementUnitsCodeSequence").text("CodeValue")
    slope, intercept = mapping.number("RealWorldValueSlope"), mapping.number("RealWorldValueIntercept")
    corrections = [code for keyword, code in _CORRECTIONS.items() if frame.text(keyword) == "YES"]
    with parsing(frame.where):
        frame.dataset.CorrectedImage = corrections
        frame.dataset.DecayCorrection = _DECAY.get(frame.dataset.get("DecayCorrected"))
        if units is not None and slope is not None and intercept is not None:
            frame.dataset.Units = _UNITS.get(units, units[:16])
            frame.dataset.RescaleSlope, frame.dataset.RescaleIntercept = f"{slope:.10g}", f"{intercept:.10g}"
