"""What is stored and announced, all of it from one seed: documents, repeated ones, and messages that are poison."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import quote

from minio import Minio

from bench.chaos import pages

#: Shares of what is announced.
REPEATED, POISON = 0.05, 0.02
LEAST_POISON = 16
_UPLOADS = 8
#: Names as people give them; ``{n}`` is the number. The last one has 900 characters.
_ODD_KEYS = (
    "in/with some space {n}.pdf",
    "in/100%25 {n} %.pdf",
    "in/a+b+{n}.pdf",
    "in/#{n}?.pdf",
    "in/..dots..{n}...pdf",
    "in/日本語 ß é {n}.pdf",
    "in/" + "/".join(["k" * 200] * 4) + "/{n:093d}",
)
_ODD_EVERY = 10

#: Address and version: one state of one object.
State = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Stored:
    """One object in the bucket of documents; ``number`` is that of its bytes."""

    number: int
    bucket: str
    key: str
    sha256: str
    size: int
    etag: str
    version: str

    @property
    def uri(self) -> str:
        """Its address, percent-encoded."""
        return f"s3://{self.bucket}/{quote(self.key, safe='/')}"

    @property
    def state(self) -> State:
        """What an entry of a manifest must name."""
        return self.uri, self.version


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is of everything, from the number of announced documents."""

    announced: int

    @property
    def repeated(self) -> int:
        """Announcements of what was announced before, or of bytes that another object has, too."""
        return round(self.announced * REPEATED)

    @property
    def copies(self) -> int:
        """Those of them that are objects of their own with the same bytes."""
        return self.repeated // 2

    @property
    def distinct(self) -> int:
        """Different documents."""
        return self.announced - self.repeated

    @property
    def poison(self) -> int:
        """Messages and records that must be refused, besides the announcements; enough for some of every kind."""
        return max(LEAST_POISON, round(self.announced * POISON))


def store(client: Minio, bucket: str, counts: Counts, seed: int) -> list[Stored]:
    """Put all documents into the bucket, which keeps versions: each distinct one, and the copies of some."""

    def put(item: tuple[int, str]) -> Stored:
        number, key = item
        data = pages.pdf(number, seed)
        made = client.put_object(bucket, key, io.BytesIO(data), len(data), content_type="application/pdf")
        assert made.version_id
        assert made.etag
        digest = hashlib.sha256(data).hexdigest()
        return Stored(number, bucket, key, digest, len(data), made.etag, made.version_id)

    with ThreadPoolExecutor(_UPLOADS) as pool:
        return list(pool.map(put, _objects(counts, seed)))


def _objects(counts: Counts, seed: int) -> Iterator[tuple[int, str]]:
    for number in range(counts.distinct):
        odd = _ODD_KEYS[number // _ODD_EVERY % len(_ODD_KEYS)] if number % _ODD_EVERY == 0 else "in/{n}.pdf"
        yield number, odd.format(n=number)
    for number in random.Random(f"{seed}/copies").sample(range(counts.distinct), counts.copies):
        yield number, f"copies/{number}.pdf"


def announced(stored: list[Stored], counts: Counts, seed: int) -> list[Stored]:
    """Every object once, some again, in an order that has nothing to do with that of their storing."""
    dice = random.Random(f"{seed}/announced")
    again = dice.sample(stored[: counts.distinct], counts.repeated - counts.copies)
    found = [*stored, *again]
    dice.shuffle(found)
    return found
