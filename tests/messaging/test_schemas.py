"""The published schemas and the program say the same."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from announcements import P0, POLICY, event, message, notification
from jsonschema import Draft202012Validator

from mineru_pipeline.messaging.cloudevents import to_structured
from mineru_pipeline.messaging.contents import read_message
from mineru_pipeline.messaging.deadletters import lost_letter, refused_letter
from mineru_pipeline.messaging.refusal import Reason
from mineru_pipeline.messaging.results import TYPES, DocumentResult, result_event
from mineru_pipeline.settings import project_root

FOLDER = project_root() / "docs" / "schemas"
FILES = sorted(FOLDER.glob("*.json"))
FULL = {"uri": "s3://inbox/a", "version": "v", "size": 1, "etag": "e", "tenant": "t", "metadata": {"k": "v"}}
RESULT = DocumentResult(
    "b",
    0,
    "acme",
    "s3://inbox/a",
    "v1",
    "a" * 64,
    "parsed",
    "",
    "",
    3,
    0,
    1.5,
    "file:///o/",
    "o/",
    "rev",
    None,
    {"k": "v"},
)


def schema(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.schema.json").read_text())


def fits(name: str, value: Any) -> bool:
    return bool(Draft202012Validator(schema(name)).is_valid(value))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_schema_is_one(file: Any) -> None:
    """The files are valid JSON Schema, and there are exactly these."""
    Draft202012Validator.check_schema(json.loads(file.read_text()))
    assert len(FILES) == 5


REQUESTS: list[Any] = [
    event(FULL),
    event({"uri": "s3://inbox/a"}),
    event({"uri": "s3://inbox/a", "version": None, "size": None, "etag": None, "tenant": None}),
    event(FULL, subject="s", traceparent="00", number=5, flag=True),
    event(FULL, id=""),
    event(FULL, id=None),
    event(FULL, source=None),
    event(FULL, specversion="0.3"),
    event(FULL, type="x"),
    event(FULL, subject=""),
    event(FULL, Upper="x"),
    event(FULL, ext=1.5),
    event(FULL, ext={}),
    event(FULL, time="x" * 2049),
    event(None),
    event([]),
    event({}),
    event(FULL | {"x": 1}),
    event(FULL | {"uri": ""}),
    event(FULL | {"uri": "s3://inbox/" + "x" * 8192}),
    event(FULL | {"version": ""}),
    event(FULL | {"version": "x" * 1025}),
    event(FULL | {"size": -1}),
    event(FULL | {"size": 1.5}),
    event(FULL | {"size": 5 * 1024**4 + 1}),
    event(FULL | {"tenant": "-a"}),
    event(FULL | {"tenant": "a" * 64}),
    event(FULL | {"metadata": None}),
    event(FULL | {"metadata": {"": "x"}}),
    event(FULL | {"metadata": {"k" * 65: "x"}}),
    event(FULL | {"metadata": {"k": "x" * 257}}),
    event(FULL | {"metadata": {"k": 1}}),
    event(FULL | {"metadata": {str(n): "x" for n in range(33)}}),
]


@pytest.mark.parametrize("value", REQUESTS, ids=range(len(REQUESTS)))
def test_a_request_is_accepted_exactly_if_it_fits_its_schema(value: Any) -> None:
    """Nobody who follows the file is refused for its shape, and nobody else is let in."""
    assert fits("document-requested.v1", value) == (not read_message(message(value), POLICY).refusals)


def test_both_verdicts_occur() -> None:
    """The comparison above would say nothing if all cases ended alike."""
    verdicts = [fits("document-requested.v1", value) for value in REQUESTS]
    assert verdicts.count(True) == 4


NOTIFICATIONS: list[Any] = [
    notification({"key": "a"}),
    notification({"key": "a", "eTag": None, "size": None, "sequencer": None, "versionId": None}),
    notification({"key": "a", "unknown": [1]}),
    notification({"key": ""}),
    notification({"key": "a" * 3073}),
    notification({"key": 5}),
    notification({"key": "a", "size": -1}),
    notification({"key": "a", "eTag": 5}),
    notification({"key": "a"}, name="s3:ObjectRemoved:Delete"),
    {"Records": []},
    {"Records": [{}]},
    {"Records": "x"},
    {"Records": [{"eventName": "s3:ObjectCreated:Put"}]},
]


@pytest.mark.parametrize("value", NOTIFICATIONS, ids=range(len(NOTIFICATIONS)))
def test_a_notification_is_accepted_exactly_if_it_fits_its_schema(value: Any) -> None:
    """What MinIO sends fits, further fields included."""
    assert fits("bucket-notification", value) == (not read_message(message(value), POLICY).refusals)


def test_dead_letters_fit_their_schema() -> None:
    """For every kind of refusal, and for lost offsets."""
    for value in (None, b"{", {"a": 1}, event({}), notification({"key": "%ff"}), b"x" * 70_000):
        refused = message(value, headers=(("h", b"\xff"),))
        for refusal in read_message(refused, POLICY).refusals:
            letter = json.loads(refused_letter("dead", refused, refusal).value)
            Draft202012Validator(schema("message-refused.v1")).validate(letter)
    Draft202012Validator(schema("messages-lost.v1")).validate(json.loads(lost_letter("dead", P0, 1, 2).value))


def test_the_schema_names_every_reason() -> None:
    """Whoever branches on reasons finds all of them in the file."""
    listed = schema("message-refused.v1")["$defs"]["data"]["properties"]["reason"]["enum"]
    assert sorted(listed) == sorted(Reason)


@pytest.mark.parametrize("state", TYPES)
def test_results_fit_their_schema(state: str) -> None:
    """Each state has its type; what is not known is null."""
    for result in (RESULT, DocumentResult("b", 1, "t", "u", None, None, state, "r", "m", 0, 0, 0.0, "", "", "rev")):
        _, value = to_structured(result_event(result, "2026-01-01T00:00:00Z"))
        Draft202012Validator(schema("document-result.v1")).validate(json.loads(value))


def test_a_result_told_twice_has_one_id() -> None:
    """When it was told does not matter; another entry, revision or state does."""
    ids = {result_event(RESULT, f"2026-01-0{day}T00:00:00Z").id for day in (1, 2)}
    assert len(ids) == 1
    others = [("batch", "c"), ("entry", 1), ("parser_revision", "r2"), ("state", "degraded")]

    ids |= {result_event(replace(RESULT, **{name: value}), "").id for name, value in others}  # type: ignore[arg-type]
    assert len(ids) == 5
