"""Claims about the marks on words in which truth and parse differ."""

from __future__ import annotations

import re

from mineru_pipeline.quality.report.marks import Text, common, marked, table
from mineru_pipeline.quality.scores.parsed import ParsedBlock, ParsedKind

TABLE = "<table><tr><td colspan=2>all of it</td></tr><tr><td>12</td><td>13</td></tr></table>"


def marks_of(truth: str, *parts: str) -> tuple[list[str], list[list[str]]]:
    """The marked words of the truth and of each part."""
    texts = [Text.of(part) for part in parts]
    kept, used = common(Text.of(truth), texts)
    shown = [marked(Text.of(truth), kept), *(marked(text, found) for text, found in zip(texts, used, strict=True))]
    found = [re.findall("<mark>(.*?)</mark>", html) for html in shown]
    return found[0], found[1:]


def test_only_what_differs_is_marked() -> None:
    """A misread word is marked on both sides, and a lost one on one; neighbours are one mark."""
    assert marks_of("one two three four five", "one too three") == (["two", "four five"], [["too"]])


def test_what_the_scores_forgive_is_not_marked() -> None:
    """Quotes, ligatures, hyphens and the blanks of large numbers are no differences."""
    assert marks_of("“a ﬁt”, 754 600 – x", '"a fit" 754600 - x') == ([], [[]])


def test_a_block_may_be_found_in_several_entries() -> None:
    """A paragraph that the parse has split is compared with all of its parts."""
    assert marks_of("a b c d", "a b", "c x d") == ([], [[], ["x"]])


def test_cells_are_looked_for_in_tables_and_in_words() -> None:
    """A cell is marked where no table of the parse has it, or where it came as text without it."""
    read = ParsedBlock(0, ParsedKind.TABLE, 0, TABLE.replace("13", "18"))
    words = ParsedBlock(0, ParsedKind.TEXT, 0, "all of it 12")
    for other in (read, words):
        html = table(TABLE, [other])
        assert re.findall("<mark>(.*?)</mark>", html) == ["13"]
        assert '<td colspan="2">all of it</td>' in html


def test_a_table_is_made_of_our_tags_alone() -> None:
    """Whatever markup stands in a cell is shown as text or not at all."""
    html = table("<table><tr><td onclick=x><a href='http://x'>in</a><script>1</script></td></tr></table>", None)
    assert set(re.findall(r"<(\w+)", html)) == {"div", "table", "tr", "td"}
    assert "onclick" not in html


def test_what_turns_the_direction_of_text_is_dropped() -> None:
    """A bidirectional override in a parse cannot turn what the report says after it."""
    assert marked(Text.of("a\u202eb\x00c"), None) == "abc"
