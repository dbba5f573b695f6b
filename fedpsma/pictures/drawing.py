"""What every picture shares: grey scales, colours, letters, outlines, and tags that never overlap."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from fedpsma.domain.exam import Lesion
from fedpsma.domain.study import LabelVolume
from fedpsma.lesions.geometry import Box

Colour = tuple[int, int, int]

# Okabe and Ito's colours, told apart with every common colour vision; the tags differ in their text as well.
COLOURS: dict[str | None, Colour] = {
    "malignant": (213, 94, 0),
    "indeterminate": (0, 114, 178),
    "physiological": (0, 158, 115),
}
OTHER_COLOUR: Colour = (90, 90, 90)
INK: Colour = (20, 20, 20)
PAPER: Colour = (255, 255, 255)


def colour_of(lesion: Lesion) -> Colour:
    """Return the colour of a lesion by its label."""
    return COLOURS.get(lesion.label, OTHER_COLOUR)


def tag_of(lesion: Lesion) -> str:
    """Return the tag of a lesion: its id with a question mark if indeterminate, in brackets if physiological.

    Example:
        >>> tag_of(Lesion(lesion_id="L2", region="LIVER", label="indeterminate", suvmax=7.25))
        'L2?  7.2'
    """
    name = {"indeterminate": f"{lesion.lesion_id}?", "physiological": f"({lesion.lesion_id})"}.get(
        lesion.label or "", lesion.lesion_id
    )
    return name if lesion.suvmax is None else f"{name}  {lesion.suvmax:.1f}"


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the font that comes with Pillow."""
    return ImageFont.load_default(size)


def inverted_grey(values: NDArray[np.float32], top: float) -> Image.Image:
    """Draw values (rows, columns) from white (0) to black (``top`` and more)."""
    share = np.clip(values / top, 0.0, 1.0)
    return Image.fromarray(np.round(255 * (1.0 - share)).astype(np.uint8), mode="L").convert("RGB")


def lesion_boxes(lesion_labels: LabelVolume, count: int) -> list[Box | None]:
    """Return where each of the lesions 1 to ``count`` lies in the volume; ``None`` for one without a voxel."""
    return list(ndimage.find_objects(lesion_labels, max_label=count)) if count else []


def draw_rim(
    picture: Image.Image, mask: NDArray[np.bool_], corner: tuple[int, int], size: tuple[int, int], colour: Colour
) -> None:
    """Draw a smooth line round a mask (rows, columns) that covers ``size`` pixels from ``corner`` on (both x, y)."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if rows.size == 0:
        return
    # one spare cell on every side, so that the line does not end at the crop
    top, left = int(rows[0]) - 1, int(columns[0]) - 1
    cut = np.pad(mask[top + 1 : int(rows[-1]) + 1, left + 1 : int(columns[-1]) + 1], 1)
    across, down = size[0] / mask.shape[1], size[1] / mask.shape[0]
    scaled = (max(round(cut.shape[1] * across), 1), max(round(cut.shape[0] * down), 1))
    grey = Image.fromarray(np.where(cut, 255, 0).astype(np.uint8), mode="L").resize(scaled, Image.Resampling.BICUBIC)
    solid = np.asarray(grey) >= 128
    line = ndimage.binary_dilation(solid, iterations=2) & ~solid
    stencil = Image.fromarray(np.where(line, 255, 0).astype(np.uint8), mode="L")
    x, y = corner[0] + round(left * across), corner[1] + round(top * down)
    picture.paste(colour, (x, y, x + stencil.width, y + stencil.height), stencil)


@dataclass(frozen=True)
class Tag:
    """A text that belongs to a point of the picture (pixels, x to the right, y down)."""

    text: str
    colour: Colour
    x: float
    y: float


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move positions apart until none is closer than ``gap`` to the next, within ``low`` and ``high``.

    ``wanted`` is ascending, and there has to be room for all of them.

    Example:
        >>> spread([10.0, 11.0, 50.0], 10.0, 0.0, 55.0)
        [10.0, 20.0, 50.0]
    """
    places: list[float] = []
    for position in wanted:
        places.append(max(position, low, places[-1] + gap if places else low))
    limit = high
    for index in reversed(range(len(places))):
        places[index] = min(places[index], limit)
        limit = places[index] - gap
    return places


def png_bytes(picture: Image.Image) -> bytes:
    """Return a picture as PNG; the same picture gives the same bytes."""
    stream = io.BytesIO()
    picture.save(stream, format="PNG", optimize=False)
    return stream.getvalue()


def write_centred(draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, size: int, colour: Colour) -> None:
    """Write a text with its middle at a point."""
    draw.text(at, text, fill=colour, font=font(size), anchor="mm")
