"""Loops are recognised, and honest monotony is not taken for one."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mineru_pipeline.inference.repetition import MIN_LENGTH, is_degenerate

SENTENCE = "The quick brown fox jumps over the lazy dog while nobody is looking at the page. "
INTRO = (
    "In recent years the amount of printed matter has grown beyond what a reader can hold in mind. "
    "Archives answer with catalogues, catalogues with indexes, and indexes with finding aids. "
)

LOOPS = {
    "one letter": "a" * 1000,
    "one digit after a comma": "0." + "0" * 1000,
    "one word": "the " * 300,
    "one word after good text": INTRO + "and so on " * 100,
    "a loop that was left again": INTRO + "and so on " * 100 + INTRO,
    "one sentence in a line": SENTENCE * 20,
    "one sentence in lines": (SENTENCE + "\n") * 20,
    "two sentences in turn, in lines": (INTRO + "\n" + SENTENCE + "\n") * 15,
    "a numbered loop in lines": "".join(f"{n % 3}. see above for the rest of this list\n" for n in range(60)),
    "short lines": "x\n" * 500,
    "figures without end": "12 " * 2000,
    "dots without end": "." * 5000,
    "dots and blanks without end": ". " * 2000,
    "latex": r"\alpha_{1} + " * 100,
    "chinese": "的是不了" * 200,
    "empty cells without end": "<fcel>a" + "<ecel>" * 1000,
    "equal cells without end": "<fcel>12.5" * 400 + "<nl>",
    "equal rows without end": "<fcel>a<fcel>b<nl>" * 300,
    "equal html rows without end": "<table>" + "<tr><td>a</td><td>b</td></tr>" * 300 + "</table>",
    "a loop within a cell": "<fcel>a<fcel>" + "and so on " * 100 + "<nl>",
}


def honest_texts() -> dict[str, str]:
    chance = random.Random(7)
    words = INTRO.split()
    row = "".join(f"<fcel>{n}" for n in range(10))
    return {
        "prose": " ".join(chance.choice(words) for _ in range(2000)),
        "short loop": "la la la la la la la la la la",
        "an empty form": "".join(["<ecel>" * 30 + "<nl>"] * 90),
        "a table of zeros": "".join([f"<fcel>item {n}" + "<fcel>0" * 20 + "<nl>" for n in range(60)]),
        "equal rows of a small table": (row + "<nl>") * 60,
        "a timetable": "".join(f"<fcel>{h:02d}:00<fcel>Hall A<fcel>free<nl>" for h in range(24)) * 3,
        "an html table of dashes": "<table>" + "<tr><td>-</td><td>-</td><td></td></tr>" * 90 + "</table>",
        "merged cells": ("<fcel>a" + "<lcel>" * 40 + "<nl>" + "<ucel>" * 41 + "<nl>") * 20,
        "contents with leaders": "\n".join(f"{n}. {words[n % 30]} {'.' * 150} {n * 3}" for n in range(60)),
        "contents with spaced leaders": "\n".join(f"{n}. {words[n % 30]} {'. ' * 80} {n * 3}" for n in range(60)),
        "one leader line": "Introduction " + "." * 300 + " 7 " + INTRO * 2,
        "a column of zeros": "0\n" * 110,
        "a column of dates": "2024-01-01\n" * 100,
        "figures in a row": "0.00 " * 120,
        "a long number": "".join(chance.choice("0123456789") for _ in range(3000)),
        "binary digits": "".join(chance.choice("01") for _ in range(3000)),
        "rulings": "\n".join(["_" * 120] * 12),
        "a form to fill in": "\n".join(f"{word}: {'_' * 60}" for word in words * 2),
        "checkboxes": "\n".join(f"[ ] Yes [ ] No {n}" for n in range(80)),
        "a matrix": r"\begin{array}{" + "c" * 40 + "}" + (" & ".join(["0"] * 40) + r" \\ ") * 40 + r"\end{array}",
        "code": "\n".join(f"    if x == {n}:\n        return {n}" for n in range(60)),
        "a refrain": (INTRO + "\n" + "Row, row, row your boat, gently down the stream\n") * 3,
        "a sequence": "ACGT" * 2 + "".join(chance.choice("ACGT") for _ in range(3000)),
        "a chart": "| x | y |\n|---|---|\n" + "\n".join(f"| {n} | 0 |" for n in range(80)),
    }


@pytest.mark.parametrize("name", LOOPS)
def test_loops_are_found(name: str) -> None:
    """Whatever repeats: letter, word, sentence, line, cell or row."""
    assert is_degenerate(LOOPS[name])


@pytest.mark.parametrize("name", honest_texts())
def test_honest_monotony_passes(name: str) -> None:
    """Forms, leaders, columns of figures and tables of zeros are what pages are made of."""
    assert not is_degenerate(honest_texts()[name])


@given(st.text(alphabet="aé0. \n<", max_size=MIN_LENGTH - 1))
@settings(max_examples=50, deadline=None)
def test_short_texts_always_pass(text: str) -> None:
    """Below the least length nothing is ever called a loop."""
    assert not is_degenerate(text)


@given(st.text(alphabet="ab<>celfnl \n", max_size=3000))
@settings(max_examples=50, deadline=None)
def test_any_text_is_judged(text: str) -> None:
    """The answer is yes or no, whatever the text."""
    assert is_degenerate(text) in (True, False)
