"""The table of breakages: each fits the files, names a test that exists, and is judged for what the test says."""

from __future__ import annotations

import ast
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench import mutations
from bench.breakages import BREAKAGES, Breakage
from bench.mutations import Ended, Outcome, markdown
from mineru_pipeline.settings import project_root

ROOT = project_root()
ONE = next(each for each in BREAKAGES if each.name == "missing-limit")


def test_there_are_twelve_and_each_is_another() -> None:
    """Twelve or more, of different names, in files of at least eight kinds of things."""
    assert len(BREAKAGES) >= 12
    assert max(Counter(each.name for each in BREAKAGES).values()) == 1
    assert len({each.file for each in BREAKAGES}) >= 8


@pytest.mark.parametrize("breakage", BREAKAGES, ids=lambda each: each.name)
def test_a_breakage_fits_what_there_is(breakage: Breakage) -> None:
    """What it changes stands in the file once, and its test is a function that is there."""
    text = (ROOT / breakage.file).read_text()
    assert breakage.applied(text) != text
    file, _, node = breakage.test.partition("::")
    tree = ast.parse((ROOT / file).read_text())
    assert node.partition("[")[0] in {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}


def test_a_breakage_that_fits_no_more_is_told() -> None:
    """A change whose place is gone, or is there twice, breaks nothing in silence."""
    with pytest.raises(ValueError, match=r"missing-limit: .* stands 0 times"):
        ONE.applied("")
    with pytest.raises(ValueError, match="stands 2 times"):
        ONE.applied(ONE.old * 2)


def test_the_page_has_the_table_as_it_is() -> None:
    """The documentation shows what the command prints where everything is caught."""
    page = (ROOT / "docs" / "deployment" / "checked.md").read_text()
    assert markdown([Outcome(each, 0.0, "") for each in BREAKAGES]) in page


@pytest.mark.parametrize(
    ("after", "caught"),
    [
        (Ended(1, f"E   ['{ONE.says}']\n1 failed in 0.1s"), True),
        (Ended(1, f"E   ['{ONE.says}']\n1 error in 0.1s"), True),
        (Ended(1, "E   KeyError\n1 failed in 0.1s"), False),
        (Ended(0, f"{ONE.says}\n1 passed in 0.1s"), False),
        (Ended(2, f"{ONE.says}\n1 error in 0.1s"), False),
        (Ended(1, ""), False),
    ],
)
def test_only_the_reason_that_is_named_counts(after: Ended, caught: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """A test that passes, cannot be collected, or fails for something else has not seen the breakage."""
    seen = []

    def tester(folder: Path, tests: Sequence[str]) -> Ended:
        seen.append((folder / ONE.file).read_text())
        assert tests == [ONE.test]
        return after if len(seen) == 2 else Ended(0, "1 passed in 0.1s")

    assert mutations.main(["--only", ONE.name, "--json"], tester) == (0 if caught else 1)
    assert [each["caught"] for each in json.loads(capsys.readouterr().out)] == [caught]
    assert seen == [(ROOT / ONE.file).read_text(), ONE.applied(seen[0])]


@pytest.mark.parametrize("before", [Ended(1, "1 failed in 1s"), Ended(0, "1 skipped in 1s")])
def test_a_test_that_does_not_pass_before_proves_nothing(before: Ended) -> None:
    """Nothing is broken where the test fails or is skipped as it is."""
    assert mutations.main(["--only", ONE.name], lambda _folder, _tests: before) == 2


def test_two_are_caught_for_real(capsys: pytest.CaptureFixture[str]) -> None:
    """The command copies, breaks, runs and tells: a wrong tag and an alert without a case."""
    assert mutations.main(["--only", "moving-action", "untested-alert", "--markdown"]) == 0
    printed = capsys.readouterr()
    assert printed.out.count("\n| ") == 2
    assert printed.err.count("caught ") == 2
