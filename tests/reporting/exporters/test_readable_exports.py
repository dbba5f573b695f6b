"""Text, Markdown, CSV, DOCX and PDF: what is read back from each is the table, and each says what it is."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace

import docx
import numpy as np
import pypdfium2
import pytest
from small_reading import small_report

from fedpsma.domain.exam import Exam
from fedpsma.errors import InputError
from reporting.exporters.registry import FORMATS, export
from reporting.exporters.report import Images, Report
from reporting.exporters.table import MEASURED, table_cells, table_rows
from reporting.report_folder import read_report, write_report

READABLE = ("text", "markdown", "csv", "docx", "pdf")
MARKS = ("not for clinical use", "not yet reviewed by a clinician")


def _pdf_text(content: bytes) -> str:
    return "\n".join(page.get_textpage().get_text_bounded() for page in pypdfium2.PdfDocument(content))


def _docx_text(content: bytes) -> str:
    document = docx.Document(io.BytesIO(content))
    header = " ".join(paragraph.text for paragraph in document.sections[0].header.paragraphs)
    return "\n".join([header, *(paragraph.text for paragraph in document.paragraphs)])


def _as_text(name: str, content: bytes) -> str:
    if name == "pdf":
        return " ".join(_pdf_text(content).split())
    return _docx_text(content) if name == "docx" else content.decode("utf-8")


def _numbers(cells: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The rows that the table has, as the reader sees them: id, then every number."""
    return [(row[0], *(cell for cell in row[3:8] if cell)) for row in cells[1:]]


@pytest.mark.parametrize("name", READABLE)
def test_an_unsigned_export_is_a_draft_and_says_what_it_is(draft_report, name):
    made = export(draft_report, name)
    shown = _as_text(name, made.content)
    assert made.name == FORMATS[name].file_name
    assert "DRAFT" in shown
    assert all(mark in shown for mark in MARKS)


@pytest.mark.parametrize("name", READABLE)
def test_a_signed_export_is_no_draft_and_names_who_signed(draft_report, sign, name):
    shown = _as_text(name, export(sign(draft_report), name).content)
    assert "DRAFT" not in shown
    assert "SIGNED" in shown
    assert name == "csv" or "Dr. A. Reader" in shown
    assert all(mark in shown for mark in MARKS)


@pytest.mark.parametrize("name", [name for name in READABLE if name != "csv"])
def test_a_state_without_a_signature_stays_a_draft(draft_report, name):
    claimed = replace(draft_report, draft=draft_report.draft.model_copy(update={"state": "signed"}))
    assert "DRAFT" in _as_text(name, export(claimed, name).content)


def test_text_and_markdown_hold_the_table(draft_report):
    cells = table_cells(draft_report)
    text = export(draft_report, "text").content.decode("utf-8")
    lines = text[text.index("LESION TABLE") :].splitlines()[2:]
    assert [tuple(re.split(r"\s{2,}", line)) for line in lines[: len(cells) - 1]] == [
        tuple(cell for cell in row if cell) for row in cells[1:]
    ]
    markdown = export(draft_report, "markdown").content.decode("utf-8")
    rows = [line.strip("| ").split(" | ") for line in markdown.splitlines() if line.startswith("| L")]
    assert [tuple(map(str.strip, row)) for row in rows[1:]] == cells[1:]


def test_csv_reads_back_equal(draft_report):
    stream = io.StringIO(export(draft_report, "csv").content.decode("utf-8"), newline="")
    rows = list(csv.DictReader(stream))
    assert len(rows) == len(draft_report.exam.lesions)
    for row, told in zip(rows, table_rows(draft_report), strict=True):
        assert row["lesion_id"] == told.lesion.lesion_id
        assert (row["region"], row["side"] or None) == (told.lesion.region.value, told.lesion.side)
        for name in MEASURED:
            assert (float(row[name]) if row[name] else None) == told.measured(name)
        assert row["psma_rads"] == (told.psma_rads or "")
        assert row["report_state"] == "DRAFT"


def test_csv_runs_no_formula_and_marks_an_empty_table(draft_report):
    hostile = draft_report.exam.lesions[0].model_copy(update={"ct_correlate": '=HYPERLINK("http://x")', "label": "@x"})
    exam = draft_report.exam.model_copy(update={"lesions": [hostile]})
    (row,) = csv.DictReader(io.StringIO(export(Report(exam, draft_report.draft), "csv").content.decode("utf-8")))
    assert row["ct_correlate"].startswith("'=")
    assert row["label"] == "'@x"
    empty = Report(draft_report.exam.model_copy(update={"lesions": []}), draft_report.draft)
    (row,) = csv.DictReader(io.StringIO(export(empty, "csv").content.decode("utf-8")))
    assert row["report_state"] == "DRAFT"
    assert row["lesion_id"] == ""


def test_docx_reads_back_equal_with_headings_and_pictures(draft_report):
    document = docx.Document(io.BytesIO(export(draft_report, "docx").content))
    (table,) = document.tables
    assert [tuple(cell.text for cell in row.cells) for row in table.rows] == table_cells(draft_report)
    headings = [one.text for one in document.paragraphs if one.style.name.startswith("Heading")]
    assert "Impression" in headings
    assert len(document.inline_shapes) == 1 + len(draft_report.exam.lesions)
    sentences = [sentence.text for section in draft_report.draft.sections for sentence in section.sentences]
    assert set(sentences) <= {paragraph.text for paragraph in document.paragraphs}


def test_pdf_reads_back_equal_on_numbered_pages(draft_report):
    content = export(draft_report, "pdf").content
    pages = [page.get_textpage().get_text_bounded() for page in pypdfium2.PdfDocument(content)]
    for number, page in enumerate(pages, start=1):
        assert f"Page {number} of {len(pages)}" in page
        assert "not for clinical use" in page
    shown = " ".join(" ".join(pages).split())
    for expected in _numbers(table_cells(draft_report)):
        assert re.search(r"\b" + r".{1,60}?".join(map(re.escape, expected[:2])), shown), expected
        assert " ".join(expected[1:]) in shown
    for section in draft_report.draft.sections:
        for sentence in section.sentences:
            assert " ".join(sentence.text.split()) in shown


def test_the_watermark_lies_over_every_page_of_a_draft_alone(draft_report, sign):
    def reddish(report: Report) -> list[int]:
        document = pypdfium2.PdfDocument(export(replace(report, images=None), "pdf").content)
        pictures = [np.asarray(page.render(scale=0.5).to_pil().convert("RGB")).astype(int) for page in document]
        return [int(((one[..., 0] - one[..., 1]) > 15).sum()) for one in pictures]

    assert all(count > 1000 for count in reddish(draft_report))
    assert all(count == 0 for count in reddish(sign(draft_report)))


def test_the_same_report_gives_the_same_bytes(draft_report):
    plain = replace(draft_report, images=None)
    for name in ("text", "markdown", "csv", "pdf", "fhir"):
        assert export(plain, name).content == export(plain, name).content


def test_german_reports_speak_german_with_decimal_commas():
    report = replace(small_report(language="de"), images=None)
    shown = _as_text("pdf", export(report, "pdf").content)
    assert "ENTWURF (DRAFT)" in shown
    assert "Läsionstabelle" in shown
    assert "22,75" in shown
    assert "22.75" not in shown


def test_markup_in_free_text_stays_text(draft_report):
    hostile = '<img src=x onerror="x()"> & <b>bold</b> \x00 *star* [a](http://b)'
    sections = [
        section.model_copy(update={"sentences": [section.sentences[0].model_copy(update={"text": hostile})]})
        for section in draft_report.draft.sections
    ]
    report = Report(draft_report.exam, draft_report.draft.model_copy(update={"sections": sections}))
    assert "<img" not in export(report, "markdown").content.decode("utf-8")
    assert "](http" not in export(report, "markdown").content.decode("utf-8")
    assert '<img src=x onerror="x()"> & <b>bold</b> ? *star*' in _as_text("pdf", export(report, "pdf").content)
    assert '<img src=x onerror="x()"> & <b>bold</b> ? *star*' in _as_text("docx", export(report, "docx").content)


def test_three_hundred_lesions_and_none_fit_every_format(draft_report):
    lesion = draft_report.exam.lesions[0]
    many = [lesion.model_copy(update={"lesion_id": f"L{number}"}) for number in range(1, 301)]
    for lesions in (many, []):
        exam: Exam = draft_report.exam.model_copy(update={"lesions": lesions})
        for name in (*READABLE, "fhir"):
            assert export(Report(exam, draft_report.draft), name).content


def test_a_novel_in_a_cell_or_a_sentence_fits(draft_report):
    novel = "word " * 4000 + "x" * 3000
    lesion = draft_report.exam.lesions[0].model_copy(update={"label": novel, "lesion_id": "L1\\^=\u202e"})
    sections = [
        section.model_copy(update={"sentences": [one.model_copy(update={"text": novel}) for one in section.sentences]})
        for section in draft_report.draft.sections[-1:]
    ]
    draft = draft_report.draft.model_copy(update={"sections": sections})
    for name in (*READABLE, "fhir"):
        assert export(Report(draft_report.exam.model_copy(update={"lesions": [lesion]}), draft), name).content


def test_a_changed_report_is_no_longer_signed(draft_report, sign, tmp_path):
    signed = sign(draft_report)
    other = signed.draft.sections[0].model_copy(update={"sentences": []})
    with pytest.raises(InputError, match="changed after it was signed"):
        replace(signed, draft=signed.draft.model_copy(update={"sections": [other, *signed.draft.sections[1:]]}))
    with pytest.raises(InputError, match="changed after it was signed"):
        replace(signed, exam=signed.exam.model_copy(update={"psma_vol_ml": 1.0}))
    write_report(tmp_path / "kept", signed.exam, signed.draft, signed.sign_off)
    assert read_report(tmp_path / "kept").sign_off == signed.sign_off


def test_a_mask_with_more_lesions_than_the_table_is_refused(draft_report):
    images = draft_report.images
    with pytest.raises(InputError, match="numbers 6 lesions"):
        replace(draft_report, images=Images(images.study, np.where(images.lesion_labels == 5, 6, 0)))
