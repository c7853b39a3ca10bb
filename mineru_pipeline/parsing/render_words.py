"""The words of a PDF's own text layer, as PDFium finds them, in the sandboxed child."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator

import pypdfium2
import pypdfium2.raw as pdfium_c

#: One word: text, then left, top, right, bottom in fractions of the displayed page, y down.
WordTuple = tuple[str, float, float, float, float]

# A line-end hyphen, which PDFium replaces by U+0002 (or U+FFFE) and joins with the next line.
_HYPHENS = "\x02\ufffe"
# Other control characters part words: most are the space glyph of fonts without a proper encoding.
_NO_WORD = "\\s\x00-\x1f\x7f-\x9f\ufffe\uffff"
_WORD = re.compile(f"[^{_NO_WORD}]+[{_HYPHENS}]?|[{_HYPHENS}]")
_HYPHEN = re.compile(f"[{_HYPHENS}]")
_DIGITS = 5


def page_words(page: pypdfium2.PdfPage) -> list[WordTuple]:
    """Return the words in the order of the page's content, invisible text layers included.

    Words whose middle lies outside the displayed page are not on it and left out. A word that is
    hyphenated over two lines stays two words, the first with its hyphen.
    """
    text_page = page.get_textpage()
    try:
        place = _Placement(page)
        words = (place.word(text, *box) for text, box in _boxed(text_page))
        return [word for word in words if word is not None]
    finally:
        text_page.close()


class _Placement:
    """Turns PDF coordinates (points, y up, before the page's rotation) into fractions as displayed."""

    def __init__(self, page: pypdfium2.PdfPage) -> None:
        self._left, self._bottom, right, top = page.get_bbox()
        self._width = right - self._left or 1.0
        self._height = top - self._bottom or 1.0
        self._rotation = page.get_rotation()

    def word(self, text: str, left: float, bottom: float, right: float, top: float) -> WordTuple | None:
        """Return the word with its box, or None when it is not on the displayed page."""
        x0, x1 = (left - self._left) / self._width, (right - self._left) / self._width
        y0, y1 = (bottom - self._bottom) / self._height, (top - self._bottom) / self._height
        box = {
            0: (x0, 1 - y1, x1, 1 - y0),
            90: (y0, x0, y1, x1),
            180: (1 - x1, y0, 1 - x0, y1),
            270: (1 - y1, 1 - x1, 1 - y0, 1 - x0),
        }[self._rotation]
        middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        if not all(0 <= each <= 1 for each in middle):
            return None
        a, b, c, d = (round(min(max(each, 0.0), 1.0), _DIGITS) for each in box)
        return text, a, b, c, d


def _boxed(text_page: pypdfium2.PdfTextPage) -> Iterator[tuple[str, tuple[float, float, float, float]]]:
    characters = _characters(text_page)
    values = [ctypes.c_double() for _ in range(4)]
    left, top, right, bottom = values
    for match in _WORD.finditer(characters):
        text = _HYPHEN.sub("-", match[0])
        count = pdfium_c.FPDFText_CountRects(text_page, match.start(), match.end() - match.start())
        boxes = []
        for index in range(count):
            pdfium_c.FPDFText_GetRect(text_page, index, left, top, right, bottom)
            boxes.append((left.value, bottom.value, right.value, top.value))
        if boxes:
            x0s, y0s, x1s, y1s = zip(*boxes, strict=True)
            yield text, (min(x0s), min(y0s), max(x1s), max(y1s))


def _characters(text_page: pypdfium2.PdfTextPage) -> str:
    """Return one character per character of PDFium, so that places in the text are PDFium's indices."""
    count = text_page.count_chars()
    if count < 1:
        return ""
    buffer = (ctypes.c_ushort * (count + 1))()
    written = pdfium_c.FPDFText_GetText(text_page, 0, count, buffer)
    text = bytes(buffer)[: 2 * max(written - 1, 0)].decode("utf-16-le", "surrogatepass")
    # The quick way leaves out unprintable characters and counts rare ones double: then one by one.
    if len(text) == count == written - 1:
        return text
    return "".join(chr(pdfium_c.FPDFText_GetUnicode(text_page, index)) for index in range(count))
