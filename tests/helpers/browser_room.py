"""Studies for the browser tests, a server for them on the loopback address, and a browser that notes what it asks."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from reading_cases import made_up_exam

from fedpsma.domain.exam import Exam
from fedpsma.io.files import write_json
from fedpsma.io.nifti import write_volume

SHAPE = (40, 32, 56)
AFFINE = np.array([[5.0, 0, 0, -97.5], [0, 5.0, 0, -77.5], [0, 0, 4.0, -400.0], [0, 0, 0, 1.0]])
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
MISSED = (30, 20, 40)
"""The voxel of a focus that the analysis missed."""
ROWS = (
    ("PROSTATE", "R", 24.6, "suspicious", (20, 12, 6)),
    ("LN_OBTURATOR", "R", 15.1, "suspicious", (25, 14, 12)),
    ("LN_INTERNAL_ILIAC", "L", 13.9, "suspicious", (12, 14, 14)),
    ("BONE_RIB", "R", 6.0, None, (33, 12, 44)),
    ("BONE_PELVIS", "L", 18.4, "suspicious", (10, 10, 18)),
    ("BONE_LSPINE", "M", 11.0, "suspicious", (20, 8, 26)),
    ("LN_RETROPERITONEAL", "L", 9.3, "suspicious", (17, 14, 28)),
)
HOSTILE = "<img src=x onerror=\"document.title='run'\"> ${document.title='run'} {{value}}"


def seven_lesions(**more: Any) -> Exam:
    """An exam of seven lesions, the fourth of them an open question."""
    rows = [
        {
            "lesion_id": f"L{number}",
            "region": region,
            "side": side,
            "suvmax": suvmax,
            "suvmean": round(suvmax * 0.6, 1),
            "suvpeak": round(suvmax * 0.8, 1),
            "volume_ml": 1.5,
            "model_prob": 0.5 if ct is None else 0.95,
            "ct_correlate": "no CT correlate" if ct is None else None,
            "ct_class": ct or "none",
        }
        for number, (region, side, suvmax, ct, _) in enumerate(ROWS, start=1)
    ]
    return made_up_exam(tracer="18F-PSMA-1007", lesions=rows, psma_vol_ml=9.0, **more)


def write_seven(folder: Path, *, ct: bool = True, exam: Exam | None = None) -> None:
    """Write the study of seven lesions as ``fedpsma analyze`` does, with a focus that nobody listed."""
    pet, labels = np.full(SHAPE, 0.5, np.float32), np.zeros(SHAPE, np.int32)
    grid = np.indices(SHAPE).astype(np.float32)
    centres = [(suvmax, at) for _, _, suvmax, _, at in ROWS] + [(12.0, MISSED)]
    for number, (suvmax, at) in enumerate(centres, start=1):
        distance = sum((axis - place) ** 2 for axis, place in zip(grid, at, strict=True))
        blob = suvmax * np.exp(-distance / (2 * 1.4**2))
        pet = np.maximum(pet, blob.astype(np.float32))
        if number <= len(ROWS):
            labels[(blob > 0.41 * suvmax) & (labels == 0)] = number
    write_volume(folder / "pet.nii.gz", pet, AFFINE)
    write_volume(folder / "lesions.nii.gz", labels, AFFINE)
    if ct:
        write_volume(folder / "ct.nii.gz", np.where(pet > 0.4, 40, -900).astype(np.int16), AFFINE)
    write_json(folder / "analysis.json", {"study": folder.name, "date": "2026-01-05", "synthetic": True})
    write_json(folder / "exam.json", (exam or seven_lesions()).model_dump(mode="json"))


def many_lesions(number: int) -> Exam:
    """An exam with this many lesions."""
    rows = [
        {
            "lesion_id": f"L{at}",
            "region": ROWS[at % 7][0],
            "side": ROWS[at % 7][1],
            "suvmax": 5.0 + at % 20,
            "volume_ml": 1,
        }
        for at in range(1, number + 1)
    ]
    return made_up_exam(lesions=rows)


def write_exam(folder: Path, exam: Exam, **identity: str) -> None:
    """Write an exam that came without images."""
    write_json(folder / "exam.json", {**exam.model_dump(mode="json"), **identity})


@contextmanager
def served(application: Any) -> Iterator[str]:
    """Serve an application on a free port of the loopback address for as long as the block lasts."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(application, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.05)
        assert thread.is_alive(), "the server did not start"
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    server.should_exit = True
    thread.join(10)


@dataclass
class Site:
    """A browser at the served page: what it asked for and what it complained about."""

    address: str
    browser: Any
    hosts: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)

    @contextmanager
    def page(self, study: str, **options: Any) -> Iterator[Any]:
        """A new browser session with a study open in it."""
        context = self.browser.new_context(viewport={"width": 1600, "height": 1000}, **options)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).hostname or ""))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(self.address)
        page.locator("[data-panel=identity] strong, #fp-studies[open]").first.wait_for()
        open_study(page, study)
        try:
            yield page
        finally:
            # Leaving tells the server, which takes a moment.
            page.goto("about:blank")
            page.wait_for_timeout(150)
            context.close()


def open_study(page: Any, study: str) -> None:
    """Open a study from the list."""
    if page.locator("#fp-studies[open]").count() == 0:
        page.get_by_role("button", name="Studies").click()
    page.get_by_role("button", name=f"Read {study}", exact=True).click()
    page.locator("#fp-studies[open]").wait_for(state="detached")


def chromium() -> str | None:
    """Where Chromium lies, ``None`` where there is none."""
    return shutil.which("chromium")
