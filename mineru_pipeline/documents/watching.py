"""One look at the watched buckets: from a cursor to batches and the next cursor."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from urllib.parse import unquote

from minio.datatypes import Object as ListedObject

from mineru_pipeline.documents.discovery import SUFFIX
from mineru_pipeline.documents.manifest import BatchManifest, batch_key_for_folder, write_manifest
from mineru_pipeline.documents.refs import INVALID, ORIGIN_LISTING, DocumentRef, utc_text
from mineru_pipeline.documents.seen import NOTHING, Seen
from mineru_pipeline.documents.sweep import Sweep, sweep
from mineru_pipeline.errors import ObjectNotFoundError, SourceError, StoreError
from mineru_pipeline.storage import ObjectStore, layout
from mineru_pipeline.storage.addresses import SCHEME, object_uri

#: Generations of what was seen that stay in the store: a tick may be evaluated again from an older cursor.
_KEPT_GENERATIONS = 8
_ADVICE = (
    "Reset the cursor of the sensor in the Dagster UI: then everything in the buckets is new once more, and what was "
    "parsed already makes no request to the model."
)

#: Lists the objects of a bucket under a prefix, behind a key.
ListObjects = Callable[[str, str, str], Iterable[ListedObject]]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one look may take on."""

    documents: int
    batch_size: int
    #: Whether there is time for more.
    in_time: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Place:
    """How far one watched prefix is; what was seen lies in the store, under the keys named here."""

    generation: int = 0
    #: What the last complete pass has shown.
    seen: str = ""
    #: Where the pass that is under way goes on, and what it has shown so far.
    position: str = ""
    partial: str = ""


@dataclass(slots=True)
class Look:
    """What one look has brought."""

    cursor: str
    batches: list[BatchManifest] = field(default_factory=list)
    #: For the log, one sentence each.
    notes: list[str] = field(default_factory=list)
    #: Objects that no reference can name, and why.
    refused: list[str] = field(default_factory=list)
    #: What kept a prefix from being looked at.
    failures: list[StoreError] = field(default_factory=list)
    #: Whether the cursor says more than before.
    progressed: bool = False


@dataclass(frozen=True, slots=True)
class Watch:
    """Looks for new documents under prefixes such as ``bucket/folder/``, each with a position of its own."""

    watched: Sequence[str]
    store: ObjectStore
    list_objects: ListObjects
    tenant: str

    def look(self, cursor: str | None, limits: Limits, now: datetime) -> Look:
        """Fix the batches of what is new since ``cursor``; the same cursor and buckets give the same batches.

        The prefixes take turns, so that a large one does not keep the others waiting. One that cannot be
        listed does not, either.

        Raises:
            StoreError: the cursor cannot be read.
        """
        places, turn = _decode(cursor)
        look, left = Look(""), limits.documents
        order = [(turn + step) % len(self.watched) for step in range(len(self.watched))]
        for index in order:
            name = self.watched[index]
            try:
                place, found = self._look_at(name, places.get(name, Place()), replace(limits, documents=left), look)
                batches = list(self._batches(name, found, limits.batch_size, now, look))
            except StoreError as error:
                look.failures.append(error)
            else:
                # Only now: what is behind the cursor must be in a manifest.
                look.progressed |= places.get(name) != place
                places[name] = place
                look.batches += batches
                left -= len(found)
            turn = index + 1
            if left == 0 or not limits.in_time():
                break
        look.cursor = _encode(places, turn % len(self.watched))
        return look

    def _look_at(self, name: str, place: Place, limits: Limits, look: Look) -> tuple[Place, tuple[ListedObject, ...]]:
        bucket, prefix = split(name)
        own, before = own_prefix(self.store, bucket), self._load(place.seen)
        result = sweep(
            self.list_objects(bucket, prefix, place.position),
            before,
            self._load(place.partial),
            wanted=lambda key: is_document(key) and not (own is not None and key.startswith(own)),
            most=limits.documents,
            in_time=limits.in_time,
        )
        _note(look, name, result)
        if result.position:
            partial = self._save(name, place.generation + 1, result.seen)
            return Place(place.generation + 1, place.seen, result.position, partial), result.found
        if place.seen and result.seen.to_bytes() == before.to_bytes():
            return replace(place, position="", partial=""), result.found
        seen = self._save(name, place.generation + 1, result.seen)
        self._forget_older(name, place)
        return Place(place.generation + 1, seen), result.found

    def _batches(
        self, name: str, found: Sequence[ListedObject], size: int, now: datetime, look: Look
    ) -> Iterable[BatchManifest]:
        bucket, _ = split(name)
        refs = []
        for each in found:
            try:
                refs.append(listed_reference(bucket, each, utc_text(now), ORIGIN_LISTING))
            except SourceError as error:
                # It must not keep the others waiting.
                look.refused.append(str(error))
        for start in range(0, len(refs), size):
            part = tuple(refs[start : start + size])
            yield write_manifest(self.store, BatchManifest(batch_key_for_folder(part, self.tenant), self.tenant, part))

    def _load(self, key: str) -> Seen:
        if not key:
            return NOTHING
        try:
            return Seen.from_bytes(self.store.get(key))
        except ObjectNotFoundError as error:
            raise StoreError(f"What was seen of a bucket is gone from {self.store.uri(key)}. {_ADVICE}") from error

    def _save(self, name: str, generation: int, seen: Seen) -> str:
        data = seen.to_bytes()
        key = layout.seen_key(name, generation, hashlib.sha256(data).hexdigest())
        self.store.put(key, data)
        return key

    def _forget_older(self, name: str, place: Place) -> None:
        # Never what the present cursor names: it counts until the next one is kept.
        bound = layout.seen_key(name, max(place.generation - _KEPT_GENERATIONS, 0), "0" * 64)
        for info in list(self.store.list(layout.seen_prefix(name))):
            if info.key < bound and info.key not in {place.seen, place.partial}:
                self.store.delete(info.key)


def split(watched: str) -> tuple[str, str]:
    """Return bucket and prefix of what is watched, such as ``bucket/folder/``."""
    bucket, _, prefix = watched.partition("/")
    return bucket, prefix


def own_prefix(store: ObjectStore, bucket: str) -> str | None:
    """Return the prefix in ``bucket`` below which the store itself lies, "" for all of it; None when it does not.

    What the pipeline writes must not come in as documents: the overlays are PDFs, too.
    """
    place, _, prefix = store.address.removeprefix(f"{SCHEME}://").partition("/")
    if not store.address.startswith(f"{SCHEME}://") or place != bucket:
        return None
    return f"{unquote(prefix)}/" if prefix else ""


def is_document(key: str) -> bool:
    """Whether an object of this name is taken for a document, as a file of this name is."""
    return key.lower().endswith(SUFFIX)


def listed_reference(bucket: str, each: ListedObject, received_at: str, origin: str) -> DocumentRef:
    """Return the reference to an object in the state in which it was listed; raises :class:`SourceError`."""
    modified = utc_text(each.last_modified) if each.last_modified else None
    try:
        uri = object_uri(bucket, str(each.object_name))
    except UnicodeEncodeError:
        shown = shown_uri(bucket, str(each.object_name))
        raise SourceError(INVALID, f"The key of {shown} is not valid Unicode; rename the object.") from None
    return DocumentRef(uri, each.size, each.etag or None, None, received_at, origin, modified)


def shown_uri(bucket: str, key: str) -> str:
    """Return the address of an object for people, whatever its key is made of."""
    try:
        return object_uri(bucket, key)
    except UnicodeEncodeError:
        return f"{SCHEME}://{bucket}/{ascii(key)[1:-1]}"


def _note(look: Look, name: str, result: Sweep[ListedObject]) -> None:
    state = f"goes on behind {result.position!a}" if result.position else "complete"
    if result.found or result.position:
        look.notes.append(f"{name}: {len(result.found)} new documents among {result.listed} objects; {state}")
    if result.gone:
        look.notes.append(f"{name}: {result.gone} objects were deleted since; what was parsed of them is kept")


def _decode(cursor: str | None) -> tuple[dict[str, Place], int]:
    if not cursor:
        return {}, 0
    try:
        values = json.loads(cursor)
        places: Mapping[str, Mapping[str, object]] = values["places"]
        return {name: Place(**place) for name, place in places.items()}, int(values["turn"])  # type: ignore[arg-type]  # checked by use
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"The cursor of the sensor cannot be read ({type(error).__name__}). {_ADVICE}") from error


def _encode(places: Mapping[str, Place], turn: int) -> str:
    return json.dumps({"turn": turn, "places": {name: asdict(place) for name, place in sorted(places.items())}})
