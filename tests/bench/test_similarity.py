"""Claims about how alike two parses are said to be."""

from __future__ import annotations

from bench.similarity import differences, listed_text, plain_text, shape, similarity


def test_tables_compare_by_their_cells() -> None:
    """The same table as HTML and as Markdown has the same words."""
    markdown = "| a | b\\|c |\n| --- | ---: |\n| 1 | x*y |"
    html = "<table><tr><td>a</td><td>b|c</td></tr><tr><td>1</td><td>x*y</td></tr></table>"
    assert plain_text(markdown) == plain_text(html) == "a b|c 1 x*y"


def test_marks_are_not_words() -> None:
    """Headings, pictures, escapes, entities and line breaks leave nothing but the words."""
    assert plain_text("## Part\n\n![](images/a.jpg)\n5 \\* 3 &lt; 16  \nH<sub>2</sub>O") == "Part 5 * 3 < 16 H 2 O"


def test_what_looks_like_a_tag_and_is_none_stays() -> None:
    """A comparison in the text is no tag."""
    assert plain_text("if a < b and c > d") == "if a < b and c > d"


def test_a_missing_word_lowers_the_similarity_by_its_share() -> None:
    """Two of ten characters lost make 0.8; equal and empty texts are 1."""
    assert similarity("abcdefghij", "abcdefgh") == 0.8
    assert similarity("", "") == 1.0
    assert similarity("abc", "") == 0.0


def test_the_words_of_a_list_are_all_its_texts() -> None:
    """Texts, items, captions and table bodies count; paths, types and boxes do not."""
    entries = [
        {"type": "list", "list_items": ["one", "two"], "bbox": [1, 2, 3, 4]},
        {"type": "table", "img_path": "p.jpg", "table_body": "<td>x</td>", "table_caption": ["Table 1"]},
    ]
    assert listed_text(entries) == "one two x Table 1"


def test_fields_and_types_that_differ_are_named() -> None:
    """A field that only one side has, and one of another type, are told; empty lists agree with any list."""
    ours = shape([[{"type": "text", "text": "a", "extra": True}, {"type": "image", "image_caption": []}]])
    peer = shape([[{"type": "text", "text": 1}, {"type": "image", "image_caption": ["Fig."]}, {"type": "code"}]])
    assert differences(ours, peer) == [
        "text.extra: ours boolean, peer absent",
        "text.text: ours string, peer integer",
    ]
    assert differences(ours, ours) == []
