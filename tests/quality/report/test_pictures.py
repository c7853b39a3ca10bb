"""Claims about the pictures of pages."""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from PIL import Image

from mineru_pipeline.quality.corpus import SEEDS, CorpusDocument, generate
from mineru_pipeline.quality.report.pictures import corpus_pictures


@pytest.fixture(scope="module")
def document() -> CorpusDocument:
    """One whose pages are turned by /Rotate."""
    return next(generate(SEEDS["baseline"], strata=["rotated"], sample=1))


def test_a_page_is_shown_as_people_see_it(document: CorpusDocument) -> None:
    """The picture is as wide as asked for, has ink where the truth has blocks, and is the same each time."""
    picture = corpus_pictures(lambda name: {document.name: document.pdf}[name], width=400)
    data = picture(document.name, 0)
    assert data is not None
    assert data == picture(document.name, 0)
    page = Image.open(io.BytesIO(data)).convert("L")
    assert (page.format, page.width) == (None, 400)
    for block in document.truth.blocks:
        if block.page == 0 and block.bbox:
            x0, y0, x1, y1 = (
                value * side // 1000 for value, side in zip(block.bbox, (page.width, page.height) * 2, strict=True)
            )
            darkest, _ = page.crop((x0, y0, max(x1, x0 + 1), max(y1, y0 + 1))).getextrema()
            assert darkest < 200


def test_a_page_that_is_not_there_has_no_picture(document: CorpusDocument) -> None:
    """A parse may claim pages that the document does not have."""
    assert corpus_pictures(lambda _: document.pdf)(document.name, 99) is None


def test_what_is_no_pdf_has_no_picture(document: CorpusDocument) -> None:
    """A damaged document costs its pictures and nothing else; those of the next one are drawn."""
    files = {"broken": b"%PDF-1.7 and nothing more", document.name: document.pdf}
    picture = corpus_pictures(files.__getitem__, width=100)
    assert picture("broken", 0) is None
    assert picture(document.name, 0) is not None


def test_pdfs_are_opened_in_a_child_alone(document: CorpusDocument) -> None:
    """Nothing of the report's own process opens a PDF: pdfium is not even loaded by what draws the pages."""
    code = (
        "import sys; from mineru_pipeline.quality.report.pictures import corpus_pictures;"
        f"picture = corpus_pictures(lambda _: open({str(document.name)!r}, 'rb').read(), width=50);"
        "assert picture('', 0)[:4] == b'RIFF'; assert 'pypdfium2' not in sys.modules"
    )
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / document.name).write_bytes(document.pdf)
        done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
