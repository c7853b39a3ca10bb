"""A contact sheet: every page with the blocks of its truth drawn over it, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import pypdfium2
from jinja2 import Environment, select_autoescape

from mineru_pipeline.quality.corpus.draft import CorpusDocument

_SCALE = 1.1


def write_contact_sheet(folder: Path, documents: Sequence[CorpusDocument], version: str) -> Path:
    """Write ``index.html`` and a picture of each page below ``folder``; return the former's path."""
    (folder / "pages").mkdir(parents=True, exist_ok=True)
    for document in documents:
        # Our own documents: nothing hostile, so no render child is needed.
        with pypdfium2.PdfDocument(document.pdf) as pdf:
            pdf.init_forms()
            for number, page in enumerate(pdf, start=1):
                page.render(scale=_SCALE).to_pil().save(folder / "pages" / f"{document.name}-{number}.png")
    template = files(__package__) / "contact_sheet.html"
    environment = Environment(autoescape=select_autoescape(default_for_string=True, default=True))
    sheet = folder / "index.html"
    html = environment.from_string(template.read_text(encoding="utf-8")).render(documents=documents, version=version)
    sheet.write_text(html, encoding="utf-8")
    return sheet
