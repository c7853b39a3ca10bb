"""The outbox in the store: results wait there until the broker has acknowledged them.

A batch's events are written before its table, in one object whose name follows from its content. Whatever dies
afterwards, they are there to be sent; and an object that was sent can be removed without a second look, for what
another run of the batch writes meanwhile has another name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from mineru_pipeline.errors import ObjectNotFoundError, StoreError
from mineru_pipeline.messaging.broker import MessageBroker, Outgoing
from mineru_pipeline.messaging.cloudevents import STRUCTURED, CloudEvent, to_structured
from mineru_pipeline.storage import ObjectStore, layout

_DIGITS = 12
#: Damaged objects that are named.
_SHOWN = 5
_HEADERS = (("content-type", STRUCTURED.encode()),)


@dataclass(frozen=True, slots=True)
class Drained:
    """What was sent: events, and the batches they were of."""

    events: int = 0
    batches: int = 0


def put(store: ObjectStore, batch: str, revision: str, events: Sequence[CloudEvent]) -> str:
    """Keep the events of a batch until they are sent; returns the object's key."""
    data = b"".join(to_structured(event)[1] + b"\n" for event in events)
    key = layout.outbox_key(batch, revision, hashlib.sha256(data).hexdigest()[:_DIGITS])
    store.put(key, data)
    return key


def waits(store: ObjectStore) -> bool:
    """Whether there is anything to send."""
    return any(True for _ in store.list(layout.OUTBOX))


def drain(store: ObjectStore, broker: MessageBroker, topic: str, *, most: int) -> Drained:
    """Send what waits, oldest batch first, at most ``most`` batches, and remove each that was acknowledged.

    Raises:
        MessagingError: the broker cannot be used; what was not acknowledged stays and is sent again, with the same ids.
        StoreError: the store cannot be used, or objects in it are damaged, which are named; those after them were sent.
    """
    sent, damaged = Drained(), list[str]()
    for item in list(store.list(layout.OUTBOX)):
        # Not the first so many objects: damaged ones stay, and would hold up all that come after them.
        if sent.batches >= most:
            break
        try:
            messages = _messages(store.get(item.key), topic)
        except ObjectNotFoundError:
            # A rival was faster.
            continue
        except ValueError as error:
            damaged.append(f"{store.uri(item.key)} is damaged ({error})")
            continue
        broker.send(messages)
        store.delete(item.key)
        sent = Drained(sent.events + len(messages), sent.batches + 1)
    if damaged:
        raise _complaint(damaged, sent)
    return sent


def _complaint(damaged: Sequence[str], sent: Drained) -> StoreError:
    more = f", and {len(damaged) - _SHOWN} more" if len(damaged) > _SHOWN else ""
    return StoreError(
        f"{len(damaged)} objects of the outbox hold results that cannot be told; they are in the tables of their "
        f"batches, remove the objects: {'; '.join(damaged[:_SHOWN])}{more}. {sent.events} results of {sent.batches} "
        "other batches were sent."
    )


def _messages(data: bytes, topic: str) -> list[Outgoing]:
    # One document's results have one key, so they stay in order.
    return [Outgoing(topic, _address(line), line, _HEADERS) for line in data.splitlines()]


def _address(line: bytes) -> str:
    try:
        return str(json.loads(line)["data"]["uri"])
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"a line is no result event: {error!r}") from error
