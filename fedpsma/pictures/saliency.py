"""What the network's suspicion of a lesion rests on: PET and CT in three planes, beside what each voxel adds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from fedpsma.domain.exam import Lesion
from fedpsma.domain.saliency import Saliency
from fedpsma.domain.study import FloatVolume
from fedpsma.lesions.geometry import Index
from fedpsma.pictures.drawing import COLOURS, INK, PAPER, Colour, colour_of, draw_rim, font, inverted_grey, tag_of
from fedpsma.pictures.key_slices import CT_WINDOW_HU, SUV_TOP, cells, indices_round

ADDS: Colour = COLOURS["malignant"]
TAKES_AWAY: Colour = COLOURS["indeterminate"]
_OUTLINE: Colour = COLOURS["physiological"]
_SIZE_PX = 300
_HEAD_PX = 80
_FOOT_PX = 76
_GAP_PX = 6
# The strongest few voxels would leave all others white.
_FULL_COLOUR_AT = 0.9995
_PALE = 0.45


@dataclass(frozen=True)
class _Plane:
    """A plane of section: its normal, the axis along the picture's width and the one along its height."""

    name: str
    normal: int
    across: int
    down: int
    left: str
    right: str


_PLANES = (
    _Plane("axial", normal=2, across=0, down=1, left="R", right="L"),
    _Plane("coronal", normal=1, across=0, down=2, left="R", right="L"),
    _Plane("sagittal", normal=0, across=1, down=2, left="A", right="P"),
)


def saliency_picture(found: Saliency, lesion: Lesion, *, caption: str = "") -> Image.Image:
    """Draw the planes through the hottest voxel of a lesion, 24 cm wide, at the resolution that the network sees.

    From left to right PET, what its voxels add to the suspicion, CT, and what its voxels add; without a CT only the
    first two. The same colour means the same share in all of them. Axial planes are seen from the feet, coronal planes
    from the front: the patient's right is on the left of the picture.

    Args:
        found: The shares of all voxels.
        lesion: Named above the planes.
        caption: What stands below, for instance that the patient is synthetic.
    """
    middle, top = _hottest(found), _full_colour(found)
    width = _SIZE_PX + _GAP_PX
    columns = 2 if found.ct is None else 4
    sheet = Image.new("RGB", (columns * width, _HEAD_PX + len(_PLANES) * width + _FOOT_PX), PAPER)
    for row, plane in enumerate(_PLANES):
        for column, panel in enumerate(_panels(found, plane, middle, top)):
            sheet.paste(panel, (column * width, _HEAD_PX + row * width))
    _write_head(sheet, found, lesion)
    _write_foot(sheet, top, caption)
    return sheet


def _hottest(found: Saliency) -> Index:
    x, y, z = np.unravel_index(int(np.where(found.pooled, found.pet, -np.inf).argmax()), found.pet.shape)
    return int(x), int(y), int(z)


def _full_colour(found: Saliency) -> float:
    """Return the share of a voxel that is drawn in full colour."""
    strongest = max(
        float(np.quantile(np.abs(share), _FULL_COLOUR_AT))
        for share in (found.pet_share, found.ct_share)
        if share is not None
    )
    return max(strongest, 1e-9)


def _panels(found: Saliency, plane: _Plane, middle: Index, top: float) -> list[Image.Image]:
    """Draw one plane: PET, its shares, CT, its shares."""
    spacing = np.linalg.norm(found.affine[:3, :3], axis=0)
    columns, rows = (
        indices_round(middle[axis], found.pet.shape[axis], float(spacing[axis])) for axis in (plane.across, plane.down)
    )

    def cut(volume: FloatVolume, outside: float | None = None) -> NDArray[np.float32]:
        return cells(np.take(volume, middle[plane.normal], axis=plane.normal), columns, rows, outside=outside)

    images = [(inverted_grey(cut(found.pet), SUV_TOP), found.pet_share)]
    if found.ct is not None and found.ct_share is not None:
        images.append((_grey(cut(found.ct)), found.ct_share))
    pooled = cut(found.pooled.astype(np.float32)) > 0
    pairs = ((grey, _tinted(grey, cut(share, 0.0), top)) for grey, share in images)
    return [_finished(picture, pooled, plane) for pair in pairs for picture in pair]


def _grey(hounsfield: NDArray[np.float32]) -> Image.Image:
    low, high = CT_WINDOW_HU
    values = np.clip((hounsfield - low) / (high - low), 0, 1)
    return Image.fromarray(np.round(255 * values).astype(np.uint8), mode="L").convert("RGB")


def _tinted(grey: Image.Image, share: NDArray[np.float32], top: float) -> Image.Image:
    """Lay the shares in two colours over a paler image, the more opaque the larger they are."""
    pale = 255 - _PALE * (255 - np.asarray(grey, dtype=np.float32))
    opacity = np.clip(np.abs(share) / top, 0, 1)[..., None]
    colour = np.where(share[..., None] >= 0, np.array(ADDS), np.array(TAKES_AWAY))
    return Image.fromarray(np.round(pale * (1 - opacity) + colour * opacity).astype(np.uint8), mode="RGB")


def _finished(picture: Image.Image, pooled: NDArray[np.bool_], plane: _Plane) -> Image.Image:
    """Enlarge a panel, outline the voxels whose suspicion is explained, and name the sides."""
    large = picture.resize((_SIZE_PX, _SIZE_PX), Image.Resampling.BICUBIC)
    draw_rim(large, pooled, (0, 0), (_SIZE_PX, _SIZE_PX), _OUTLINE)
    draw = ImageDraw.Draw(large)
    for letter, x in ((plane.left, 14), (plane.right, _SIZE_PX - 14)):
        draw.text((x, 18), letter, fill=PAPER, font=font(18), anchor="mm", stroke_width=2, stroke_fill=INK)
    return large


def _write_head(sheet: Image.Image, found: Saliency, lesion: Lesion) -> None:
    draw = ImageDraw.Draw(sheet)
    parts = f"{found.baseline:.2f} without a patient {found.from_pet:+.2f} by PET"
    if found.from_ct is not None:
        parts += f" {found.from_ct:+.2f} by CT"
    told = f"suspicion of the network {found.suspicion:.2f} = {parts}  (error {found.remainder:+.3f})"
    draw.text((8, 18), tag_of(lesion), fill=colour_of(lesion), font=font(18), anchor="lm")
    draw.text((8, 42), told, fill=INK, font=font(13), anchor="lm")
    low, high = CT_WINDOW_HU
    names = (f"PET, SUV 0-{SUV_TOP:.0f}", "what PET adds", f"CT, {low:.0f} to {high:.0f} HU", "what CT adds")
    for column, name in enumerate(names[: 2 if found.ct is None else 4]):
        draw.text((column * (_SIZE_PX + _GAP_PX) + 8, 66), name, fill=INK, font=font(14), anchor="lm")


def _write_foot(sheet: Image.Image, top: float, caption: str) -> None:
    draw = ImageDraw.Draw(sheet)
    y = sheet.height - _FOOT_PX + 18
    left = 8.0
    keys = (
        (f"adds (full colour from {top:.1g} a voxel on)", ADDS),
        ("takes away", TAKES_AWAY),
        ("outlined: where the suspicion is taken", _OUTLINE),
    )
    for text, colour in keys:
        draw.rectangle((left, y - 6, left + 12, y + 6), fill=colour)
        draw.text((left + 18, y), text, fill=INK, font=font(13), anchor="lm")
        left += draw.textlength(text, font=font(13)) + 40
    draw.text((8, y + 26), caption, fill=INK, font=font(13), anchor="lm")
