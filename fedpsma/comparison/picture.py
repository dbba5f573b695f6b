"""Baseline and follow-up side by side, each lesion with the number it has in both."""

from __future__ import annotations

from collections.abc import Mapping

from PIL import Image, ImageDraw

from fedpsma.comparison.study_pair import Examined, StudyPair, earlier_id
from fedpsma.domain.exam import Lesion
from fedpsma.pictures.drawing import INK, PAPER, font
from fedpsma.pictures.mip import CORONAL, SUV_TOP, view_picture
from fedpsma.staging_page import DISCLAIMER

_HEAD_PX = 40
_FOOT_PX = 72


def side_by_side(earlier: Examined, later: Examined, pair: StudyPair) -> Image.Image:
    """Draw the coronal projections of both studies; equal numbers are the same lesion."""
    numbers = matched_numbers(pair)
    before = [_tagged(one, numbers, earlier_id(at), "gone") for at, one in enumerate(earlier.exam.lesions, start=1)]
    now = [_tagged(one, numbers, one.lesion_id, "new") for one in later.exam.lesions]
    panels = [
        view_picture(earlier.study, earlier.labels, before, CORONAL),
        view_picture(later.study, later.labels, now, CORONAL),
    ]
    height = max(panel.height for panel in panels)
    sheet = Image.new("RGB", (sum(panel.width for panel in panels), _HEAD_PX + height + _FOOT_PX), PAPER)
    draw = ImageDraw.Draw(sheet)
    left = 0
    for panel, title in zip(
        panels, (f"baseline {earlier.study.study_id}", f"follow-up {later.study.study_id}"), strict=True
    ):
        sheet.paste(panel, (left, _HEAD_PX))
        draw.text((left + panel.width / 2, _HEAD_PX / 2), title, fill=INK, font=font(20), anchor="mm")
        left += panel.width
    synthetic = "SYNTHETIC PATIENT.  " if earlier.synthetic or later.synthetic else ""
    lines = (f"Equal numbers: the same lesion. Number: SUVmax. SUVbw 0-{SUV_TOP:.0f}.", f"{synthetic}{DISCLAIMER}")
    for at, line in enumerate(lines):
        draw.text((24, _HEAD_PX + height + 20 + 26 * at), line, fill=INK, font=font(14), anchor="lm")
    return sheet


def matched_numbers(pair: StudyPair) -> dict[str, str]:
    """Return the number of every matched lesion, by its id; the parts of a split or merge share one.

    A lesion of the earlier study goes by its name in the prior ("P3").
    """
    return {
        name: str(number) for number, group in enumerate(pair.groups, start=1) for name in (*group.before, *group.now)
    }


def _tagged(lesion: Lesion, numbers: Mapping[str, str], name: str, otherwise: str) -> Lesion:
    return lesion.model_copy(update={"lesion_id": numbers.get(name, f"{name} {otherwise}")})
