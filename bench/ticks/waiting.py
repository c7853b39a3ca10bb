"""A tick of the sensor of announced documents while ten thousand messages wait."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from bench.ticks.station import DOCUMENTS, Station, Tick

REQUEST = "mineru-pipeline.document.requested.v1"


def request(key: str, number: int) -> bytes:
    """A request event for an object whose key needs no encoding."""
    data = {"uri": f"s3://{DOCUMENTS}/{key}"}
    return json.dumps(
        {"specversion": "1.0", "id": str(number), "source": "/ticks", "type": REQUEST, "data": data}
    ).encode()


def measure(place: Station, messages: int, partitions: int) -> dict[str, Any]:
    """Send so many messages, and tick until none waits; the settings are the defaults."""
    kafka = place.loaded.settings.kafka
    # The first tick finds the logs, and reads nothing before their start is stored.
    start = place.announced(None).cursor
    topic = kafka.requests_topic or ""
    for partition in range(partitions):
        dealt = range(partition, messages, partitions)
        place.kafka.send(topic, [request(f"{number:06d}.pdf", number) for number in dealt], partition=partition)
    first, again = place.announced(start), place.announced(start)
    ticks = [first]
    while (tick := place.announced(ticks[-1].cursor)).batches:
        ticks.append(tick)
    taken = [_documents(place, tick) for tick in ticks]
    found = sum(taken, Counter[str]())
    wanted = {f"s3://{DOCUMENTS}/{number:06d}.pdf" for number in range(messages)}
    return {
        "messages": messages,
        "partitions": partitions,
        "seconds": round(first.seconds, 2),
        "batches": len(first.batches),
        "documents": taken[0].total(),
        "within_bounds": all(
            len(tick.batches) <= kafka.max_batches and count.total() <= kafka.max_messages
            for tick, count in zip(ticks, taken, strict=True)
        ),
        "same_batches_again": (again.batches, again.cursor) == (first.batches, first.cursor),
        "ticks": len(ticks),
        "slowest_seconds": round(max(tick.seconds for tick in ticks), 2),
        "lost": len(wanted - found.keys()),
        "twice": sum(count > 1 for count in found.values()),
    }


def _documents(place: Station, tick: Tick) -> Counter[str]:
    return Counter(ref.uri for manifest in place.manifests(tick.batches) for ref in manifest.refs)
