from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from example_truth import example_truth
from hypothesis import given, settings
from hypothesis import strategies as st

from mineru_pipeline.errors import ScoringInputError
from mineru_pipeline.quality.damage import damaged, faithful
from mineru_pipeline.quality.scores.document import score_document
from mineru_pipeline.quality.scores.model import BlockState, DocumentScores, Family
from mineru_pipeline.quality.scores.summary import summarise
from mineru_pipeline.quality.truth import DocumentTruth, TruthBlock, TruthKind

TRUTH = example_truth()
Entry = dict[str, Any]


def document(*blocks: tuple[TruthKind, str] | TruthBlock, pages: int = 1) -> DocumentTruth:
    made = [
        block if isinstance(block, TruthBlock) else TruthBlock(f"b{n}", block[0], 0, block[1], 1)
        for n, block in enumerate(blocks)
    ]
    return DocumentTruth("d", "s", ("en",), pages, tuple(made))


def text(content: str, page: int = 0, **more: Any) -> Entry:
    return {"type": "text", "text": content, "page_idx": page, "bbox": [0, 0, 1, 1], **more}


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 3))
def test_a_parse_that_says_what_the_truth_says_scores_1(seed: int, pages: int) -> None:
    """Identity is 1 in every family, on every page and for every block."""
    truth = example_truth(pages, seed)
    scores = score_document(truth, faithful(truth))
    assert set(scores.families.values()) == {1.0}
    assert {score.value for page in scores.pages for score in page.scores.values()} == {1.0}
    assert {(block.state, block.similarity, block.recall) for block in scores.blocks} == {(BlockState.FOUND, 1.0, 1.0)}
    assert scores.invented == ()


def test_nothing_at_all_scores_0() -> None:
    """An empty parse is worst in every family but those that blame what is there."""
    families = score_document(TRUTH, []).families
    assert {family for family, value in families.items() if value != 0.0} == {Family.LEAKAGE, Family.REPETITION}


def test_the_same_input_gives_the_same_json_in_another_process(tmp_path: Path) -> None:
    """Neither the order of hashing nor the process decides a byte of the report."""
    (tmp_path / "truth.json").write_text(TRUTH.to_json(), encoding="utf-8")
    entries = damaged(damaged(faithful(TRUTH), "drop_words", 0.1, 1), "shuffle_blocks", 0.5, 2)
    (tmp_path / "content_list.json").write_text(json.dumps(entries), encoding="utf-8")
    code = (
        "import json, sys; from pathlib import Path; from mineru_pipeline.quality.truth import DocumentTruth;"
        "from mineru_pipeline.quality.scores.document import score_document; folder = Path(sys.argv[1]);"
        "truth = DocumentTruth.from_json((folder / 'truth.json').read_text('utf-8'));"
        "sys.stdout.reconfigure(encoding='utf-8', newline='\\n');"
        "sys.stdout.write(score_document(truth, json.loads((folder / 'content_list.json').read_text())).to_json())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout.decode()
        for seed in ("1", "2")
    }
    assert outputs == {score_document(TRUTH, entries).to_json()}


def test_scores_survive_their_json() -> None:
    """What is written is what is read, and it is written the same again."""
    written = score_document(TRUTH, damaged(faithful(TRUTH), "drop_rows", 0.3, 1)).to_json()
    assert DocumentScores.from_json(written).to_json() == written


_VALUES = st.one_of(st.none(), st.integers(-3, 3), st.text(max_size=30), st.lists(st.text(max_size=9), max_size=3))
_NAMES = ["text", "table_body", "list_items", "code_body", "table_caption", "text_level", "content"]
_ENTRIES = st.lists(
    st.builds(
        lambda kind, page, fields: {"type": kind, "page_idx": page, **fields},
        st.sampled_from(["text", "table", "equation", "list", "code", "image", "header", "page_number", "other"]),
        st.integers(0, 10**9),
        st.dictionaries(st.sampled_from(_NAMES), _VALUES, max_size=4),
    ),
    max_size=6,
)


@settings(deadline=None, max_examples=200)
@given(_ENTRIES)
def test_any_content_list_is_scored_or_refused(entries: list[Entry]) -> None:
    """Whatever a parse holds, scores are 0-1 in the families of the truth, or a sentence says what is wrong."""
    try:
        scores = score_document(TRUTH, entries)
    except ScoringInputError:
        return
    assert all(value is not None and 0.0 <= value <= 1.0 for value in scores.families.values())
    values = [score.value for page in scores.pages for score in page.scores.values()]
    assert all(value is None or 0.0 <= value <= 1.0 for value in values)
    assert len(scores.pages) <= TRUTH.pages + 1


@pytest.mark.parametrize(
    "entries", ["text", {"type": "text"}, [3], [{"type": "text"}], [{"type": "text", "page_idx": "1"}]]
)
def test_what_is_no_content_list_is_refused(entries: Any) -> None:
    """A file of another kind is an error that says so, not a document that lost everything."""
    with pytest.raises(ScoringInputError):
        score_document(TRUTH, entries)


def test_a_family_without_anything_to_score_is_none() -> None:
    """A document without tables, titles, formulas, numbers and margins has no score there, not a perfect one."""
    truth = document((TruthKind.TEXT, "alpha beta gamma"), (TruthKind.TEXT, "delta epsilon zeta"))
    for entries in (faithful(truth), [], [{"type": "table", "table_body": "<table><tr><td>9", "page_idx": 0}]):
        families = score_document(truth, entries).families
        missing = {family for family, value in families.items() if value is None}
        assert missing == {Family.DIGITS, Family.TABLES, Family.HEADINGS, Family.FORMULAS, Family.LEAKAGE}


def test_the_lost_block_is_named() -> None:
    """A report can say which block of the truth was lost, which is spoilt, and where each was found."""
    entries = faithful(TRUTH)
    entries[2]["text"] = entries[2]["text"].replace("a", "o")
    del entries[1]
    blocks = score_document(TRUTH, entries).blocks
    assert blocks[1].state is BlockState.LOST
    assert blocks[2].state is BlockState.PARTIAL
    assert {block.state for block in blocks[3:]} == {BlockState.FOUND}
    assert blocks[2].entries == (1,)
    assert blocks[3].entries == (2,)


def test_what_the_parse_made_up_is_named() -> None:
    """A block that stands for nothing is listed, and costs precision."""
    scores = score_document(TRUTH, [*faithful(TRUTH), text("nobody ever wrote these seven words here")])
    assert scores.invented == (len(TRUTH.blocks),)
    assert scores.scores[Family.TEXT].measures["recall"] == 1.0
    assert (scores.families[Family.TEXT] or 0) < 1.0


def test_a_changed_digit_is_a_wrong_digit() -> None:
    """One digit of one number is seen by the digits, and said to be wrong rather than missing."""
    truth = document((TruthKind.TEXT, "in all 1,136 of 2,532 were there on 12/05/1989"))
    scores = score_document(truth, [text("in all 1,163 of 2,532 were there on 12/05/1989")])
    assert scores.families[Family.DIGITS] == pytest.approx(2 / 3)
    assert scores.scores[Family.DIGITS].measures["wrong"] == 1


def test_columns_read_across_are_out_of_order() -> None:
    """Lines of two columns read alternately keep all words and lose half of the order."""
    dice = Random(5)
    left, right = ([" ".join(f"{side}{dice.randrange(99)}" for _ in range(6)) for _ in range(9)] for side in "lr")
    truth = document((TruthKind.TEXT, " ".join(left)), (TruthKind.TEXT, " ".join(right)))
    scores = score_document(truth, [text(line) for pair in zip(left, right, strict=True) for line in pair])
    assert scores.families[Family.TEXT] == 1.0
    assert (scores.families[Family.ORDER] or 0) < 0.6


_PART = "<table><tr><td>Year</td><td>Sum</td></tr>{}</table>"
_ROWS = ["<tr><td>1990</td><td>17</td></tr><tr><td>1991</td><td>18</td></tr>", "<tr><td>1992</td><td>21</td></tr>"]


@pytest.mark.parametrize("parts", [[_ROWS[0] + _ROWS[1]], _ROWS])
@pytest.mark.parametrize("part_of", [_PART, _PART.replace("{}", "<tr><td>AD</td><td>in tons</td></tr>{}")])
def test_a_table_over_two_pages_is_one_table(parts: list[str], part_of: str) -> None:
    """It scores 1 whether the parse keeps its two parts or joins them, with one heading row or two, repeated or not."""
    truth = document(
        TruthBlock("a", TruthKind.TABLE, 0, part_of.format(_ROWS[0])),
        TruthBlock("b", TruthKind.TABLE, 1, part_of.format(_ROWS[1]), continues="a"),
        pages=2,
    )
    entries = [{"type": "table", "table_body": part_of.format(part), "page_idx": n} for n, part in enumerate(parts)]
    scores = score_document(truth, entries)
    assert scores.families[Family.TABLES] == 1.0
    assert scores.families[Family.PAGES] == 1.0
    assert {block.state for block in scores.blocks} == {BlockState.FOUND}


def test_missing_and_invented_tables_score_0_each() -> None:
    """Two tables, one found, one made up beside: a third of the tables is right."""
    tables = [f"<table><tr><td>{word}</td><td>{word} {word}</td></tr></table>" for word in ("alpha", "beta", "gamma")]
    truth = document((TruthKind.TABLE, tables[0]), (TruthKind.TABLE, tables[1]))
    scores = score_document(truth, [{"type": "table", "table_body": tables[n], "page_idx": 0} for n in (0, 2)])
    assert scores.families[Family.TABLES] == pytest.approx(1 / 3)
    assert scores.scores[Family.TABLES].measures["missing"] == scores.scores[Family.TABLES].measures["invented"] == 1


def test_a_table_read_as_text_loses_its_structure_but_no_text() -> None:
    """Its words are found, so the text is not blamed for them; the tables are."""
    truth = document(
        (TruthKind.TEXT, "before it all"), (TruthKind.TABLE, "<table><tr><td>a b c</td><td>d e f</td></tr></table>")
    )
    families = score_document(truth, [text("before it all"), text("a b c d e f")]).families
    assert families[Family.TEXT] == 1.0
    assert families[Family.TABLES] == 0.0


def test_a_form_read_as_a_table_loses_no_word() -> None:
    """Labels and values may come as cells."""
    truth = document((TruthKind.FORM, "Name: Ada Lovelace\nBorn: 1815"))
    rows = "<table><tr><td>Name:</td><td>Ada Lovelace</td></tr><tr><td>Born:</td><td>1815</td></tr></table>"
    assert score_document(truth, [{"type": "table", "table_body": rows, "page_idx": 0}]).families[Family.TEXT] == 1.0


def test_labels_and_values_read_apart_are_seen() -> None:
    """A form read column by column keeps its words and loses the lines that belong together."""
    truth = document((TruthKind.FORM, "Name: Ada Lovelace\nBorn: 1815\nTown: London"))
    whole = score_document(truth, [text("Name: Ada Lovelace Born: 1815 Town: London")])
    apart = score_document(truth, [text("Name: Born: Town:"), text("Ada Lovelace 1815 London")])
    assert whole.scores[Family.TEXT].measures["form_lines"] == 1.0
    assert apart.scores[Family.TEXT].measures["form_lines"] == 0.0
    assert apart.families[Family.TEXT] == 1.0


def test_words_in_pictures_count_where_the_truth_has_them() -> None:
    """A table read as a picture with its words loses its structure; words that only the picture shows cost nothing."""
    truth = document((TruthKind.TEXT, "they were all 17 of them"), (TruthKind.TABLE, _PART.format(_ROWS[0])))
    picture = {"type": "image", "content": "Year Sum 1990 17 1991 18", "page_idx": 0}
    chart = {"type": "chart", "content": "axis of time 0 10 20 legend", "page_idx": 0}
    families = score_document(truth, [text("they were all 17 of them"), picture, chart]).families
    assert (families[Family.TEXT], families[Family.DIGITS], families[Family.TABLES]) == (1.0, 1.0, 0.0)
    lost = score_document(document((TruthKind.TEXT, "there were 10 in all")), [chart]).families
    assert lost[Family.DIGITS] == 0.0


def test_captions_of_the_content_list_are_read() -> None:
    """The caption of a table or picture and its footnote count as text."""
    truth = document(
        (TruthKind.CAPTION, "Table 1. Sums"), (TruthKind.TABLE, _PART.format("")), (TruthKind.TEXT, "All rounded.")
    )
    entry = {"type": "table", "table_body": _PART.format(""), "table_caption": ["Table 1. Sums"], "page_idx": 0}
    assert score_document(truth, [{**entry, "table_footnote": ["All rounded."]}]).families[Family.TEXT] == 1.0


def test_a_heading_on_the_wrong_level_is_found_and_said_to_be_wrong() -> None:
    """Level and being a heading are told apart."""
    truth = document((TruthKind.TITLE, "Of Rivers"))
    score = score_document(truth, [text("Of Rivers", text_level=3)]).scores[Family.HEADINGS]
    assert (score.value, score.measures["levels"]) == (1.0, 0.0)


def test_text_that_is_made_a_heading_costs_precision() -> None:
    """A heading that is none is seen."""
    truth = document((TruthKind.TITLE, "Of Rivers"), (TruthKind.TEXT, "They run to the sea."))
    entries = [text("Of Rivers", text_level=1), text("They run to the sea.", text_level=2)]
    assert score_document(truth, entries).families[Family.HEADINGS] == pytest.approx(2 / 3)


def test_a_margin_in_the_text_is_named_as_leaked() -> None:
    """A header among the paragraphs is found there, and its entry is named."""
    truth = document((TruthKind.TEXT, "a text of some words"), (TruthKind.HEADER, "Report of the year"))
    scores = score_document(truth, [text("Report of the year"), text("a text of some words")])
    assert scores.families[Family.LEAKAGE] == 0.0
    assert (scores.blocks[1].state, scores.blocks[1].entries) == (BlockState.LEAKED, (0,))


def test_a_misread_margin_in_the_text_is_known() -> None:
    """A footer among the paragraphs that lost its blanks is still that footer."""
    truth = document((TruthKind.TEXT, "a text of some words"), (TruthKind.PAGE_NUMBER, "Strana 2 z 2"))
    scores = score_document(truth, [text("a text of some words"), text("Strana 2z2")])
    assert scores.families[Family.LEAKAGE] == 0.0
    assert scores.blocks[1].entries == (1,)


def test_a_page_number_is_not_seen_in_every_number() -> None:
    """A 7 that the text needs is no leaked page number."""
    truth = document((TruthKind.TEXT, "he had 7 of them"), (TruthKind.PAGE_NUMBER, "7"))
    assert score_document(truth, [text("he had 7 of them")]).families[Family.LEAKAGE] == 1.0


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda entries: [entry for entry in entries if entry["page_idx"] != 1], "lost"),
        (lambda entries: [*entries, text("again and again it says " * 200, 1)], "loop"),
        (lambda entries: [*entries, text(" ".join(f"x{n}" for n in range(2000)), 1)], "garbage"),
    ],
)
def test_a_page_of_no_use_is_catastrophic(spoil: Any, why: str) -> None:
    """A blank page, a page that loops and a page of noise are each counted, with the reason, and no other page."""
    scores = score_document(TRUTH, spoil(faithful(TRUTH)))
    assert [page.catastrophe for page in scores.pages] == [None, why, None, None]
    assert scores.families[Family.PAGES] == 0.75


def test_honest_repetition_is_no_loop() -> None:
    """What the truth repeats may be repeated."""
    line = "signed at the harbour office on this day"
    truth = document(*[(TruthKind.TEXT, line)] * 5)
    assert score_document(truth, faithful(truth)).families[Family.REPETITION] == 1.0
    assert (score_document(truth, faithful(truth) * 2).families[Family.REPETITION] or 0) < 0.6


def test_means_have_the_document_as_unit_and_leave_out_what_has_no_score() -> None:
    """A stratum's mean is over its documents with a score, however long each is, in whatever order they come."""
    bare = document((TruthKind.TEXT, "alpha beta gamma"))
    documents = [
        score_document(replace(bare, name="bare"), []),
        score_document(example_truth(3, name="whole"), faithful(example_truth(3, name="whole"))),
        score_document(example_truth(1, name="lost"), []),
    ]
    summary = summarise(documents)
    assert summary.overall[Family.TEXT].mean == pytest.approx(1 / 3)
    assert (summary.overall[Family.TABLES].mean, summary.overall[Family.TABLES].documents) == (0.5, 2)
    assert summary.strata["two columns"][Family.TEXT].worst == "lost"
    assert summary.strata["s"][Family.TABLES].mean is None
    assert summarise(documents[::-1]).to_json() == summary.to_json()


@pytest.mark.parametrize(
    "entries",
    [
        [text("lorem ipsum dolor sit " * 20_000)],
        [text(f"anchor barley {n} x", n % 5) for n in range(4000)],
        [{"type": "table", "table_body": "<table>" + "<tr><td>anchor 12<td>barley" * 5000, "page_idx": 0}],
        [{"type": "equation", "text": rf"x_{n} + \frac{{a}}{{b}}", "page_idx": 0} for n in range(4000)],
        [text("$" * 100_000), text("<b" * 100_000), text("\\(" * 100_000)],
    ],
    ids=["words", "blocks", "cells", "equations", "marks"],
)
def test_a_parse_of_absurd_size_is_scored(entries: list[Entry]) -> None:
    """A parse that is all too long costs seconds, not hours; the test's time limit is the only clock."""
    assert (score_document(TRUTH, entries).families[Family.TEXT] or 0.0) < 0.5
