"""The reading room in a real browser: a reader corrects, adds, undoes, signs, exports; nothing leaves this machine."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the page needs the extra 'demo'")
playwright = pytest.importorskip("playwright.sync_api", reason="the browser test needs playwright")

from browser_room import (  # noqa: E402
    FLAGS,
    HOSTILE,
    MISSED,
    Site,
    chromium,
    many_lesions,
    open_study,
    served,
    seven_lesions,
    write_exam,
    write_seven,
)
from reading_cases import made_up_exam  # noqa: E402

from demo.library import find_cases  # noqa: E402
from demo.security import Account  # noqa: E402
from demo.server import build_application  # noqa: E402
from demo.sessions import Folders, ReadingRoom  # noqa: E402
from reporting.backend import Backend  # noqa: E402
from reporting.drafting import WriterOrigin  # noqa: E402
from reporting.report_folder import read_report  # noqa: E402
from reporting.sentences import SentenceRequest  # noqa: E402

pytestmark = pytest.mark.slow
LOCAL = {"127.0.0.1", "localhost", "::1", "0.0.0.0", None, ""}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studies")
    for name in ("a-seven", "b-keys", "c-light", "c-dark"):
        write_seven(folder / name)
    hostile = seven_lesions(indication=HOSTILE).model_copy(update={"patient_name": HOSTILE})
    write_seven(folder / "d-hostile", ct=False, exam=hostile)
    write_exam(folder / "e-many", many_lesions(300))
    write_exam(folder / "f-first", made_up_exam(indication="secret one"))
    write_exam(folder / "g-second", made_up_exam(indication="secret two"))
    return folder


@pytest.fixture(scope="module")
def asked() -> Iterator[set[str | None]]:
    """The hosts whose address this process asks for while the page is served."""
    hosts: set[str | None] = set()
    real = socket.getaddrinfo

    def noted(host: Any, *rest: Any, **more: Any) -> Any:
        hosts.add(host.decode() if isinstance(host, bytes) else host)
        return real(host, *rest, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", noted)
        yield hosts


@pytest.fixture(scope="module")
def site(folder: Path, asked: set[str | None], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    path = chromium()
    if path is None:
        pytest.skip("there is no chromium on this machine")
    private = tmp_path_factory.mktemp("private")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(private / "gradio"))
        room = ReadingRoom(find_cases(folder, folder), Folders(private / "uploads", private / "readings"))
        with served(build_application(room)) as address, playwright.sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=path, args=FLAGS)
            yield Site(address, browser)
            browser.close()


def _stage(page: Any) -> str:
    return str(page.locator(".fp-stage").inner_text())


def _to(page: Any, lesion: str) -> None:
    """Walk to a lesion with the keyboard."""
    for _ in range(12):
        if page.locator(f'.fp-card [data-lesion="{lesion}"]').count():
            return
        before = page.locator(".fp-card [data-lesion]").get_attribute("data-lesion")
        page.keyboard.press("n")
        page.locator(f'.fp-card [data-lesion]:not([data-lesion="{before}"])').wait_for()
    raise AssertionError(f"{lesion} was not reached")


def _point_at(page: Any, voxel: tuple[int, int, int]) -> None:
    """Move the crosshair to a voxel with the arrow keys of the three planes."""
    for axis, pane in enumerate(("sagittal", "coronal", "axial")):
        canvas = page.locator(f"canvas[data-pane={pane}]")
        canvas.focus()
        for _ in range(120):
            now = int(str(page.locator(".fpv").get_attribute("data-voxel")).split(",")[axis])
            if now == voxel[axis]:
                break
            # Screen columns run to the patient's left, the study's to the right.
            up = (voxel[axis] > now) != (axis == 0)
            page.keyboard.press("ArrowUp" if up else "ArrowDown")
            page.wait_for_function(
                "([axis, now]) => Number(document.querySelector('.fpv').dataset.voxel.split(',')[axis]) !== now",
                arg=[axis, now],
            )


def _all_seen(page: Any, lesions: int) -> None:
    for _ in range(lesions + 1):
        if page.locator("#fp-looked").count():
            return
        page.locator("body").press("n")
        page.wait_for_timeout(120)
    page.locator("#fp-looked").wait_for()


def test_a_study_is_read_corrected_signed_and_exported(site: Site, folder: Path, tmp_path: Path) -> None:
    with site.page("a-seven") as page:
        page.locator(".fpv[data-state=ready]").wait_for()
        assert page.locator("[data-row]").first.get_attribute("data-row") == "L4"
        assert "Research use only" in page.locator(".fp-research").inner_text()
        assert "2026-01-05" in page.locator("[data-panel=identity]").inner_text()
        assert page.locator("[data-export]").is_disabled()

        _to(page, "L3")
        page.get_by_role("button", name="Right", exact=True).click()
        page.locator("[data-row=L3]", has_text="model: Internal iliac node, left").wait_for()
        assert "IIR" in _stage(page)
        page.get_by_text("Right internal iliac node with intense uptake").first.wait_for()

        _add_what_was_missed_and_undo_it(page)
        _write_a_sentence_and_have_it_written_again(page)
        page.locator(".fp-chip", has_text="L5").first.click()
        page.locator('.fp-card [data-lesion="L5"]').wait_for()
        page.wait_for_function("document.querySelector('.fpv').dataset.lesion === 'L5'")
        _sign_off(page)
        _export_in_every_format(page, tmp_path)
        stored = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
        databases = page.evaluate("indexedDB.databases().then(found => found.length)")

    report = read_report(folder / "a-seven" / "reading" / "report")
    assert report.sign_off is not None
    assert report.exam.lesion("L3").side == "R"
    assert report.exam.lesion("L8").region == "LIVER"
    assert databases == 0
    assert not re.search(r"a-seven|iliac|Anna|L3|miT", stored)
    assert site.complaints == []


def _add_what_was_missed_and_undo_it(page: Any) -> None:
    _point_at(page, MISSED)
    page.get_by_role("button", name="Add here").click()
    page.get_by_label("Region").last.select_option("LIVER")
    page.get_by_role("button", name="Add", exact=True).click()
    page.locator('[data-row="L8"]').wait_for()
    assert "M1c" in _stage(page)
    assert "12.0" in page.locator('[data-row="L8"]').inner_text()
    page.keyboard.press("Control+z")
    page.locator('[data-row="L8"]').wait_for(state="detached")
    assert "M1c" not in _stage(page)
    page.keyboard.press("Control+y")
    page.locator('[data-row="L8"]').wait_for()


def _write_a_sentence_and_have_it_written_again(page: Any) -> None:
    sentence = page.locator(".fp-sentence", has_text="Right internal iliac node").first
    sentence.hover()
    sentence.get_by_role("button", name="Edit this sentence").click()
    box = page.locator(".fp-box")
    box.fill("Small node at the right internal iliac vessels [L3].")
    box.press("Control+Enter")
    page.locator(".fp-is-yours").wait_for()
    own = page.locator(".fp-is-yours")
    own.hover()
    own.get_by_role("button", name="Regenerate").click()
    page.locator(".fp-is-regenerated").wait_for()


def _sign_off(page: Any) -> None:
    _all_seen(page, 8)
    page.locator("#fp-looked").check()
    page.get_by_role("button", name="Mark as reviewed").click()
    page.locator("#fp-signer").fill("Dr Anna Example")
    page.get_by_role("button", name="Sign", exact=True).click()
    page.locator(".fp-signed", has_text="by Dr Anna Example").wait_for()


def _export_in_every_format(page: Any, folder: Path) -> None:
    for kind in ("docx", "pdf", "fhir", "csv"):
        page.locator("#fp-format").select_option(kind)
        with page.expect_download() as got:
            page.get_by_role("button", name="Export").click()
        target = folder / got.value.suggested_filename
        got.value.save_as(target)
        assert target.stat().st_size > 300
    assert "L8" in (folder / "report.csv").read_text("utf-8")


def test_the_whole_reading_works_with_the_keyboard_alone(site: Site, folder: Path) -> None:
    with site.page("b-keys") as page:
        page.locator(".fpv[data-state=ready]").wait_for()
        _to(page, "L2")
        page.locator("#fp-region").focus()
        page.keyboard.type("external")
        page.keyboard.press("Tab")
        page.locator("[data-row=L2]", has_text="model: Obturator node, right").wait_for()
        page.locator("body").press("x")
        assert page.evaluate("document.activeElement.textContent") == "physiological"
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.locator('[data-row="L2"]', has_text="artefact").wait_for()
        page.keyboard.press("Control+z")
        page.locator('[data-row="L2"]', has_text="artefact").wait_for(state="detached")

        page.locator(".fp-sentence", has_text="rib").first.get_by_role("button", name="Edit this sentence").focus()
        page.keyboard.press("e")
        page.keyboard.type(" np")
        page.keyboard.press("Control+z")
        page.keyboard.press("Escape")
        assert page.locator(".fp-is-yours").count() == 0
        assert page.locator('[data-row="L2"]').inner_text().count("artefact") == 0

        _all_seen(page, 7)
        page.locator("body").press("r")
        page.keyboard.press("Space")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.locator("#fp-signer").wait_for()
        page.locator("body").press("r")
        page.keyboard.type("Dr Keys")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.locator(".fp-signed", has_text="Dr Keys").wait_for()
        page.get_by_role("button", name="Amend").press("Enter")
        page.keyboard.type("side was wrong")
        page.keyboard.press("Enter")
        page.locator(".fp-state-draft").wait_for()
    assert read_report(folder / "b-keys" / "reading" / "report").signed
    assert "side was wrong" in (folder / "b-keys" / "reading" / "audit.jsonl").read_text("utf-8")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_is_left_open_but_what_was_looked_at(site: Site, theme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="the check needs axe")
    with site.page(f"c-{theme}", color_scheme=theme) as page:
        page.locator(".fpv[data-state=ready]").wait_for()
        assert page.evaluate("document.body.classList.contains('dark')") is (theme == "dark")
        for tab in ("Report", "Open questions", "Prior", "Checks", "Trail"):
            page.get_by_role("tab", name=tab).click()
            _require_accessible(axe.Axe().run(page, options={"resultTypes": ["violations", "incomplete"]}))
        page.get_by_role("button", name="Studies").click()
        page.get_by_role("button", name="Read a-seven").wait_for()
        _require_accessible(axe.Axe().run(page, context="#fp-studies"))


def _require_accessible(found: Any) -> None:
    told = [
        (one["id"], node["html"][:200], node["any"][0]["message"] if node["any"] else "")
        for one in found.response["violations"]
        for node in one["nodes"]
    ]
    assert told == []
    # Signs of one letter, and the tools of a sentence that are folded away, were looked at in screenshots.
    unsure = {
        node["html"][:90]
        for one in found.response.get("incomplete", [])
        for node in one["nodes"]
        if not any((check["data"] or {}).get("messageKey") in ("shortTextContent", "nonBmp") for check in node["any"])
        and not re.search(r"fp-tool|fp-text|fp-chip|fp-note|<option|<select|fpv|data-pane", node["html"])
    }
    assert unsure == set()


def test_a_hostile_study_without_ct_is_shown_as_text_and_can_be_read(site: Site) -> None:
    with site.page("d-hostile") as page:
        page.locator(".fpv[data-state=ready]").wait_for()
        page.locator("[data-panel=identity] strong", has_text="onerror").wait_for()
        assert page.locator(".fp-desk img").count() == 0
        assert page.title() == "Reading room"
        _to(page, "L3")
        page.get_by_role("button", name="Right", exact=True).click()
        page.locator("[data-row=L3]", has_text="model: Internal iliac node, left").wait_for()
    assert site.complaints == []


def test_three_hundred_lesions_can_still_be_read(site: Site) -> None:
    with site.page("e-many") as page:
        page.locator('[data-row="L300"]').wait_for(state="attached")
        assert page.locator("[data-row]").count() == 300
        page.locator('[data-row="L250"]').click()
        page.locator('.fp-card [data-lesion="L250"]').wait_for()
        page.get_by_role("button", name="benign", exact=True).click()
        page.locator('[data-row="L250"].fp-excluded').wait_for(state="attached")
        assert "299 of 300" in page.locator(".fp-summary").inner_text()


class _SlowWriter:
    """Stands for the language model: takes its time and marks what it words."""

    name = "slow"

    def write(self, requests: Sequence[SentenceRequest], *, attempt: int = 0) -> list[str | None]:
        time.sleep(0.8)
        return [one.fallback.replace("with intense uptake", "shows intense uptake") for one in requests]


def test_another_case_takes_the_draft_away_also_while_it_is_being_worded(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = Backend(_SlowWriter(), WriterOrigin(), "slow")
    monkeypatch.setattr("demo.wording._language_model", lambda language: backend)
    with site.page("f-first") as page:
        page.get_by_text("secret one").wait_for()
        page.locator("#fp-writer").select_option("llm")
        page.locator("#fp-wording-told", has_text="wording").wait_for()
        open_study(page, "g-second")
        page.get_by_text("secret two").wait_for()
        page.wait_for_timeout(1500)
        assert "secret one" not in page.locator("body").inner_text()
        assert "shows intense uptake" not in page.locator("[data-panel=report]").inner_text()
        assert page.locator("#fp-writer").input_value() == "template"
        page.locator("#fp-writer").select_option("llm")
        page.locator("[data-panel=report]", has_text="shows intense uptake").wait_for()
        page.locator(".fp-sentence", has_text="shows intense uptake").first.wait_for()
        assert "secret two" in page.locator("[data-panel=report]").inner_text()


def test_neither_page_nor_server_asked_another_host(site: Site, asked: set[str | None]) -> None:
    with site.page("f-first"):
        pass
    assert site.hosts <= LOCAL
    assert asked <= LOCAL
    assert site.complaints == []


def test_the_login_lets_the_right_reader_in_and_names_him(site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "studies"
    write_exam(folder / "one", made_up_exam())
    room = ReadingRoom(find_cases(folder, folder), Folders(tmp_path / "uploads", tmp_path / "readings"))
    with served(build_application(room, Account.of("anna", "a long password"))) as address:
        page = site.browser.new_page()
        page.goto(address)
        for password, seen in (("wrong password", "[role=alert]"), ("a long password", "[data-row]")):
            page.get_by_label("Name").fill("anna")
            page.get_by_label("Password").fill(password)
            page.wait_for_timeout(2100)
            page.get_by_role("button", name="Log in").click()
            page.locator(seen).first.wait_for()
        assert page.evaluate("document.cookie") == ""
        page.goto("about:blank")
        page.wait_for_timeout(150)
        page.close()
    assert '"who": "anna"' in (folder / "one" / "reading" / "audit.jsonl").read_text("utf-8")


def test_the_log_of_a_reading_holds_who_did_what(site: Site, folder: Path) -> None:
    with site.page("f-first") as page:
        page.locator("[data-row]").first.wait_for()
    lines = (folder / "f-first" / "reading" / "audit.jsonl").read_text("utf-8").splitlines()
    assert all(json.loads(line)["who"] == "reader" for line in lines)
