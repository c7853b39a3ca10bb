from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mineru_pipeline.errors import ScoringInputError
from mineru_pipeline.quality.assertions import Verdict, check, pass_rates, read_claims
from mineru_pipeline.quality.scores.parsed import read_content_list
from mineru_pipeline.quality.scores.search import nearest

_TABLE = (
    "<table><tr><th></th><th colspan='2'>Year Ended</th></tr><tr><td>Sum</td><td>1,136</td><td>680</td></tr>"
    "<tr><td>Rest</td><td>17</td><td>42</td></tr></table>"
)
_ENTRIES = [
    {"type": "text", "text": "Of Rivers", "text_level": 1, "page_idx": 0},
    {"type": "text", "text": "They run “down” to the\nsea, says $x^{2}+y$.", "page_idx": 0},
    {"type": "table", "table_body": _TABLE, "page_idx": 0},
    {"type": "equation", "text": "$$\n\\lambda_{g} = \\lambda_{h}\n$$", "page_idx": 0},
    {"type": "header", "text": "Yearbook", "page_idx": 0},
    {"type": "text", "text": "The end", "page_idx": 1},
]


def verdict(kind: str, **fields: Any) -> Verdict:
    line = json.dumps({"pdf": "a.pdf", "page": 1, "id": "a", "type": kind, **fields})
    return check(read_claims([line])[0], read_content_list(_ENTRIES))


@pytest.mark.parametrize(
    ("kind", "fields", "passed"),
    [
        ("present", {"text": 'They run "down" to the sea'}, True),
        ("present", {"text": "they run"}, False),
        ("present", {"text": "THEY RUN", "case_sensitive": False}, True),
        ("present", {"text": "Thay run", "max_diffs": 1}, True),
        ("present", {"text": "Thay ran", "max_diffs": 1}, False),
        ("present", {"text": "The end"}, False),
        ("present", {"text": "The end", "page": 2}, True),
        ("present", {"text": "Of Rivers", "first_n": 20}, True),
        ("present", {"text": "Of Rivers", "last_n": 20}, False),
        ("absent", {"text": "Yearbook"}, True),
        ("absent", {"text": "Rivers"}, False),
        ("absent", {"text": "Rivers", "last_n": 5}, True),
        ("order", {"before": "Of Rivers", "after": "the sea"}, True),
        ("order", {"before": "the sea", "after": "Of Rivers"}, False),
        ("order", {"before": "Of Rivars", "after": "tha sea", "max_diffs": 1}, True),
        ("order", {"before": "Of Rivers", "after": "nowhere"}, False),
        ("table", {"cell": "680"}, True),
        ("table", {"cell": "68"}, False),
        ("table", {"cell": "680", "left": "1,136", "down": "42"}, True),
        ("table", {"cell": "680", "left": "42"}, False),
        ("table", {"cell": "680", "right": "42"}, False),
        ("table", {"cell": "42", "top_heading": "Year Ended", "left_heading": "Rest", "up": "680"}, True),
        ("table", {"cell": "42", "top_heading": "680"}, False),
        ("table", {"cell": "1.136", "max_diffs": 1}, True),
        ("math", {"math": r"\lambda_g=\lambda_h"}, True),
        ("math", {"math": "x^2 + y"}, True),
        ("math", {"math": r"\lambda_g=\lambda_x"}, False),
    ],
)
def test_what_an_assertion_claims(kind: str, fields: dict[str, Any], passed: bool) -> None:
    """Each of the five kinds holds on what it describes and on nothing else, and a failure says why."""
    found = verdict(kind, **fields)
    assert (found.passed, bool(found.why)) == (passed, not passed)


def test_rates_are_counted_by_kind() -> None:
    """Of each kind and of all: how many hold, how many there are, and the share."""
    verdicts = [verdict("present", text="Rivers"), verdict("present", text="lakes"), verdict("absent", text="lakes")]
    assert pass_rates(verdicts) == {
        "absent": {"passed": 1, "claims": 1, "rate": 1.0},
        "all": {"passed": 2, "claims": 3, "rate": 0.6667},
        "present": {"passed": 1, "claims": 2, "rate": 0.5},
    }


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"type": "poem"}', '{"pdf": "a", "page": 1, "id": "a", "type": "order", "before": "x"}']
)
def test_a_line_that_is_no_assertion_is_refused(line: str) -> None:
    """Its number is named, so that whoever wrote it finds it."""
    with pytest.raises(ScoringInputError, match="Line 2"):
        read_claims(["", line])


@settings(deadline=None)
@given(st.text("abc", min_size=1, max_size=12), st.text("abc", max_size=12), st.text("abc", max_size=12))
def test_a_text_is_found_where_it_stands(needle: str, before: str, after: str) -> None:
    """The place that is found is the first (or last) one, with and without edits allowed."""
    text = before + needle + after
    assert nearest(needle, text, 0) == text.find(needle)
    assert nearest(needle, text, 0, last=True) == text.rfind(needle)
    assert nearest(needle, text, 1) is not None
    assert nearest(needle[:-1] + "x", text, 1) is not None
    assert nearest("x" * len(needle), text, len(needle) - 1) is None
