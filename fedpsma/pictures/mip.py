"""Maximum intensity projections with numbered lesions, as radiology shows them: the patient faces the viewer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from fedpsma.domain.exam import Lesion
from fedpsma.domain.study import LabelVolume, Study
from fedpsma.lesions.geometry import Box
from fedpsma.pictures.drawing import (
    COLOURS,
    INK,
    PAPER,
    Colour,
    Tag,
    colour_of,
    draw_rim,
    font,
    inverted_grey,
    lesion_boxes,
    spread,
    tag_of,
    write_centred,
)

SUV_TOP = 15.0
_HEIGHT_PX = 1000
_MOST_PX_PER_MM = 2.5
_GUTTER_PX = 112
_HEAD_PX = 40
_FOOT_PX = 84
_TAG_PX = 17
_BODY_SUV = 0.2
_MARGIN_MM = 20.0
_SMALL_PX = 14


@dataclass(frozen=True)
class View:
    """A direction of projection: ``axis`` is projected away, ``across`` runs along the picture's width.

    Both ends of the picture are named: on the left what the index of ``across`` grows to.
    """

    name: str
    axis: int
    across: int
    left: str
    right: str


CORONAL = View("coronal", axis=1, across=0, left="R", right="L")
SAGITTAL = View("sagittal", axis=0, across=1, left="A", right="P")


@dataclass(frozen=True)
class _Frame:
    """Which columns of the projection are shown, and how large."""

    first: int
    last: int
    size: tuple[int, int]
    px_per_mm: float


def mip_picture(
    study: Study, lesion_labels: LabelVolume, lesions: Sequence[Lesion], *, caption: str = ""
) -> Image.Image:
    """Draw the coronal and the sagittal projection side by side, inverted grey, SUV 0 to 15.

    Args:
        study: The PET.
        lesion_labels: (x, y, z) on the PET grid; number n is ``lesions[n - 1]``, 0 is none.
        lesions: In the order of their numbers; the tags show id and SUVmax.
        caption: What stands below, for instance that the patient is synthetic.
    """
    panels = [view_picture(study, lesion_labels, lesions, view) for view in (CORONAL, SAGITTAL)]
    width = sum(panel.width for panel in panels)
    sheet = Image.new("RGB", (width, panels[0].height + _FOOT_PX), PAPER)
    left = 0
    for panel in panels:
        sheet.paste(panel, (left, 0))
        left += panel.width
    _foot(sheet, _px_per_mm(study), caption)
    return sheet


def projection(volume: NDArray[np.float32], view: View) -> NDArray[np.float32]:
    """Return the maximum along the view as picture rows (superior first) and columns.

    In the coronal view the first column is the patient's right, in the sagittal view it is anterior.
    """
    return np.asarray(volume.max(axis=view.axis).T[::-1, ::-1])


def view_picture(study: Study, lesion_labels: LabelVolume, lesions: Sequence[Lesion], view: View) -> Image.Image:
    """Draw one projection with its letters, lesion outlines and tags beside it."""
    frame = _frame(study, view)
    width, height = frame.size
    picture = Image.new("RGB", (width + 2 * _GUTTER_PX, height + _HEAD_PX), PAPER)
    shown = projection(study.pet, view)[:, frame.first : frame.last]
    grey = inverted_grey(shown, SUV_TOP).resize(frame.size, Image.Resampling.BICUBIC)
    picture.paste(grey, (_GUTTER_PX, _HEAD_PX))
    tags = [
        _outline(picture, _shadow(lesion_labels, number, box, view, frame), lesion, frame)
        for number, (box, lesion) in enumerate(
            zip(lesion_boxes(lesion_labels, len(lesions)), lesions, strict=True), start=1
        )
        if box is not None
    ]
    draw = ImageDraw.Draw(picture)
    draw.rectangle((_GUTTER_PX, _HEAD_PX, _GUTTER_PX + width - 1, _HEAD_PX + height - 1), outline=(170, 170, 170))
    for letter, x in ((view.left, _GUTTER_PX + 14), (view.right, _GUTTER_PX + width - 14)):
        write_centred(draw, (x, _HEAD_PX + 18), letter, 22, INK)
    write_centred(draw, (picture.width / 2, _HEAD_PX / 2), f"{view.name} MIP", 18, INK)
    _write_tags(draw, tags, frame)
    return picture


def _px_per_mm(study: Study) -> float:
    height_mm: float = study.pet.shape[2] * study.spacing_mm[2]
    return min(_HEIGHT_PX / height_mm, _MOST_PX_PER_MM)


def _frame(study: Study, view: View) -> _Frame:
    """Cut the air beside the body away and choose the scale."""
    step = study.spacing_mm[view.across]
    body = np.flatnonzero((projection(study.pet, view) > _BODY_SUV).any(axis=0))
    count = study.pet.shape[view.across]
    margin = round(_MARGIN_MM / step)
    first = max(int(body[0]) - margin, 0) if body.size else 0
    last = min(int(body[-1]) + 1 + margin, count) if body.size else count
    scale = _px_per_mm(study)
    height = round(study.pet.shape[2] * study.spacing_mm[2] * scale)
    return _Frame(first, last, (max(round((last - first) * step * scale), 1), max(height, 1)), scale)


def _shadow(lesion_labels: LabelVolume, number: int, box: Box, view: View, frame: _Frame) -> NDArray[np.bool_]:
    """Project one lesion onto the picture's cells (rows, columns)."""
    flat = np.zeros((lesion_labels.shape[view.across], lesion_labels.shape[2]), dtype=bool)
    flat[box[view.across], box[2]] = (lesion_labels[box] == number).any(axis=view.axis)
    return flat.T[::-1, ::-1][:, frame.first : frame.last]


def _outline(picture: Image.Image, flat: NDArray[np.bool_], lesion: Lesion, frame: _Frame) -> Tag:
    """Draw the edge of one projected lesion and return the tag that points to it."""
    colour = colour_of(lesion)
    draw_rim(picture, flat, (_GUTTER_PX, _HEAD_PX), frame.size, colour)
    rows, columns = np.nonzero(flat)
    scale_x, scale_y = frame.size[0] / flat.shape[1], frame.size[1] / flat.shape[0]
    x = _GUTTER_PX + (columns.mean() + 0.5) * scale_x
    y = _HEAD_PX + (rows.mean() + 0.5) * scale_y
    if max(np.ptp(columns) * scale_x, np.ptp(rows) * scale_y) < _SMALL_PX:
        ring = _SMALL_PX * 0.75
        ImageDraw.Draw(picture).ellipse((x - ring, y - ring, x + ring, y + ring), outline=colour, width=2)
    return Tag(tag_of(lesion), colour, float(x), float(y))


def _write_tags(draw: ImageDraw.ImageDraw, tags: Sequence[Tag], frame: _Frame) -> None:
    """Write the tags into the gutters, each with a line to its lesion; what finds no room is counted below."""
    room = max(int(frame.size[1] // _TAG_PX) - 1, 0)
    shown = list(tags[: 2 * room])
    middle = _GUTTER_PX + frame.size[0] / 2
    left = sorted((tag for tag in shown if tag.x < middle), key=lambda tag: tag.y)
    right = sorted((tag for tag in shown if tag.x >= middle), key=lambda tag: tag.y)
    while len(left) > room:
        right.append(left.pop(_nearest(left, middle)))
    while len(right) > room:
        left.append(right.pop(_nearest(right, middle)))
    _write_gutter(draw, sorted(left, key=lambda tag: tag.y), frame, on_the_left=True)
    _write_gutter(draw, sorted(right, key=lambda tag: tag.y), frame, on_the_left=False)
    if len(tags) > len(shown):
        at = (_GUTTER_PX + frame.size[0] / 2, _HEAD_PX + frame.size[1] - 12)
        write_centred(draw, at, f"{len(tags) - len(shown)} more without a tag", 14, INK)


def _nearest(tags: Sequence[Tag], middle: float) -> int:
    return min(range(len(tags)), key=lambda index: abs(tags[index].x - middle))


def _write_gutter(draw: ImageDraw.ImageDraw, tags: Sequence[Tag], frame: _Frame, *, on_the_left: bool) -> None:
    low, high = _HEAD_PX + _TAG_PX / 2, _HEAD_PX + frame.size[1] - _TAG_PX / 2
    places = spread([tag.y for tag in tags], _TAG_PX, low, high)
    edge = _GUTTER_PX if on_the_left else _GUTTER_PX + frame.size[0]
    step = -1 if on_the_left else 1
    for tag, y in zip(tags, places, strict=True):
        draw.line([(edge + 4 * step, y), (edge - 10 * step, y), (tag.x + _SMALL_PX * step, tag.y)], tag.colour, 1)
        anchor = "rm" if on_the_left else "lm"
        draw.text((edge + 8 * step, y), tag.text, fill=tag.colour, font=font(14), anchor=anchor)


def _foot(sheet: Image.Image, px_per_mm: float, caption: str) -> None:
    """Write what the greys, the length and the colours mean."""
    draw = ImageDraw.Draw(sheet)
    top = sheet.height - _FOOT_PX + 14
    left = _GUTTER_PX
    ramp = inverted_grey(np.tile(np.linspace(0, SUV_TOP, 120, dtype=np.float32), (12, 1)), SUV_TOP)
    sheet.paste(ramp, (left, top))
    draw.rectangle((left, top, left + 119, top + 11), outline=INK)
    draw.text((left + 128, top + 6), f"SUVbw 0-{SUV_TOP:.0f}", fill=INK, font=font(14), anchor="lm")
    bar = 100 * px_per_mm
    draw.line([(left + 240, top + 6), (left + 240 + bar, top + 6)], INK, 3)
    draw.text((left + 248 + bar, top + 6), "10 cm", fill=INK, font=font(14), anchor="lm")
    _legend(draw, left, top + 28)
    draw.text((left, top + 52), caption, fill=INK, font=font(14), anchor="lm")


def _legend(draw: ImageDraw.ImageDraw, left: float, y: float) -> None:
    texts: list[tuple[str, Colour]] = [
        ("L1 malignant", COLOURS["malignant"]),
        ("L2? indeterminate", COLOURS["indeterminate"]),
        ("(L3) physiological", COLOURS["physiological"]),
        ("number: SUVmax", INK),
    ]
    for text, colour in texts:
        draw.text((left, y), text, fill=colour, font=font(14), anchor="lm")
        left += draw.textlength(text, font=font(14)) + 22
