"""Claims about table markup: words stay, what could act or explode goes."""

from __future__ import annotations

import pytest

from mineru_pipeline.errors import InvalidAnswerError
from mineru_pipeline.parsing.markup import clean_text, defused, formulas, is_tractable, strip_markup
from mineru_pipeline.parsing.tables import as_table_markup, clean_picture_text, clean_table


def test_angle_brackets_of_the_text_are_text() -> None:
    """Comparisons and unknown tags in cells are words, not markup."""
    assert "a&lt;b and c&gt;d &lt;script&gt;" in clean_table("<table><tr><td>a<b and c>d <script></td></tr></table>")


def test_broken_html_is_repaired() -> None:
    """Cells and rows that are never closed come out closed."""
    expected = "<table><tbody><tr><td>a</td><td>b</td></tr></tbody></table>"
    assert clean_table("<table><tr><td>a<td>b") == expected
    assert clean_table(expected) == expected


def test_text_outside_of_cells_gets_a_cell() -> None:
    """Text before, after and between rows is moved into the table instead of being dropped."""
    cleaned = clean_table("before<table><caption>cap</caption><tr><td>in</td></tr>loose</table>after")
    assert cleaned.startswith("<table>")
    assert cleaned.endswith("</table>")
    assert strip_markup(cleaned).split() == ["in", "before", "loose", "cap", "after"]
    assert cleaned.count("<td>") == 4


def test_formulas_in_cells_are_marked() -> None:
    """Formulas become ``<eq>``, cleaning twice changes nothing, and none crosses a cell."""
    cleaned = clean_table(r"<table><tr><td>\(a<b\)</td><td>\(</td><td>\)</td></tr></table>")
    assert "<eq>a&lt;b</eq>" in cleaned
    assert r"<td>\(</td><td>\)</td>" in cleaned
    assert clean_table(cleaned) == cleaned


@pytest.mark.parametrize("span", ["0", "-3", "x", "99999999999", "2.5"])
def test_absurd_spans_are_dropped(span: str) -> None:
    """A span that is no small positive number does not survive."""
    cleaned = clean_table(f'<table><tr><td colspan="{span}">a</td></tr></table>')
    assert span not in cleaned


@pytest.mark.parametrize(
    "markup",
    [
        "<table></table>",
        "<table>" + "<tr>" + '<td colspan="999" rowspan="999">a</td>' * 50 + "</tr></table>",
        "<table><tr><td>" + "<b>" * 40 + "x",
    ],
)
def test_what_cannot_be_a_table_is_refused(markup: str) -> None:
    """No cells, an exploding grid, or absurd nesting: the caller is told to keep the words alone."""
    with pytest.raises(InvalidAnswerError):
        clean_table(markup)


def test_only_our_own_pictures_are_shown() -> None:
    """Addresses that a model writes are dropped: a document must not call home."""
    markup = '<table><tr><td><img src="images/p0001-b02.jpg"/><img src="https://x.invalid/p.png"/></td></tr></table>'
    assert 'src="images/p0001-b02.jpg"' in clean_table(markup)
    assert "x.invalid" not in clean_table(markup)


def test_markdown_tables_are_tables() -> None:
    """An answer in the form of a Markdown table is taken as one."""
    assert "<td>1</td>" in as_table_markup("| a | b |\n| --- | --- |\n| 1 | 2 |")


def test_the_visible_text_of_a_table_keeps_rows_and_cells() -> None:
    """Without its markup a table is lines of cells parted by tabs."""
    assert strip_markup("<fcel>a<fcel>b<nl><fcel>c<ecel><nl>") == "a\tb\nc"
    assert strip_markup("<table><tr><td>a &amp; b</td><td>c</td></tr></table>") == "a & b\tc"


def test_picture_text_cannot_leave_its_fence() -> None:
    """Mermaid code stays code; a fence that would free or swallow what follows is broken up."""
    mermaid = '```mermaid\ngraph TD\nA["x<br>y"] --> B\n```'
    assert clean_picture_text(mermaid) == mermaid
    assert "```" not in clean_picture_text(f"{mermaid}\n<script>```")


def test_endless_openings_are_recognised() -> None:
    """Texts that would keep the libraries' patterns busy for minutes are told from honest ones."""
    for opening in (r"\(", r"\[", "<!--"):
        assert not is_tractable(opening * 30_000)
        assert is_tractable(defused(opening * 30_000))
    assert is_tractable(r"\(x\) and \[y\] " * 5000)


def test_formulas_are_found_in_linear_time() -> None:
    """Delimiters pair up from the left; what does not close is no formula."""
    text = r"a \(x\) b \[y\] c \(z"
    assert [text[start:end] for start, end in formulas(text)] == [r"\(x\)", r"\[y\]"]


def test_cleaned_text_can_be_encoded() -> None:
    """Cleaned text holds nothing that UTF-8 or JSON cannot carry, and one kind of line break."""
    assert clean_text("a\r\nb\u2028c\ud83d\x00") == "a\nb\nc"
