"""The viewer in a real browser, on a page of its own: what is drawn where, and what the reader's hands do."""

from __future__ import annotations

import io
import json
import shutil
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the page needs the extra 'demo'")
playwright = pytest.importorskip("playwright.sync_api", reason="the browser test needs playwright")

import uvicorn  # noqa: E402
from fastapi import FastAPI  # noqa: E402
from fastapi.responses import HTMLResponse, Response  # noqa: E402
from PIL import Image  # noqa: E402

from demo.viewer.component import Shown, lesion_peaks, viewer_script, viewer_text, viewer_value  # noqa: E402
from demo.viewer.route import OpenStudies, volume_router  # noqa: E402
from demo.viewer.studies import examined_study, study_state  # noqa: E402
from demo.viewer.volumes import prepare  # noqa: E402
from fedpsma.io.files import write_json  # noqa: E402
from fedpsma.io.nifti import write_volume  # noqa: E402

SHAPE, EDGES = (44, 32, 60), (5.0, 5.0, 4.0)
# voxel (x to the right, y to anterior, z to superior), SUV: each lesion lies on a level of its own
LESIONS = {"L1": ((8, 12, 50), 30.0), "L2": ((36, 8, 40), 7.5), "L3": ((22, 26, 30), 12.0), "L4": ((12, 20, 12), 5.0)}
PLAIN = Shown()
POLICY = "default-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'"
PAGE = """<!doctype html><html lang="en"><head><title>viewer</title><style>body {{margin: 0}} #host {{ {css} }}</style>
</head><body><main id="host"><h1>Viewer</h1>{html}</main><script>{script}
const heard = []; for (const name of ["lesion", "point", "add_lesion"])
  document.addEventListener("fp:" + name, (event) => heard.push([name, event.detail]));
new Viewer(document.querySelector(".fpv"));
</script></body></html>"""


def write_study(folder: Path, *, with_ct: bool = True, lesions: dict[str, Any] = LESIONS) -> Path:
    """A block of tissue in air that no turn maps onto itself; the liver lies on the patient's right."""
    pet, labels = np.full(SHAPE, 0.02, np.float32), np.zeros(SHAPE, np.int32)
    pet[6:40, 6:28] = 0.5
    pet[28:36, 12:22, 20:26] = 4.0
    rows = []
    for number, (name, ((x, y, z), suv)) in enumerate(lesions.items(), start=1):
        pet[x - 1 : x + 2, y - 1 : y + 2, z - 1 : z + 2] = suv * 0.8
        pet[x, y, z] = suv
        labels[x - 1 : x + 2, y - 1 : y + 2, z - 1 : z + 2] = number
        rows.append({"lesion_id": name, "region": "OTHER_SOFT_TISSUE", "label": "malignant", "volume_ml": 2.7})
    affine = np.diag([*EDGES, 1.0])
    affine[:3, 3] = [-100.0, -70.0, -800.0]
    write_volume(folder / "pet.nii.gz", pet, affine)
    write_volume(folder / "lesions.nii.gz", labels, affine)
    if with_ct:
        write_volume(folder / "ct.nii.gz", np.where(pet > 0.3, 40, -1000).astype(np.int16), affine)
    write_json(folder / "analysis.json", {"study": "<img src=x onerror=alert(1)>", "synthetic": True})
    write_json(folder / "exam.json", {"lesions": rows})
    return folder


@dataclass
class Screen:
    """The page in the browser, what it asked for, and the study behind it."""

    page: Any
    studies: OpenStudies
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def show(self, folder: Path, shown: Shown = PLAIN, token: str | None = None) -> str:
        token = token or self.studies.open(folder)
        found = examined_study(study_state(folder))
        value = viewer_value(token, found.exam, lesion_peaks(found.exam, found.labels, found.study.pet), shown)
        self.dispatch("value", value)
        self.page.locator(".fpv[data-state=ready]").wait_for()
        return token

    def dispatch(self, name: str, detail: Any) -> None:
        self.page.evaluate(
            "([n, d]) => document.dispatchEvent(new CustomEvent('fp:' + n, {detail: d}))", [name, detail]
        )
        self.settle()

    def settle(self) -> None:
        """Wait until the next frame is drawn: the viewer asked for it before."""
        self.page.evaluate("() => new Promise(requestAnimationFrame)")

    def press(self, *keys: str, pane: str = "axial") -> None:
        self.page.locator(f"[data-pane={pane}]").focus()
        for key in keys:
            self.page.keyboard.press(key)
        self.settle()

    @property
    def told(self) -> dict[str, str]:
        return self.page.locator(".fpv").evaluate("root => ({...root.dataset})")

    @property
    def voxel(self) -> tuple[int, ...]:
        return tuple(map(int, self.told["voxel"].split(",")))

    def wait_until(self, condition: str) -> None:
        """Wait for a condition of the page; the driver's own way needs a page that evaluates strings."""
        for _ in range(400):
            if self.page.evaluate(condition):
                return
            self.page.wait_for_timeout(50)
        pytest.fail(f"never came true: {condition}")

    def heard(self) -> list[Any]:
        return self.page.evaluate("heard.splice(0)")

    def picture(self, pane: str) -> np.ndarray:
        """The pixels of a pane (rows, columns, red-green-blue)."""
        shot = self.page.locator(f"[data-pane={pane}]").screenshot()
        return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)

    def place_in(self, pane: str, cell: tuple[int, int], cells: tuple[int, int], edges: tuple[float, float]) -> Any:
        """Where the middle of a cell lies in the pane, in pixels: the picture is fitted in true proportions."""
        (column, row), (columns, rows) = cell, cells
        box = self.page.locator(f"[data-pane={pane}]").bounding_box()
        scale = min(box["width"] / (columns * edges[0]), box["height"] / (rows * edges[1]))
        left = (box["width"] - columns * edges[0] * scale) / 2
        top = (box["height"] - rows * edges[1] * scale) / 2
        x, y = left + (column + 0.5) * edges[0] * scale, top + (row + 0.5) * edges[1] * scale
        return {"x": x, "y": y}


@pytest.fixture(scope="module")
def site():
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium on this machine")
    studies, application = OpenStudies(), FastAPI()
    application.include_router(volume_router(studies))
    page = PAGE.format(css=viewer_text("viewer.css"), html=viewer_text("viewer.html"), script=viewer_script())
    application.get("/")(lambda: HTMLResponse(page, headers={"Content-Security-Policy": POLICY}))
    application.get("/favicon.ico")(lambda: Response(status_code=204))
    server = uvicorn.Server(uvicorn.Config(application, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    with playwright.sync_playwright() as driver:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
        browser = driver.chromium.launch(executable_path=chromium, args=flags)
        yield f"http://127.0.0.1:{port}/", browser, studies
        browser.close()
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def screen(site):
    address, browser, studies = site
    page = browser.new_page(viewport={"width": 1100, "height": 860})
    page.set_default_timeout(20_000)
    screen = Screen(page, studies)
    page.on("request", lambda request: screen.asked.append(request.url))
    page.on("pageerror", lambda error: screen.complaints.append(str(error)))
    page.on("console", lambda line: screen.complaints.append(line.text) if line.type == "error" else None)
    page.goto(address)
    yield screen
    page.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("study"))


def middle_of(mask: np.ndarray) -> tuple[float, float]:
    """The middle of some pixels away from the letters at the edge, as shares of the width and of the height."""
    mask = mask[28:-28, 28:-28]
    rows, columns = np.nonzero(mask)
    return columns.mean() / mask.shape[1], rows.mean() / mask.shape[0]


def test_left_is_left_on_every_pane(screen, folder):
    screen.show(folder, Shown("L1"))
    screen.press("t", "m")
    dark = {name: screen.picture(name).max(axis=2) < 60 for name in ("axial", "coronal", "sagittal", "mip")}
    # L1 lies left, in the middle third of the depth, high up; the crosshair is bluer and lighter than that
    across, down = middle_of(dark["axial"])
    assert across > 0.55
    across, down = middle_of(dark["coronal"])
    assert across > 0.55
    assert down < 0.4
    across, down = middle_of(dark["sagittal"])
    assert across > 0.5, "behind the middle is right of it, since the front is on the left"
    assert down < 0.4
    across, down = middle_of(dark["mip"])
    assert across > 0.55
    for _ in range(18):
        screen.press("ArrowRight", pane="mip")
    assert screen.told["angle"] == "180"
    across, _ = middle_of(screen.picture("mip").max(axis=2) < 60)
    assert across < 0.45
    screen.dispatch("lesion", {"id": "L3"})
    across, _ = middle_of(screen.picture("sagittal").max(axis=2) < 60)
    assert across < 0.45, "L3 lies in front"
    assert screen.complaints == []


def column_of(voxel: tuple[int, int, int], angle: int, meta: dict[str, Any]) -> int:
    """Where a voxel of the study falls on the projection, by trigonometry alone."""
    x, y = (SHAPE[0] - 1) / 2 - voxel[0], voxel[1] - (SHAPE[1] - 1) / 2
    turn = np.deg2rad(angle * 10)
    across = (x * EDGES[0] * np.cos(turn) + y * EDGES[1] * np.sin(turn)) / meta["edge_mm"]
    return int(np.floor(across + meta["columns"] / 2 + (1e-9 if angle < 18 else -1e-9)))


@pytest.mark.parametrize("outlines", [True, False])
def test_a_click_on_the_projection_finds_the_lesion_from_every_side(screen, folder, outlines):
    token = screen.show(folder)
    meta = json.loads(screen.page.evaluate(f"fetch('/fp-volumes/{token}/meta').then(a => a.text())"))["rotation"]
    if not outlines:
        screen.press("t")
    pane, edges = screen.page.locator("[data-pane=mip]").bounding_box(), (meta["edge_mm"], EDGES[2])
    for angle in range(36):
        for name, (voxel, _) in LESIONS.items():
            cell = (column_of(voxel, angle, meta), SHAPE[2] - 1 - voxel[2])
            at = screen.place_in("mip", cell, (meta["columns"], SHAPE[2]), edges)
            screen.page.mouse.click(pane["x"] + at["x"], pane["y"] + at["y"])
            screen.settle()
            told = screen.told
            assert np.abs(np.subtract([int(one) for one in told["voxel"].split(",")], voxel)).max() <= 1, (angle, name)
            assert not outlines or told["lesion"] == name, (angle, name)
        screen.press("ArrowRight", pane="mip")
    assert screen.told["angle"] == "0"


def test_the_table_and_the_images_follow_each_other(screen, folder):
    screen.show(folder)
    for name, (voxel, suv) in LESIONS.items():
        screen.dispatch("lesion", {"id": name})
        assert (screen.voxel, screen.told["lesion"]) == (voxel, name)
        assert f"SUV {suv:.2f}" in screen.page.locator("[data-show=readout]").inner_text()
    screen.dispatch("lesion", {"id": "L99"})
    assert screen.told["lesion"] == "L4"
    (x, y, z), around = LESIONS["L2"][0], 3  # voxels of air that are shown around the body
    screen.dispatch("lesion", {"id": "L2"})
    screen.heard()
    cell, cells = (40 + around - 1 - x, 28 + around - 1 - y), (34 + 2 * around, 22 + 2 * around)
    screen.page.locator("[data-pane=axial]").click(position=screen.place_in("axial", cell, cells, EDGES[:2]))
    screen.settle()
    heard = dict(screen.heard())
    assert heard["lesion"] == {"id": "L2", "from": "viewer"}
    assert heard["point"]["voxel"] == [x, y, z]
    assert heard["point"]["mm"] == [x * 5.0 - 100, y * 5.0 - 70, z * 4.0 - 800]
    assert heard["point"]["suv"] == pytest.approx(7.5, abs=0.005)


def test_windows_are_what_they_say(screen, folder):
    screen.show(folder, Shown("L2"))
    screen.press("t", "m")
    for top in (5, 10, 15, 20, 40):
        screen.page.locator("[data-choose=top]").select_option(str(top))
        screen.settle()
        assert screen.told["top"] == str(top)
        tissue = np.median(screen.picture("coronal")[200:, 100:-100])
        assert tissue == pytest.approx(255 * (1 - 0.5 / top), abs=6)
    assert screen.page.locator("[data-choose=top] option").all_inner_texts()[2] == "SUV 0–15"
    for key, name in (("1", "soft"), ("2", "lung"), ("3", "bone")):
        screen.press(key)
        assert screen.page.locator(f'[data-do="ct:{name}"]').get_attribute("aria-pressed") == "true"
    screen.press("m")
    assert screen.page.locator('[data-do="mode:ct"]').get_attribute("aria-pressed") == "true"
    assert np.median(screen.picture("axial")[:, 200:-200]) == pytest.approx(255 * ((40 - 400) / 1800 + 0.5), abs=6)
    pane = screen.page.locator("[data-pane=mip]").bounding_box()
    screen.page.mouse.move(pane["x"] + 100, pane["y"] + 100)
    screen.page.mouse.down(button="right")
    screen.page.mouse.move(pane["x"] + 100, pane["y"] + 250)
    screen.page.mouse.up(button="right")
    screen.settle()
    assert float(screen.told["top"]) == pytest.approx(40 * np.e, rel=0.02)


def test_the_keyboard_alone_reads_a_study(screen, folder):
    screen.show(folder)
    page = screen.page
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.pane") == "axial":
            break
    else:
        pytest.fail("the axial pane cannot be reached")
    before = screen.voxel[2]
    steps = {"ArrowUp": before + 1, "ArrowDown": before, "PageUp": before + 10, "Home": 0, "End": 59, "PageDown": 49}
    for key, level in steps.items():
        page.keyboard.press(key)
        screen.settle()
        assert screen.voxel[2] == level, key
        assert page.locator("[data-pane=axial]").get_attribute("aria-valuenow") == str(level + 1)
    for key, name in (("n", "L1"), ("n", "L2"), ("p", "L1"), ("p", "L4")):
        page.keyboard.press(key)
        screen.settle()
        assert screen.told["lesion"] == name
    assert "4 of 4" in page.get_by_role("status").inner_text()
    page.keyboard.press("a")
    assert screen.heard()[-1][0] == "add_lesion"
    page.keyboard.press("?")
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")
    page.keyboard.press("c")
    screen.wait_until("document.querySelector('.fpv').dataset.angle > 20")
    page.keyboard.press("c")
    screen.settle()
    angle = screen.told["angle"]
    page.wait_for_timeout(300)
    assert screen.told["angle"] == angle


def test_a_notch_of_the_wheel_is_a_slice_and_a_touch_pad_does_not_race(screen, folder):
    screen.show(folder, Shown("L2"))
    box = screen.page.locator("[data-pane=axial]").bounding_box()
    screen.page.mouse.move(box["x"] + 50, box["y"] + 50)
    for pixels, count, level in ((120, 1, 39), (-120, 3, 42), (8, 8, 40)):
        for _ in range(count):
            screen.page.mouse.wheel(0, pixels)
            screen.settle()
        screen.wait_until(f"document.querySelector('.fpv').dataset.voxel.endsWith(',{level}')")


def test_only_what_changed_is_fetched_and_nothing_is_kept(screen, folder):
    token = screen.show(folder)
    parts = [urlsplit(url).path.rsplit("/", 1)[1] for url in screen.asked if token in url]
    assert sorted(parts) == ["ct", "lesions", "meta", "pet", "rotation"]
    screen.asked.clear()
    screen.show(folder, Shown("L3", frozenset({"L1"})), token)
    assert screen.asked == []
    study = examined_study(study_state(folder)).study
    revision = screen.studies.set_labels(token, np.zeros(SHAPE, np.int32), study)
    screen.show(folder, Shown("L3", frozenset(), revision), token)
    screen.wait_until("performance.getEntriesByType('resource').length > 4")
    assert [urlsplit(url).path.rsplit("/", 1)[1] for url in screen.asked] == ["lesions"]
    assert {urlsplit(url).hostname for url in screen.asked} == {"127.0.0.1"}
    kept = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
    assert screen.page.evaluate(kept) == '[{},{},""]'
    assert screen.page.evaluate("indexedDB.databases().then(all => all.length)") == 0
    assert screen.page.evaluate("caches.keys().then(all => all.length)") == 0
    assert screen.complaints == []


def test_without_ct_the_pet_is_shown_alone(screen, tmp_path):
    screen.show(write_study(tmp_path, with_ct=False))
    assert screen.page.locator('[data-do="mode:ct"]').is_disabled()
    assert screen.page.locator('[data-do="mode:pet"]').get_attribute("aria-pressed") == "true"
    assert "no CT" in screen.page.locator("[data-show=notes]").inner_text()
    assert "HU" not in screen.page.locator("[data-show=readout]").inner_text()


def test_without_an_suv_no_number_is_called_one(screen, folder, monkeypatch):
    found = examined_study(study_state(folder))
    monkeypatch.setattr("demo.viewer.route.prepared_study", lambda _: prepare(found.study, unit="Bq/ml"))
    screen.show(folder, Shown("L1"))
    shown = screen.page.locator("[data-show=readout]").inner_text()
    assert "no SUV, 30 Bq/ml" in shown
    options = screen.page.locator("[data-choose=top] option").all_inner_texts()
    assert all(option.startswith("Bq/ml") for option in options)
    screen.press("a")
    assert dict(screen.heard())["add_lesion"]["suv"] is None


def test_the_study_that_was_asked_for_last_is_shown(screen, folder, tmp_path):
    other = write_study(tmp_path, lesions={"X1": ((30, 20, 7), 9.0)})
    tokens, values = [screen.studies.open(one) for one in (folder, other)], []
    for token, one in zip(tokens, (folder, other), strict=True):
        found = examined_study(study_state(one))
        peaks = lesion_peaks(found.exam, found.labels, found.study.pet)
        values.append(viewer_value(token, found.exam, peaks, Shown(found.exam.lesions[0].lesion_id)))
    send = "values => values.forEach(detail => document.dispatchEvent(new CustomEvent('fp:value', {detail})))"
    screen.page.evaluate(send, [values[1], values[0], values[1]])
    screen.page.locator(".fpv[data-state=ready]").wait_for()
    assert (screen.told["lesion"], screen.voxel) == ("X1", (30, 20, 7))
    screen.page.wait_for_timeout(500)
    assert screen.told["lesion"] == "X1"
    screen.dispatch("value", None)
    assert screen.told["state"] == "empty"
    assert screen.complaints == []


def test_a_study_that_is_no_longer_open_says_so(screen, folder):
    token = screen.studies.open(folder)
    screen.studies.close(token)
    screen.dispatch("value", {"place": f"/fp-volumes/{token}", "revision": 0, "lesions": [], "selected": None})
    screen.page.get_by_text("this study is no longer open").wait_for()
    assert screen.told["state"] == "empty"


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing(screen, folder, dark):
    axe = pytest.importorskip("axe_playwright_python", reason="needs axe-playwright-python")
    if dark:
        colours = "--body-text-color: #f4f4f5; --background-fill-primary: #0f0f11; --background-fill-secondary: #27272a"
        screen.page.evaluate(
            "(style) => { document.body.style = style }", f"background: #0f0f11; color: #fff; {colours}"
        )
    screen.show(folder, Shown("L1"))
    screen.page.evaluate(Path(axe.__file__).with_name("axe.min.js").read_text("utf-8"))
    for opened in (False, True):
        if opened:
            screen.press("?")
        found = screen.page.evaluate("axe.run()")
        assert [one["id"] for one in found["violations"]] == []
        assert [one["id"] for one in found["incomplete"]] == []
