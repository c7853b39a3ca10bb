"""Dead letters: what was refused, why, where it came from, and enough of it to send it again."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from mineru_pipeline.documents.refs import utc_text
from mineru_pipeline.messaging.broker import Message, Outgoing, Partition
from mineru_pipeline.messaging.cloudevents import CloudEvent, to_structured
from mineru_pipeline.messaging.contents import Refusal, moment_of

REFUSED = "mineru-pipeline.message.refused.v1"
LOST = "mineru-pipeline.messages.lost.v1"
SOURCE = "mineru-pipeline"
#: Of a larger message only the beginning is kept; a request needs less.
MAX_PAYLOAD_BYTES = 64 * 1024
MAX_HEADERS, MAX_HEADER_BYTES = 32, 1024


def refused_letter(topic: str, message: Message, refusal: Refusal) -> Outgoing:
    """Return the dead letter of a message, or of one record in it; the same message gives the same one."""
    payload = message.value or b""
    headers = [
        (name, value) for name, value in message.headers[:MAX_HEADERS] if len(name) + len(value) <= MAX_HEADER_BYTES
    ]
    data = {
        "reason": refusal.reason,
        "message": refusal.message,
        "origin": {**_origin(message.partition), "offset": message.offset, "record": refusal.record},
        "payload_bytes": len(payload),
        "payload_base64": base64.b64encode(payload[:MAX_PAYLOAD_BYTES]).decode(),
        "truncated": len(payload) > MAX_PAYLOAD_BYTES or len(headers) < len(message.headers),
        "headers": [{"name": name, "value_base64": base64.b64encode(value).decode()} for name, value in headers],
    }
    record = [] if refusal.record is None else [refusal.record]
    return _letter(topic, REFUSED, message.partition, [message.offset, *record], data, utc_text(moment_of(message)))


def lost_letter(topic: str, partition: Partition, first: int, following: int) -> Outgoing:
    """Return the letter that says that the broker no longer holds the offsets from ``first`` up to ``following``."""
    data = {
        "message": (
            f"The broker removed {following - first} offsets of {partition} before they were read. Documents that were "
            "announced there are not parsed unless they are announced again or found in their bucket; raise the "
            "topic's retention above the longest time that the sensor may stand still."
        ),
        "origin": {**_origin(partition), "first_offset": first, "next_offset": following},
    }
    return _letter(topic, LOST, partition, [first, following], data, None)


def _origin(partition: Partition) -> dict[str, Any]:
    return {"topic": partition.topic, "partition": partition.number}


def _letter(
    topic: str, kind: str, partition: Partition, place: list[int], data: dict[str, Any], time: str | None
) -> Outgoing:
    named = json.dumps([kind, partition.topic, partition.number, *place])
    identity = hashlib.sha256(named.encode()).hexdigest()[:32]
    subject = f"{partition}@{'.'.join(map(str, place))}"
    headers, value = to_structured(CloudEvent(identity, SOURCE, kind, data, subject, time))
    return Outgoing(topic, str(partition), value, headers)
