"""What is said of a parse without its truth: each signal sees what it is for, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from mineru_pipeline.parsing.agreement import compare_with_layer
from mineru_pipeline.parsing.ink import uncovered_ink
from mineru_pipeline.parsing.layer import Word
from mineru_pipeline.parsing.outcome import PageSummary
from mineru_pipeline.parsing.render_picture import ink_of
from mineru_pipeline.parsing.signals import NAMES, Effort, odd_word_share, repeated_share, signals_of


def page(index: int = 0, agreement: float | None = 1.0, surplus: float | None = 0.0, **more: object) -> PageSummary:
    kinds = {"text": 3, "table": 1}
    return PageSummary(index, 4, 900, agreement, surplus=surplus, kinds=kinds, **more)  # type: ignore[arg-type]


def signals(*pages: PageSummary, effort: Effort | None = None) -> dict[str, float | None]:
    return signals_of(pages, effort or Effort(0.0, 10), 6.0)


def drawing(*boxes: tuple[int, int, int, int]) -> bytes:
    """The ink map of a white page of 600 by 600 pixels with black boxes."""
    pixels = np.full((600, 600), 255, np.uint8)
    for left, top, right, bottom in boxes:
        pixels[top:bottom, left:right] = 0
    return ink_of(pixels)[1]


def test_a_document_without_fault_has_every_signal_at_its_best() -> None:
    """Shares of what is bad are 0, the match is 1, and the rest says what kind of document it is."""
    found = signals(page(0), page(1))
    assert tuple(found) == NAMES
    assert (found["layer_agreement"], found["layer_match"]) == (1.0, 1.0)
    bad = ("truncated_share", "repetition_share", "degraded_share", "gap_share")
    assert [found[name] for name in bad] == [0, 0, 0, 0]
    assert (found["text_share"], found["table_share"], found["picture_share"]) == (0.75, 0.25, 0.0)
    assert (found["characters_per_page"], found["seconds_per_page"]) == (900, 3.0)
    assert found["odd_word_share"] is None


def test_a_document_without_pages_has_no_signals() -> None:
    """Nothing is divided by nothing."""
    assert {name: value for name, value in signals(effort=Effort(0.0)).items() if value} == {}


def test_first_answers_count_even_if_the_second_was_good() -> None:
    """A model that is asked twice more and more often is noticed before anything is degraded."""
    found = signals(page(), effort=Effort(0.0, 12, {"truncated": 2}))
    assert (found["truncated_share"], found["repetition_share"]) == (0.2, 0.0)


def test_what_an_earlier_run_asked_is_known_by_what_became_of_it() -> None:
    """After a restart the degradations of finished pages still count; the time they took is not made up."""
    ended = ({"block": 0, "cause": "repetitive", "ending": "gap"},)
    found = signals(page(degradations=ended), effort=Effort(0.0, 0, resumed=1))
    assert (found["repetition_share"], found["gap_share"], found["seconds_per_page"]) == (0.25, 0.25, None)


def test_a_text_layer_in_the_place_of_an_answer_is_degraded_and_no_gap() -> None:
    """What was lost and what was replaced are told apart."""
    ended = ({"block": None, "cause": "timeout", "ending": "text-layer"},)
    found = signals(page(0, degradations=ended), page(1))
    assert (found["degraded_share"], found["gap_share"]) == (0.5, 0.0)


def test_a_page_that_came_out_empty_is_a_gap() -> None:
    """Text that is on the page and not in its outputs is missing, whoever says that all went well."""
    assert signals(page(0, missing_text=True), page(1))["gap_share"] == 0.5


def test_the_match_sees_words_that_came_too_often() -> None:
    """Agreement alone is content with a paragraph that was written four times; the match is not."""
    words = [Word(text, 0, 0, 1, 1) for text in "one two three four".split()]  # noqa: SIM905 - a list is harder to read
    once, often = (compare_with_layer(words, ["one two three four"] * times) for times in (1, 4))
    assert once == (1.0, 0.0)
    assert often == (1.0, 0.75)
    found = signals(page(0, *often))
    assert found["layer_match"] == pytest.approx(0.4)


def test_ink_that_no_block_covers_is_seen() -> None:
    """Half of the ink outside of every box is a half; ink under a box is none."""
    drawn = drawing((60, 60, 300, 180), (60, 400, 300, 520))
    upper, lower = (0.1, 0.1, 0.5, 0.3), (0.1, 0.65, 0.5, 0.88)
    assert uncovered_ink(drawn, [upper]) == pytest.approx(0.5, abs=0.02)
    assert uncovered_ink(drawn, [upper, lower]) == 0.0
    assert uncovered_ink(drawn, []) == 1.0


def test_a_page_without_ink_has_no_share_of_it() -> None:
    """A blank page, and one that nobody looked at, say nothing."""
    assert uncovered_ink(drawing(), []) is None
    assert uncovered_ink(drawing((0, 0, 8, 8)), []) is None
    assert uncovered_ink(b"", [(0, 0, 1, 1)]) is None


def test_white_on_black_is_ink_as_well() -> None:
    """The commonest brightness is the background, whatever it is."""
    share, places = ink_of(np.full((600, 600), 0, np.uint8))
    assert (share, set(places)) == (0.0, {0})
    inverted = np.full((600, 600), 0, np.uint8)
    inverted[60:180, 60:300] = 255
    assert ink_of(inverted)[1] == drawing((60, 60, 300, 180))


@pytest.mark.parametrize(
    "text",
    [
        "Der Fluss ist 45 km lang, und die Stadt hat 3 Brücken.",
        "L'été dernier, à Český Krumlov; wszystkie drzewa były zielone.",
        "MIT, NATO, km², 3rd, GmbH & Co., COVID-19, x = 3",
        "Съешь ещё этих мягких французских булок",
    ],
)
def test_words_of_many_languages_are_not_odd(text: str) -> None:
    """Numbers, abbreviations, accents and other scripts are no sign of misreading."""
    assert (odd_word_share([text]) or 0) <= 0.1


def test_misread_words_are_odd() -> None:
    """Digits and signs within words, capitals within words, and letters without a vowel are."""
    assert odd_word_share(["d3r Flu$s ist l4ng wUnderlich brtk"]) == pytest.approx(5 / 6, abs=0.2)
    assert odd_word_share([]) is None


def test_sequences_that_come_again_are_repetition() -> None:
    """A paragraph twice is half repetition; different words are none."""
    text = " ".join(f"w{number}" for number in range(40))
    assert repeated_share([text]) == 0
    assert repeated_share([text, text]) == pytest.approx(0.5, abs=0.06)
    assert repeated_share(["too short"]) is None
