"""Claims about the comparison of recognised text with the PDF's own."""

from __future__ import annotations

import pytest

from mineru_pipeline.parsing.agreement import lost_words, strip_tags, text_layer_agreement, words_of
from mineru_pipeline.parsing.layer import Word


def line(*texts: str, y: float = 0.1) -> list[Word]:
    return [Word(text, 0.1 * place, y, 0.1 * place + 0.08, y + 0.02) for place, text in enumerate(texts, start=1)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The ﬁrst STRASSE", ["the", "first", "strasse"]),
        ("Straße", ["strasse"]),
        ("co\u00adoperate", ["cooperate"]),
        ("exam-\nple well-known", ["example", "well", "known"]),
        ("ＡＢＣ１２３", ["abc123"]),
        ("漢字かな test", ["漢", "字", "か", "な", "test"]),
        ("a_b (c) 3.14", ["a", "b", "c", "3", "14"]),
        ("\u202bשלום\u202c", ["שלום"]),
        ("", []),
    ],
)
def test_words_are_normalised(text: str, words: list[str]) -> None:
    """Ligatures, case, widths, soft hyphens and broken words do not make words differ."""
    assert words_of(text) == words


def test_tags_are_not_words() -> None:
    """Tags separate words, entities are characters, and a bare angle bracket is text."""
    assert strip_tags("<td colspan='2'>a&lt;b</td><td>c</td>").split() == ["a<b", "c"]
    assert strip_tags("x < y and z > w") == "x < y and z > w"


def test_a_page_without_words_has_no_agreement() -> None:
    """Where the PDF has no text of its own there is nothing to compare."""
    assert text_layer_agreement([], ["recognised"]) is None
    assert text_layer_agreement(line("—", "***"), ["recognised"]) is None


def test_agreement_counts_each_word_as_often_as_it_occurs() -> None:
    """A word that stands twice in the layer and once in the text is half found."""
    assert text_layer_agreement(line("twice", "twice"), ["twice"]) == 0.5
    assert text_layer_agreement(line("a", "b", "c", "d"), ["<b>A</b> b", "x C"]) == 0.75


def test_a_word_broken_at_the_line_end_is_found_whole_or_in_parts() -> None:
    """The layer does not say whether a hyphen at a line's end belongs to the word; both count."""
    layer = [*line("an", "exam-"), *line("ple", y=0.13)]
    assert text_layer_agreement(layer, ["an example"]) == 1.0
    assert text_layer_agreement(layer, ["an exam ple"]) == 1.0
    assert text_layer_agreement(layer, ["an other"]) == 0.5


def test_a_hyphen_inside_a_line_breaks_nothing() -> None:
    """Two words on one line are two words, whatever the first ends with."""
    assert text_layer_agreement(line("pre-", "war"), ["pre war"]) == 1.0


def test_lost_words_are_named_and_counted() -> None:
    """The check says which words are missing how often, and accepts words joined to others."""
    assert lost_words(["one two two three"], ["one two"]) == {"two": 1, "three": 1}
    assert lost_words(["exam-", "ple"], ["example"]) == {}
