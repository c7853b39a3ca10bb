"""The words of a PDF's own text layer, as PDFium finds them, in the sandboxed child."""

from __future__ import annotations

import ctypes
import re

import numpy as np
import numpy.typing as npt
import pypdfium2
import pypdfium2.raw as pdfium_c

#: One word: text, then left, top, right, bottom in fractions of the displayed page, y down.
WordTuple = tuple[str, float, float, float, float]
_Box = tuple[float, float, float, float]

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
        texts, boxes = _boxed(text_page)
    finally:
        text_page.close()
    if not texts:
        return []
    shown = _as_displayed(page, np.array(boxes))
    middles = (shown[:, :2] + shown[:, 2:]) / 2
    on_page = np.all((middles >= 0) & (middles <= 1), axis=1).tolist()
    rounded = np.round(np.clip(shown, 0.0, 1.0), _DIGITS).tolist()
    return [(text, *box) for text, box, kept in zip(texts, rounded, on_page, strict=True) if kept]


def _as_displayed(page: pypdfium2.PdfPage, boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Turn boxes in PDF coordinates (points, y up, before the page's rotation) into fractions as displayed."""
    left, bottom, right, top = page.get_bbox()
    origin, size = np.array([left, bottom] * 2), np.array([right - left or 1.0, top - bottom or 1.0] * 2)
    x0, y0, x1, y1 = ((boxes - origin) / size).T
    turned = {
        0: (x0, 1 - y1, x1, 1 - y0),
        90: (y0, x0, y1, x1),
        180: (1 - x1, y0, 1 - x0, y1),
        270: (1 - y1, 1 - x1, 1 - y0, 1 - x0),
    }[page.get_rotation()]
    return np.stack(turned, axis=1)


def _boxed(text_page: pypdfium2.PdfTextPage) -> tuple[list[str], list[_Box]]:
    """Return the words and their boxes (left, bottom, right, top), those without a box left out."""
    characters, handle = _characters(text_page), text_page.raw
    count_rects, get_rect = pdfium_c.FPDFText_CountRects, pdfium_c.FPDFText_GetRect
    left, top, right, bottom = (ctypes.c_double() for _ in range(4))
    # Made once: a conversion for each call would cost as much as the call.
    edges = tuple(ctypes.byref(edge) for edge in (left, top, right, bottom))
    texts: list[str] = []
    boxes: list[_Box] = []
    for match in _WORD.finditer(characters):
        start, end = match.span()
        parts = []
        for index in range(count_rects(handle, start, end - start)):
            get_rect(handle, index, *edges)
            parts.append((left.value, bottom.value, right.value, top.value))
        if parts:
            texts.append(_HYPHEN.sub("-", match[0]))
            boxes.append(parts[0] if len(parts) == 1 else _around(parts))
    return texts, boxes


def _around(parts: list[_Box]) -> _Box:
    x0s, y0s, x1s, y1s = zip(*parts, strict=True)
    return min(x0s), min(y0s), max(x1s), max(y1s)


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
