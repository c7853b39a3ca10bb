"""The encrypted file: one page behind a user password, which the pipeline must name and refuse."""

from __future__ import annotations

from typing import Any, Final

from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.platypus import Frame, PageTemplate, Paragraph, Spacer

from samples.style import BODY, HEIGHT, MARGIN, NOTICE, TITLE, WIDTH, document, page_foot

#: Not a secret: it is here so that people can open the sample.
PASSWORD: Final = "third-step"  # noqa: S105 - published on purpose, as said above
_TITLE = "The Keeper's Recipe"
_PARAGRAPHS = (
    (
        "If you can read this, you knew the password. A parser does not know it, and it should say so instead of "
        "returning an empty document."
    ),
    (
        "For one ferry loaf take 600 grams of rye flour, 400 grams of wheat flour, 740 grams of water from above the"
        " weir, 20 grams of salt and a cup of sour dough that has seen at least three floods. Mix in the evening, "
        "fold before bed, shape at dawn, and bake when the first passengers ring the bell."
    ),
    (
        "The loaf keeps for a week. In the year 1907 one was carried off with the landing stage and came ashore at "
        "Harbour Gate two days later, a little damp, and was eaten by the lock keeper with butter."
    ),
)


def make() -> bytes:
    """Return the page as a PDF that asks for ``PASSWORD``; 128-bit RC4, because AES would salt it at random."""
    story: list[Any] = [Paragraph(_TITLE, TITLE), Spacer(0, 8), *(Paragraph(text, BODY) for text in _PARAGRAPHS)]
    frame = Frame(MARGIN + 60, 50, WIDTH - 2 * MARGIN - 120, HEIGHT - 130)
    template = PageTemplate("page", [frame], onPage=lambda canvas, _document: page_foot(canvas, NOTICE, "1"))
    lock = StandardEncryption(PASSWORD, ownerPassword=f"owner of {PASSWORD}", strength=128)
    return document([template], story, title=_TITLE, author="M. Brandt", encrypt=lock)
