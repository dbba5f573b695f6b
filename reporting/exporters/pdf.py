"""The report as PDF: A4, with key images; every page says what it is, and "DRAFT" lies over what nobody signed."""

from __future__ import annotations

import io
from functools import cache, partial
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from PIL import Image
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    CondPageBreak,
    Flowable,
    LongTable,
    PageBreak,
    Paragraph,
    SimpleDocTemplate,
    Spacer,
    Table,
)
from reportlab.platypus import Image as Picture

from fedpsma.pictures.drawing import png_bytes
from reporting.exporters.frame import Frame, frame_of, report_words
from reporting.exporters.key_pictures import KeyPictures, key_pictures
from reporting.exporters.report import Report

_FONT, _BOLD = "DejaVuSans", "DejaVuSans-Bold"
_SIDE, _TOP, _BOTTOM = 18 * mm, 24 * mm, 20 * mm
_WIDTH = A4[0] - 2 * _SIDE
_GREY = colors.Color(0.35, 0.35, 0.35)
_RULE = colors.Color(0.75, 0.75, 0.75)
_SLICES_A_ROW = 3
# What reportlab leaves free within the margins, and within the cells of a table.
_FRAME_PT, _CELL_PT = 6, 2
_WIDEST_CELL = 0.22


def write(report: Report) -> bytes:
    """Return the report as a PDF of A4 pages; the same report and moment give the same bytes."""
    _register_fonts()
    frame, words = frame_of(report), report_words(report.draft.language)
    story = [*_sections(frame), *_table(frame, words), *_closing(frame), *_pictures(key_pictures(report), words)]
    stream = io.BytesIO()
    document = SimpleDocTemplate(
        stream,
        pagesize=A4,
        leftMargin=_SIDE - _FRAME_PT,
        rightMargin=_SIDE - _FRAME_PT,
        topMargin=_TOP,
        bottomMargin=_BOTTOM,
        title=frame.title,
        subject=frame.mark,
        author="fedpsma",
        creator="fedpsma",
        lang=report.draft.language,
        invariant=1,
    )
    document.build(
        story, canvasmaker=partial(_NumberedCanvas, frame=frame, page_words=str(words["page"]), draft=not report.signed)
    )
    return stream.getvalue()


class _NumberedCanvas(Canvas):  # type: ignore[misc]
    """Adds to each page, once their number is known, head, foot and the watermark of a draft."""

    def __init__(self, *given: Any, frame: Frame, page_words: str, draft: bool, **more: Any) -> None:
        super().__init__(*given, **more)
        self._frame, self._page_words, self._is_draft = frame, page_words, draft
        self._pages: list[dict[str, Any]] = []

    def showPage(self) -> None:  # noqa: N802
        """Keep a finished page until the last one is there."""
        self._pages.append(dict(self.__dict__))
        self._startPage()

    def save(self) -> None:
        """Finish every page and write the file."""
        for number, page in enumerate(self._pages, start=1):
            self.__dict__.update(page)
            self._mark(number, len(self._pages))
            super().showPage()
        super().save()

    def _mark(self, number: int, count: int) -> None:
        frame, (width, height) = self._frame, A4
        self.setFont(_BOLD, 9)
        self.drawString(_SIDE, height - 12 * mm, frame.title)
        self.setFont(_FONT, 7)
        self.setFillColor(_GREY)
        self.drawString(_SIDE, height - 16 * mm, frame.mark)
        self.drawString(_SIDE, 11 * mm, frame.study)
        self.drawRightString(width - _SIDE, 11 * mm, self._page_words.format(page=number, pages=count))
        self.setStrokeColor(_RULE)
        self.line(_SIDE, height - 18 * mm, width - _SIDE, height - 18 * mm)
        if self._is_draft:
            self.saveState()
            self.translate(width / 2, height / 2)
            self.rotate(52)
            self.setFillColor(colors.red, alpha=0.1)
            self.setFont(_BOLD, 130)
            self.drawCentredString(0, -45, "DRAFT")
            self.restoreState()


@cache
def _register_fonts() -> None:
    """Register the fonts that come with matplotlib: reportlab's own know neither Greek nor the arrows of a report."""
    from matplotlib import get_data_path

    for name in (_FONT, _BOLD):
        pdfmetrics.registerFont(TTFont(name, str(Path(get_data_path(), "fonts", "ttf", f"{name}.ttf"))))


def _style(size: float, *, bold: bool = False, before: float = 0, after: float = 0) -> ParagraphStyle:
    return ParagraphStyle(
        f"{size}{bold}",
        fontName=_BOLD if bold else _FONT,
        fontSize=size,
        leading=1.3 * size,
        spaceBefore=before,
        spaceAfter=after,
    )


def _heading(text: str) -> list[Flowable]:
    return [CondPageBreak(20 * mm), Paragraph(escape(text), _style(10.5, bold=True, before=8, after=3))]


def _sections(frame: Frame) -> list[Flowable]:
    body = _style(9, after=2)
    story: list[Flowable] = []
    for part in frame.parts:
        story += [*_heading(part.heading), *(Paragraph(escape(text), body) for text in part.sentences)]
    return story


def _table(frame: Frame, words: dict[str, Any]) -> list[Flowable]:
    story, (head, *rows) = _heading(str(words["table"])), frame.table
    if not rows:
        return [*story, Paragraph(escape(str(words["no_lesion"])), _style(9))]
    small, bold = _style(7), _style(7, bold=True)
    cells = [[Paragraph(escape(cell), bold) for cell in head]]
    cells += [[Paragraph(escape(cell), small) for cell in row] for row in rows]
    table = LongTable(cells, colWidths=_column_widths(frame.table, small, bold), repeatRows=1, splitInRow=1)
    table.setStyle(
        [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LINEBELOW", (0, 0), (-1, -1), 0.4, _RULE),
            ("LEFTPADDING", (0, 0), (-1, -1), _CELL_PT),
            ("RIGHTPADDING", (0, 0), (-1, -1), _CELL_PT),
            ("TOPPADDING", (0, 0), (-1, -1), 2),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
        ]
    )
    return [*story, table]


def _column_widths(table: tuple[tuple[str, ...], ...], body: ParagraphStyle, head: ParagraphStyle) -> list[float]:
    """Give each column what its longest cell and the longest word of its heading need, and share out what is left."""
    widths = []
    for name, *cells in zip(*table, strict=True):
        words = max(pdfmetrics.stringWidth(word, head.fontName, head.fontSize) for word in name.split())
        texts = max(pdfmetrics.stringWidth(cell, body.fontName, body.fontSize) for cell in cells)
        widths.append(max(words, min(texts, _WIDEST_CELL * _WIDTH)) + 2 * _CELL_PT + 1)
    return [width * _WIDTH / sum(widths) for width in widths]


def _closing(frame: Frame) -> list[Flowable]:
    return [Spacer(0, 8), *(Paragraph(escape(text), _style(7.5, after=2)) for text in frame.closing)]


def _pictures(pictures: KeyPictures | None, words: dict[str, Any]) -> list[Flowable]:
    if pictures is None:
        return []
    note = str(words["images_note"])
    if pictures.left_out:
        note += " " + str(words["images_left_out"]).format(count=pictures.left_out)
    story = [PageBreak(), *_heading(str(words["images"])), Paragraph(escape(note), _style(7.5, after=4))]
    story.append(_picture(pictures.projections, _WIDTH, A4[1] - _TOP - _BOTTOM - 30 * mm))
    cells = [_picture(one, _WIDTH / _SLICES_A_ROW - 6, A4[1] / 3) for one in pictures.slices]
    if cells:
        cells += [Spacer(0, 0)] * (-len(cells) % _SLICES_A_ROW)
        rows = [cells[start : start + _SLICES_A_ROW] for start in range(0, len(cells), _SLICES_A_ROW)]
        story += [Spacer(0, 6), Table(rows, colWidths=[_WIDTH / _SLICES_A_ROW] * _SLICES_A_ROW)]
    return story


def _picture(image: Image.Image, width: float, height: float) -> Picture:
    """Place a picture as large as the box allows."""
    scale = min(width / image.width, height / image.height)
    return Picture(io.BytesIO(png_bytes(image)), image.width * scale, image.height * scale)
