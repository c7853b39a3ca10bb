from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mineru_pipeline.quality.scores.latex import latex_tokens
from mineru_pipeline.quality.scores.normal import normalise, words_of


def words(text: str) -> list[str]:
    return [word.text for word in words_of(normalise(text))]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a  b\n\tc", "a b c"),
        ("ﬁne ｆｕｌｌ", "fine full"),
        ("“so” – ‘he’ said…", "\"so\" - 'he' said..."),
        ("inter-\n  national", "international"),
        ("inter\u00ad\nnational", "international"),
        ("<b>bold</b> and<br/>new", "bold and new"),
        ("a &lt; b &amp; c", "a < b & c"),
        (r"the \(\alpha\) of $x^{2}$", "the α of x^2"),
        ("10<sup>3</sup> H<sub>2</sub>O", "10³ H₂O"),
        ("\u202bשלום\u202c", "שלום"),
        ("754\u202f600 and 7 923,58", "754600 and 7923,58"),
        ("e\u0301te\u0301", "été"),
        ("\u2212 5", "- 5"),
    ],
)
def test_what_is_forgiven(one: str, other: str) -> None:
    """Two ways to write the same thing have one normal form."""
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1,136", "1.136"),
        ("-5", "5"),
        ("\u22125", "5"),
        ("10³", "103"),
        ("US", "us"),
        ("Maß", "Mass"),
        ("résumé", "resume"),
        ("l5", "15"),
        ("in 1990 200", "in 1990200"),
        ("12 34", "1234"),
        ("a<b", "a"),
    ],
)
def test_what_is_not_forgiven(one: str, other: str) -> None:
    """Digits, signs, separators, case and diacritics make other words."""
    assert words(one) != words(other)


def test_a_lost_blank_between_number_and_unit_costs_nothing() -> None:
    """``2.5GB`` and ``2.5 GB`` are the same words; ``l5`` is not 15."""
    assert (
        words("2.5GB of 859,7t in B12")
        == words("2.5 GB of 859,7 t in B 12")
        == ["2.5", "GB", "of", "859,7", "t", "in", "B", "12"]
    )


def test_prices_are_no_formulas() -> None:
    """Two dollar signs in a sentence do not hide what is between them."""
    assert words("from $5 to $6 and $7") == ["from", "5", "to", "6", "and", "7"]


def test_words_of_several_scripts() -> None:
    """Ideographs and kana count one by one, vowel signs belong to their word, numbers keep their separators."""
    assert words("漢字かな Привет مرحبًا 12.5% 3/4 ab-cd") == [*"漢字かな", "Привет", "مرحبًا", "12.5", "3/4", "ab", "cd"]


@given(st.text())
def test_the_normal_form_is_one_line_and_final_for_words(text: str) -> None:
    """Whatever the text, its normal form has no line break, and each word begins where it says."""
    normal = normalise(text)
    assert "\n" not in normal
    assert normal == normal.strip()
    assert all(normal.startswith(word.text, word.start) for word in words_of(normal))


@pytest.mark.parametrize("piece", ["<b", "\\(", "$", "$x", "-\n", "\u00ad", "&lt", "<br ", "{", "1,", "$$ "])
def test_hostile_texts_take_no_more_than_linear_time(piece: str) -> None:
    """A text of openings that nothing closes is read to its end; the test's time limit is the only clock."""
    assert len(normalise(piece * 200_000)) >= 0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("$$\nx^{2}\n$$", "x^2"),
        (r"\left( \frac{a}{b} \right)", r"(\frac ab)"),
        (r"\operatorname{Ann}_{R} \, x.", r"\mathrm{Ann}_R x"),
        (r"a \leq b \label{eq:1}", r"a\le b"),
        (r"\begin{equation} a \end{equation}", "a"),
    ],
)
def test_spellings_of_one_formula(one: str, other: str) -> None:
    """Spelling without effect on the formula makes no difference."""
    assert latex_tokens(one) == latex_tokens(other)


@pytest.mark.parametrize(("one", "other"), [("x^2", "x_2"), (r"\alpha", "a"), ("x^{23}", "x^2 3"), ("a<b", "a>b")])
def test_other_formulas(one: str, other: str) -> None:
    """What changes the formula changes its tokens."""
    assert latex_tokens(one) != latex_tokens(other)
