from __future__ import annotations

import sys
from statistics import fmean

import pytest
from example_truth import example_truth

from mineru_pipeline.quality.damage import DAMAGES, damaged, faithful
from mineru_pipeline.quality.scores.document import score_document
from mineru_pipeline.quality.scores.model import Family

F = Family
TRUTHS = [example_truth(4, seed, name=f"example-{seed}") for seed in range(3)]
#: The families that each damage must lower, and those that it may lower besides.
EFFECTS: dict[str, tuple[set[Family], set[Family]]] = {
    "swap_columns": ({F.ORDER}, set()),
    "shuffle_blocks": ({F.ORDER}, set()),
    "drop_rows": ({F.TABLES}, {F.DIGITS}),
    "merge_cells": ({F.TABLES}, set()),
    # A page of which nothing came has no header that could have leaked.
    "blank_pages": ({F.PAGES, F.TEXT, F.DIGITS, F.TABLES, F.HEADINGS, F.FORMULAS}, {F.ORDER}),
    "replace_digits": ({F.DIGITS}, {F.TEXT, F.TABLES, F.LEAKAGE}),
    "drop_words": ({F.TEXT}, {F.DIGITS, F.HEADINGS, F.ORDER}),
    "repeat_paragraphs": ({F.REPETITION, F.TEXT}, {F.DIGITS, F.PAGES}),
    "lose_headings": ({F.HEADINGS}, set()),
    # What leaks is text that does not belong there, and a header that leaks on each page repeats itself.
    "leak_margins": ({F.LEAKAGE}, {F.TEXT, F.DIGITS, F.REPETITION}),
    "mangle_latex": ({F.FORMULAS}, set()),
}
RATES = (0.0, 0.1, 0.3, 0.6, 1.0)


def means(name: str, rate: float) -> dict[Family, float]:
    parsed = [score_document(truth, damaged(faithful(truth), name, rate, seed)) for seed, truth in enumerate(TRUTHS)]
    return {family: fmean(scores.families[family] or 0.0 for scores in parsed) for family in Family}


def test_every_damage_has_an_expected_effect() -> None:
    """No damage is left out of the table."""
    assert set(EFFECTS) == set(DAMAGES)


@pytest.mark.parametrize("name", sorted(DAMAGES))
def test_damage_lowers_its_family_and_no_other(name: str) -> None:
    """More damage scores less in the family that it concerns; families that it does not concern stay at 1."""
    lowered, besides = EFFECTS[name]
    table = [means(name, rate) for rate in RATES]
    lines = [
        f"{name:18} {rate:4} " + " ".join(f"{family.value} {value:.3f}" for family, value in row.items())
        for rate, row in zip(RATES, table, strict=True)
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    assert set(table[0].values()) == {1.0}
    for family in Family:
        values = [row[family] for row in table]
        if family in lowered:
            assert values == sorted(values, reverse=True) or name == "shuffle_blocks"
            assert values[-1] < 0.95
            assert values[2] < 1.0
        elif family not in besides:
            assert values == [1.0] * len(RATES)


@pytest.mark.parametrize("name", sorted(DAMAGES))
def test_damage_can_be_repeated_and_leaves_its_input_alone(name: str) -> None:
    """The same seed damages the same things, another seed others, and the original stays whole."""
    entries = faithful(TRUTHS[0])
    assert damaged(entries, name, 0.5, 1) == damaged(entries, name, 0.5, 1)
    assert any(damaged(entries, name, 0.5, 1) != damaged(entries, name, 0.5, seed) for seed in range(2, 6))
    assert entries == faithful(TRUTHS[0])


@pytest.mark.parametrize(("family", "below"), [(F.TABLES, 0.98), (F.DIGITS, 0.995)])
def test_three_rows_of_a_hundred_are_seen(family: Family, below: float) -> None:
    """Few lost rows lower tables and digits in the mean over a corpus."""
    truths = [example_truth(3, seed, name=f"d{seed}") for seed in range(12)]
    scores = [score_document(truth, damaged(faithful(truth), "drop_rows", 0.03, n)) for n, truth in enumerate(truths)]
    assert fmean(score.families[family] or 0.0 for score in scores) < below
