from __future__ import annotations

import numpy as np
import pytest

from fedpsma.domain.exam import Lesion
from fedpsma.domain.saliency import Saliency
from fedpsma.pictures.drawing import Colour, png_bytes
from fedpsma.pictures.saliency import ADDS, TAKES_AWAY, saliency_picture

PANEL, GAP, HEAD = 306, 6, 80
LESION = Lesion(lesion_id="L2", region="LIVER", label="malignant", suvmax=9.0)


def _found(offset: tuple[int, int, int], value: float, *, with_ct: bool = True) -> Saliency:
    """A lesion in the middle of 60 cubed voxels of 4 mm, and a block with a share at an offset (x, y, z) from it."""
    share = np.zeros((60, 60, 60), dtype=np.float32)
    x, y, z = (30 + step for step in offset)
    share[x - 2 : x + 3, y - 2 : y + 3, z - 2 : z + 3] = value
    pooled = np.zeros(share.shape, dtype=bool)
    pooled[30, 30, 30] = True
    return Saliency(
        pet=pooled * np.float32(9),
        ct=np.full(share.shape, 40, np.float32) if with_ct else None,
        pooled=pooled,
        pet_share=share,
        ct_share=np.zeros_like(share) if with_ct else None,
        affine=np.diag([4.0, 4.0, 4.0, 1.0]),
        suspicion=0.9,
        baseline=0.0,
    )


def _middle(offset: tuple[int, int, int], value: float, row: int, colour: Colour) -> tuple[float, float]:
    """Where a block of shares is drawn in one plane of what PET adds, as a part (down, across) of the panel."""
    pixels = np.asarray(saliency_picture(_found(offset, value), LESION))
    panel = pixels[HEAD + row * PANEL :, PANEL:][: PANEL - GAP, : PANEL - GAP]
    down, across = np.nonzero(np.abs(panel.astype(int) - colour).sum(axis=-1) < 20)
    assert len(down) > 50, "the colour is not there"
    return float(down.mean()) / (PANEL - GAP), float(across.mean()) / (PANEL - GAP)


@pytest.mark.parametrize(
    ("offset", "row", "expected"),
    [
        ((15, 0, 0), 0, (0.5, 0.25)),  # the patient's right, axial: on the left of the picture
        ((0, 15, 0), 0, (0.25, 0.5)),  # anterior, axial: above
        ((15, 0, 0), 1, (0.5, 0.25)),  # the patient's right, coronal: on the left
        ((0, 0, 15), 1, (0.25, 0.5)),  # superior, coronal: above
        ((0, 15, 0), 2, (0.5, 0.25)),  # anterior, sagittal: on the left
        ((0, 0, 15), 2, (0.25, 0.5)),  # superior, sagittal: above
    ],
)
def test_what_adds_lies_where_it_is_in_the_patient(
    offset: tuple[int, int, int], row: int, expected: tuple[float, float]
) -> None:
    assert _middle(offset, 0.01, row, ADDS) == pytest.approx(expected, abs=0.02)


def test_what_takes_away_has_the_other_colour() -> None:
    assert _middle((15, 0, 0), -0.01, 0, TAKES_AWAY) == pytest.approx((0.5, 0.25), abs=0.02)


def test_a_study_without_ct_has_half_the_columns_and_equal_input_the_same_bytes() -> None:
    found = _found((15, 0, 0), 0.01, with_ct=False)
    picture = saliency_picture(found, LESION, caption="made up")
    assert picture.width * 2 == saliency_picture(_found((15, 0, 0), 0.01), LESION).width
    assert png_bytes(picture) == png_bytes(saliency_picture(found, LESION, caption="made up"))


def test_a_lesion_that_rests_on_nothing_has_a_picture() -> None:
    assert saliency_picture(_found((0, 0, 0), 0.0), LESION).height > 3 * PANEL
