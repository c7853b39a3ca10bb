"""Keys with spaces, percent signs and worse: each is read as it is, or refused with a reason; none leaves its place."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from minio.error import S3Error

from bench.ticks.station import DOCUMENTS, PREFIX, STORE, Station
from bench.ticks.waiting import REQUEST
from mineru_pipeline.documents.intake import SourceRow
from mineru_pipeline.storage.layout import MANIFESTS, batch_of_manifest
from resources.parsing import examine

_LONG = "/".join(["k" * 200] * 4)
KEYS = (
    "in/plain.pdf",
    "in/with some space.pdf",
    "in/100%.pdf",
    "in/already%20encoded%2F.pdf",
    "in/a+b.pdf",
    "in/#hash?query=1&x.pdf",
    "in/..two dots..pdf",
    "in/..",
    "in/../../outside.pdf",
    "../outside.pdf",
    "in//double//slash.pdf",
    "in/./dot.pdf",
    "in/日本語 ß é \u202e.pdf",
    "in/e\u0301 apart.pdf",
    "in/'quotes\" <&> \\ back.pdf",
    f"in/{_LONG}/{'x' * 92}.pdf"[:900],
    f"in/{'y' * 897}",
    f"in/{_LONG}/{'z' * 250}.pdf",
)


def measure(place: Station) -> dict[str, Any]:
    """Announce every key in a request and in a notification; look at what intake makes of both."""
    here = place.changed(intake={"watch": []})
    before = {item.key for item in here.store.list(MANIFESTS)}
    stored = {key: _store(here, key) for key in KEYS}
    cursor = here.announced(None).cursor
    _announce(here)
    while (tick := here.announced(cursor)).batches:
        cursor = tick.cursor
    fixed = [batch_of_manifest(item.key) for item in here.store.list(MANIFESTS) if item.key not in before]
    settings = here.loaded.settings
    rows = [row for batch in fixed for row in asyncio.run(examine(settings, here.store, batch))]
    letters = [json.loads(value) for value in here.kafka.received(settings.kafka.dead_letter_topic)]
    outcome = {key: _outcome(key, stored[key], rows) for key in KEYS}
    outside = here.s3.server.client.list_objects(STORE, recursive=True)
    return {
        "keys": len(KEYS),
        "right": sum(each == "right" for each in outcome.values()),
        "refused": {_short(key): each for key, each in outcome.items() if each not in {"right", "wrong"}},
        "wrong": [_short(key) for key, each in outcome.items() if each == "wrong"],
        "entries": len(rows),
        "dead_letters": len(letters),
        "outside_of_prefix": [
            str(item.object_name) for item in outside if not f"{item.object_name}".startswith(PREFIX)
        ],
    }


def _store(place: Station, key: str) -> str:
    """Store bytes that tell the key; their hash, or "" where the server does not take such a key."""
    data = f"the bytes of {key}".encode()
    try:
        place.put([key], data)
    except (S3Error, ValueError):
        return ""
    return hashlib.sha256(data).hexdigest()


def _announce(place: Station) -> None:
    kafka = place.loaded.settings.kafka
    events = [{"uri": f"s3://{DOCUMENTS}/{quote(key, safe='/')}"} for key in KEYS]
    attributes = {"specversion": "1.0", "source": "/keys", "type": REQUEST}
    requests = [{**attributes, "id": str(number), "data": data} for number, data in enumerate(events)]
    notifications = [_notification(key) for key in KEYS]
    place.kafka.send(kafka.requests_topic or "", [json.dumps(each).encode() for each in requests])
    place.kafka.send(kafka.notifications_topic or "", [json.dumps(each).encode() for each in notifications])


def _notification(key: str) -> Mapping[str, Any]:
    record = {"eventName": "s3:ObjectCreated:Put", "s3": {"bucket": {"name": DOCUMENTS}, "object": {"key": ""}}}
    record["s3"]["object"]["key"] = quote_plus(key)  # type: ignore[index]
    return {"EventName": "s3:ObjectCreated:Put", "Records": [record]}


def _outcome(key: str, sha256: str, rows: list[SourceRow]) -> str:
    """``right``: read, byte for byte, both times; ``wrong``: anything else that is not refused with a reason."""
    mine = [row for row in rows if row.uri == f"s3://{DOCUMENTS}/{quote(key, safe='/')}"]
    if len(mine) != 2:  # noqa: PLR2004  a request and a notification
        return "wrong"
    if sha256 and all(row.sha256 == sha256 for row in mine):
        return "right"
    reasons = {row.reason for row in mine if row.sha256 is None}
    return reasons.pop() if len(reasons) == 1 and all(row.sha256 is None for row in mine) else "wrong"


def _short(key: str) -> str:
    return key if len(key) < 60 else f"{key[:20]}… ({len(key)} characters)"  # noqa: PLR2004  a line's worth
