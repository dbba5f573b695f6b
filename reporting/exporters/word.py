"""The report as a Word document (DOCX) with headings, a lesion table and key images, for a reader to edit further."""

from __future__ import annotations

import io
from typing import Any

from docx import Document
from docx.document import Document as WordDocument
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Mm, Pt, RGBColor
from docx.text.paragraph import Paragraph

from fedpsma.pictures.drawing import png_bytes
from reporting.exporters.frame import Frame, frame_of, report_words
from reporting.exporters.key_pictures import KeyPictures, key_pictures
from reporting.exporters.report import Report

_MARGIN, _PAGE = Mm(18), (Mm(210), Mm(297))
_TABLE_STYLE = "Light Grid Accent 1"
_RED = RGBColor(0xB0, 0x00, 0x00)


def write(report: Report) -> bytes:
    """Return the report as a DOCX of A4 pages; head and foot of every page say what it is."""
    frame, words = frame_of(report), report_words(report.draft.language)
    document = Document()
    _set_page(document)
    _set_properties(document, report, frame)
    _write_head_and_foot(document, frame, words)
    document.add_heading(frame.title, 0)
    document.add_paragraph(frame.mark).runs[0].italic = True
    if frame.study:
        document.add_paragraph(frame.study)
    for part in frame.parts:
        document.add_heading(part.heading, 1)
        for text in part.sentences:
            document.add_paragraph(text)
    _write_table(document, frame, words)
    for text in frame.closing:
        document.add_paragraph(text).runs[0].font.size = Pt(8)
    _write_pictures(document, key_pictures(report), words)
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


def _set_page(document: WordDocument) -> None:
    section = document.sections[0]
    section.page_width, section.page_height = _PAGE
    section.left_margin = section.right_margin = _MARGIN
    section.top_margin = section.bottom_margin = Mm(22)
    document.styles["Normal"].font.size = Pt(10)
    document.styles["Normal"].paragraph_format.space_after = Pt(3)


def _set_properties(document: WordDocument, report: Report, frame: Frame) -> None:
    properties = document.core_properties
    properties.title, properties.subject, properties.author = frame.title, frame.mark, "fedpsma"
    properties.comments, properties.language = "", report.draft.language
    properties.created = properties.modified = report.created.replace(tzinfo=None)


def _write_head_and_foot(document: WordDocument, frame: Frame, words: dict[str, Any]) -> None:
    section = document.sections[0]
    head = section.header.paragraphs[0]
    state = head.add_run(frame.state)
    state.bold, state.font.size, state.font.color.rgb = True, Pt(12), _RED
    head.add_run(f"   {frame.mark}").font.size = Pt(8)
    foot = section.footer.paragraphs[0]
    foot.alignment = WD_ALIGN_PARAGRAPH.RIGHT
    before, _, rest = str(words["page"]).partition("{page}")
    between, _, after = rest.partition("{pages}")
    foot.add_run(before)
    _add_field(foot, "PAGE")
    foot.add_run(between)
    _add_field(foot, "NUMPAGES")
    foot.add_run(after)


def _add_field(paragraph: Paragraph, name: str) -> None:
    """Add a field that Word fills in; python-docx has no call for it (ECMA-376 part 1, 17.16.19)."""
    field = OxmlElement("w:fldSimple")
    field.set(qn("w:instr"), name)
    run = OxmlElement("w:r")
    text = OxmlElement("w:t")
    text.text = "1"
    run.append(text)
    field.append(run)
    paragraph._p.append(field)


def _write_table(document: WordDocument, frame: Frame, words: dict[str, Any]) -> None:
    document.add_heading(str(words["table"]), 1)
    if len(frame.table) == 1:
        document.add_paragraph(str(words["no_lesion"]))
        return
    table = document.add_table(rows=0, cols=len(frame.table[0]), style=_TABLE_STYLE)
    for row in frame.table:
        for cell, text in zip(table.add_row().cells, row, strict=True):
            cell.text = text
            for run in cell.paragraphs[0].runs:
                run.font.size = Pt(7.5)
    repeat = OxmlElement("w:tblHeader")
    repeat.set(qn("w:val"), "true")
    table.rows[0]._tr.get_or_add_trPr().append(repeat)
    document.add_paragraph()


def _write_pictures(document: WordDocument, pictures: KeyPictures | None, words: dict[str, Any]) -> None:
    if pictures is None:
        return
    document.add_heading(str(words["images"]), 1)
    document.add_paragraph(str(words["images_note"]))
    if pictures.left_out:
        document.add_paragraph(str(words["images_left_out"]).format(count=pictures.left_out))
    document.add_picture(io.BytesIO(png_bytes(pictures.projections)), width=Mm(170))
    paragraph = document.add_paragraph()
    for one in pictures.slices:
        paragraph.add_run().add_picture(io.BytesIO(png_bytes(one)), width=Mm(55))
