from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from mineru_pipeline.quality.scores.align import Alignment, align
from mineru_pipeline.quality.scores.parsed import ParsedBlock, ParsedKind
from mineru_pipeline.quality.scores.side import Side
from mineru_pipeline.quality.truth import TruthBlock, TruthKind

_FIRST = "one two three four five six seven eight"
_SECOND = "red green blue black white brown pink grey"


def sides(truth: list[str], parsed: list[str], pages: tuple[list[int], list[int]] | None = None) -> Alignment:
    here, there = pages or ([0] * len(truth), [0] * len(parsed))
    return align(
        Side.of([TruthBlock(f"b{n}", TruthKind.TEXT, here[n], text) for n, text in enumerate(truth)]),
        Side.of([ParsedBlock(n, ParsedKind.TEXT, there[n], text) for n, text in enumerate(parsed)]),
    )


def texts(alignment: Alignment) -> list[list[str]]:
    """Of each block of the truth: the pieces of the parse that stand for it."""
    parsed = alignment.parsed
    return [[parsed.slice(piece.start, piece.stop) for piece in pieces] for pieces in alignment.counterparts()]


def test_blocks_that_are_the_same_find_each_other() -> None:
    """Each block stands for itself, punctuation included."""
    assert texts(sides([f"{_FIRST}.", _SECOND], [f"{_FIRST}.", _SECOND])) == [[f"{_FIRST}."], [_SECOND]]


def test_moved_blocks_are_found_whole() -> None:
    """Blocks in another order cost no word."""
    assert texts(sides([_FIRST, _SECOND], [_SECOND, _FIRST])) == [[_FIRST], [_SECOND]]


def test_merged_blocks_are_told_apart() -> None:
    """One block of the parse stands for two of the truth, each with its part."""
    assert texts(sides([_FIRST, _SECOND], [f"{_FIRST} {_SECOND}"])) == [[_FIRST], [_SECOND]]


def test_a_split_block_is_put_together_in_the_order_of_the_truth() -> None:
    """The parts of a paragraph are found wherever they stand."""
    halves = [" ".join(_FIRST.split()[4:]), " ".join(_FIRST.split()[:4])]
    assert texts(sides([_FIRST], halves)) == [[halves[1], halves[0]]]


def test_a_block_that_crosses_a_page_is_found() -> None:
    """The second half may stand on the next page."""
    halves = [" ".join(_FIRST.split()[:4]), " ".join(_FIRST.split()[4:])]
    assert texts(sides([_FIRST, _SECOND], [*halves, _SECOND], ([0, 1], [0, 1, 1]))) == [halves, [_SECOND]]


def test_misread_words_stay_with_their_block() -> None:
    """A word that is wrong belongs where the words around it belong."""
    alignment = sides([_FIRST, _SECOND], [_FIRST.replace("four", "f0ur"), _SECOND.replace("red", "rod")])
    assert texts(alignment) == [[_FIRST.replace("four", "f0ur")], [_SECOND.replace("red", "rod")]]
    assert [alignment.truth.words[place].text for place, word in enumerate(alignment.found) if word < 0] == [
        "four",
        "red",
    ]


def test_a_block_with_no_word_right_is_still_known() -> None:
    """Text in which every word is misread stands for the block that it resembles."""
    garbled = _FIRST.replace("e", "c").replace("o", "0")
    assert texts(sides([_FIRST, _SECOND], [garbled]))[0] == [garbled]


def test_a_lost_block_has_nothing() -> None:
    """What is not there is not made up from the words of others."""
    assert texts(sides([_FIRST, _SECOND], [_SECOND]))[0] == []


_BLOCKS = st.lists(st.lists(st.sampled_from("abcdefg"), max_size=8).map(" ".join), max_size=6)


@settings(deadline=None)
@given(_BLOCKS, _BLOCKS)
def test_the_number_of_words_found_is_that_of_two_bags(truth: list[str], parsed: list[str]) -> None:
    """Whatever is aligned how, as many words are found as two bags of words have in common, each used once."""
    alignment = sides(truth, parsed)
    bags = [sorted(" ".join(side).split()) for side in (truth, parsed)]
    common = sum(min(bags[0].count(word), bags[1].count(word)) for word in set(bags[0]))
    found = [word for word in alignment.found if word >= 0]
    assert len(found) == len(set(found)) == common == sum(alignment.used)
    for place, word in enumerate(alignment.found):
        assert word < 0 or alignment.truth.words[place].text == alignment.parsed.words[word].text


def test_a_page_of_five_thousand_words_in_columns_is_aligned_whole() -> None:
    """A dense page whose six columns come in reverse is found in its place, but for a word at a column's edge."""
    dice = Random(3)
    small, large = ["the", "of", "and", "to", "in"], ["".join(dice.choices("abcdefgh", k=5)) for _ in range(900)]
    columns = [" ".join(dice.choice(dice.choice([small, large])) for _ in range(850)) for _ in range(6)]
    alignment = sides(columns, columns[::-1])
    assert sum(alignment.placed) >= 5098
    assert sum(found == [column] for found, column in zip(texts(alignment), columns, strict=True)) >= 4


def test_a_loop_of_one_word_comes_to_an_end() -> None:
    """A parse that says one word fifty thousand times is aligned within the test's time limit."""
    alignment = sides([_FIRST, "the end"], ["the " * 50_000])
    assert sum(alignment.used) == 1
