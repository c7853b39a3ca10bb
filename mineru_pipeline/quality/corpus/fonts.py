"""The faces that documents are set in: two families under the SIL Open Font License, and the PDF's own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

_LIGATURES = (("fi", "\ufb01"), ("fl", "\ufb02"))
_EMBEDDED = {
    "Serif": ("font_source_serif_pro", "SourceSerifPro"),
    "Sans": ("font_source_sans_pro", "SourceSansPro"),
}
_CUTS = {"": "Regular", "-Bold": "Bold", "-Italic": "It"}


@dataclass(frozen=True, slots=True)
class Family:
    """The three cuts that documents use, as names that reportlab knows."""

    roman: str
    bold: str
    italic: str
    #: Covers the letters of Polish and Czech, and has ligatures.
    extended: bool = True


SERIF = Family("Serif", "Serif-Bold", "Serif-Italic")
SANS = Family("Sans", "Sans-Bold", "Sans-Italic")
#: Not embedded in the file: every reader has them, with Western letters only.
TIMES = Family("Times-Roman", "Times-Bold", "Times-Italic", extended=False)
HELVETICA = Family("Helvetica", "Helvetica-Bold", "Helvetica-Oblique", extended=False)
TYPEWRITER = Family("Courier", "Courier-Bold", "Courier-Oblique", extended=False)


@cache
def register() -> None:
    """Make the embedded families known to reportlab; repeating it changes nothing."""
    for name, (package, stem) in _EMBEDDED.items():
        for cut, file in _CUTS.items():
            pdfmetrics.registerFont(TTFont(name + cut, str(files(package) / "files" / f"{stem}-{file}.ttf")))


@lru_cache(maxsize=100_000)
def width(text: str, face: str, size: float) -> float:
    """Return how wide ``text`` is, in points."""
    register()
    return float(pdfmetrics.stringWidth(text, face, size))


def covers(text: str, face: str) -> bool:
    """Tell whether ``face`` has a glyph for each letter of ``text``."""
    font = pdfmetrics.getFont(face)
    if isinstance(font, TTFont):
        return all(ord(char) in font.face.charToGlyph for char in text)
    return text.encode("cp1252", "replace").decode("cp1252") == text


def ligate(text: str) -> str:
    """Set ``fi`` and ``fl`` as one glyph, as typesetters do."""
    for pair, glyph in _LIGATURES:
        text = text.replace(pair, glyph)
    return text
