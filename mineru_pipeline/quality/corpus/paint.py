"""Draws pages into a PDF whose bytes depend on nothing but the pages and the version of reportlab."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from reportlab.pdfbase import pdfdoc
from reportlab.pdfgen.canvas import Canvas

from mineru_pipeline.quality.corpus.fonts import HELVETICA, register
from mineru_pipeline.quality.corpus.sheet import Field, Page, Picture, Run, Shape


def paint(pages: Sequence[Page], title: str) -> bytes:
    """Return ``pages`` as a PDF.

    ``invariant`` fixes dates and file identifiers. The streams stay uncompressed because zlib's output
    differs between its versions.
    """
    register()
    buffer = io.BytesIO()
    canvas = Canvas(buffer, invariant=1, pageCompression=0)
    canvas.setTitle(title)
    for page in pages:
        _paint_page(canvas, page)
    canvas.save()
    return buffer.getvalue()


def _paint_page(canvas: Any, page: Page) -> None:
    canvas.setPageSize((page.width, page.height))
    canvas.setPageRotation(page.rotation)
    w, h = page.width, page.height
    # reportlab swaps the sides of a page by itself when it is turned; what is drawn is turned the other way.
    turns = {0: (1, 0, 0, 1, 0, 0), 90: (0, 1, -1, 0, h, 0), 180: (-1, 0, 0, -1, w, h), 270: (0, -1, 1, 0, 0, w)}
    canvas.transform(*turns[page.rotation])
    for mark in page.marks:
        match mark:
            case Run():
                canvas.setFillGray(mark.grey)
                canvas.setFont(mark.face, mark.size)
                canvas.drawString(mark.x, h - mark.y, mark.text)
            case Shape():
                _paint_shape(canvas, mark, h)
            case Picture():
                _paint_picture(canvas, mark, h)
            case Field():
                _paint_field(canvas, mark, h)
    canvas.showPage()


def _paint_shape(canvas: Any, shape: Shape, height: float) -> None:
    path = canvas.beginPath()
    for command, numbers in shape.path:
        points = [number if place % 2 == 0 else height - number for place, number in enumerate(numbers)]
        {"M": path.moveTo, "L": path.lineTo, "C": path.curveTo, "Z": path.close}[command](*points)
    canvas.setLineWidth(shape.line)
    if shape.stroke is not None:
        canvas.setStrokeGray(shape.stroke)
    if shape.fill is not None:
        canvas.setFillGray(shape.fill)
    canvas.drawPath(path, stroke=int(shape.stroke is not None), fill=int(shape.fill is not None), fillMode=1)


class _Encoded(pdfdoc.PDFImageXObject):  # type: ignore[misc]  # reportlab has no types
    """An image whose stream is taken as it is; reportlab's own way would pack it with zlib."""

    def __init__(self, name: str, picture: Picture) -> None:
        super().__init__(name)
        self.picture = picture

    def format(self, document: Any) -> Any:
        stream = pdfdoc.PDFStream(content=self.picture.data)
        wide, tall = self.picture.pixels
        fax = self.picture.fax
        entries = {
            "Type": pdfdoc.PDFName("XObject"),
            "Subtype": pdfdoc.PDFName("Image"),
            "Width": wide,
            "Height": tall,
            "ColorSpace": pdfdoc.PDFName("DeviceGray"),
            "BitsPerComponent": 1 if fax else 8,
            "Filter": pdfdoc.PDFName("CCITTFaxDecode" if fax else "DCTDecode"),
        }
        if fax:
            entries["DecodeParms"] = pdfdoc.PDFDictionary({"K": -1, "Columns": wide, "Rows": tall, "BlackIs1": "true"})
        stream.dictionary.dict.update(entries)
        return stream.format(document)


def _paint_picture(canvas: Any, picture: Picture, height: float) -> None:
    # What Canvas.drawImage does, less its packing; the document numbers its images itself.
    document = canvas._doc  # noqa: SLF001 - reportlab has no public way to an encoded image
    name = f"scan{len(document.idToObject)}"
    image = _Encoded(name, picture)
    registered = document.getXObjectName(name)
    canvas._setXObjects(image)  # noqa: SLF001 - as above
    document.Reference(image, registered)
    document.addForm(name, image)
    canvas._currentPageHasImages = 1  # noqa: SLF001 - as above
    canvas._formsinuse.append(name)  # noqa: SLF001 - as above
    box = picture.box
    canvas.saveState()
    canvas.translate(box.x0, height - box.y1)
    canvas.scale(box.x1 - box.x0, box.y1 - box.y0)
    canvas._code.append(f"/{registered} Do")  # noqa: SLF001 - as above
    canvas.restoreState()


def _paint_field(canvas: Any, field: Field, height: float) -> None:
    box = field.box
    place = {"x": box.x0, "y": height - box.y1, "name": field.name, "relative": False}
    if field.tick:
        canvas.acroForm.checkbox(checked=bool(field.value), buttonStyle="cross", size=box.x1 - box.x0, **place)
        return
    canvas.acroForm.textfield(
        value=field.value,
        width=box.x1 - box.x0,
        height=box.y1 - box.y0,
        fontName=HELVETICA.roman,
        fontSize=9.5,
        borderWidth=0.5,
        maxlen=200,
        **place,
    )
