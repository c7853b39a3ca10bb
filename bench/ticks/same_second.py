"""Objects of the same seconds, some of them overwritten, under the eyes of the sensor of watched buckets."""

from __future__ import annotations

from collections import Counter
from typing import Any
from urllib.parse import unquote

from bench.ticks.station import DOCUMENTS, Station

_ONE_OF = 10


def measure(place: Station, objects: int) -> dict[str, Any]:
    """Write one half, tick, write the other half at once and overwrite some of both, tick to the end.

    A state that was overwritten before any tick is gone and cannot be found; all others must come, and come once.
    """
    first, second = ([f"in/{half}/{number:05d}.pdf" for number in range(objects // 2)] for half in "ab")
    expected = Counter(place.put(first, b"first").items())
    ticks = [place.watched(None)]
    lost_before = place.put(second, b"first")
    overwritten = place.put([*first[::_ONE_OF], *second[::_ONE_OF]], b"another state")
    expected += Counter(
        {**lost_before, **{key: etag for key, etag in overwritten.items() if key in lost_before}}.items()
    )
    expected += Counter({key: etag for key, etag in overwritten.items() if key not in lost_before}.items())
    while (tick := place.watched(ticks[-1].cursor)).cursor != ticks[-1].cursor or tick.batches:
        ticks.append(tick)
    refs = [ref for each in ticks for manifest in place.manifests(each.batches) for ref in manifest.refs]
    found = Counter((unquote(ref.uri.removeprefix(f"s3://{DOCUMENTS}/")), str(ref.etag)) for ref in refs)
    listed = place.s3.server.client.list_objects(DOCUMENTS, "in/", recursive=True)
    seconds = Counter(int(item.last_modified.timestamp()) for item in listed if item.last_modified)
    return {
        "objects": objects,
        "overwritten": len(overwritten),
        "most_in_one_second": max(seconds.values()),
        "ticks": len(ticks),
        "states": expected.total(),
        "found": found.total(),
        "lost": (expected - found).total(),
        "twice": (found - expected).total(),
    }
