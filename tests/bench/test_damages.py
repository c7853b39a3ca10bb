"""The table of damages: what it says follows from scores, and a parse without damage is not blamed."""

from __future__ import annotations

from typing import Any

import pytest

from bench import damages
from mineru_pipeline.quality.corpus import SEEDS, generate
from mineru_pipeline.quality.damage import faithful


@pytest.fixture(scope="module")
def documents() -> list[damages.Parsed]:
    """Twenty-four documents, quickly drawn, with a parse that has no fault."""
    strata = ["lists", "code", "one-column", "dense-tables"]
    return [damages.Parsed(one.truth, faithful(one.truth)) for one in generate(SEEDS["baseline"], strata=strata)]


def row(documents: list[damages.Parsed], kind: str, rate: float) -> dict[str, Any]:
    baseline = damages.scored(documents, kind, 0.0, 0)
    candidates = [damages.scored(documents, kind, rate, seed) for seed in range(3)]
    return {"damage": kind, **damages.judged(baseline, candidates, draws=2)}


def told(rows: list[dict[str, Any]]) -> str:
    return damages.table({"documents": 20, "rows": rows})


def test_an_undamaged_parse_is_not_blamed(documents: list[damages.Parsed]) -> None:
    """Nothing is lost, so nothing is caught."""
    found = row(documents, "drop_words", 0.0)
    assert set(found["by_documents"][20]["rejected"].values()) == {0.0}
    assert "| not caught |" in told([found])


def test_a_gross_damage_is_caught_by_its_family(documents: list[damages.Parsed]) -> None:
    """A third of the words is missed by the text, and not by the order."""
    found = row(documents, "drop_words", 0.33)
    assert found["by_documents"][20]["rejected"]["text"] == 1.0
    assert found["by_documents"][20]["rejected"]["order"] == 0.0
    assert "| text | 20 |" in told([found])


def test_the_documents_of_a_damage_lose_different_things(documents: list[damages.Parsed]) -> None:
    """A seed is another draw for each document, and the same one each time."""
    first, again, other = (damages.scored(documents, "blank_pages", 0.3, seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert 0 < sum(score == 1 for score in first.families["pages"].values()) < len(documents)


def test_a_page_that_is_lost_is_refused_by_the_rule(documents: list[damages.Parsed]) -> None:
    """Too few pages for a gate, and still none is let go."""
    found = row(documents, "blank_pages", 0.1)
    assert found["by_documents"][20]["rejected"]["pages"] == 0.0
    assert found["by_documents"][20]["rejected"][damages.NO_NEW_CATASTROPHE] == 1.0
    assert f"| {damages.NO_NEW_CATASTROPHE} | 20 |" in told([found])


def test_a_small_loss_is_shown_and_not_caught(documents: list[damages.Parsed]) -> None:
    """Within what is tolerated nothing is rejected, but the table says in which family something is lost."""
    found = row(documents, "drop_words", 0.03)
    assert found["by_documents"][20]["rejected"]["text"] == 0.0
    assert "lower in" in told([found])
