"""How long a reader waits for the viewer: from navigation to images, a slice step, a turn, a jump.

A synthetic patient of site D at 4 mm (and, with ``--large``, noise on 200 x 200 x 350 voxels) in the demo's component
on a bare Gradio page, in Chromium without a GPU, with 7 and with 200 lesions. Steps are timed in the page from the
event to the end of the frame that shows it, which on a free core is at least the wait for the next frame, up to 17 ms;
"work" is the viewer's own share.
The bars are those of the demo. Where other programs use the cores too, all times grow with the load printed below.
Run it with ``python benchmarks/viewer.py``; needs playwright and Chromium.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
# Beside this script lies demo.py, which would be found before the package of that name.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import gradio as gr
import numpy as np
import uvicorn
from fastapi import FastAPI
from playwright.sync_api import Page, sync_playwright
from rich.console import Console
from rich.table import Table

from demo.viewer.component import lesion_peaks, viewer_component, viewer_value
from demo.viewer.route import OpenStudies, volume_router
from demo.viewer.studies import examined_study, study_state
from demo.viewer.volumes import prepare
from fedpsma.domain.study import Study
from fedpsma.io.files import write_json
from fedpsma.io.nifti import write_volume
from fedpsma.phantom.patient import PhantomOptions, draw_patient

STEPS, VISITS = 120, 5
BARS = {
    "first paint": 2000,
    "viewer ready": 5000,
    "slice step": 50,
    "turn": 25,
    "row to crosshair": 30,
    "prepare": 6000,
}
SHOW = """value => { const send = () => {
  const root = document.querySelector('.fpv');
  if (root && root.dataset.state === 'ready') { window.readyAt = performance.now(); return; }
  if (!root || root.dataset.state === 'empty') document.dispatchEvent(new CustomEvent('fp:value', {detail: value}));
  setTimeout(send, 10); }; send(); }"""
TIME = """([kind, count, ids]) => new Promise(done => {
  const total = [], work = [], pane = document.querySelector(`[data-pane=${kind === 'turn' ? 'mip' : 'axial'}]`);
  const key = one => pane.dispatchEvent(new KeyboardEvent('keydown', {key: one, bubbles: true}));
  const act = step => kind === 'jump'
    ? document.dispatchEvent(new CustomEvent('fp:lesion', {detail: {id: ids[(step * 7) % ids.length]}}))
    : key(kind === 'turn' ? 'ArrowRight' : Math.floor(step / 20) % 2 ? 'ArrowDown' : 'ArrowUp');
  const once = step => { if (step === count) return done([total, work]);
    let began; const from = performance.now();
    requestAnimationFrame(() => { began = performance.now(); });
    act(step);
    requestAnimationFrame(() => { work.push(performance.now() - began);
      const channel = new MessageChannel();
      channel.port1.onmessage = () => { total.push(performance.now() - from); setTimeout(() => once(step + 1), 5); };
      channel.port2.postMessage(0); }); };
  once(0); })"""


@dataclass(frozen=True)
class Case:
    """A study folder to show."""

    name: str
    folder: Path


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true", help="also 200 x 200 x 350 voxels of noise")
    large, console = parser.parse_args().large, Console()
    with tempfile.TemporaryDirectory() as scratch:
        cases = list(make_cases(Path(scratch), large=large))
        with Served() as (address, studies), sync_playwright() as driver:
            flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
            for case in cases:
                console.print(table_of(case, measure(case, address, studies, browser)))
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    console.print(f"{os.cpu_count()} cores, load {load} (1, 5, 15 min); Chromium {browser.version} without a GPU")


def make_cases(scratch: Path, *, large: bool) -> list[Case]:
    """Write the studies: a synthetic patient with his own lesions and with 200, and noise on a large grid."""
    study = draw_patient("D", 3055, 1, PhantomOptions(spacing_mm=4.0)).study
    cases = [("7 lesions", study), ("200 lesions", with_lesions(study, 200))]
    if large:
        rng, shape = np.random.default_rng(0), (200, 200, 350)
        pet = rng.gamma(2.0, 0.3, shape).astype(np.float32)
        ct = rng.normal(40.0, 20.0, shape).astype(np.float32)
        affine = np.diag([3.3, 3.3, 3.0, 1.0])
        cases.append(("large", with_lesions(Study("large", "large", pet, affine, ct=ct), 7)))
    return [Case(name, write(scratch / name, one)) for name, one in cases]


def with_lesions(study: Study, count: int) -> Study:
    """Return a study with small lesions strewn over the body."""
    rng = np.random.default_rng(1)
    body = np.argwhere(study.pet[4:-4, 4:-4, 4:-4] > 0.3) + 4
    labels, pet = np.zeros(study.pet.shape, np.int32), study.pet.copy()
    for number, (x, y, z) in enumerate(body[rng.choice(len(body), count, replace=False)], start=1):
        around = (slice(x - 2, x + 3), slice(y - 2, y + 3), slice(z - 1, z + 2))
        labels[around], pet[around] = number, 8.0
    return replace(study, pet=pet, lesions=labels)


def write(folder: Path, study: Study) -> Path:
    """Write a study as an analysis would."""
    assert study.lesions is not None
    assert study.ct is not None
    count = int(study.lesions.max())
    rows = [{"lesion_id": f"L{n}", "region": "OTHER_SOFT_TISSUE", "label": "malignant"} for n in range(1, count + 1)]
    write_volume(folder / "pet.nii.gz", study.pet, study.affine)
    write_volume(folder / "ct.nii.gz", np.rint(study.ct).astype(np.int16), study.affine)
    write_volume(folder / "lesions.nii.gz", study.lesions, study.affine)
    write_json(folder / "analysis.json", {"study": study.study_id, "synthetic": True})
    write_json(folder / "exam.json", {"lesions": rows})
    return folder


class Served:
    """The component on a bare Gradio page, served for as long as the block lasts."""

    def __enter__(self) -> tuple[str, OpenStudies]:
        with gr.Blocks(analytics_enabled=False, fill_width=True) as page:
            viewer_component()
        studies, application = OpenStudies(), FastAPI()
        application.include_router(volume_router(studies))
        mounted = gr.mount_gradio_app(application, page, path="/", run_history=False, enable_monitoring=False)
        self._server = uvicorn.Server(uvicorn.Config(mounted, host="127.0.0.1", port=0, log_level="error"))
        threading.Thread(target=self._server.run, daemon=True).start()
        while not self._server.started:
            time.sleep(0.05)
        return f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}/", studies

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True


def measure(case: Case, address: str, studies: OpenStudies, browser: Any) -> dict[str, list[float]]:
    """Return the times (ms) of every step, and the payload (MB)."""
    began, cpu = time.perf_counter(), time.process_time()
    found = examined_study(study_state(case.folder))
    times: dict[str, list[float]] = {"of it reading the files": [1000 * (time.perf_counter() - began)]}
    prepared = prepare(found.study)
    times = {"prepare": [1000 * (time.perf_counter() - began)]} | times
    times["prepare, processor"] = [1000 * (time.process_time() - cpu)]
    times["payload (MB)"] = [prepared.bytes_sent / 1e6]
    token = studies.open(case.folder)
    value = viewer_value(token, found.exam, lesion_peaks(found.exam, found.labels, found.study.pet))
    times |= {"first paint": [], "viewer ready": []}
    for _ in range(VISITS):
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        visit(page, address, value, times)
        if len(times["viewer ready"]) < VISITS:
            page.close()
    ids = [one["id"] for one in value["lesions"]]
    for name, kind in (("slice step", "step"), ("turn", "turn"), ("row to crosshair", "jump")):
        page.evaluate(TIME, [kind, 10, ids])
        times[name], times[f"{name}, work"] = page.evaluate(TIME, [kind, STEPS, ids])
    page.close()
    return times


def visit(page: Page, address: str, value: dict[str, Any], times: dict[str, list[float]]) -> None:
    """Open the page as a reader does and note when it shows something and when the viewer is ready."""
    page.goto(address, wait_until="commit")
    page.evaluate(SHOW, value)
    page.locator(".fpv[data-state=ready]").wait_for(timeout=120_000)
    page.wait_for_function("window.readyAt", timeout=120_000)
    times["viewer ready"].append(page.evaluate("readyAt"))
    times["first paint"].append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))


def table_of(case: Case, times: dict[str, list[float]]) -> Table:
    """Return the figures with their bars."""
    table = Table("ms", "median", "p95", "bar", title=f"{case.name} (synthetic)", box=None)
    for name, values in times.items():
        digits = 1 if max(values) < 100 else 0
        median, high = (f"{float(np.percentile(values, at)):.{digits}f}" for at in (50, 95))
        table.add_row(name, median, high, str(BARS.get(name, "")))
    return table


if __name__ == "__main__":
    main()
