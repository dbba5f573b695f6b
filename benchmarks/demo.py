"""How quick the reading room is: first paint, viewer ready, edits, large studies, ten readers at once.

Serves the page in a process of its own, on a synthetic study with images and on exams of 7 and 200 lesions, and
measures in Chromium without a GPU; ``benchmarks/viewer.py`` measures slices and projection. Other work on the machine
adds to every figure, so its load is printed. Run it with ``python benchmarks/demo.py``; it takes about two minutes on
two busy cores.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.request import HTTPCookieProcessor, OpenerDirector, Request, build_opener, urlopen

import numpy as np
from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.table import Table

READERS, EDITS = 10, 40
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
EXAMPLES = Path(__file__).resolve().parents[1] / "demo" / "examples"
STUDY = "synthetic-analysed-study"
READY = """new MutationObserver(() => {
  if (!window.readyAt && document.querySelector(".fpv[data-state=ready]")) window.readyAt = performance.now();
}).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ["data-state"] })"""
EDIT = """async ([lesion, edits]) => {
  const took = [];
  for (let at = 0; at < edits; at++) {
    const start = performance.now();
    await window.fedpsma.act(at % 2 ? { kind: "include", lesion } : { kind: "exclude", lesion, reason: "benign" });
    took.push(performance.now() - start);
  }
  return took;
}"""


def main() -> None:
    """Measure and print."""
    console = Console(highlight=False)
    table = Table("what", "median", "95 %", "target", title="The reading room (synthetic studies)")
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        _write_studies(Path(folder))
        with _served(Path(folder)) as address:
            _preparation(address, table)
            _in_the_browser(address, table)
            _ten_readers(address, table)
    console.print(table)
    console.print(f"{os.cpu_count()} cores; load {before:.1f} before, {os.getloadavg()[0]:.1f} after")


def _in_the_browser(address: str, table: Table) -> None:
    path = shutil.which("chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=FLAGS)
        _visit(browser, address)
        paints, readies = zip(*(_visit(browser, address) for _ in range(3)), strict=True)
        table.add_row("first paint, ms", *_told(paints), "2000")
        table.add_row("viewer ready after the visit began, ms", *_told(readies), "5000")
        page = _page(browser, address)
        for study, title, target in (
            (STUDY, "edit to report on the page, 7 lesions with images, ms", "150"),
            ("many", "edit to report on the page, 200 lesions, ms", "usable"),
        ):
            _open(page, study)
            page.evaluate(EDIT, ["L2", 4])
            edits = EDITS if target != "usable" else EDITS // 4
            table.add_row(title, *_told(page.evaluate(EDIT, ["L2", edits])), target)
        browser.close()


def _visit(browser: Any, address: str) -> tuple[float, float]:
    page = _page(browser, address)
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    ready = page.evaluate("window.readyAt")
    page.goto("about:blank")
    page.wait_for_timeout(500)
    page.context.close()
    return float(paint), float(ready)


def _page(browser: Any, address: str) -> Any:
    page = browser.new_context(viewport={"width": 1600, "height": 1000}).new_page()
    page.set_default_timeout(120_000)
    page.add_init_script(READY)
    page.goto(address)
    page.locator("[data-row]").first.wait_for()
    if page.locator("[data-panel=identity]", has_text=STUDY).count() == 0:
        _open(page, STUDY)
    page.locator(".fpv[data-state=ready]").wait_for()
    return page


def _open(page: Any, study: str) -> None:
    page.get_by_role("button", name="Studies").click()
    page.get_by_role("button", name=f"Read {study}", exact=True).click()
    page.locator("#fp-studies[open]").wait_for(state="detached")
    page.wait_for_timeout(1000)


def _ten_readers(address: str, table: Table) -> None:
    """Let ten sessions edit ten studies at once, and make sure that each hears of its own alone."""
    with ThreadPoolExecutor(READERS) as pool:
        took = [one for times in pool.map(lambda number: _read(address, number), range(READERS)) for one in times]
    table.add_row(f"edit to answer, {READERS} readers at once, ms", *_told(took), "their own alone")


def _read(address: str, number: int) -> list[float]:
    browser = build_opener(HTTPCookieProcessor(CookieJar()))
    browser.open(address).read()
    opened = _post(browser, f"{address}fp/open", {"study": _number_of(browser, address, f"reader{number}")})
    took, heard = [], json.dumps(opened)
    for at in range(EDITS // 4):
        asked = {"kind": "own", "section": "bone", "text": f"note {number}-{at}"}
        start = time.perf_counter()
        heard += json.dumps(_post(browser, f"{address}fp/reading/{opened['token']}/act", asked))
        took.append(1e3 * (time.perf_counter() - start))
    others = [other for other in range(READERS) if other != number]
    assert f"secret {number}." in heard
    assert not any(f"note {other}-" in heard or f"secret {other}." in heard for other in others)
    return took


def _number_of(browser: OpenerDirector, address: str, name: str) -> int:
    listed = json.load(browser.open(f"{address}fp/studies"))["html"]
    return int(listed.split(f'aria-label="Read {name}"')[0].rsplit('data-open="', 1)[1].split('"')[0])


def _post(browser: OpenerDirector, path: str, content: dict[str, Any]) -> dict[str, Any]:
    request = Request(path, json.dumps(content).encode(), {"Content-Type": "application/json"})
    answer: dict[str, Any] = json.load(browser.open(request))
    return answer


def _preparation(address: str, table: Table) -> None:
    """Open the study for the first time, for which it is read and made ready for the viewer."""
    browser = build_opener(HTTPCookieProcessor(CookieJar()))
    browser.open(address).read()
    study = _number_of(browser, address, STUDY)
    start = time.perf_counter()
    opened = _post(browser, f"{address}fp/open", {"study": study})
    table.add_row("study preparation, its first opening, ms", *_told([1e3 * (time.perf_counter() - start)]), "6000")
    browser.open(Request(f"{address}fp/reading/{opened['token']}/leave", b"", {"Content-Type": "application/json"}))


def _write_studies(folder: Path) -> None:
    shutil.copytree(EXAMPLES / STUDY, folder / STUDY)
    exam = json.loads((EXAMPLES / STUDY / "exam.json").read_text("utf-8"))
    rows = exam["lesions"]
    many = [{**rows[at % len(rows)], "lesion_id": f"L{at + 1}"} for at in range(200)]
    _write(folder / "many", {**exam, "lesions": many})
    for number in range(READERS):
        _write(folder / f"reader{number}", {**exam, "indication": f"secret {number}."})


def _write(folder: Path, exam: dict[str, Any]) -> None:
    folder.mkdir()
    (folder / "exam.json").write_text(json.dumps(exam), "utf-8")


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code = "import sys; from fedpsma.cli import main; sys.argv[0] = 'fedpsma'; main()"
    process = subprocess.Popen([sys.executable, "-c", code, "demo", str(folder), "--port", str(port)], cwd=folder)
    address = f"http://127.0.0.1:{port}/"
    try:
        _wait(lambda: urlopen(address).read())
        yield address
    finally:
        process.terminate()
        process.wait()


def _wait(attempt: Callable[[], object], within_s: float = 180.0) -> None:
    end = time.monotonic() + within_s
    while True:
        try:
            attempt()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.3)


def _told(values: Any) -> tuple[str, str]:
    return f"{np.median(values):.0f}", f"{np.percentile(values, 95):.0f}"


if __name__ == "__main__":
    main()
