"""Store and broker are killed, ticked against, and started again: what does a tick say, and does it go on?"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import dagster as dg

from bench.ticks.station import DOCUMENTS, Station, Tick
from bench.ticks.waiting import request


def store(place: Station, documents: int) -> dict[str, Any]:
    """Kill the S3 server between two ticks of either sensor."""
    here = place.changed(intake={"watch": [f"{DOCUMENTS}/outage/"]})
    cursor = here.announced(None).cursor
    watched = here.watched(None).cursor
    _announce(here, documents)
    here.put([f"outage/{number}.pdf" for number in range(documents)], b"x")
    here.s3.kill()
    failures = {
        "announced_documents": _failure(lambda: here.announced(cursor)),
        "watched_buckets": _failure(lambda: here.watched(watched)),
    }
    here.s3.start()
    after = _all(here, here.announced, cursor) + _all(here, here.watched, watched)
    return _figures(failures, after, 2 * documents)


def broker(place: Station, documents: int) -> dict[str, Any]:
    """Kill the broker between two ticks; its logs outlive it."""
    cursor = place.announced(None).cursor
    _announce(place, documents)
    place.kafka.kill()
    failures = {"announced_documents": _failure(lambda: place.announced(cursor))}
    place.kafka.start_again()
    return _figures(failures, _all(place, place.announced, cursor), documents)


def _announce(place: Station, documents: int) -> None:
    topic = place.loaded.settings.kafka.requests_topic or ""
    place.kafka.send(topic, [request(f"outage/{number}.pdf", number) for number in range(documents)])


def _failure(tick: Callable[[], Tick]) -> dict[str, Any]:
    began = time.monotonic()
    try:
        tick()
    except dg.Failure as error:
        return {"seconds": round(time.monotonic() - began, 1), "message": str(error.description)}
    return {"seconds": round(time.monotonic() - began, 1), "message": ""}


def _all(place: Station, evaluate: Callable[[str | None], Tick], cursor: str | None) -> list[str]:
    """The addresses that ticks find from the cursor on, until one brings nothing."""
    found: list[str] = []
    while (tick := evaluate(cursor)).batches:
        found += [ref.uri for manifest in place.manifests(tick.batches) for ref in manifest.refs]
        cursor = tick.cursor
    return found


def _figures(failures: dict[str, dict[str, Any]], found: list[str], wanted: int) -> dict[str, Any]:
    return {
        "failures": failures,
        "fails_with_a_message": all(each["message"] for each in failures.values()),
        "documents": wanted,
        "resumed": bool(found),
        "lost": max(0, wanted - len(found)),
        "twice": max(0, len(found) - wanted),
    }
