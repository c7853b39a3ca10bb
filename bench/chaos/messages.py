"""Announcements as senders write them, good ones and poison, dealt to the partitions of two topics."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

from bench.chaos.plan import State, Stored

REQUEST = "mineru-pipeline.document.requested.v1"
_MOST_RECORDS = 5
_TOO_MANY_BYTES = 1024 * 1024 + 1

Headers = tuple[tuple[str, bytes], ...]
#: Number of a record, or None for the message as a whole, and why it must be refused.
Refused = tuple[int | None, str]


@dataclass(frozen=True, slots=True)
class Announcement:
    """One message, what must become of it, and where it goes."""

    is_notification: bool
    value: bytes
    headers: Headers = ()
    entries: tuple[State, ...] = ()
    refused: tuple[Refused, ...] = ()
    #: A number to deal partitions by.
    deal: int = field(default=0)


def compose(documents: Sequence[Stored], poison: int, seed: int) -> list[Announcement]:
    """Messages that announce the documents in this order, half of them in notifications, with poison in between."""
    dice = random.Random(f"{seed}/messages")
    found: list[Announcement] = []
    waiting = list(documents)
    records = poison // 4
    while waiting:
        if dice.random() < 0.5:  # noqa: PLR2004  one half
            found.append(_request(waiting.pop(), dice))
            continue
        taken = [waiting.pop() for _ in range(min(len(waiting), dice.randint(1, _MOST_RECORDS)))]
        foul = records > 0 and dice.random() < 0.2  # noqa: PLR2004  until there are enough
        records -= foul
        found.append(_notification(taken, dice, foul=foul))
    short = poison - sum(len(each.refused) for each in found)
    found += [_POISON[number % len(_POISON)](dice) for number in range(short)]
    dice.shuffle(found)
    return found


def _request(document: Stored, dice: random.Random) -> Announcement:
    data = {"uri": document.uri, "version": document.version}
    if dice.random() < 0.5:  # noqa: PLR2004  one half
        data |= {"size": document.size, "metadata": {"number": str(document.number)}}  # type: ignore[dict-item]
    deal = dice.randrange(2**16)
    if dice.random() < 0.5:  # noqa: PLR2004  one half in either mode
        return Announcement(False, _json(_event(data, dice)), entries=(document.state,), deal=deal)  # noqa: FBT003
    attributes = _event(None, dice)
    headers = tuple((f"ce_{name}", str(value).encode()) for name, value in attributes.items() if value is not None)
    headers += (("content-type", b"application/json"),)
    return Announcement(False, _json(data), headers, (document.state,), deal=deal)  # noqa: FBT003


def _event(data: Any, dice: random.Random, **changes: Any) -> dict[str, Any]:
    event = {"specversion": "1.0", "type": REQUEST, "source": "/chaos", "id": f"{dice.getrandbits(64):016x}"}
    return {name: value for name, value in {**event, "data": data, **changes}.items() if value is not None}


def _notification(documents: Sequence[Stored], dice: random.Random, *, foul: bool) -> Announcement:
    records = [_record(each.bucket, each.key, each.size, each.etag, each.version) for each in documents]
    refused: tuple[Refused, ...] = ()
    if foul:
        place = dice.randint(0, len(records))
        records.insert(place, _record("somebody-elses", f"in/{dice.random()}.pdf", 1, "0f", ""))
        refused = ((place, "forbidden-bucket"),)
    value = {"EventName": "s3:ObjectCreated:Put", "Key": "documents/x", "Records": records}
    entries = tuple(each.state for each in documents)
    return Announcement(True, _json(value), (), entries, refused, dice.randrange(2**16))  # noqa: FBT003


def _record(bucket: str, key: str, size: int, etag: str, version: str) -> dict[str, Any]:
    """As MinIO writes it: the key URL-encoded, with + for a space."""
    return {
        "eventVersion": "2.0",
        "eventSource": "minio:s3",
        "awsRegion": "",
        "eventTime": "2026-11-20T10:11:12.345Z",
        "eventName": "s3:ObjectCreated:Put",
        "userIdentity": {"principalId": "minio"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "Config",
            "bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"},
            "object": {
                "key": quote_plus(key),
                "size": size,
                "eTag": etag,
                "versionId": version,
                "sequencer": "16F",
            },
        },
        "source": {"host": "127.0.0.1"},
    }


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _foul(reason: str, make: Callable[[random.Random], bytes], *, bucket: bool = False) -> Any:
    def build(dice: random.Random) -> Announcement:
        return Announcement(bucket, make(dice), refused=((None, reason),), deal=dice.randrange(2**16))

    return build


def _asking(**data: Any) -> Callable[[random.Random], bytes]:
    return lambda dice: _json(_event({"uri": "s3://documents/in/0.pdf", **data}, dice))


_POISON: tuple[Callable[[random.Random], Announcement], ...] = (
    _foul("not-json", lambda dice: b"\x00\xff no JSON" + dice.randbytes(20)),
    _foul("unknown-type", lambda dice: _json(_event({"uri": "s3://documents/a"}, dice, type="somebody.elses.v1"))),
    _foul("forbidden-bucket", _asking(uri="s3://somebody-elses/in/0.pdf")),
    _foul("forbidden-scheme", _asking(uri="file:///etc/passwd")),
    _foul("forbidden-scheme", _asking(uri="https://example.org/a.pdf")),
    _foul("wrong-schema", lambda dice: _json(_event({"version": "1"}, dice))),
    _foul("not-an-event", lambda dice: _json({"specversion": "1.0", "type": REQUEST, "n": str(dice.random())})),
    _foul("invalid-size", _asking(size="large")),
    _foul("invalid-tenant", _asking(tenant="../b")),
    _foul("empty", lambda _: b""),
    _foul("wrong-schema", lambda _: _json({"Records": []}), bucket=True),
    _foul("message-too-large", lambda dice: _json(_event({"uri": "s3://d/" + "a" * _TOO_MANY_BYTES}, dice))),
)
