from pathlib import Path

import pypdfium2 as pdfium
import pytest

from samples.make_samples import FOLDER, MAKERS, differing, main
from samples.mathart import segments
from samples.sealed import PASSWORD


def _text(name: str, password: str | None = None) -> list[str]:
    with pdfium.PdfDocument(FOLDER / name, password=password) as document:
        return [page.get_textpage().get_text_range() for page in document]


def test_committed_samples_are_what_their_makers_give() -> None:
    """Making all samples again gives the committed bytes."""
    assert differing(FOLDER) == []


def test_check_names_a_file_that_differs_and_one_that_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--check`` ends with 1 and names every file that is not what its maker gives."""
    for name in list(MAKERS)[1:]:
        (tmp_path / name).write_bytes((FOLDER / name).read_bytes())
    (tmp_path / "06-encrypted.pdf").write_bytes(b"something else")
    assert main(["--check", "--folder", str(tmp_path)]) == 1
    named = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert named == ["01-two-column-article.pdf", "06-encrypted.pdf"]


def test_all_samples_together_stay_small() -> None:
    """The committed samples take less than 2 MB."""
    assert sum((FOLDER / name).stat().st_size for name in MAKERS) < 2_000_000


def test_article_fills_two_pages_with_figure_table_and_footnote() -> None:
    """The article has two pages, a figure, a table, a footnote and page numbers."""
    first, second = _text("01-two-column-article.pdf")
    for expected in ("Abstract.", "Figure 1.", "Table 1.", "Corresponding author", "17"):
        assert expected in first
    assert "References" in second


def test_table_repeats_its_header_and_continues() -> None:
    """Both pages of the long table carry the header, and its last row stands on the second page only."""
    first, second = _text("02-table-across-pages.pdf")
    assert "Volume (ml)" in first
    assert "Volume (ml)" in second
    assert "Mean of all bakes" in second
    assert "Mean of all bakes" not in first


def test_scan_has_no_text_layer() -> None:
    """The scanned page holds a picture and not one character of text."""
    assert _text("04-scan.pdf") == [""]


def test_rotated_sample_has_a_rotated_page_and_an_upright_one() -> None:
    """The first page is turned by /Rotate 90, the second shows its table sideways without it."""
    with pdfium.PdfDocument(FOLDER / "05-rotated.pdf") as document:
        assert [page.get_rotation() for page in document] == [90, 0]
        assert [page.get_width() > page.get_height() for page in document] == [True, False]


def test_encrypted_sample_opens_only_with_its_password() -> None:
    """Without the password PDFium refuses the file, with it the text is there."""
    with pytest.raises(pdfium.PdfiumError, match="password"):
        pdfium.PdfDocument(FOLDER / "06-encrypted.pdf")
    assert "you knew the password" in _text("06-encrypted.pdf", PASSWORD)[0]


def test_path_data_is_split_into_commands_with_their_coordinates() -> None:
    """SVG path data becomes commands, each with the number of coordinates that it takes."""
    assert list(segments("M 1 -2.5 L 3 4 Q 1 2 3e-1 4 Z")) == [
        ("M", (1.0, -2.5)),
        ("L", (3.0, 4.0)),
        ("Q", (1.0, 2.0, 0.3, 4.0)),
        ("Z", ()),
    ]
