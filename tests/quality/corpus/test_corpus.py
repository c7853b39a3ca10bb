"""The corpus as a whole: how much there is, of what, and how independent it is."""

from __future__ import annotations

import re
from collections import Counter
from itertools import combinations

import pytest

from mineru_pipeline.quality.corpus import SEEDS, STRATA, CorpusDocument, generate
from mineru_pipeline.quality.truth import MARGINS, DocumentTruth, TruthBlock, TruthKind


def test_there_is_enough_of_everything(corpus: tuple[CorpusDocument, ...]) -> None:
    """Each seed gives 60 documents, 120 pages and 12 strata at the least, six documents in each, below 30 MB."""
    strata = Counter(document.truth.stratum for document in corpus)
    assert len(strata) >= 12
    assert min(strata.values()) >= 6
    assert len(corpus) >= 60
    assert sum(document.truth.pages for document in corpus) >= 120
    assert sum(len(document.pdf) for document in corpus) < 30_000_000
    assert len({document.name for document in corpus}) == len(corpus)


def test_all_kinds_of_blocks_and_all_languages_occur(corpus: tuple[CorpusDocument, ...]) -> None:
    """No kind of block and none of the seven languages is missing, and every document has digits."""
    assert {block.kind for document in corpus for block in document.truth.blocks} == set(TruthKind)
    languages = {code for document in corpus for code in document.truth.languages}
    assert languages == {"en", "de", "fr", "es", "it", "pl", "cs"}
    for document in corpus:
        assert any(re.search(r"\d", block.content) for block in document.truth.blocks), document.name


def test_truths_are_well_formed(corpus: tuple[CorpusDocument, ...]) -> None:
    """Identities are unique, boxes lie within the page, parts carry on earlier blocks, margins come last."""
    for document in corpus:
        truth = document.truth
        earlier: dict[str, TruthBlock] = {}
        for block in truth.blocks:
            assert block.id not in earlier
            assert block.content.strip()
            assert block.content == block.content.rstrip()
            assert 0 <= block.page < truth.pages
            assert block.bbox is not None
            x0, y0, x1, y1 = block.bbox
            assert 0 <= x0 < x1 <= 1000, (document.name, block.id)
            assert 0 <= y0 < y1 <= 1000, (document.name, block.id)
            assert (block.level is not None) == (block.kind is TruthKind.TITLE)
            if block.continues is not None:
                assert earlier[block.continues].kind is block.kind
                assert earlier[block.continues].page <= block.page
            earlier[block.id] = block
        for page in range(truth.pages):
            margins = [block.kind in MARGINS for block in truth.blocks if block.page == page]
            assert margins == sorted(margins)
        assert DocumentTruth.from_json(truth.to_json()) == truth


def test_tables_across_pages_repeat_their_header_and_carry_on(corpus: tuple[CorpusDocument, ...]) -> None:
    """Each such document has a table whose parts lie on following pages, all with the same first row."""
    for document in corpus:
        if document.truth.stratum != "tables-across-pages":
            continue
        parts = [block for block in document.truth.blocks if block.kind is TruthKind.TABLE]
        assert len(parts) >= 2, document.name
        assert [part.continues for part in parts] == [None, *(part.id for part in parts[:-1])]
        assert len({part.content.split("</tr>")[0] for part in parts}) == 1


def test_marks_of_footnotes_stand_in_the_text_above_them(corpus: tuple[CorpusDocument, ...]) -> None:
    """Every footnote is referred to on its page, once."""
    for document in corpus:
        for note in document.truth.blocks:
            if note.kind is not TruthKind.PAGE_FOOTNOTE:
                continue
            mark = note.content[0]
            texts = [
                block.content
                for block in document.truth.blocks
                if block.page == note.page and block.kind is TruthKind.TEXT
            ]
            assert sum(text.count(mark) for text in texts) == 1, (document.name, note.id)


def test_spans_occur_in_both_directions(corpus: tuple[CorpusDocument, ...]) -> None:
    """The tables of the corpus have cells over several rows and cells over several columns."""
    tables = [b.content for d in corpus for b in d.truth.blocks if b.kind is TruthKind.TABLE]
    assert sum("rowspan=" in table for table in tables) >= 6
    assert sum("colspan=" in table for table in tables) >= 6


def test_no_two_documents_are_near_copies(baseline: tuple[CorpusDocument, ...]) -> None:
    """Of any two documents' runs of eight words, fewer than one in twenty is common to both."""
    runs = {}
    for document in baseline:
        words = " ".join(block.content for block in document.truth.blocks if block.kind is TruthKind.TEXT).split()
        runs[document.name] = {tuple(words[at : at + 8]) for at in range(len(words) - 7)}
    for (first, some), (second, others) in combinations(runs.items(), 2):
        if some and others:
            assert len(some & others) / min(len(some), len(others)) < 0.05, (first, second)


def test_the_edge_cases_are_there_by_name(corpus: tuple[CorpusDocument, ...]) -> None:
    """Calibration finds a blank page, one that is all figure, a tiny one, a table alone, floats, a mixed scan."""
    truths = {document.name: document.truth for document in corpus if document.truth.stratum == "edge-cases"}
    assert sorted(truths) == [
        "edge-cases-blank-page",
        "edge-cases-columns-with-floats",
        "edge-cases-mostly-figure",
        "edge-cases-scan-and-text",
        "edge-cases-table-only",
        "edge-cases-tiny-page",
    ]
    assert {block.page for block in truths["edge-cases-blank-page"].blocks} == {0, 2}
    assert {block.kind for block in truths["edge-cases-table-only"].blocks} == {TruthKind.TABLE}


def test_a_sample_holds_the_same_documents_as_the_whole(baseline: tuple[CorpusDocument, ...]) -> None:
    """The sample of one document a stratum is found in the whole, byte for byte."""
    whole = {document.name: document for document in baseline}
    sample = list(generate(SEEDS["baseline"], sample=1, strata=["forms", "scans", "lists"]))
    assert [document.name for document in sample] == ["lists-01", "forms-01", "scans-01"]
    assert all(whole[document.name] == document for document in sample)


def test_a_stratum_that_does_not_exist_is_refused() -> None:
    """Whoever misspells a stratum learns which there are, rather than getting an empty corpus."""
    with pytest.raises(ValueError, match=r"no stratum tabels; there are one-column, .*edge-cases"):
        next(generate(1, strata=["tabels"]))


def test_the_seeds_give_different_documents() -> None:
    """Nothing of the baseline is found in what is held back."""
    first, second = (next(generate(seed, sample=1, strata=["lists"])) for seed in SEEDS.values())
    assert {block.content for block in first.truth.blocks if block.kind is TruthKind.TEXT}.isdisjoint(
        block.content for block in second.truth.blocks
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_other_seeds_work_too(seed: int) -> None:
    """Whoever wants more documents takes any number as seed."""
    cheap = [stratum.name for stratum in STRATA if stratum.name not in {"scans", "formulas", "rotated"}]
    assert sum(1 for _ in generate(seed, strata=cheap, sample=2)) == 24
