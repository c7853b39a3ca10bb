from pathlib import Path

import pypdfium2 as pdfium

from bench.make_long_pdf import main


def test_long_pdf_has_the_pages_asked_for_and_always_the_same_bytes(tmp_path: Path) -> None:
    """Two calls give the same file, with text, a table and its own number on every page."""
    first, second = tmp_path / "first.pdf", tmp_path / "second.pdf"
    assert main(["3", str(first)]) == 0
    assert main(["3", str(second)]) == 0
    assert first.read_bytes() == second.read_bytes()
    with pdfium.PdfDocument(first) as document:
        texts = [page.get_textpage().get_text_range() for page in document]
    assert len(texts) == 3
    assert all(len(text.split()) > 200 and "Station" in text for text in texts)
    assert len(set(texts)) == 3
