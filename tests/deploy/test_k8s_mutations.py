"""One thing broken at a time: a named rule sees it."""

from __future__ import annotations

import pytest
from manifests.changes import Mutation, caught
from manifests.further_mutations import FURTHER_MUTATIONS
from manifests.mutations import MUTATIONS
from manifests.rules import RULES

ALL = (*MUTATIONS, *FURTHER_MUTATIONS)


@pytest.mark.parametrize("mutation", ALL, ids=lambda each: each.what.replace(" ", "-"))
def test_a_fault_is_caught(mutation: Mutation) -> None:
    """The rule that is named finds the fault, and says what it is."""
    assert caught(mutation)


def test_every_rule_can_fail() -> None:
    """For each rule there is a fault that it, and no luck, catches."""
    assert {each.caught_by for each in ALL} == set(RULES)
