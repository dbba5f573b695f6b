"""The page in a real browser: a reader corrects a draft and keeps it, and nothing leaves this machine."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

gradio = pytest.importorskip("gradio", reason="the page needs the extra 'demo'")
playwright = pytest.importorskip("playwright.sync_api", reason="the browser test needs playwright")

import uvicorn  # noqa: E402

from demo.library import find_cases  # noqa: E402
from demo.page import build_page  # noqa: E402
from demo.server import HOST, build_application  # noqa: E402
from reporting.draft import Draft  # noqa: E402

pytestmark = pytest.mark.slow

EDIT = "Degenerative change of the lumbar spine, seen by the reader."
HOSTILE = "<img src=x onerror=\"document.title='run'\"> ${document.title='run'} {{value}}"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]


@dataclass
class Site:
    """The served page, where its readings lie, and what the browser asked for or complained about."""

    address: str
    readings: Path
    page: Any
    hosts: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium on this machine")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    readings = tmp_path / "readings"
    application = build_application(build_page(find_cases(None, readings), readings))
    with _served(application) as address, playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        site = Site(address, readings, browser.new_page(viewport={"width": 1400, "height": 1100}))
        site.page.on("request", lambda request: site.hosts.add(urlsplit(request.url).hostname or ""))
        site.page.on("pageerror", lambda error: site.complaints.append(str(error)))
        site.page.goto(address)
        yield site
        browser.close()


class _served:  # noqa: N801 (used like a function)
    """Serves an application on a free loopback port for as long as the block lasts."""

    def __init__(self, application: Any) -> None:
        self._server = uvicorn.Server(uvicorn.Config(application, host=HOST, port=0, log_level="error"))
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.05)
            assert self._thread.is_alive(), "the server did not start"
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://{HOST}:{port}/"

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)


def _draft_and_edit(page: Any) -> None:
    page.get_by_label("Study or exam").click()
    page.get_by_role("option", name="synthetic-primary-staging").click()
    page.get_by_text("miT2u N1 (OBR) M1b (uni)").wait_for()
    page.get_by_label("Template sentences").check()
    page.get_by_role("button", name="Write the draft").click()
    box = page.get_by_label("Bone", exact=True)
    box.fill(f"{box.input_value()}\n{EDIT}")


def test_a_reader_corrects_a_draft_and_keeps_it(site: Site) -> None:
    _draft_and_edit(site.page)
    site.page.get_by_role("button", name="Check and keep").click()
    site.page.get_by_text("Kept in").wait_for()

    kept = Draft.model_validate_json((site.readings / "synthetic-primary-staging" / "draft.json").read_text("utf-8"))
    bone = kept.section("bone").sentences
    assert kept.state == "reviewed"
    assert (bone[-1].text, bone[-1].origin) == (EDIT, "reader")
    assert {one.origin for one in bone[:-1]} == {"template"}
    assert site.hosts <= {HOST, ""}
    assert site.complaints == []
    stored = site.page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert EDIT not in stored
    assert "Lumbar spine" not in stored
    assert "obturator" not in stored


def test_a_hostile_exam_is_shown_as_text_and_a_broken_one_as_one_line(site: Site, tmp_path: Path) -> None:
    lesion = {"lesion_id": "L1", "region": "BONE_RIB", "side": "R", "suvmax": 5.6, "ct_correlate": HOSTILE}
    exam, broken = tmp_path / "exam.json", tmp_path / "broken.json"
    exam.write_text(json.dumps({"tracer": "18F-PSMA-1007", "lesions": [lesion]}), "utf-8")
    broken.write_text('{"lesions": 3}', "utf-8")
    chooser = site.page.locator("input[type=file]")

    chooser.set_input_files(exam)
    site.page.get_by_role("cell", name=HOSTILE).wait_for()
    assert site.page.title() == "fedpsma reader"

    chooser.set_input_files(broken)
    alert = site.page.get_by_role("alert").filter(has_text="lesions")
    alert.wait_for()
    assert "Traceback" not in alert.inner_text()
    assert site.page.get_by_role("cell", name=HOSTILE).count() == 0


def test_another_case_takes_the_draft_away(site: Site) -> None:
    _draft_and_edit(site.page)
    site.page.get_by_label("Study or exam").click()
    site.page.get_by_role("option", name="synthetic-indeterminate-rib").click()
    site.page.get_by_text("miT0 N1 (IIL) M0").wait_for()
    site.page.get_by_role("button", name="Check and keep").wait_for(state="detached")
    assert site.page.get_by_label("Bone", exact=True).count() == 0
    assert not site.readings.exists()
