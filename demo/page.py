"""The page where a reader looks at a study, corrects the draft and keeps the result."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import gradio as gr

from demo import html
from demo.library import Case
from demo.reading import Reading, Written, heading, keep, open_case, review, section_texts, write_draft
from fedpsma.errors import InputError
from reporting.backend import WriterName
from reporting.draft import Sentence

STYLE = resources.files("demo").joinpath("page.css").read_text("utf-8")
WRITERS = [("Language model where it is ready", "auto"), ("Template sentences", "template")]
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


def build_page(cases: tuple[Case, ...], readings: Path = Path("readings")) -> gr.Blocks:
    """Build the page for these cases; the readings of uploaded exams are kept in ``readings``."""
    # Uploaded files are deleted after an hour, as they may hold what a patient's record holds.
    with gr.Blocks(title="fedpsma reader", analytics_enabled=False, delete_cache=(3600, 3600), fill_width=True) as page:
        gr.HTML(f"<h1>PSMA-PET/CT reading</h1>{html.BANNER}")
        reading, written = gr.State(None), gr.State(None)
        with gr.Row(equal_height=True, elem_classes="fp-choice"):
            names = [(case.name, number) for number, case in enumerate(cases)]
            choice = gr.Dropdown(names, value=0, label="Study or exam", scale=4)
            upload = gr.UploadButton("Open an exam.json", file_types=[".json"], scale=1, size="md")
        message = gr.HTML()
        with gr.Row():
            with gr.Column(scale=1, min_width=320):
                picture = gr.HTML()
            with gr.Column(scale=2, min_width=480):
                stage, lesions = gr.HTML(), gr.HTML()
        writer = gr.Radio(WRITERS, value="auto", label="Wording")
        write = gr.Button("Write the draft", variant="primary")
        wording, checks = gr.HTML(), gr.HTML(render=False)
        _report(written, checks)
        checks.render()

        shown = [reading, written, message, picture, stage, lesions, wording, checks]
        events: dict[str, Any] = {"outputs": shown, "api_visibility": "private", "show_progress": "hidden"}
        choice.input(lambda number: _open(cases[number]), choice, **events)
        page.load(lambda number: _open(cases[number]), choice, **events)
        upload.upload(lambda path: _open(_uploaded(Path(path), readings)), upload, **events)
        write.click(
            _write, [reading, writer], [written, wording, checks], api_visibility="private", show_progress_on=wording
        )
    return page


def _report(written: gr.State, checks: gr.HTML) -> None:
    """Place one box for each section of the draft, and the button that keeps what stands in them."""

    def sections(current: Written | None) -> None:
        if current is None:
            return
        texts = section_texts(current.draft)
        boxes = [_box(heading(current.draft, name), text) for name, text in texts.items()]
        button = gr.Button("Check and keep", variant="primary")
        button.click(
            _keeper(tuple(texts)), [written, *boxes], checks, api_visibility="private", show_progress_on=checks
        )

    gr.render(inputs=written, triggers=[written.change], show_progress="hidden")(sections)


def _box(label: str, text: str) -> gr.Textbox:
    return gr.Textbox(text, label=label, lines=text.count("\n") + 1, max_lines=30, interactive=True)


def _open(case: Case) -> tuple[Any, ...]:
    """Return what stands in every part of the page once this case is chosen."""
    try:
        reading = open_case(case)
    except InputError as error:
        return None, None, html.problem(error), "", "", "", "", ""
    return (
        reading,
        None,
        html.notes(reading.ignored, case.reading if case.reading.exists() else None),
        html.picture(case.picture),
        html.stage(reading.assessment),
        html.lesion_table(reading.exam, reading.assessment),
        "",
        "",
    )


def _uploaded(exam: Path, readings: Path) -> Case:
    """Return an uploaded exam as a case; two exams of the same name keep their readings apart."""
    digest = hashlib.sha256(exam.read_bytes()).hexdigest()[:8]
    name = f"{_UNSAFE.sub('-', exam.stem)[:40]}-{digest}"
    return Case(name, exam, None, readings / name)


def _write(
    reading: Reading | None,
    writer: WriterName,
    progress: gr.Progress = gr.Progress(),  # noqa: B008 (Gradio reads it)
) -> tuple[Written | None, str, str]:
    if reading is None:
        return None, html.line("Choose a study first."), ""
    progress(0.0, desc="Wording the report")
    done = 0

    def count(section: str, _: Sentence) -> None:
        nonlocal done
        done += 1
        progress((done, None), desc=section.replace("_", " "), unit="sentences")

    try:
        written = write_draft(reading, writer, count)
    except InputError as error:
        return None, html.problem(error), ""
    return written, html.line(f"Worded by {written.why}."), html.checks(written.draft.verification)


def _keeper(names: tuple[str, ...]) -> Callable[..., str]:
    """Return what the button does, for sections of these names."""

    def check_and_keep(written: Written, *texts: str) -> str:
        reviewed = review(written, dict(zip(names, texts, strict=True)))
        try:
            keep(written.reading, reviewed)
        except (InputError, OSError) as error:
            return html.problem(error)
        return html.line(f"Kept in {written.reading.case.reading}") + html.checks(reviewed.verification)

    return check_and_keep
