"""The axial slice through a lesion: PET over CT, or PET alone where there is no CT."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from fedpsma.domain.exam import Lesion
from fedpsma.domain.study import LabelVolume, Study
from fedpsma.lesions.geometry import Box, Index
from fedpsma.pictures.drawing import INK, PAPER, Colour, colour_of, draw_rim, font, inverted_grey, lesion_boxes, tag_of

SUV_TOP = 15.0
CT_WINDOW_HU = (-160.0, 240.0)
EDGE_MM = 240.0
_SIZE_PX = 320
_HEAD_PX = 28
_COLUMNS = 4
_OPAQUE_FROM = 0.5
# Cyan stands out from every colour of the fusion; the tag above the slice has the colour of the label.
_EDGE_ON_FUSION: Colour = (0, 220, 255)


def key_image(study: Study, lesion_labels: LabelVolume, number: int, box: Box, lesion: Lesion) -> Image.Image:
    """Draw the slice through the hottest voxel of lesion ``number``, 24 cm wide, seen from the feet.

    The patient's right is on the left of the picture, anterior is above. ``box`` is where the lesion lies in the
    volume.
    """
    x, y, z = _hottest(study, lesion_labels, number, box)
    columns, rows = (indices_round(at, study.pet.shape[axis], study.spacing_mm[axis]) for axis, at in ((0, x), (1, y)))

    def cut(volume: NDArray[np.float32] | LabelVolume) -> NDArray[np.float32]:
        return cells(volume[:, :, z], columns, rows)

    suv = cut(study.pet)
    slice_ = inverted_grey(suv, SUV_TOP) if study.ct is None else fused(suv, cut(study.ct))
    edge = colour_of(lesion) if study.ct is None else _EDGE_ON_FUSION
    picture = Image.new("RGB", (_SIZE_PX, _SIZE_PX + _HEAD_PX), PAPER)
    picture.paste(slice_.resize((_SIZE_PX, _SIZE_PX), Image.Resampling.BICUBIC), (0, _HEAD_PX))
    draw_rim(picture, cut(lesion_labels) == number, (0, _HEAD_PX), (_SIZE_PX, _SIZE_PX), edge)
    _write(picture, study, lesion, z)
    return picture


def key_image_sheet(
    study: Study, lesion_labels: LabelVolume, lesions: Sequence[Lesion], *, most: int = 8
) -> Image.Image | None:
    """Draw the key images of the first lesions on one sheet; ``None`` where there is no lesion."""
    boxes = lesion_boxes(lesion_labels, len(lesions))
    pictures = [
        key_image(study, lesion_labels, number, box, lesion)
        for number, (box, lesion) in enumerate(zip(boxes, lesions, strict=True), start=1)
        if box is not None
    ][:most]
    if not pictures:
        return None
    width, height = pictures[0].size
    columns = min(len(pictures), _COLUMNS)
    sheet = Image.new("RGB", (columns * (width + 8), -(-len(pictures) // columns) * (height + 8)), PAPER)
    for index, picture in enumerate(pictures):
        sheet.paste(picture, (index % columns * (width + 8), index // columns * (height + 8)))
    return sheet


def fused(suv: NDArray[np.float32], hounsfield: NDArray[np.float32]) -> Image.Image:
    """Lay PET (black, red, yellow, white) over CT (soft-tissue window), the more opaque the hotter."""
    low, high = CT_WINDOW_HU
    grey = np.clip((hounsfield - low) / (high - low), 0, 1)[..., None]
    heat = np.clip(suv / SUV_TOP, 0, 1)[..., None]
    colours = np.clip(3 * heat - np.array([0.0, 1.0, 2.0]), 0, 1)
    opacity = np.clip(heat / _OPAQUE_FROM, 0, 1)
    mixed = grey * (1 - opacity) + colours * opacity
    return Image.fromarray(np.round(255 * mixed).astype(np.uint8), mode="RGB")


def _hottest(study: Study, lesion_labels: LabelVolume, number: int, box: Box) -> Index:
    inside = np.where(lesion_labels[box] == number, study.pet[box], -np.inf)
    x, y, z = (
        int(at) + side.start for at, side in zip(np.unravel_index(int(inside.argmax()), inside.shape), box, strict=True)
    )
    return x, y, z


def indices_round(middle: int, count: int, step_mm: float) -> NDArray[np.intp]:
    """Return the indices 12 cm to both sides along one axis, descending; -1 marks what lies beyond the volume."""
    half = round(EDGE_MM / step_mm / 2)
    wanted = np.arange(middle + half, middle - half - 1, -1)
    return np.where((wanted >= 0) & (wanted < count), wanted, -1)


def cells(
    plane: NDArray[np.float32] | LabelVolume,
    columns: NDArray[np.intp],
    rows: NDArray[np.intp],
    *,
    outside: float | None = None,
) -> NDArray[np.float32]:
    """Return the picture cells (rows from the second axis, columns from the first); ``outside`` beyond the volume.

    By default that is air: the smallest value, 0 at most.
    """
    beyond = min(plane.min(), 0) if outside is None else outside
    padded = np.pad(plane, ((0, 1), (0, 1)), constant_values=beyond)
    return np.asarray(padded[np.ix_(columns, rows)].T)


def _write(picture: Image.Image, study: Study, lesion: Lesion, z: int) -> None:
    draw = ImageDraw.Draw(picture)
    level = float(study.affine[2, 2] * z + study.affine[2, 3])
    kind = "PET" if study.ct is None else "PET/CT"
    draw.text((6, _HEAD_PX / 2), tag_of(lesion), fill=colour_of(lesion), font=font(16), anchor="lm")
    draw.text((_SIZE_PX - 6, _HEAD_PX / 2), f"{kind}, z {level:.0f} mm", fill=INK, font=font(13), anchor="rm")
    letters = INK if study.ct is None else PAPER
    for letter, x in (("R", 12), ("L", _SIZE_PX - 12)):
        draw.text((x, _HEAD_PX + 16), letter, fill=letters, font=font(18), anchor="mm")
