"""Messages as senders write them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mineru_pipeline.messaging.broker import Headers, Message, Partition
from mineru_pipeline.messaging.policy import Policy
from mineru_pipeline.messaging.requests import TYPE

P0 = Partition("documents", 0)
AT = 1_790_000_000_000
POLICY = Policy(frozenset({"s3", "file"}), frozenset({"inbox"}))


def event(data: Any, **changes: Any) -> dict[str, Any]:
    """A request event in structured mode."""
    attributes = {"specversion": "1.0", "id": "1", "source": "/test", "type": TYPE}
    return {name: value for name, value in {**attributes, "data": data, **changes}.items() if value is not None}


def notification(
    *objects: Mapping[str, Any], name: str = "s3:ObjectCreated:Put", bucket: str = "inbox"
) -> dict[str, Any]:
    """What MinIO sends, with the fields that it sends."""
    records = [
        {
            "eventVersion": "2.0",
            "eventSource": "minio:s3",
            "awsRegion": "",
            "eventTime": "2026-11-20T10:11:12.345Z",
            "eventName": name,
            "userIdentity": {"principalId": "minio"},
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": "Config",
                "bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"},
                "object": {"eTag": "0f", "size": 7, "sequencer": "16F", "versionId": "", **item},
            },
            "source": {"host": "127.0.0.1"},
        }
        for item in objects
    ]
    return {"EventName": name, "Key": f"{bucket}/x", "Records": records}


def message(
    value: Any, offset: int = 0, headers: Headers = (), partition: Partition = P0, at: int | None = AT
) -> Message:
    """A message whose value is JSON, unless it is bytes already."""
    body = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
    return Message(partition, offset, body, headers, at)
