"""The key images of a report: projections with numbered lesions, and the slice through each lesion."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from fedpsma.pictures.drawing import lesion_boxes
from fedpsma.pictures.key_slices import key_image
from fedpsma.pictures.mip import mip_picture
from reporting.exporters.frame import frame_of
from reporting.exporters.report import Report

MOST_SLICES = 24
"""Lesions with a slice of their own, in the order of the table; beyond that the projections have to do."""


@dataclass(frozen=True)
class KeyPictures:
    """Pictures of a report; ``left_out`` counts the lesions with an outline that have no slice."""

    projections: Image.Image
    slices: tuple[Image.Image, ...]
    left_out: int


def key_pictures(report: Report) -> KeyPictures | None:
    """Draw the key images of a report; ``None`` where it has no images."""
    if report.images is None:
        return None
    study, labels, lesions = report.images.study, report.images.lesion_labels, report.exam.lesions
    frame = frame_of(report)
    drawn = [
        (number, box, lesion)
        for number, (box, lesion) in enumerate(zip(lesion_boxes(labels, len(lesions)), lesions, strict=True), start=1)
        if box is not None
    ]
    return KeyPictures(
        projections=mip_picture(study, labels, lesions, caption=f"{frame.state}   {frame.study}"),
        slices=tuple(key_image(study, labels, *one) for one in drawn[:MOST_SLICES]),
        left_out=max(len(drawn) - MOST_SLICES, 0),
    )
