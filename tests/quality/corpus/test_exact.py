"""What is drawn is what the truth says: read back with PDFium, letter by letter."""

from __future__ import annotations

from collections import Counter

import pypdfium2
import pypdfium2.raw as pdfium_c
from corpus_text import letters, letters_in, said

from mineru_pipeline.quality.corpus import CorpusDocument
from mineru_pipeline.quality.truth import TruthKind


def _without_hyphens(text: str) -> str:
    # A hyphen at the end of a line is drawn and not said; those within words are compared as words elsewhere.
    return text.replace("-", "")


def test_every_block_holds_its_letters_in_their_order_and_nothing_else(corpus: tuple[CorpusDocument, ...]) -> None:
    """On pages with text, the box of each block holds exactly what its content says, in the same order."""
    compared = 0
    for document in corpus:
        for index in range(document.truth.pages):
            drawn = letters(document.pdf, index)
            if not drawn or document.name.endswith("scan-and-text"):
                continue
            for block in (each for each in document.truth.blocks if each.page == index):
                shown, told = _without_hyphens(letters_in(drawn, block)), _without_hyphens(said(block))
                if block.kind is TruthKind.FORM:
                    # Fields are flattened onto the page after everything else, so only their order differs.
                    shown, told = "".join(sorted(shown)), "".join(sorted(told))
                assert shown == told, (document.name, block.id)
                compared += len(told)
    assert compared > 200_000


def test_nothing_is_drawn_that_no_block_says(corpus: tuple[CorpusDocument, ...]) -> None:
    """A page with text has as many letters as its blocks say, of each sort, hyphens at line ends aside."""
    for document in corpus:
        for index in range(document.truth.pages):
            drawn = letters(document.pdf, index)
            if not drawn or document.name.endswith("scan-and-text"):
                continue
            blocks = [block for block in document.truth.blocks if block.page == index]
            told = Counter(_without_hyphens("".join(map(said, blocks))))
            whole = blocks[0].__class__("page", TruthKind.TEXT, index, "", bbox=(0, 0, 1000, 1000))
            assert Counter(_without_hyphens(letters_in(drawn, whole))) == told, (document.name, index)


def test_words_survive_the_ends_of_lines(baseline: tuple[CorpusDocument, ...]) -> None:
    """The words that PDFium reads from a page of text are those of the truth, once line ends are joined."""
    document = next(each for each in baseline if each.name == "two-columns-01")
    with pypdfium2.PdfDocument(document.pdf) as pdf:
        text = pdf[0].get_textpage().get_text_range()
    joined = text.replace("\ufffe\r\n", "").replace("\ufffe", "").replace("\x02", "")
    missing = [
        word
        for block in document.truth.blocks
        if block.page == 0 and block.kind is TruthKind.TEXT
        for word in block.content.split()
        if word not in joined.replace("ﬁ", "fi").replace("ﬂ", "fl").split()
    ]
    assert missing == []


def test_scans_have_one_picture_and_no_text(corpus: tuple[CorpusDocument, ...]) -> None:
    """A scanned page holds one image, nothing else, and its truth is not empty."""
    pages = 0
    for document in corpus:
        if document.truth.stratum != "scans":
            continue
        with pypdfium2.PdfDocument(document.pdf) as pdf:
            for page in pdf:
                pages += 1
                assert page.get_textpage().get_text_range() == ""
                assert [each.type for each in page.get_objects()] == [pdfium_c.FPDF_PAGEOBJ_IMAGE]
        assert len(document.truth.blocks) > 10
    assert pages == 12


def test_faxes_are_black_and_white_and_compressed_as_such(corpus: tuple[CorpusDocument, ...]) -> None:
    """The second document of the scans is a fax: one bit a pixel, CCITT group 4, and PDFium shows ink on white."""
    document = next(each for each in corpus if each.name == "scans-02")
    assert b"/CCITTFaxDecode" in document.pdf
    with pypdfium2.PdfDocument(document.pdf) as pdf:
        greys = pdf[0].render(scale=1, grayscale=True).to_numpy()
    assert 0.5 < (greys > 250).mean() < 0.99


def test_rotated_pages_are_upright_for_people_and_carry_the_flag(corpus: tuple[CorpusDocument, ...]) -> None:
    """All three turns by /Rotate occur, and documents laid sideways into the scanner have none."""
    turns = set()
    for document in corpus:
        with pypdfium2.PdfDocument(document.pdf) as pdf:
            flags = {page.get_rotation() for page in pdf}
        if document.truth.stratum == "rotated":
            turns |= flags
        else:
            assert flags == {0}
    assert turns == {0, 90, 180, 270}
