"""What may be written in a plan of faults, and whom its rules strike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mineru_pipeline.devserver.faults import rules
from mineru_pipeline.devserver.faults.book import FaultBook
from mineru_pipeline.devserver.faults.rules import FAULTS, FaultPlan
from mineru_pipeline.devserver.prompts import Task
from mineru_pipeline.devserver.simulate import SimulatedWork
from mineru_pipeline.errors import ModelServerError


def work(task: Task = Task.TEXT, digest: str = "ab12") -> SimulatedWork:
    return SimulatedWork(task, digest, "text", 1, 0.0, 0.0)


def struck(match: dict[str, Any], requests: list[SimulatedWork], *, seed: int = 0, seconds: float = 0.0) -> list[int]:
    """The numbers of those of ``requests``, one every ``seconds``, that a rule with ``match`` strikes."""
    now = [0.0]
    plan = FaultPlan.model_validate({"seed": seed, "rules": [{"fault": "error-500", "match": match}]})
    book = FaultBook(plan, lambda: now[0])
    found = []
    for number, each in enumerate(requests, 1):
        if book.choose(each, "r"):
            found.append(number)
        now[0] += seconds
    return found


def test_a_rule_without_match_strikes_all() -> None:
    """Nothing asked for is nothing excluded."""
    assert struck({}, [work()] * 3) == [1, 2, 3]


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({"kind": "table"}, [2, 4, 6, 8, 10]),
        ({"requests": [3, 5]}, [3, 4, 5]),
        ({"requests": [9, None]}, [9, 10]),
        ({"seconds": [2, 4]}, [3, 4, 5]),
        ({"digest": "0"}, [1, 2, 3]),
        ({"every": 4}, [4, 8]),
        ({"times": 2}, [1, 2]),
        ({"kind": "table", "every": 2, "times": 2}, [4, 8]),
        ({"share": 0}, []),
    ],
    ids=str,
)
def test_each_condition_narrows_the_rule(match: dict[str, Any], expected: list[int]) -> None:
    """Kind, number, second, digest, every n-th of those that match, at most so many times."""
    requests = [work(Task.TABLE if n % 2 else Task.TEXT, f"{n // 3}{n}") for n in range(10)]
    assert struck(match, requests, seconds=1.0) == expected


def test_a_share_of_requests_is_drawn_anew_for_each() -> None:
    """About that share is struck, another seed strikes others, and a repeated request may get through."""
    same = [work()] * 1000
    first = struck({"share": 0.2}, same)
    assert 150 < len(first) < 250
    assert first == struck({"share": 0.2}, same)
    assert first != struck({"share": 0.2}, same, seed=1)


def test_a_share_of_contents_is_struck_every_time() -> None:
    """The same request always has the same fate, whatever came between."""
    requests = [work(digest=f"{n % 100:02x}") for n in range(300)]
    found = struck({"content_share": 0.2}, requests)
    assert 10 <= len(found) / 3 <= 30
    assert {(n - 1) % 100 for n in found[: len(found) // 3]} == {(n - 1) % 100 for n in found[len(found) // 3 :]}


def test_the_first_rule_that_matches_strikes_and_is_recorded() -> None:
    """One request has one fault; the report counts by rule and lists what would have been answered."""
    plan = FaultPlan.model_validate({"rules": [{"fault": "hang", "match": {"times": 1}}, {"fault": "slow"}]})
    book = FaultBook(plan)
    rules_struck = [book.choose(work(), f"r{n}") for n in range(3)]
    assert [rule and rule.fault for rule in rules_struck] == ["hang", "slow", "slow"]
    report = book.report()
    assert [rule["struck"] for rule in report["rules"]] == [1, 2]
    assert report["strikes"][0] == {
        "fault": "hang",
        "number": 1,
        "request_id": "r0",
        "kind": "text",
        "digest": "ab12",
        "undisturbed": "text",
    }
    book.set(plan)
    assert book.report()["requests"] == 0


def test_an_empty_layout_strikes_layouts_alone() -> None:
    """The fault's name says whom it concerns."""
    plan = FaultPlan.model_validate({"rules": [{"fault": "empty-layout"}]})
    book = FaultBook(plan)
    assert [book.choose(work(task), "r") is not None for task in (Task.TEXT, Task.LAYOUT)] == [False, True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules: [{fault: explode}]", r"rules\.0\.fault.*'refused'"),
        ("rules: [{fault: hang, seconds: 3}]", "'hang' does not take 'seconds'; it takes no parameters"),
        ("rules: [{fault: slow, status: 500}]", "it takes factor, seconds"),
        ("rules: [{fault: hang, match: {kinds: text}}]", r"rules\.0\.match\.kinds.*not permitted"),
        ("rules: [{fault: error, status: 200}]", r"rules\.0\.status.*400"),
        ("rules: [{fault: hang, match: {share: 2}}]", r"match\.share"),
        ("rules: 3", "rules"),
        ("- hang", "the whole"),
        ("rules: [", "neither YAML nor JSON"),
    ],
)
def test_a_wrong_plan_is_refused_with_its_place(text: str, message: str) -> None:
    """The error names the file, the place in it, and what would be right."""
    with pytest.raises(ModelServerError, match=message) as caught:
        rules.parse(text, "The faults file f.yaml")
    assert str(caught.value).startswith("The faults file f.yaml")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A missing file and one that is no text are refused by name."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name in ("missing", "binary"):
        with pytest.raises(ModelServerError, match=name):
            rules.load(tmp_path / name)


def test_defaults_and_given_parameters() -> None:
    """A parameter that is not given has its default; null says without end."""
    (plain, given) = rules.parse("rules: [{fault: restart}, {fault: restart, seconds: null}]", "x").rules
    assert (plain.parameters(), given.parameters()) == ({"seconds": 5.0}, {"seconds": None})


def test_every_fault_is_in_the_manual() -> None:
    """The document lists each fault, and none that does not exist."""
    text = (Path(__file__).parents[2] / "docs" / "simulated-server.md").read_text()
    table = text.split("## Faults", 1)[1].split("\n## ", 1)[0]
    listed = [line.split("`")[1] for line in table.splitlines() if line.startswith("| `")]
    assert sorted(listed) == sorted(FAULTS)
