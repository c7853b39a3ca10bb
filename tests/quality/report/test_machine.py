"""Claims about the report for machines."""

from __future__ import annotations

import json
from dataclasses import replace

from mineru_pipeline.quality.report.machine import report_json
from mineru_pipeline.quality.report.model import Compared, Head


def test_the_same_input_is_the_same_json(head: Head, compared: Compared) -> None:
    """Byte by byte, with sorted keys, whatever order the documents come in."""
    backwards = replace(compared, candidate=compared.candidate[::-1])
    text = report_json(head, compared)
    assert text == report_json(head, backwards)
    assert text == json.dumps(json.loads(text), ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def test_dates_are_in_the_head_alone(head: Head, compared: Compared) -> None:
    """Two reports on the same scores differ in nothing but their heads."""
    first, second = (json.loads(report_json(replace(head, made_at=date), compared)) for date in ("monday", "tuesday"))
    assert first.pop("head") != second.pop("head")
    assert first == second


def test_nothing_is_told_of_documents_that_are_held_back(head: Head, compared: Compared) -> None:
    """Of the second seed the JSON holds means and the judgement, and names no document."""
    text = report_json(replace(head, held_back=True), compared)
    assert "doc-" not in text
    assert json.loads(text)["candidate"]["scans"]["tables"] < 1


def test_every_block_that_is_not_whole_is_in_it(head: Head, compared: Compared) -> None:
    """A program finds each block that was lost or spoilt, with what it was in the baseline."""
    documents = {each["name"]: each for each in json.loads(report_json(head, compared))["documents"]}
    assert len(documents) == 24
    for scores in compared.candidate:
        spoilt = [block.id for block in scores.blocks if block.state != "found"]
        assert [block["id"] for block in documents[scores.name]["blocks"]] == spoilt
        assert all(block["baseline"]["state"] == "found" for block in documents[scores.name]["blocks"])
