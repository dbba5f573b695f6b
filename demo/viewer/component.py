"""The viewer as a Gradio component: what the page hands to it and what it hears from it.

Use:

    studies = OpenStudies()                                    # one for the application
    application.include_router(volume_router(studies, login))  # before Gradio is mounted
    viewer_component()                                         # inside the Blocks; shows nothing until it has a value
    token = studies.open(folder, user)                         # a session opens an analysed study
    peaks = lesion_peaks(exam, labels, study.pet)
    value = viewer_value(token, exam, peaks, Shown(selected))  # for the page, as JSON

Page and viewer speak by events on ``document``, so that nothing waits for a server:

* ``fp:value``, detail a value: the page dispatches it, and only what differs from the value before is fetched. After a
  lesion was added or split, tell the route with ``revision = studies.set_labels(token, labels, study)`` and hand on a
  new value with that revision. ``null`` closes the study.
* ``fp:lesion``, detail ``{id}``: the page dispatches it when a row is chosen, and the crosshair jumps there. The viewer
  dispatches it with ``from: "viewer"`` when the reader clicks into an outline or walks with n and p.
* ``fp:point``, from the viewer whenever the reader placed the crosshair, detail ``{voxel, mm, suv, from}``. ``voxel``
  counts on the grid of the study (x to the patient's right), ``mm`` is right, anterior, superior; ``suv`` is null where
  there is none.
* ``fp:add_lesion``, from the viewer, same detail: the reader asks for a lesion at the crosshair.

The element of class ``fpv`` tells its state in ``data-state`` (empty, loading, ready), ``data-voxel``, ``data-angle``,
``data-lesion`` and ``data-top``; ``--fp-viewer-height`` sets how tall it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from demo.viewer.route import PREFIX
from fedpsma.domain.exam import Exam
from fedpsma.domain.study import LabelVolume
from fedpsma.lesions.geometry import Index
from fedpsma.pictures.drawing import colour_of, lesion_boxes

if TYPE_CHECKING:
    import gradio as gr

_START = "new Viewer(element.querySelector('.fpv'));\n"


@dataclass(frozen=True)
class Shown:
    """What the reader sees of the lesions: the chosen one, the excluded ones, and the revision of the outlines."""

    selected: str | None = None
    excluded: frozenset[str] = frozenset()
    revision: int = 0


def viewer_component(**options: Any) -> gr.HTML:
    """Return the viewer; ``options`` go to ``gr.HTML`` (an ``elem_id``, a ``scale``)."""
    # Gradio reads its switches when it is imported, so that this waits until they are set.
    import gradio as gr

    return gr.HTML(
        html_template=viewer_text("viewer.html"),
        css_template=viewer_text("viewer.css"),
        js_on_load=viewer_script() + _START,
        apply_default_css=False,
        **options,
    )


def viewer_value(
    token: str,
    exam: Exam,
    peaks: dict[str, Index],
    shown: Shown = Shown(),
) -> dict[str, Any]:
    """Return what the viewer shows.

    Args:
        token: The name under which the study is open.
        exam: Its lesions, in the order of the numbers of the label map.
        peaks: Where to jump for each lesion: :func:`lesion_peaks`.
        shown: What is chosen and excluded.
    """
    lesions = [
        {
            "id": lesion.lesion_id,
            "number": _number(lesion.lesion_id, value),
            "value": value,
            "colour": "#{:02x}{:02x}{:02x}".format(*colour_of(lesion)),
            "excluded": lesion.lesion_id in shown.excluded,
            "peak": list(peaks[lesion.lesion_id]) if lesion.lesion_id in peaks else None,
        }
        for value, lesion in enumerate(exam.lesions, start=1)
    ]
    place = f"{PREFIX}/{token}"
    return {"place": place, "revision": shown.revision, "lesions": lesions, "selected": shown.selected}


def lesion_peaks(exam: Exam, labels: LabelVolume, pet: NDArray[np.float32]) -> dict[str, Index]:
    """Return the hottest voxel (x, y, z, on the grid of the study) of every lesion that has a voxel.

    Args:
        exam: Its lesions, in the order of the numbers of the label map.
        labels: Numbers from 1 (x, y, z).
        pet: SUV on the same grid.
    """
    peaks: dict[str, Index] = {}
    boxes = lesion_boxes(labels, len(exam.lesions))
    for value, (lesion, box) in enumerate(zip(exam.lesions, boxes, strict=True), start=1):
        if box is None:
            continue
        inside = np.where(labels[box] == value, pet[box], -np.inf)
        at = np.unravel_index(int(inside.argmax()), inside.shape)
        x, y, z = (int(place) + side.start for place, side in zip(at, box, strict=True))
        peaks[lesion.lesion_id] = (x, y, z)
    return peaks


@cache
def viewer_script() -> str:
    """Return the viewer's own script: its parts in the order of their names."""
    folder = resources.files(__package__).joinpath("script")
    return "".join(part.read_text("utf-8") for part in sorted(folder.iterdir(), key=lambda part: part.name))


def viewer_text(name: str) -> str:
    """Return the viewer's markup (``viewer.html``) or its style (``viewer.css``)."""
    return resources.files(__package__).joinpath(name).read_text("utf-8")


def _number(lesion_id: str, value: int) -> str:
    """Return what stands beside an outline: the number of an id such as L3, else its place in the table."""
    return lesion_id[1:] if lesion_id[:1] == "L" and lesion_id[1:].isdigit() else str(value)
