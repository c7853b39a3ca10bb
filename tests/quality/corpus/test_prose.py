"""Sentences and formulas: readable, full of numbers, and in the letters of their language."""

from __future__ import annotations

import re
import string

import pytest

from mineru_pipeline.quality.corpus.dice import Dice
from mineru_pipeline.quality.corpus.languages import LANGUAGES
from mineru_pipeline.quality.corpus.latex import Formulas
from mineru_pipeline.quality.corpus.listings import Listings
from mineru_pipeline.quality.corpus.outlines import outline
from mineru_pipeline.quality.corpus.prose import TIE, Prose

_ACCENTS = {"de": "äöüß", "fr": "éèà", "es": "óñí", "it": "òì", "pl": "łążść", "cs": "řěšůž"}


@pytest.mark.parametrize("code", sorted(LANGUAGES))
def test_every_pattern_can_be_filled(code: str) -> None:
    """No pattern of a language names a slot that nobody fills, and each has all words that documents need."""
    language = LANGUAGES[code]
    prose = Prose(code, Dice(1))
    for pattern in (*language.openers, *language.tails, *language.statements, *language.headings):
        assert "{" not in prose.fill(pattern)
    assert set(language.words) == set(LANGUAGES["en"].words)
    assert len(language.months) == 12
    assert all(len(adjective) == 3 for adjective in language.adjectives)


@pytest.mark.parametrize("code", sorted(LANGUAGES))
def test_text_is_made_of_sentences_with_digits_and_accents(code: str) -> None:
    """Sentences begin with a capital or a digit and end with a full stop; accents and digits are frequent."""
    prose = Prose(code, Dice(2))
    sentences = [prose.sentence() for _ in range(200)]
    assert all(each[0].isupper() or each[0].isdigit() for each in sentences)
    assert all(each.endswith(".") and "  " not in each for each in sentences)
    assert len(set(sentences)) > 195
    text = " ".join(sentences)
    assert len(re.findall(r"\d", text)) > 300
    assert all(letter in text for letter in _ACCENTS.get(code, ""))


def test_numbers_are_written_as_the_language_does() -> None:
    """Points, commas, ties and the sign of minus follow language and face."""
    assert Prose("en", Dice(1)).number(-1234.5, 2) == "−1,234.50"
    assert Prose("de", Dice(1)).number(1234567.5, 1) == "1.234.567,5"
    assert Prose("fr", Dice(1)).number(1234.5, 1) == f"1{TIE}234,5"
    plain = Prose("de", Dice(1), plain=True)
    assert plain.number(-1, 0) == "-1"
    assert "€" not in plain.money()


def test_formulas_differ_and_can_be_set() -> None:
    """Formulas come as balanced LaTeX that becomes outlines, each of them another."""
    source = Formulas(Dice(3))
    formulas = [source.draw() for _ in range(30)]
    assert len(set(formulas)) == 30
    for latex in formulas:
        assert latex.count("{") == latex.count("}")
        assert latex.count(r"\left") == latex.count(r"\right")
        assert "<" not in re.sub(r" < ", "", latex)
    drawing = outline(formulas[0], 11)
    assert drawing.width > 20
    assert all(-1 <= shape.box.y0 <= shape.box.y1 <= drawing.height + 1 for shape in drawing.shapes)


def test_listings_are_plain_lines() -> None:
    """Listings hold what a typewriter face can show, and no line is wider than a page."""
    source = Listings(Dice(4))
    lines = [line for _ in range(40) for line in source.draw()]
    assert max(map(len, lines)) < 92
    assert set("".join(lines)) <= set(string.printable) - set("\t\r\x0b\x0c\n")
