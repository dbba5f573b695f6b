"""Segments of a DICOM Segmentation (SEG) and where their voxels lie on a PET grid."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
from highdicom.seg import Segmentation
from pydicom import dcmread
from scipy import ndimage

from fedpsma.domain.study import Affine
from fedpsma.errors import InputError
from fedpsma.io.dicom.geometry import SPACING_TOLERANCE
from fedpsma.io.dicom.lesion_object import LesionObject, Mask, Patch, index_box, is_lesion_code
from fedpsma.io.dicom.tags import Tags, parsing
from fedpsma.io.nifti import Volume
from fedpsma.io.orientation import is_usable_affine
from fedpsma.io.provenance import GridRecord

FRACTION = 0.5
# A whole-body CT at 1 mm has half of this; a corrupted header must not ask for more memory.
LARGEST_VOXELS = 2**30


def read_segments(path: Path) -> list[LesionObject]:
    """Read the segments of a SEG: binary, fractional (from one half on) or label map, in any orientation.

    Raises:
        InputError: The file is damaged, or its frames make up no volume.
    """
    where = str(path)
    with parsing(where):
        tags = Tags(dcmread(path), where)
    notes = _complete_thickness(tags)
    with parsing(where, "is no readable SEG"):
        stored = Segmentation.from_dataset(tags.dataset, copy=False)
        geometry = stored.get_volume_geometry(rtol=SPACING_TOLERANCE)
        numbers = [int(number) for number in stored.segment_numbers]
    if geometry is None or not is_usable_affine(geometry.affine):
        raise InputError("has frames that make up no regular volume", where=where, remedy="export it as a volume")
    if np.prod(geometry.shape, dtype=float) > LARGEST_VOXELS:
        raise InputError(f"spans {geometry.shape} voxels", where=where, remedy="export or copy it again")
    grid = _grid_record(geometry.get_affine("RAS"), geometry.shape)
    described = {item.number("SegmentNumber"): item for item in tags.items("SegmentSequence")}
    return [
        LesionObject(
            kind="SEG",
            number=number,
            name=(described[number].text("SegmentLabel") or "") if number in described else "",
            says_lesion=number in described and _is_lesion(described[number]),
            frame_of_reference=tags.text("FrameOfReferenceUID"),
            where=where,
            draw=partial(_draw, stored, number, where),
            grid=grid,
            notes=notes,
        )
        for number in numbers
    ]


def _complete_thickness(tags: Tags) -> tuple[str, ...]:
    """Let files without Slice Thickness in: the distance of slices is Spacing Between Slices, the other says nothing.

    Returns:
        A note where it was missing.
    """
    missing = False
    for shared in tags.items("SharedFunctionalGroupsSequence"):
        for measures in shared.items("PixelMeasuresSequence"):
            spacing = measures.number("SpacingBetweenSlices")
            if measures.number("SliceThickness") is None and spacing is not None:
                measures.dataset.SliceThickness, missing = spacing, True
    return ("the SEG has no SliceThickness (0018,0050); its SpacingBetweenSlices counts",) if missing else ()


def _is_lesion(segment: Tags) -> bool:
    codes = segment.items("SegmentedPropertyTypeCodeSequence")
    return any(is_lesion_code(f"{code.text('CodingSchemeDesignator')} {code.text('CodeValue')}") for code in codes)


def _grid_record(affine: Affine, shape: tuple[int, ...]) -> GridRecord:
    # Frames come first in the array, as in the file; the record counts columns, rows and frames.
    edges = np.linalg.norm(affine[:3, :3], axis=0)
    return GridRecord(
        spacing_mm=(float(edges[2]), float(edges[1]), float(edges[0])),
        shape=(int(shape[2]), int(shape[1]), int(shape[0])),
        orientation="".join(reversed(nib.aff2axcodes(affine))),
    )


def _draw(stored: Segmentation, number: int, where: str, pet: Volume) -> Patch:
    with parsing(where, f"segment {number} cannot be decoded"):
        volume = stored.get_volume(segment_numbers=[number], rtol=SPACING_TOLERANCE)
        mask, affine = np.asarray(volume.array)[..., 0] >= FRACTION, volume.get_affine("RAS")
    return _on_grid(mask, affine, pet)


def _on_grid(mask: Mask, affine: Affine, pet: Volume) -> Patch:
    """Give each PET voxel the value of the stored voxel that holds its centre."""
    found = ndimage.find_objects(mask.astype(np.uint8))
    if not found:
        return Patch((slice(0), slice(0), slice(0)), np.zeros((0, 0, 0), bool))
    corners = np.array(np.meshgrid(*[(part.start - 0.5, part.stop - 0.5) for part in found[0]])).reshape(3, -1).T
    box, clipped = index_box(corners @ affine[:3, :3].T + affine[:3, 3], pet)
    to_stored = np.linalg.inv(affine) @ pet.affine
    start = np.array([part.start for part in box], dtype=float)
    drawn = ndimage.affine_transform(
        mask.astype(np.uint8),
        to_stored[:3, :3],
        to_stored[:3, 3] + to_stored[:3, :3] @ start,
        output_shape=tuple(part.stop - part.start for part in box),
        order=0,
        # Unlike "constant" this keeps the half voxel beyond the outermost centres.
        mode="grid-constant",
    )
    return Patch(box, drawn.astype(bool), clipped)
